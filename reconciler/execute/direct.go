package execute

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/spec"
)

// NewDirect reads the Action that a call which needs no review is, as its file says it.
func NewDirect(id spec.ActionID, call *spec.DirectCall) (*spec.Action, error) {
	var f struct {
		Metadata spec.Metadata   `json:"metadata"`
		Spec     spec.ActionSpec `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(call.File), &f); err != nil {
		return nil, fmt.Errorf("read the call %s: %w", id, err)
	}
	evidence := f.Spec.Evidence
	if want := fmt.Sprintf("%s-%s-%d", evidence.Agent, evidence.Run, evidence.Exchange); string(id) != want || f.Metadata.Name != want {
		return nil, fmt.Errorf("read the call %s: it says that it is %q", id, want)
	}
	a := &spec.Action{ID: id, Spec: f.Spec}
	a.Kind, a.Name, a.Digest = spec.KindAction, string(id), spec.DigestBytes([]byte(call.File))
	var err error
	if a.Expires, err = time.Parse(time.RFC3339, f.Spec.Expires); err != nil {
		return nil, fmt.Errorf("read the call %s: when it expires: %w", id, err)
	}
	return a, nil
}

// Begun reads the ledger and returns the call without a review that was claimed under an id, or nil where there is none.
func (l *Ledger) Begun(ctx context.Context, id spec.ActionID) (*spec.DirectCall, error) {
	if err := l.Read(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if claim := l.book.record(id).claim(); claim != nil {
		return claim.Direct, nil
	}
	return nil, nil
}

// DirectState is where a call without a review stands.
type DirectState struct {
	ID spec.ActionID
	State
}

// Direct returns the calls without a review that are not settled, and the newest of the others, at most n of these, as the
// ledger was last read. They are sorted by their ids.
func (l *Ledger) Direct(n int) []DirectState {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.book == nil {
		return nil
	}
	var open, settled []DirectState
	for id, r := range l.book.actions {
		if claim := r.claim(); claim == nil || claim.Direct == nil {
			continue
		}
		s := DirectState{id, r.state(l.opts.Now())}
		if s.State.State == Unknown || !s.Settled() {
			open = append(open, s)
		} else {
			settled = append(settled, s)
		}
	}
	slices.SortFunc(settled, func(a, b DirectState) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID)) })
	all := append(open, settled[:min(n, len(settled))]...)
	slices.SortFunc(all, func(a, b DirectState) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
