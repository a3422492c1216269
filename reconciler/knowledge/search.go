package knowledge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/spec"
)

// Search asks about sources, whose names the query need not have: it sees these, and of these those that it names. The notes say, for
// whoever asked, what of them is missing in the answer.
func (k *Keeper) Search(ctx context.Context, sources []*spec.KnowledgeSource, q kb.Query) (hits []kb.Hit, notes []string, err error) {
	engine, err := k.ready(ctx)
	if err != nil {
		return nil, nil, err
	}
	asked := q.Sources
	q.Sources, q.Vectors = nil, map[string][]float32{}
	for _, s := range sources {
		if len(asked) > 0 && !slices.Contains(asked, s.Name) {
			continue
		}
		q.Sources = append(q.Sources, s.Name)
		if err := k.await(ctx, s.Name); err != nil {
			return nil, nil, err
		}
		if note := k.note(s.Name); note != "" {
			notes = append(notes, note)
		}
		if m := s.Embed; m != nil && q.Vectors[space(m)] == nil && !q.WordsOnly {
			vectors, err := k.opts.Embed(ctx, m, []string{q.Text})
			switch {
			case ctx.Err() != nil:
				return nil, nil, ctx.Err()
			case err != nil || len(vectors) != 1:
				notes = append(notes, fmt.Sprintf("the model %s cannot be asked, so %s is searched without it", m.Name, s.Name))
			default:
				q.Vectors[space(m)] = vectors[0]
			}
		}
	}
	hits, err = engine.Search(ctx, q)
	for i := range hits {
		hits[i].State = commitOf(hits[i].State)
	}
	return hits, notes, err
}

const (
	// firstTime is how long a search waits for a source that is being read for the first time, and nextTime for one that is being
	// brought up to date.
	firstTime = 2 * time.Minute
	nextTime  = 2 * time.Second
)

// await waits while a source is being read, for a while.
func (k *Keeper) await(ctx context.Context, name string) error {
	k.mu.Lock()
	one := k.kept[name]
	if one == nil || one.state.Reason != Indexing {
		k.mu.Unlock()
		return nil
	}
	settled, patience := one.settled, firstTime
	if one.state.Commit != "" {
		patience = nextTime
	}
	k.mu.Unlock()
	select {
	case <-settled:
		return nil
	case <-k.opts.After(patience):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// note says what of a source is missing in an answer; "" is nothing.
func (k *Keeper) note(name string) string {
	s, ok := k.State(name)
	switch {
	case !ok || s.Reason == Indexing && s.Commit == "":
		return fmt.Sprintf("%s is still being read, and not in this answer", name)
	case s.Reason != Indexed && s.Commit == "":
		return fmt.Sprintf("%s cannot be read, and is not in this answer", name)
	case s.Reason != Indexed && s.Reason != Indexing:
		return fmt.Sprintf("%s cannot be read now, and is as it was at %s", name, short(s.Commit))
	}
	return ""
}

// Document returns a document of a source, and the commit or day that it is of. The error wraps [kb.ErrNotFound] where there is none.
func (k *Keeper) Document(ctx context.Context, source, path string) (kb.File, kb.Document, string, error) {
	engine, err := k.ready(ctx)
	if err != nil {
		return kb.File{}, kb.Document{}, "", err
	}
	state, err := engine.State(ctx, source)
	if err != nil {
		return kb.File{}, kb.Document{}, "", err
	}
	file, d, err := engine.Document(ctx, source, path)
	return file, d, commitOf(state), err
}

// Stats are those of the engine, sorted by source.
func (k *Keeper) Stats(ctx context.Context) ([]kb.Stats, error) {
	engine, err := k.ready(ctx)
	if err != nil {
		return nil, err
	}
	all, err := engine.Stats(ctx)
	for i := range all {
		all[i].State = commitOf(all[i].State)
	}
	return all, err
}
