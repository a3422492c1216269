package knowledge

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// ready returns the engine. One that a fleet declared before stays open, for a search may be under way in it.
func (k *Keeper) ready(ctx context.Context) (kb.Engine, error) {
	k.mu.Lock()
	in, here := k.in, k.here
	k.mu.Unlock()
	k.opening.Lock()
	defer k.opening.Unlock()
	if engine := k.engines[placeOf(in)]; engine != nil {
		return engine, nil
	}
	engine, err := k.opts.Engine(ctx, in, here)
	if err != nil {
		return nil, inDatabase(in, err)
	}
	k.engines[placeOf(in)] = engine
	k.mu.Lock()
	defer k.mu.Unlock()
	k.opened = true
	return engine, nil
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
	k.opening.Lock()
	defer k.opening.Unlock()
	var err error
	for _, engine := range k.engines {
		err = errors.Join(err, engine.Close())
	}
	clear(k.engines)
	k.mu.Lock()
	k.opened = false
	k.mu.Unlock()
	for _, r := range k.repositories {
		err = errors.Join(err, r.Close())
	}
	clear(k.repositories)
	return err
}
