package index

import (
	"context"

	"github.com/mainstay-dev/mainstay/kb/vectors"
)

// vectorsOf returns the vectors of a file, nil where it has none.
func vectorsOf(dims int, cells []int8, scales, exact []float32) (*vectors.Set, error) {
	if dims == 0 && len(cells) == 0 && len(scales) == 0 && len(exact) == 0 {
		return nil, nil
	}
	return vectors.Of(dims, cells, scales, exact)
}

// addVector adds a vector. One that vectors.Set refuses counts as one of zeros.
func (w *Writer) addVector(vector []float32) {
	if !w.withVectors(len(vector)) {
		return
	}
	if err := w.vectors.Add(vector); err != nil {
		_ = w.vectors.Add(make([]float32, w.vectors.Dims()))
	}
}

// copyVector adds a vector of a segment.
func (w *Writer) copyVector(from *Segment, chunk uint32) {
	if from.vectors != nil && w.withVectors(from.vectors.Dims()) {
		_ = w.vectors.Copy(from.vectors, int(chunk)) // Of one space all have the same length.
	}
}

// withVectors reports whether there can be vectors.
func (w *Writer) withVectors(dims int) bool {
	if w.vectors == nil {
		w.vectors, _ = vectors.New(dims)
	}
	return w.vectors != nil
}

// score is that of a cosine: above 0, as all scores are.
func score(cosine float32) float32 { return 2 + cosine }

// nearest adds to best the chunks nearest to a question. Those whose length is infinite are left out.
func (l *Live) nearest(ctx context.Context, question *vectors.Search, segment int32, best *best) error {
	live := vectors.NewRows(len(l.lengths))
	for chunk, length := range l.lengths {
		if !dead(length) {
			live.Add(chunk)
		}
	}
	by, err := question.Nearest(ctx, l.vectors, live, best.most, nil)
	if err != nil {
		return err
	}
	for _, n := range by {
		best.add(found{score: score(n.Cosine), segment: segment, chunk: uint32(n.Row)})
	}
	return nil
}
