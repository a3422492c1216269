package knowledge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/spec"
)

// place is where an engine is; "" is the state folder.
type place struct {
	connection, schema string
	connections        int
}

func placeOf(in *spec.Postgres) place {
	if in == nil {
		return place{}
	}
	return place{in.Connection.String(), in.Schema, in.Connections}
}

// Use says where the index is that a fleet declares, for whoever does not Keep one.
func (k *Keeper) Use(fleet *spec.Fleet, here Here) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.in, k.here = fleet.KnowledgeIn, here
}

// engines are those that were opened, and those that are being opened, by where they are.
type engines struct {
	mu   sync.Mutex
	all  map[place]*opening
	open func(ctx context.Context, in *spec.Postgres, here Here) (kb.Engine, error)
}

// opening is an engine, or why there is none, once it is done.
type opening struct {
	done   chan struct{}
	engine kb.Engine
	err    error
	// left says that whoever opened it did not wait for the end of it.
	left bool
}

// ready returns the engine. One that a fleet declared before stays open, for a search may be under way in it. It may take long to find out
// that a server does not answer, so that all who need it then wait for one of them.
func (k *Keeper) ready(ctx context.Context) (kb.Engine, error) {
	k.mu.Lock()
	in, here := k.in, k.here
	k.mu.Unlock()
	engine, err := k.engines.get(ctx, in, here, k.reached)
	return engine, inDatabase(in, err)
}

// reached is called when an engine has been opened. What failed before is looked at again, and waited for by whoever searches: it would not be
// in an answer that the engine can give now.
func (k *Keeper) reached() {
	k.mu.Lock()
	k.opened = true
	again := map[spec.Ref]State{}
	for _, one := range k.kept {
		if k.keeping && one.state.Reason == IndexFailed {
			one.next, one.failures = time.Time{}, 0
			one.indexing("it is looked at again")
			again[one.source.Ref] = one.state
		}
	}
	k.mu.Unlock()
	for ref, s := range again {
		k.opts.Changed(ref, s)
	}
}

// get returns an engine. Where it is this one that opens it, reached is called before anybody has it.
func (e *engines) get(ctx context.Context, in *spec.Postgres, here Here, reached func()) (kb.Engine, error) {
	at := placeOf(in)
	for {
		e.mu.Lock()
		o := e.all[at]
		if o == nil {
			o = &opening{done: make(chan struct{})}
			e.all[at] = o
			e.mu.Unlock()
			o.engine, o.err = e.open(ctx, in, here)
			o.left = o.err != nil && ctx.Err() != nil
			if o.err != nil {
				e.mu.Lock()
				if e.all[at] == o {
					delete(e.all, at)
				}
				e.mu.Unlock()
			} else {
				reached()
			}
			close(o.done)
			return o.engine, o.err
		}
		e.mu.Unlock()
		select {
		case <-o.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !o.left {
			return o.engine, o.err
		}
	}
}

// close closes all of them.
func (e *engines) close() error {
	e.mu.Lock()
	all := e.all
	e.all = map[place]*opening{}
	e.mu.Unlock()
	var err error
	for _, o := range all {
		if <-o.done; o.err == nil {
			err = errors.Join(err, o.engine.Close())
		}
	}
	return err
}

// inIndex is an error of the engine, with where its index is declared.
func (k *Keeper) inIndex(err error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return inDatabase(k.in, err)
}

// inDatabase is an error of the index that a fleet declares, with where it does.
func inDatabase(in *spec.Postgres, err error) error {
	if in == nil || err == nil {
		return err
	}
	return fmt.Errorf("spec.knowledge.postgres in mainstay.yaml: %w", err)
}

// Forget removes from the engine all but these sources.
func (k *Keeper) Forget(ctx context.Context, but []string) error {
	engine, err := k.ready(ctx)
	if err == nil {
		var all []kb.Stats
		all, err = engine.Stats(ctx)
		for _, s := range all {
			if !slices.Contains(but, s.Source) && err == nil {
				err = engine.Forget(ctx, s.Source)
			}
		}
	}
	if err != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.stale = true
	}
	return err
}

// Close closes the engine and the repositories, once nothing is under way.
func (k *Keeper) Close() error {
	k.Wait()
	err := k.engines.close()
	k.mu.Lock()
	k.opened = false
	k.mu.Unlock()
	for _, r := range k.repositories {
		err = errors.Join(err, r.Close())
	}
	clear(k.repositories)
	return err
}
