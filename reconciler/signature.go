package reconciler

import (
	"context"
	"errors"
	"fmt"

	"github.com/mainstay-dev/mainstay/reconciler/source"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// restoreVerified reads what was demanded of commits before a restart: what the last good revision demands.
func (r *Reconciler) restoreVerified(ctx context.Context) error {
	value, err := r.parts.Store.Get(ctx, goodRevisionKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read whose commits may run: %w", err)
	}
	commit := spec.Revision(value).Commit()
	root, err := r.fleetAtCommit(commit)
	if err != nil {
		return fmt.Errorf("read whose commits might run at %s: %w", spec.Revision(value).Short(), err)
	}
	r.verified = source.Verified{Commit: commit, Demand: root.Signatures}
	return nil
}

// verify returns why a revision is held, or nil. The error means that it could not be found out. It comes before the files
// of the revision are looked at, but for mainstay.yaml where nothing was demanded before.
func (r *Reconciler) verify(ctx context.Context, seen source.Observation) (held, err error) {
	v := r.verified
	if v.Demand == nil {
		v.Demand = r.opts.Signatures
	}
	if v.Demand == nil {
		root, err := RootAt(seen.Tree)
		if err != nil {
			return nil, nil // Its problems are told when all of it is loaded, and it does not run.
		}
		v = source.Verified{Demand: root.Signatures}
	}
	v.DemandAt = func(commit string) (*spec.SignatureDemand, error) {
		root, err := r.fleetAtCommit(commit)
		if err != nil {
			return nil, err
		}
		if root.Signatures == nil {
			return r.opts.Signatures, nil
		}
		return root.Signatures, nil
	}
	err = r.parts.Source.Verify(ctx, seen.Commit, v)
	if unverified := (*source.UnverifiedError)(nil); errors.As(err, &unverified) {
		return unverified, nil
	}
	return nil, err
}

// hold tells why a revision does not run. What was declared before still is.
func (r *Reconciler) hold(ctx context.Context, revision spec.Revision, why error) {
	message := spec.Visible(why.Error())
	status := RevisionStatus{Revision: revision, At: r.opts.Now(), Problems: []string{message}}
	status.Conditions = conditions(nil, status.At, stalled("Unverified", message+"; what was declared before goes on running"))
	if r.current() == nil {
		r.restoreGood(ctx) // First, so that its webhooks are told.
	}
	if r.addHeld(status) {
		r.tell(Event{Type: RevisionHeld, Revision: revision, Err: errors.New(message)})
	}
}

// addHeld adds a revision that is held, and reports whether that is news.
func (r *Reconciler) addHeld(s RevisionStatus) bool {
	r.mu.Lock()
	known := len(r.revisions) > 0 && r.revisions[0].Revision == s.Revision && len(r.revisions[0].Problems) == 1 && r.revisions[0].Problems[0] == s.Problems[0]
	r.mu.Unlock()
	if !known {
		r.addRevision(s)
	}
	return !known
}
