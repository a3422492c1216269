package local

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/approver"
	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// Reviewer is a person who decides, with the person's own key.
type Reviewer struct {
	Name, Email string
	Signer      *remote.Signer
}

// Approval is a person's yes.
type Approval struct {
	Key spec.ProposalKey
	// Head is the commit that the person has read. Where it is set, nothing else is approved.
	Head string
	By   Reviewer
}

// NotApproverError says that a key may not decide about proposals.
type NotApproverError struct {
	Name string
	// Line is the key in the authorized_keys format, Fingerprint its short form.
	Line        string
	Fingerprint string
}

func (e *NotApproverError) Error() string {
	return fmt.Sprintf("the key %s is not among the approvers in mainstay.yaml: somebody who may push to the branch adds `- {name: %q, key: %q}` under spec.approvers",
		e.Fingerprint, e.Name, e.Line)
}

// ErrHeadMoved means that a proposal is not any more what the person has read.
var ErrHeadMoved = errors.New("the proposal has changed since it was shown: read it again")

// Approve merges a proposal into the branch: a merge commit with the branch first and the proposal second, signed with
// the person's own key. It returns the merge's id. It may be called again after an error. It refuses a key that is not
// among the approvers of mainstay.yaml at the branch's tip, or may not approve this Action, the key of a reconciler, a proposal that is not exactly what
// a reconciler has signed, an Action that has expired, and paths that both sides changed.
func (d *Driver) Approve(ctx context.Context, a Approval) (string, error) {
	id, err := d.approve(ctx, a)
	if err != nil {
		return id, fmt.Errorf("approve proposal %s: %w", a.Key, err)
	}
	return id, nil
}

func (d *Driver) approve(ctx context.Context, a Approval) (string, error) {
	var moved error
	for range maxMoved {
		v, err := d.look(ctx)
		if err != nil {
			return "", err
		}
		h, err := d.find(ctx, v, a.Key)
		if err != nil {
			return "", err
		}
		if h.State == proposal.Merged { // A call before this one has pushed, and has not deleted the branch.
			m, err := d.mergeOf(v.main, h.Proposal)
			if err != nil {
				return "", err
			}
			return m.id, d.tidy(ctx, h)
		}
		if err := d.mayApprove(v, h, a); err != nil {
			return "", err
		}
		id, err := d.opts.Remote.Merge(remote.MergeDraft{
			Ours: v.main, Theirs: h.Head, Message: mergeMessage(h.Proposal),
			AuthorName: a.By.Name, AuthorEmail: a.By.Email, When: d.opts.Now(), Signer: a.By.Signer,
		})
		if err != nil {
			return "", explainConflict(err)
		}
		err = d.opts.Remote.Push(ctx, d.opts.Branch, v.main, id)
		switch {
		case errors.Is(err, remote.ErrMoved):
			moved = err
		case errors.Is(err, remote.ErrUncertain):
			return "", fmt.Errorf("%w: run the same command again", err)
		case err != nil:
			return "", err
		default:
			return id, d.tidy(ctx, h)
		}
	}
	return "", moved
}

