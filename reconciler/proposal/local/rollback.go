package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// OpenRollback pushes the branch of a person's proposal to bring spec files back as they were. Head is the commit, in the
// store and signed by the person, on top of the branch's tip. An older rollback to the same revision is replaced. The error
// has [remote.ErrMoved] where the branch is not at p.Base any more, and is a [*NotApproverError] where the person is no
// approver: an approver makes what approvers merge.
func (d *Driver) OpenRollback(ctx context.Context, p spec.Proposal, head string, by Reviewer) error {
	if err := d.openRollback(ctx, p, head, by); err != nil {
		return fmt.Errorf("open the rollback %s: %w", p.Key, err)
	}
	return nil
}

func (d *Driver) openRollback(ctx context.Context, p spec.Proposal, head string, by Reviewer) error {
	v, err := d.look(ctx)
	if err != nil {
		return err
	}
	if _, err := reviewer(v.fleet, by); err != nil {
		return err
	}
	if p.Base.Commit() != v.main {
		return fmt.Errorf("%w: run the same command again", remote.ErrMoved)
	}
	h, err := d.read(v, p.Branch(), head)
	if err != nil {
		return err
	}
	if err := d.addFiles(ctx, &h); err != nil {
		return err
	}
	if h.edited {
		return errors.New(h.Problem)
	}
	if err := proposal.Check(h.Proposal, d.opts.Path); err != nil && h.Problem == "" {
		return err
	}
	old := v.branches[p.Branch()]
	if old == "" {
		return d.opts.Remote.Push(ctx, p.Branch(), "", head)
	}
	return d.opts.Remote.ReplaceBranch(ctx, p.Branch(), old, head)
}
