package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// trustKey is where the store keeps the revision whose approvers and ledger count.
const trustKey = "trust"

// maxTrustWalk bounds the commits that are looked through for who changed the approvers.
const maxTrustWalk = 100_000

// The approvers and the ledger that count are not simply those of the newest revision, see [execute.Trust]. The first ones
// ever seen count as they are.

// restoreTrust reads which approvers and ledger counted before a restart.
func (r *Reconciler) restoreTrust(ctx context.Context) error {
	value, err := r.parts.Store.Get(ctx, trustKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read who is trusted: %w", err)
	}
	root, err := r.fleetAtCommit(spec.Revision(value).Commit())
	if err != nil {
		return fmt.Errorf("read who was trusted at %s: %w", spec.Revision(value).Short(), err)
	}
	r.trusted, r.trustedAt = root, spec.Revision(value)
	return nil
}

// trust decides whether the approvers and the ledger of a new revision count. If not, those from before still do, and
// nothing is executed until the change is signed or reverted.
func (r *Reconciler) trust(ctx context.Context, revision spec.Revision, fleet *spec.Fleet) error {
	r.mu.Lock()
	trusted, at := r.trusted, r.trustedAt
	r.mu.Unlock()
	var untrusted error
	if trusted != nil && len(trusted.Approvers) > 0 && !execute.SameTrust(trusted, fleet) {
		var err error
		if untrusted, err = r.unsignedChange(trusted, fleet, at.Commit(), revision.Commit()); err != nil {
			return fmt.Errorf("find out who changed the approvers: %w", err)
		}
	}
	if untrusted == nil {
		if err := r.parts.Store.Put(ctx, trustKey, []byte(revision)); err != nil {
			return fmt.Errorf("remember who is trusted: %w", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.untrusted = untrusted
	if untrusted == nil {
		r.trusted, r.trustedAt = fleet, revision
	}
	return nil
}

// unsignedChange returns why the approvers and the ledger of the tip do not count, or nil. It follows the branch from the
// commit that is trusted: each change that an approver of that moment has signed is trusted from there on.
func (r *Reconciler) unsignedChange(trusted, tip *spec.Fleet, from, to string) (untrusted, err error) {
	var path []remote.Commit // newest first
	found := false
	for c, err := range r.parts.Remote.FirstParents(to) {
		if err != nil {
			return nil, err
		}
		if found = c.ID == from; found {
			break
		}
		if path = append(path, c); len(path) > maxTrustWalk {
			break
		}
	}
	if !found {
		return fmt.Errorf("mainstay.yaml lists other approvers or another ledger than before, on a branch that does not go on from %s: put the branch back, or the list", from[:7]), nil
	}
	follow := execute.NewTrust(trusted)
	for _, c := range slices.Backward(path) {
		same, err := r.sameRootFile(c)
		if err != nil {
			return nil, err
		}
		if same {
			continue
		}
		root, err := r.fleetAtCommit(c.ID)
		if err != nil {
			continue // A broken root is never what runs; the next commit is compared with the one before it.
		}
		follow.Step(c, root)
	}
	if execute.SameTrust(follow.Fleet, tip) {
		return nil, nil
	}
	return follow.Uncounted, nil
}

// sameRootFile reports whether a commit leaves mainstay.yaml as its first parent has it.
func (r *Reconciler) sameRootFile(c remote.Commit) (bool, error) {
	if len(c.Parents) == 0 {
		return false, nil
	}
	changed, err := r.parts.Source.RootFile(c.ID)
	if err != nil {
		return false, err
	}
	before, err := r.parts.Source.RootFile(c.Parents[0])
	return changed == before, err
}