func (d *Driver) mayApprove(v view, h head, a Approval) error {
	by, err := reviewer(v.fleet, a.By)
	if err != nil {
		return err
	}
	switch {
	case a.Head != "" && a.Head != h.Head:
		return ErrHeadMoved
	case v.fleet.Ledger == nil:
		return errors.New("mainstay.yaml pins no ledger, so that no proposal's signature can be checked: run `mainstay ledger init`")
	case h.Problem != "":
		return errors.New(h.Problem)
	}
	// The signer must be listed on the branch: that this process knows a key is not enough.
	signers := v.fleet.Ledger.Signers
	if h.Kind == spec.ProposalRollback {
		signers = people(v.fleet)
	}
	if _, err := remote.VerifyCommit(h.commit, signers); err != nil {
		return fmt.Errorf("its signature does not count: %w", err)
	}
	if err := proposal.Check(h.Proposal, d.opts.Path); err != nil {
		return err
	}
	if on, err := d.opts.Remote.IsAncestor(h.Base.Commit(), v.main); err != nil || !on {
		return errors.Join(err, fmt.Errorf("its base %s is not in the history of %s any more: delete the branch", h.Base.Short(), d.opts.Branch))
	}
	if h.Kind == spec.ProposalRollback {
		return errors.Join(d.exact(h), d.stillExact(v, h))
	}
	if h.Kind != spec.ProposalAction {
		return nil
	}
	action, err := readAction(h.Proposal)
	if err != nil {
		return err
	}
	if expires, err := time.Parse(time.RFC3339, action.Expires); err != nil || !d.opts.Now().Before(expires) {
		return fmt.Errorf("the Action has expired (%s) and would not be executed: delete the branch", action.Expires)
	}
	tree, err := d.opts.Remote.Snapshot(v.main)
	if err != nil {
		return err
	}
	q := approver.Question{Action: action, File: h.Files[0].Path, By: by, Proposer: h.signer, Approvers: v.fleet.Approvers,
		Reconcilers: v.fleet.Ledger.Signers, Tree: tree}
	fleets := []*spec.Fleet{{}} // Nothing is known but who owns the Action's file.
	if d.opts.Declared != nil {
		if fleets, err = d.opts.Declared(v.main); err != nil {
			return err
		}
	}
	why := "all that was ever declared is broken, so that nobody knows who may approve it"
	for _, fleet := range fleets {
		q.Server, q.Policies = fleet.Servers[action.Server], fleet.Policies
		if why = approver.Check(q); why == "" {
			return nil
		}
	}
	return fmt.Errorf("it would not be executed: %s", why)
}

// stillExact reports that a rollback would not bring back all, because what is declared has changed since.
func (d *Driver) stillExact(v view, h head) error {
	for _, name := range spec.RollbackPaths() {
		at := path.Join(d.opts.Path, name)
		before, err := d.opts.Remote.ObjectAt(h.Base.Commit(), at)
		if err != nil {
			return err
		}
		now, err := d.opts.Remote.ObjectAt(v.main, at)
		if err != nil {
			return err
		}
		if before != now {
			return fmt.Errorf("%s has changed since on %s, so that merging it would not bring back what it says: run mainstay rollback again", at, d.opts.Branch)
		}
	}
	return nil
}

// people are the approvers but for reconcilers, whose keys count for nothing that a person decides, even where mainstay.yaml lists
// them as both.
func people(fleet *spec.Fleet) []spec.Key {
	if fleet.Ledger == nil {
		return fleet.Approvers
	}
	return slices.DeleteFunc(slices.Clone(fleet.Approvers), func(k spec.Key) bool { return slices.ContainsFunc(fleet.Ledger.Signers, k.Same) })
}

// reviewer returns which approver a person is. No reconciler is one, even where mainstay.yaml lists its key as both.
func reviewer(fleet *spec.Fleet, by Reviewer) (spec.Key, error) {
	if by.Signer == nil {
		return spec.Key{}, errors.New("a decision is signed with the person's own key: name one")
	}
	public := by.Signer.Public(by.Name)
	if fleet.Ledger != nil {
		for _, k := range fleet.Ledger.Signers {
			if k.Same(public) {
				return spec.Key{}, fmt.Errorf("the key %s is the reconciler %s's: what it proposes, a person decides", k.Fingerprint(), k.Name)
			}
		}
	}
	for _, k := range fleet.Approvers {
		if k.Same(public) {
			return k, nil
		}
	}
	return spec.Key{}, &NotApproverError{Name: by.Name, Line: by.Signer.AuthorizedKey(), Fingerprint: by.Signer.Fingerprint()}
}

// tidy deletes the branch of a merged proposal. One that has moved holds something newer and stays.
func (d *Driver) tidy(ctx context.Context, h head) error {
	err := d.opts.Remote.Delete(ctx, h.Branch(), h.Head)
	if err == nil || errors.Is(err, remote.ErrMoved) {
		return nil
	}
	return fmt.Errorf("it is merged, but branch %s is still there: delete it: %w", h.Branch(), err)
}

func mergeMessage(p spec.Proposal) string {
	return fmt.Sprintf("Merge %s\n\n%s\n\n%s", p.Branch(), proposal.Clean(p).Title, proposal.Trailers(p))
}

func explainConflict(err error) error {
	if _, conflict := errors.AsType[*remote.ConflictError](err); conflict {
		return fmt.Errorf("%w: merge it with git, or reject it so that the agent sees the newer files", err)
	}
	return err
}
