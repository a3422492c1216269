package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// trustKey is where the store keeps the revision whose approvers and ledger count.
const trustKey = "trust"

// maxTrustWalk bounds the commits that are looked through for who changed the approvers.
const maxTrustWalk = 100_000

// Whoever may push to the branch can write any key into mainstay.yaml. So the approvers and the ledger that count are not
// simply those of the newest revision: a change of them counts once it is signed by an approver who counted before it. The
// first ones ever seen count as they are, and so do the first after a fleet without approvers.

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
	if trusted != nil && len(trusted.Approvers) > 0 && !sameTrust(trusted, fleet) {
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
	before := trusted
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
		if !sameTrust(before, root) && !sameTrust(trusted, root) {
			if _, err := remote.VerifyCommit(c, trusted.Approvers); err == nil {
				trusted = root
			} else {
				untrusted = fmt.Errorf("commit %s by %s changed the approvers or the ledger in mainstay.yaml, and no approver has signed it: nothing is executed until it is reverted, or an approver makes the change in a signed commit (git commit -S)", c.ID[:7], c.Author)
			}
		}
		before = root
	}
	if sameTrust(trusted, tip) {
		return nil, nil
	}
	return untrusted, nil
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

// sameTrust reports whether two fleets list the same approvers and the same ledger.
func sameTrust(a, b *spec.Fleet) bool {
	if (a.Ledger == nil) != (b.Ledger == nil) {
		return false
	}
	if a.Ledger != nil && (a.Ledger.Genesis != b.Ledger.Genesis || !sameKeys(a.Ledger.Signers, b.Ledger.Signers)) {
		return false
	}
	return sameKeys(a.Approvers, b.Approvers)
}

func sameKeys(a, b []spec.Key) bool {
	return slices.EqualFunc(a, b, func(x, y spec.Key) bool { return x.Equal(y) })
}
