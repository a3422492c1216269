package knowledge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/related"
	"github.com/mainstay-dev/mainstay/spec"
)

// Search asks about sources, whose names the query need not have: it sees these, and of these those that it names. The notes say, for
// whoever asked, what of them is missing in the answer.
func (k *Keeper) Search(ctx context.Context, sources []*spec.KnowledgeSource, q kb.Query) (hits []kb.Hit, notes []string, err error) {
	if _, err := k.ready(ctx); err != nil {
		return nil, nil, err
	}
	asked := q.Sources
	q.Sources = nil
	var seen []*spec.KnowledgeSource
	first, next := &patience{most: firstTime}, &patience{most: nextTime}
	for _, s := range sources {
		if len(asked) > 0 && !slices.Contains(asked, s.Name) {
			continue
		}
		if k.undeclared(s.Name) {
			notes = append(notes, gone(s.Name))
			continue
		}
		if err := k.await(ctx, s.Name, first, next); err != nil {
			return nil, nil, err
		}
		if k.moved(s.Name) {
			notes = append(notes, unread(s.Name))
			continue
		}
		seen, q.Sources = append(seen, s), append(q.Sources, s.Name)
		if note := k.note(s); note != "" {
			notes = append(notes, note)
		}
	}
	engine, err := k.ready(ctx) // It may be another one by now.
	if err != nil {
		return nil, nil, err
	}
	hits, more, err := k.find(ctx, engine, seen, q)
	for i := range hits {
		hits[i].State = commitOf(hits[i].State)
	}
	return hits, append(notes, more...), k.inIndex(err)
}

// find asks the engine, and what the sources declare to be asked with it: their graphs, and models. What of these cannot be asked is in the
// notes.
func (k *Keeper) find(ctx context.Context, engine kb.Engine, sources []*spec.KnowledgeSource, q kb.Query) (hits []kb.Hit, notes []string, err error) {
	if q.WordsOnly {
		hits, err = engine.Search(ctx, q)
		return hits, nil, err
	}
	most := q.Most
	if slices.ContainsFunc(sources, func(s *spec.KnowledgeSource) bool { return s.Rerank != nil || s.Rewrite != nil }) {
		q.Most = max(most, reranked)
	}
	if q.Vectors, notes, err = k.vectors(ctx, sources, q.Text); err != nil {
		return nil, nil, err
	}
	graphs, err := k.graphsOf(ctx, sources, q.Filter)
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	if err != nil {
		notes = append(notes, "how things hang together is not in this answer: "+err.Error())
	}
	var more []string
	unlike := map[string]bool{}
	q.Without = func(source string) { unlike[source] = true }
	hits, err = related.Search(ctx, engine, q, graphs)
	if err == nil {
		hits, more, err = k.rewrite(ctx, engine, sources, q, hits)
		notes = append(notes, more...)
	}
	if err == nil {
		more, err = k.rerank(ctx, sources, q.Text, hits)
		notes = append(notes, more...)
	}
	for _, s := range sources {
		if unlike[s.Name] {
			k.unlike(s)
			notes = append(notes, fmt.Sprintf("the model %s makes vectors of another length than those of %s, so that is searched without it until they are made again", s.Embed.Name, s.Name))
		}
	}
	return hits[:min(max(most, 0), len(hits))], notes, err
}

// graphsOf are the graphs of sources that have one and the labels of a filter.
func (k *Keeper) graphsOf(ctx context.Context, sources []*spec.KnowledgeSource, f kb.Filter) ([]related.Graph, error) {
	sources = slices.DeleteFunc(slices.Clone(sources), func(s *spec.KnowledgeSource) bool {
		for name, value := range f.Labels {
			if is, ok := s.Spec.Labels[name]; !ok || is != value {
				return true
			}
		}
		return false
	})
	var all []related.Graph
	of, _ := k.locatedOf(sources)
	for _, at := range places(of) {
		g, err := k.graph(ctx, at, of[at])
		if err != nil {
			return nil, err
		}
		one := related.Graph{Graph: g}
		for _, s := range of[at] {
			one.Sources = append(one.Sources, s.Name)
		}
		all = append(all, one)
	}
	return all, nil
}

