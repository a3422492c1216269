// Package related lets what was found for a question bring forward what it hangs together with, as graphs of what files declare say it. It
// finds nothing by itself: an engine's hits come first, and near them the places that have a relation to them.
package related

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/graph"
)

// One setting serves all. It was chosen with questions about two repositories, around it little changes, and it was held against those
// about two others afterwards: see testdata/questions.
const (
	// seeds is how many hits bring others, the best ones, and fan how many places each of them brings: those in the fewest hands.
	seeds, fan = 30, 4
	// weight is what a relation to a hit counts, beside that hit's own score.
	weight = 0.3
	// pool is how many hits can come forward.
	pool = 100
	// opened is how many documents are read, at most, for places that are among no hits.
	opened = 20
)

// Graph is what some sources declare.
type Graph struct {
	Sources []string
	*graph.Graph
}

// Search asks an engine, and the graphs of sources: of each of those that the query does not name, nothing is told. Every hit satisfies the
// query; but for its labels, of which the caller knows that the sources of the graphs have them.
func Search(ctx context.Context, e kb.Engine, q kb.Query, graphs []Graph) ([]kb.Hit, error) {
	most := max(0, min(q.Most, kb.MaxHits))
	if len(graphs) > 0 {
		q.Most = max(most, pool)
	}
	hits, err := e.Search(ctx, q)
	if err != nil || len(graphs) == 0 {
		return hits, err
	}
	s := &spread{engine: e, query: q, hits: hits, gain: make([]float64, len(hits))}
	for i := range min(seeds, len(hits)) {
		for _, g := range graphs {
			if slices.Contains(g.Sources, hits[i].Source) {
				if err := s.from(ctx, g, i); err != nil {
					return nil, err
				}
			}
		}
	}
	s.rank()
	return s.hits[:min(most, len(s.hits))], nil
}

// spread is one question.
type spread struct {
	engine kb.Engine
	query  kb.Query
	hits   []kb.Hit
	// gain is the best score of what each hit has a relation to.
	gain   []float64
	opened int
}

// from brings what a hit has a relation to.
func (s *spread) from(ctx context.Context, g Graph, hit int) error {
	h := s.hits[hit]
	for _, n := range g.Neighbours(h.File.Path, h.First, h.Last, fan) {
		i, err := s.find(ctx, g, n.Place)
		if err != nil {
			return err
		}
		if i >= 0 && i != hit {
			s.gain[i] = max(s.gain[i], h.Score)
		}
	}
	return nil
}

// find returns which hit stands at a place: the best one, or else one more. It is -1 where nothing does that the query asks for.
func (s *spread) find(ctx context.Context, g Graph, p graph.Place) (int, error) {
	for i, h := range s.hits {
		if h.File.Path == p.File && slices.Contains(g.Sources, h.Source) && covers(h.Chunk, p) {
			return i, nil
		}
	}
	for _, source := range g.Sources {
		if !slices.Contains(s.query.Sources, source) || s.opened == opened {
			continue
		}
		s.opened++
		h, err := s.open(ctx, source, p)
		if err != nil {
			return 0, err
		}
		if h != nil {
			s.hits, s.gain = append(s.hits, *h), append(s.gain, 0)
			return len(s.hits) - 1, nil
		}
	}
	return -1, nil
}

func covers(c kb.Chunk, p graph.Place) bool {
	return p.First == 0 || c.First <= p.Last && c.Last >= p.First
}

// open returns the chunk of a source that stands at a place; nil for none.
func (s *spread) open(ctx context.Context, source string, p graph.Place) (*kb.Hit, error) {
	before, err := s.engine.State(ctx, source)
	if err != nil {
		return nil, err
	}
	file, d, err := s.engine.Document(ctx, source, p.File)
	if errors.Is(err, kb.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	state, err := s.engine.State(ctx, source)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(d.Chunks, func(c kb.Chunk) bool { return covers(c, p) })
	if at < 0 || state != before || !s.query.Filter.Shows(file, d.Kind) { // A state that has changed meanwhile may not be the document's.
		return nil, nil
	}
	return &kb.Hit{Source: source, State: state, File: file, Kind: d.Kind, Title: d.Title, Chunk: d.Chunks[at]}, nil
}

// rank adds what was gained, and puts the best first.
func (s *spread) rank() {
	best := 1.0
	for i := range s.hits {
		s.hits[i].Score += weight * s.gain[i]
		best = max(best, s.hits[i].Score)
	}
	for i := range s.hits {
		s.hits[i].Score /= best
	}
	slices.SortStableFunc(s.hits, func(a, b kb.Hit) int { return cmp.Compare(b.Score, a.Score) })
}
