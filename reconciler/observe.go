package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/reconciler/source"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxRevisions bounds how many revisions `mainstay get revisions` shows.
const maxRevisions = 20

// maxFleets bounds how many loaded revisions are kept for runs that are pinned to them.
const maxFleets = 16

// goodRevisionKey is where the store keeps the last good revision, so that a restart without a network runs it again.
const goodRevisionKey = "revision/good"

// observe brings r up to date with the branch. Its error says that the remote could not be read; what was declared
// before still is.
func (r *Reconciler) observe(ctx context.Context) error {
	seen, err := r.parts.Source.Observe(ctx)
	if err != nil {
		r.setSource(metav1.ConditionFalse, "FetchFailed", err.Error())
		if r.current() == nil {
			r.restoreGood(ctx)
		}
		return err
	}
	r.setSource(metav1.ConditionTrue, "Fetched", "at "+seen.Revision.Short())
	r.mu.Lock()
	known := seen.Revision == r.adopted
	r.seen = seen.Revision
	r.mu.Unlock()
	if known {
		return nil
	}
	held, err := r.verify(ctx, seen)
	if err != nil {
		return fmt.Errorf("find out who signed %s: %w", seen.Revision.Short(), err)
	}
	if held != nil {
		r.hold(ctx, seen.Revision, held)
		return nil // A tag may come later, so the next pass looks at it again.
	}
	if err := r.adopt(ctx, seen); err != nil {
		return err // The next pass looks at it again.
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.adopted = seen.Revision
	return nil
}

// adopt makes a revision what is declared, if it is good.
func (r *Reconciler) adopt(ctx context.Context, seen source.Observation) error {
	fleet, problems := spec.Load(seen.Tree, spec.LoadOptions{Env: r.opts.Env, Jsonnet: r.opts.Jsonnet, Cache: &r.newest})
	if ctx.Err() != nil {
		return ctx.Err() // Programs that were cut off are no fault of the revision.
	}
	status := RevisionStatus{Revision: seen.Revision, At: r.opts.Now()}
	for _, p := range problems {
		status.Problems = append(status.Problems, p.String())
	}
	if problems.HasErrors() {
		status.Conditions = conditions(nil, status.At, stalled("Broken", count(len(problems), "problem")+"; what was declared before goes on running"))
		if r.current() == nil {
			r.restoreGood(ctx) // First, so that its webhooks are told.
		}
		r.addRevision(status)
		r.tell(Event{Type: RevisionBroken, Revision: seen.Revision, Problems: problems})
		return nil
	}
	if err := r.trust(ctx, seen.Revision, fleet); err != nil {
		return err
	}
	status.Digest = fleet.Digest
	status.Conditions = conditions(nil, status.At, ready("Applied", count(len(fleet.Resources), "resource")))
	r.addRevision(status)
	r.declare(seen.Revision, fleet)
	if err := r.parts.Store.Put(ctx, goodRevisionKey, []byte(seen.Revision)); err != nil {
		return fmt.Errorf("remember the good revision: %w", err)
	}
	r.verified = source.Verified{Commit: seen.Commit.ID, Demand: fleet.Signatures}
	r.tell(Event{Type: RevisionLoaded, Revision: seen.Revision, Fleet: fleet, Problems: problems})
	return nil
}

// restoreGood declares what was declared before a restart, while the branch cannot be read or is broken.
func (r *Reconciler) restoreGood(ctx context.Context) {
	value, err := r.parts.Store.Get(ctx, goodRevisionKey)
	if err != nil {
		if !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
			r.warn(fmt.Errorf("read the last good revision: %w", err))
		}
		return
	}
	revision := spec.Revision(value)
	fleet, err := r.fleetAt(ctx, revision)
	if err != nil {
		if ctx.Err() == nil {
			r.warn(fmt.Errorf("run the last good revision again: %w", err))
		}
		return
	}
	r.addRevision(RevisionStatus{Revision: revision, At: r.opts.Now(), Digest: fleet.Digest,
		Conditions: conditions(nil, r.opts.Now(), ready("Applied", "restored after a restart"))})
	r.declare(revision, fleet)
	r.tell(Event{Type: RevisionLoaded, Revision: revision, Fleet: fleet})
}

// declare makes fleet what is declared from now on.
func (r *Reconciler) declare(revision spec.Revision, fleet *spec.Fleet) {
	policies, unsigned := r.signedPolicies(revision, fleet)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applied, r.fleet, r.policiesNow, r.unsigned = revision, fleet, policies, unsigned
	r.parts.Tools.Accept(fleet.Lock)
	r.parts.Host.Accept(fleet.Lock)
	r.notifier.Accept(fleet.Notify)
	r.keepFleet(revision, fleet)
}

// keepFleet remembers a loaded revision, forgetting the oldest. The caller holds r.mu.
func (r *Reconciler) keepFleet(revision spec.Revision, fleet *spec.Fleet) {
	if _, ok := r.fleets[revision]; ok {
		return
	}
	r.fleets[revision] = fleet
	r.fleetOrder = append(r.fleetOrder, revision)
	if len(r.fleetOrder) > maxFleets {
		delete(r.fleets, r.fleetOrder[0])
		r.fleetOrder = slices.Clone(r.fleetOrder[1:])
	}
}

// fleetAt returns what a revision declares. It fails where the revision is gone from the remote or does not load.
func (r *Reconciler) fleetAt(ctx context.Context, revision spec.Revision) (*spec.Fleet, error) {
	r.mu.Lock()
	fleet, ok := r.fleets[revision]
	r.mu.Unlock()
	if ok {
		return fleet, nil
	}
	seen, err := r.parts.Source.At(ctx, revision)
	if err != nil {
		return nil, err
	}
	fleet, problems := spec.Load(seen.Tree, spec.LoadOptions{Env: r.opts.Env, Jsonnet: r.opts.Jsonnet, Cache: &r.older})
	if problems.HasErrors() {
		return nil, fmt.Errorf("load %s: %w", revision.Short(), problems.Err())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keepFleet(revision, fleet)
	return fleet, nil
}

// current returns what is declared, or nil before the first good revision.
func (r *Reconciler) current() *spec.Fleet {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fleet
}

func (r *Reconciler) addRevision(s RevisionStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revisions = slices.DeleteFunc(r.revisions, func(old RevisionStatus) bool { return old.Revision == s.Revision })
	r.revisions = append([]RevisionStatus{s}, r.revisions...)
	if len(r.revisions) > maxRevisions {
		r.revisions = r.revisions[:maxRevisions]
	}
}

// count writes a number of things: `1 problem`, `3 problems`.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