// vectors has the models of sources make the vectors of a question, by their spaces. The notes tell of models that do not answer.
func (k *Keeper) vectors(ctx context.Context, sources []*spec.KnowledgeSource, text string) (all map[string][]float32, notes []string, err error) {
	all = map[string][]float32{}
	mute := map[string]error{}
	for _, s := range sources {
		m := s.Embed
		if m == nil {
			continue
		}
		if all[space(m)] == nil && mute[space(m)] == nil {
			vector, err := k.vector(ctx, m, text)
			if ctx.Err() != nil {
				return nil, nil, ctx.Err()
			}
			if mute[space(m)] = err; err == nil {
				all[space(m)] = vector
			}
		}
		if err := mute[space(m)]; err != nil {
			notes = append(notes, fmt.Sprintf("the model %s %s, so %s is searched without it", m.Name, unasked(err), s.Name))
		}
	}
	return all, notes, nil
}

// vector has a model make the vector of a question.
func (k *Keeper) vector(ctx context.Context, m *spec.Model, text string) ([]float32, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	vectors, err := k.opts.Embed(ctx, m, []string{text})
	if err == nil && len(vectors) != 1 {
		err = errUseless
	}
	if err != nil {
		return nil, err
	}
	return vectors[0], nil
}

const (
	// firstTime is how long a search waits for sources that are being read for the first time, and nextTime for those that are being
	// brought up to date.
	firstTime = 2 * time.Minute
	nextTime  = 2 * time.Second
	// askTime bounds the making of a question's vector.
	askTime = 30 * time.Second
)

// patience is how long one search waits, for all of its sources together. It is used by one goroutine.
type patience struct {
	most  time.Duration
	ended <-chan time.Time
	over  bool
}

// undeclared reports whether a source is gone: an agent may be of an older revision.
func (k *Keeper) undeclared(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keeping && k.kept[name] == nil
}

// moved reports whether a source is not read yet for the index that is the fleet's now. What that has of it may be of long ago.
func (k *Keeper) moved(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	one := k.kept[name]
	return one != nil && one.moved
}

func unread(name string) string { return name + " is still being read, and not in this answer" }

func gone(name string) string {
	return name + " is not declared any more, and not in this answer"
}

// await waits while a source is being read, for a while.
func (k *Keeper) await(ctx context.Context, name string, first, next *patience) error {
	k.mu.Lock()
	one := k.kept[name]
	if one == nil || one.state.Reason != Indexing {
		k.mu.Unlock()
		return nil
	}
	settled, waits := one.settled, first
	if one.state.Commit != "" && !one.moved {
		waits = next
	}
	k.mu.Unlock()
	if waits.over {
		return nil
	}
	if waits.ended == nil {
		waits.ended = k.opts.After(waits.most)
	}
	select {
	case <-settled:
		return nil
	case <-waits.ended:
		waits.over = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// note says what of a source is missing in an answer; "" is nothing.
func (k *Keeper) note(source *spec.KnowledgeSource) string {
	name := source.Name
	s, ok := k.State(name)
	switch {
	case !ok || s.Reason == Indexing && s.Commit == "":
		return unread(name)
	case s.Reason != Indexed && s.Commit == "":
		return fmt.Sprintf("%s cannot be read, and is not in this answer", name)
	case s.mute != "":
		return fmt.Sprintf("%s is found by its words alone, %s", name, s.mute)
	case s.unlike:
		return ""
	case s.Reason == Indexing:
		return fmt.Sprintf("%s is being read, and is as it was at %s", name, Short(s.Commit))
	case s.Reason != Indexed:
		return fmt.Sprintf("%s cannot be read now, and is as it was at %s", name, Short(s.Commit))
	case source.Spec.History != nil && s.Documents == 0:
		return fmt.Sprintf("%s holds no run yet", name)
	}
	return ""
}

// Document returns a document of a source, and the commit or day that it is of. The error wraps [kb.ErrNotFound] where there is none.
func (k *Keeper) Document(ctx context.Context, source, path string) (kb.File, kb.Document, string, error) {
	if k.undeclared(source) {
		return kb.File{}, kb.Document{}, "", fmt.Errorf("source %q is not declared any more: %w", source, kb.ErrNotFound)
	}
	first, next := &patience{most: firstTime}, &patience{}
	if k.moved(source) {
		if err := k.await(ctx, source, first, next); err != nil {
			return kb.File{}, kb.Document{}, "", err
		}
	}
	if k.moved(source) {
		return kb.File{}, kb.Document{}, "", fmt.Errorf("source %q is still being read: try again later", source)
	}
	engine, err := k.ready(ctx)
	if err != nil {
		return kb.File{}, kb.Document{}, "", err
	}
	state, err := engine.State(ctx, source)
	if err != nil {
		return kb.File{}, kb.Document{}, "", k.inIndex(err)
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
