package disk

import (
	"cmp"
	"context"

	"github.com/mainstay-dev/mainstay/kb/index"
)

const (
	// tooDead is which part of the chunks of a segment may be gone.
	tooDead = 0.3
	// larger is how many times as large a segment is as all after it.
	larger = 2
)

// due is from which segment on all are made one, and whether meaning is learned again.
func (s *source) due() (from int, learn, ok bool) {
	if index.Outgrown(s.Added, s.Learned) {
		return 0, true, len(s.live) > 0
	}
	after := 0
	from = len(s.live)
	for i := len(s.live) - 1; i >= 0; i-- {
		l := s.live[i]
		if float64(l.Dead()) > tooDead*float64(l.Segment.Chunks()) || i < len(s.live)-1 && l.Chunks() <= larger*after {
			from = i
		}
		after += l.Chunks()
	}
	return from, false, from < len(s.live)
}

// merge makes one segment of some, if that is due. It returns the source with it, held, or nil.
func (e *Engine) merge(ctx context.Context, now *source) (*source, error) {
	from, learn, ok := now.due()
	if !ok {
		return nil, nil
	}
	next := &source{manifest: now.manifest, meaning: now.meaning}
	to := e.fresh(&next.manifest, "segment")
	w := index.NewWriter(now.Space, to)
	copiers := make([]*index.Copier, len(now.live))
	for _, p := range now.places(now.all()[from:]...) {
		if copiers[p.segment] == nil {
			copiers[p.segment] = w.Copier(now.live[p.segment].Segment)
		}
		copiers[p.segment].Copy(p.entry, now.entry(p).File)
		if err := cmp.Or(ctx.Err(), w.Err()); err != nil {
			to.drop()
			return nil, err
		}
	}
	next.live, next.Segments = now.live[:from:from], now.Segments[:from:from]
	meaning := now.meaning
	var files []made
	if learn {
		meaning = w.Learn()
		next.Learned, next.Added = w.Chunks(), 0
		next.meaning, next.Meaning = meaning, nil
		if meaning != nil {
			files = append(files, made{to: e.fresh(&next.manifest, "meaning"), meaning: meaning})
		}
	}
	if w.Documents() > 0 {
		files = append(files, made{to: to, segment: w, meaning: meaning})
	}
	return e.write(now, next, files)
}
