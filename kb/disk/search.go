package disk

import (
	"context"
	"fmt"
	"slices"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/index"
)

// Search returns the chunks a query is about, the best ones first. Chunks of the same score come in the order of source, path and place.
func (e *Engine) Search(ctx context.Context, q kb.Query) ([]kb.Hit, error) {
	hits, err := e.search(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return hits, nil
}

func (e *Engine) search(ctx context.Context, q kb.Query) ([]kb.Hit, error) {
	for _, glob := range q.Filter.Paths {
		if !doublestar.ValidatePattern(glob) {
			return nil, fmt.Errorf("the path %q is not a glob", glob)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	names := slices.Clone(q.Sources)
	slices.Sort(names)
	var sources []*source
	defer func() {
		for _, s := range sources {
			s.release()
		}
	}()
	var asked []index.Source
	for _, name := range slices.Compact(names) {
		s, err := e.hold(name)
		if err != nil {
			return nil, err
		}
		if s == nil {
			continue
		}
		sources = append(sources, s)
		space := s.Space
		if v, ok := q.Vectors[space]; ok && !q.WordsOnly && s.dims() > 0 && len(v) != s.dims() {
			space = ""
			if q.Without != nil {
				q.Without(name)
			}
		}
		asked = append(asked, index.Source{Name: name, Meaning: s.meaning, Space: space, Segments: showing(s, q.Filter)})
	}
	found, err := index.Search(ctx, asked, index.Ask{Text: q.Text, Vectors: q.Vectors, WordsOnly: q.WordsOnly, Most: min(q.Most, kb.MaxHits)})
	if err != nil {
		return nil, err
	}
	hits := make([]kb.Hit, len(found))
	for i, f := range found {
		s := sources[f.Source]
		l := s.live[f.Segment]
		entry := l.Entries()[f.Entry]
		hits[i] = kb.Hit{Source: s.Source, State: s.State, File: entry.File, Kind: entry.Kind, Title: entry.Title, Chunk: l.Chunk(f.Chunk), Score: f.Score}
	}
	return hits, nil
}

// showing are the segments of a source with what a filter lets through.
func showing(s *source, f kb.Filter) []*index.Live {
	labelled := true
	for name, value := range f.Labels {
		is, ok := s.Labels[name]
		labelled = labelled && ok && is == value
	}
	if labelled && len(f.Paths) == 0 && len(f.Kinds) == 0 && f.Since.IsZero() && f.Before.IsZero() {
		return s.live
	}
	segments := make([]*index.Live, len(s.live))
	for i, l := range s.live {
		segments[i] = l.Showing(func(e index.Entry) bool { return labelled && f.Shows(e.File, e.Kind) })
	}
	return segments
}
