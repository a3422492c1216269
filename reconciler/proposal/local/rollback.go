package local

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

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
	if err := d.exact(h); err != nil {
		return err
	}
	old := v.branches[p.Branch()]
	if old == "" {
		return d.opts.Remote.Push(ctx, p.Branch(), "", head)
	}
	return d.opts.Remote.ReplaceBranch(ctx, p.Branch(), old, head)
}

// exact reports why a rollback does not bring back what a commit in the history of its base declares, as its key says: whoever
// approves it reads the title, and seldom all that comes back. mainstay.yaml may stay as it is. That nothing else is changed
// [proposal.Check] says.
func (d *Driver) exact(h head) error {
	history, err := d.opts.Remote.Between("", h.Base.Commit())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(history, func(commit string) bool { return proposal.RollbackKey(commit) == h.Key })
	if i < 0 {
		return fmt.Errorf("its key is that of no commit in the history of %s, so that it brings nothing back: delete the branch", h.Base.Short())
	}
	for _, name := range spec.RollbackPaths() {
		at := path.Join(d.opts.Path, name)
		was, err := d.opts.Remote.ObjectAt(history[i], at)
		if err != nil {
			return err
		}
		is, err := d.opts.Remote.ObjectAt(h.Head, at)
		if err != nil {
			return err
		}
		if is == was {
			continue
		}
		before, err := d.opts.Remote.ObjectAt(h.Base.Commit(), at)
		if err != nil {
			return err
		}
		if name != spec.FileOf(spec.Ref{Kind: spec.KindFleet}) || is != before {
			return fmt.Errorf("%s is not as it was at %.7s, which it says it brings back: delete the branch, and run mainstay rollback again", at, history[i])
		}
	}
	return nil
}
