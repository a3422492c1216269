package execute

import (
	"fmt"
	"slices"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// Trust follows along a branch whose approvers and whose ledger count. Whoever may push to the branch can write any key into
// mainstay.yaml. So a change of them counts once it is signed by an approver who counted before it and who is no reconciler.
// The first ones count as they are, and so do the first after a fleet without approvers.
type Trust struct {
	// Fleet lists the approvers and the ledger that count. Nil means that none were seen yet.
	Fleet *spec.Fleet
	// Uncounted is why those in the newest mainstay.yaml do not count, or nil.
	Uncounted error

	before *spec.Fleet
}

// NewTrust returns the Trust from a fleet on that counts. It may be nil.
func NewTrust(fleet *spec.Fleet) *Trust { return &Trust{Fleet: fleet, before: fleet} }

// Step goes on to a commit that has changed mainstay.yaml to root.
func (t *Trust) Step(c remote.Commit, root *spec.Fleet) {
	switch {
	case t.Fleet == nil || len(t.Fleet.Approvers) == 0:
		t.Fleet, t.Uncounted = root, nil
	case SameTrust(t.Fleet, root):
		t.Uncounted = nil
	case !SameTrust(t.before, root):
		if _, err := remote.VerifyCommit(c, approversOf(t.Fleet)); err == nil {
			t.Fleet, t.Uncounted = root, nil
		} else {
			t.Uncounted = fmt.Errorf("commit %s by %s changed the approvers or the ledger in mainstay.yaml, and no approver has signed it: nothing is executed until it is reverted, or an approver makes the change in a signed commit (git commit -S)", c.ID[:7], c.Author)
		}
	}
	t.before = root
}

// approversOf are the approvers of a fleet who are no reconcilers.
func approversOf(f *spec.Fleet) []spec.Key {
	if f.Ledger == nil {
		return f.Approvers
	}
	return newTrust(f).approvers
}

// SameTrust reports whether two fleets list the same approvers and the same ledger.
func SameTrust(a, b *spec.Fleet) bool {
	if (a.Ledger == nil) != (b.Ledger == nil) {
		return false
	}
	if a.Ledger != nil && (a.Ledger.Genesis != b.Ledger.Genesis || !sameKeys(a.Ledger.Signers, b.Ledger.Signers)) {
		return false
	}
	// Who approves what depends on the names, which rules and CODEOWNERS know them by.
	return sameKeys(a.Approvers, b.Approvers) && slices.EqualFunc(a.Approvers, b.Approvers, func(x, y spec.Key) bool {
		return x.Name == y.Name && slices.Equal(x.CodeOwner, y.CodeOwner)
	})
}

func sameKeys(a, b []spec.Key) bool {
	return slices.EqualFunc(a, b, func(x, y spec.Key) bool { return x.Equal(y) })
}
