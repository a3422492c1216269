package knowledge

import (
	"context"
	"errors"
	"fmt"
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
	var all kb.Update
	for _, s := range sources {
		if err := differing(ctx, from, to, filesOf(s), &all); err != nil {
			return err
		}
	}
	put := map[string]graph.Facts{} // Several sources may hold a file.
	for _, f := range all.Put {
		if _, again := put[f.Path]; again || !graph.Reads(f.Path) {
			continue
		}
		if put[f.Path], err = k.factsOf(to, f.Path, f.Blob); err != nil {
			return fmt.Errorf("read %s at %s: %w", f.Path, Short(at.commit), err)
		}
	}
	m.graph.Move(at.commit, all.Removed, slices.Collect(maps.Values(put)))
	return nil
}
