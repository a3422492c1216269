package reconciler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

const (
	// forgottenKey is where the store keeps which finished runs are not there any more.
	forgottenKey = "runs/forgotten"
	// maxForgotten is how many runs are forgotten in one pass; the next one comes at once where more are due.
	maxForgotten = 100
)

// retain bounds the store as the fleet says, and forgets finished runs that are older than it keeps them.
func (r *Reconciler) retain(ctx context.Context) error {
	fleet := r.current()
	if fleet == nil {
		return nil
	}
	if err := r.parts.Store.SetBound(ctx, fleet.StoreBytes); err != nil {
		return err
	}
	if err := r.readForgotten(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	listed := r.listed
	r.mu.Unlock()
	if fleet.Retention == 0 || !listed { // Before the proposals are known, nobody can tell which runs are evidence.
		return nil
	}
	before := r.opts.Now().UTC().Add(-fleet.Retention)
	evidence := r.evidence(fleet)
	n, more, err := r.parts.Store.ForgetEnded(ctx, before, maxForgotten, func(s spec.RunSummary) bool {
		if s.Parent != nil { // What it has said may not have been told yet.
			parent, err := r.parts.Store.GetRun(ctx, s.Parent.Run)
			if err == nil && parent.Outcome == nil || err != nil && !errors.Is(err, store.ErrNotFound) {
				return true
			}
		}
		return evidence[s.Run]
	})
	if n > 0 {
		err = errors.Join(err, r.keepForgotten(ctx, Forgotten{Before: before.Truncate(time.Second), Retention: spec.Duration(fleet.Retention)}))
		r.tell(Event{Type: RunsForgotten, Text: count(n, "run")})
		r.knowledge.RunsChanged()
	}
	if more && err == nil {
		r.Look()
	}
	return err
}

// evidence are the runs that somebody still has to look at: those with an open proposal, and those whose Action on the branch
// is not known to have come to its end.
func (r *Reconciler) evidence(fleet *spec.Fleet) map[spec.RunID]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	needed := map[spec.RunID]bool{}
	for _, p := range r.open {
		needed[p.Run] = true
	}
	for id, action := range fleet.Actions {
		if s := r.actions[id]; !s.Settled() || s.State == execute.Unknown {
			needed[action.Spec.Evidence.Run] = true
		}
	}
	return needed
}

// readForgotten reads once what earlier processes have forgotten.
func (r *Reconciler) readForgotten(ctx context.Context) error {
	r.mu.Lock()
	known := r.forgotten != nil
	r.mu.Unlock()
	if known {
		return nil
	}
	f := &Forgotten{}
	value, err := r.parts.Store.Get(ctx, forgottenKey)
	if err == nil {
		err = json.Unmarshal(value, f)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("read which runs were forgotten: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgotten = f
	return nil
}

func (r *Reconciler) keepForgotten(ctx context.Context, f Forgotten) error {
	value, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := r.parts.Store.Put(ctx, forgottenKey, value); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgotten = &f
	return nil
}
