package knowledge

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/graph"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// moving is a graph of sources that goes with them from commit to commit. Who holds it is answered from the commit that it is at.
type moving struct {
	mu    sync.Mutex
	at    string       // The commit.
	graph *graph.Graph // Nil before it is asked for the first time.
}

// graph is the graph of sources at the commit that they are found at. It costs what differs from the commit that was asked before.
func (k *Keeper) graph(ctx context.Context, at located, sources []*spec.KnowledgeSource) (*graph.Graph, error) {
	key := at.repository
	for _, s := range sources {
		key += "\x00" + string(s.Digest)
	}
	m, known := k.graphs.moving.Get(key)
	if !known {
		m = &moving{}
		if before, known, _ := k.graphs.moving.PeekOrAdd(key, m); known {
			m = before // Somebody else was faster.
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.graph != nil && m.at == at.commit {
		return m.graph, nil
	}
	err := remote.ErrTooLarge
	if m.graph != nil {
		err = k.move(ctx, m, at, sources)
	}
	if errors.Is(err, remote.ErrTooLarge) { // There is nothing to go from, or too much differs.
		m.graph, err = k.graphOf(ctx, at, sources)
	}
	if err != nil {
		return nil, err
	}
	m.at = at.commit
	return m.graph, nil
}

// move brings a graph to another commit.
func (k *Keeper) move(ctx context.Context, m *moving, at located, sources []*spec.KnowledgeSource) error {
	from, err := at.history.Snapshot(m.at)
	if err != nil {
		return remote.ErrTooLarge // It may be gone after a force-push.
	}
	to, err := at.history.Snapshot(at.commit)
	if err != nil {
		return err
	}
	files, removed := map[string]kb.File{}, map[string]bool{}
	for _, s := range sources {
		var u kb.Update
		if err := differing(ctx, from, to, selectionOf(s), &u); err != nil {
			return err
		}
		shaped, err := k.shapesOf(ctx, to, at.commit, s)
		if err != nil {
			return err
		}
		if _, err := k.reshaped(ctx, s, m.at, from, to, shaped, &u); err != nil {
			return err
		}
		for _, f := range u.Put {
			files[f.Path] = f
		}
		for _, name := range u.Removed {
			removed[name] = true
		}
	}
	// Several sources may hold a file: the last of them says what it declares, as in a graph that is made anew.
	put := map[string]graph.Facts{}
	for _, s := range sources {
		var own []kb.File
		for _, f := range files {
			if selects(selectionOf(s), f.Path) {
				own = append(own, f)
			}
		}
		slices.SortFunc(own, byPath)
		if err := k.declared(ctx, to, at.commit, s, own, func(facts graph.Facts) { put[facts.Path] = facts }); err != nil {
			return err
		}
	}
	m.graph.Move(at.commit, slices.Collect(maps.Keys(removed)), slices.Collect(maps.Values(put)))
	return nil
}
