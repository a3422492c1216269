package index

import (
	"cmp"
	"slices"
)

// found is a chunk with its score.
type found struct {
	score   float32
	segment int32
	chunk   uint32
}

// best keeps the chunks of the highest scores above 0: a heap whose top is the worst of them.
type best struct {
	most  int
	found []found
	// order says which of two chunks of the same score comes first.
	order func(a, b found) int
}

func newBest(most int, order func(a, b found) int) *best {
	if order == nil {
		order = asStored
	}
	return &best{most: most, order: order}
}

// asStored orders chunks as they are stored.
func asStored(a, b found) int {
	return cmp.Or(cmp.Compare(a.segment, b.segment), cmp.Compare(a.chunk, b.chunk))
}

// compare orders the better one first.
func (b *best) compare(x, y found) int {
	if x.score != y.score {
		return cmp.Compare(y.score, x.score)
	}
	return b.order(x, y)
}

// floor is the score beneath which nothing is kept any more.
func (b *best) floor() float32 {
	if len(b.found) < b.most {
		return 0
	}
	return b.found[0].score
}

// add keeps a chunk if it is one of the best.
func (b *best) add(f found) {
	switch {
	case f.score <= 0 || b.most == 0:
	case len(b.found) < b.most:
		b.found = append(b.found, f)
		for i := len(b.found) - 1; i > 0; {
			up := (i - 1) / 2
			if b.compare(b.found[i], b.found[up]) <= 0 {
				break
			}
			b.found[i], b.found[up], i = b.found[up], b.found[i], up
		}
	case b.compare(f, b.found[0]) < 0:
		b.found[0] = f
		for i := 0; ; {
			down := 2*i + 1
			if down >= len(b.found) {
				break
			}
			if down+1 < len(b.found) && b.compare(b.found[down+1], b.found[down]) > 0 {
				down++
			}
			if b.compare(b.found[down], b.found[i]) <= 0 {
				break
			}
			b.found[i], b.found[down], i = b.found[down], b.found[i], down
		}
	}
}

// sorted returns them, the best ones first, and ends the heap.
func (b *best) sorted() []found {
	slices.SortFunc(b.found, b.compare)
	return b.found
}
