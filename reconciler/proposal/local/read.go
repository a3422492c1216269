package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxEdits bounds how many commits that a person put on top of a proposal are looked through for it.
const maxEdits = 50

// head is a proposal's branch.
type head struct {
	proposal.Listed
	// commit is the tip; signer is the reconciler that signed it, if one did.
	commit remote.Commit
	signer spec.Key
	// edited says that the tip is not one commit of a reconciler, on top of the base.
	edited bool
}

// parseBranch splits `mainstay/<agent>/<key>`.
func parseBranch(name string) (agent spec.AgentName, key spec.ProposalKey, ok bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 3 || parts[0] != "mainstay" || spec.CheckName(parts[1]) != nil || len(parts[2]) != 16 {
		return "", "", false
	}
	return spec.AgentName(parts[1]), spec.ProposalKey(parts[2]), true
}

// origin looks for the commit of a proposal at tip, or beneath what a person put on top of it. A merge ends the search.
func (d *Driver) origin(tip string) (remote.Commit, spec.Proposal, error) {
	n := 0
	for c, err := range d.opts.Remote.FirstParents(tip) {
		if err != nil {
			return remote.Commit{}, spec.Proposal{}, err
		}
		if len(c.Parents) > 1 || n == maxEdits {
			break
		}
		n++
		if p, err := proposal.Parse(c.Message); err == nil {
			p.At = c.When.UTC()
			return c, p, nil
		}
	}
	return remote.Commit{}, spec.Proposal{}, proposal.ErrNotProposal
}

// read reads a branch, all but its files. The error has [proposal.ErrNotProposal] where the branch is no proposal of its
// agent and key; the commit and the branch's name are set all the same.
func (d *Driver) read(v view, branch, tip string) (head, error) {
	h := head{Listed: proposal.Listed{State: proposal.Open, Head: tip}}
	h.Agent, h.Key, _ = parseBranch(branch)
	var err error
	if h.commit, err = d.opts.Remote.Commit(tip); err != nil {
		return h, err
	}
	c, p, err := d.origin(tip)
	if err != nil {
		return h, fmt.Errorf("branch %s: %w", branch, err)
	}
	if p.Branch() != branch {
		return h, fmt.Errorf("branch %s: %w: its trailers say %s", branch, proposal.ErrNotProposal, p.Branch())
	}
	h.Proposal = p
	trusted := v.trusted
	if p.Kind == spec.ProposalRollback {
		trusted = people(v.fleet)
	}
	h.signer, err = remote.VerifyCommit(h.commit, trusted)
	switch {
	case c.ID != tip:
		h.edited, h.Problem = true, fmt.Sprintf("%s has pushed to it: merge it with git, or push the change by itself", h.commit.Author)
	case err != nil && p.Kind == spec.ProposalRollback:
		h.edited, h.Problem = true, fmt.Sprintf("it is not signed by an approver that mainstay.yaml lists: %v", err)
	case err != nil && len(trusted) == 0:
		h.edited, h.Problem = true, "mainstay.yaml lists no reconciler: `mainstay ledger init` prints what to add to it"
	case err != nil:
		h.edited, h.Problem = true, fmt.Sprintf("it is not signed by a reconciler that mainstay.yaml lists: %v", err)
	case len(c.Parents) != 1 || c.Parents[0] != p.Base.Commit():
		h.edited, h.Problem = true, fmt.Sprintf("it is not one commit on top of %s", p.Base.Short())
	}
	return h, nil
}

// addFiles fills in what the branch changes, compared with the base.
func (d *Driver) addFiles(ctx context.Context, h *head) error {
	paths, err := d.opts.Remote.Changed(ctx, h.Base.Commit(), h.Head)
	if err != nil {
		return err
	}
	after, err := d.opts.Remote.Snapshot(h.Head)
	if err != nil {
		return err
	}
	if len(paths) > proposal.MaxFiles {
		h.Problem = fmt.Sprintf("it changes %d files, of which the first %d are shown", len(paths), proposal.MaxFiles)
		paths = paths[:proposal.MaxFiles]
	}
	size := 0
	for _, name := range paths {
		edit := spec.FileEdit{Path: name}
		switch info, err := after.Lstat(name); {
		case err != nil || info.IsDir():
			edit.Remove = true
		case !info.Mode().IsRegular():
			h.Problem = name + " is a link or a submodule"
		case size+int(info.Size()) > proposal.MaxBytes:
			h.Problem = fmt.Sprintf("it writes more than %d bytes", proposal.MaxBytes)
		default:
			content, err := after.ReadFile(name)
			if err != nil {
				return err
			}
			size += len(content)
			edit.Content = string(content)
		}
		h.Files = append(h.Files, edit)
	}
	return nil
}

// List returns the open proposals, sorted by branch. A branch with the name of a proposal that carries none is listed
// with a Problem.
func (d *Driver) List(ctx context.Context) ([]proposal.Listed, error) {
	v, err := d.look(ctx)
	if err != nil {
		return nil, fmt.Errorf("list proposals: %w", err)
	}
	list := []proposal.Listed{}
	for branch, tip := range v.branches {
		if _, _, ok := parseBranch(branch); !ok {
			continue
		}
		h, err := d.openHead(ctx, v, branch, tip)
		if errors.Is(err, proposal.ErrNotProposal) {
			h.Problem, err = err.Error(), nil
		}
		if err != nil {
			return nil, fmt.Errorf("list proposals: %w", err)
		}
		if h.State == proposal.Open {
			list = append(list, h.Listed)
		}
	}
	slices.SortFunc(list, func(a, b proposal.Listed) int { return strings.Compare(a.Branch(), b.Branch()) })
	return list, nil
}

// openHead reads a branch with its files. A merged proposal whose branch is left behind has the state merged.
func (d *Driver) openHead(ctx context.Context, v view, branch, tip string) (head, error) {
	h, err := d.read(v, branch, tip)
	if err != nil {
		return h, err
	}
	merge, err := d.mergeOf(v.main, h.Proposal)
	if err != nil {
		return h, err
	}
	if merge.id != "" {
		h.State = proposal.Merged
		return h, nil
	}
	return h, d.addFiles(ctx, &h)
}

// Show returns the open proposal with a key, and its diff.
func (d *Driver) Show(ctx context.Context, key spec.ProposalKey) (proposal.Shown, error) {
	shown, err := d.show(ctx, key)
	if err != nil {
		return proposal.Shown{}, fmt.Errorf("show proposal: %w", err)
	}
	return shown, nil
}

func (d *Driver) show(ctx context.Context, key spec.ProposalKey) (proposal.Shown, error) {
	v, err := d.look(ctx)
	if err != nil {
		return proposal.Shown{}, err
	}
	h, err := d.find(ctx, v, key)
	if err != nil {
		return proposal.Shown{}, err
	}
	if h.State != proposal.Open {
		return proposal.Shown{}, &proposal.NotFoundError{Key: key}
	}
	before, err := d.opts.Remote.Snapshot(h.Base.Commit())
	if err != nil {
		return proposal.Shown{}, err
	}
	diff, err := proposal.Diff(h.Files, func(path string) (string, bool, error) {
		if _, err := before.Lstat(path); err != nil {
			return "", false, nil //nolint:nilerr // The file is new.
		}
		b, err := before.ReadFile(path)
		return string(b), true, err
	})
	if err != nil {
		return proposal.Shown{}, err
	}
	return proposal.Shown{Listed: h.Listed, Sentence: proposal.Sentence(h.Proposal), Diff: diff}, nil
}

// find returns the branch with a key, also where it is merged already. The key may be cut short to a unique beginning.
func (d *Driver) find(ctx context.Context, v view, key spec.ProposalKey) (head, error) {
	var found []string
	for branch := range v.branches {
		if _, k, ok := parseBranch(branch); ok && key != "" && strings.HasPrefix(string(k), string(key)) {
			found = append(found, branch)
		}
	}
	switch len(found) {
	case 0:
		return head{}, &proposal.NotFoundError{Key: key}
	case 1:
		return d.openHead(ctx, v, found[0], v.branches[found[0]])
	}
	slices.Sort(found)
	return head{}, fmt.Errorf("%s is the beginning of %s: give more of the key", key, strings.Join(found, " and of "))
}

// Status tells what became of a proposal.
func (d *Driver) Status(ctx context.Context, p spec.Proposal) (proposal.Status, error) {
	all, err := d.Statuses(ctx, []spec.Proposal{p})
	if err != nil {
		return proposal.Status{}, err
	}
	return all[0], nil
}

// Statuses tells what became of proposals, with one look at the remote.
func (d *Driver) Statuses(ctx context.Context, ps []spec.Proposal) ([]proposal.Status, error) {
	if len(ps) == 0 {
		return nil, nil
	}
	v, err := d.look(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for proposals: %w", err)
	}
	// The branches were read first: a rejection is in the ledger before its branch goes.
	no, err := d.allRejections(ctx, v)
	if err != nil {
		return nil, fmt.Errorf("look for proposals: %w", err)
	}
	out := make([]proposal.Status, len(ps))
	for i, p := range ps {
		if out[i], err = d.status(v, no[p.Key], p); err != nil {
			return nil, fmt.Errorf("look for proposal %s: %w", p.Key, err)
		}
	}
	return out, nil
}

func (d *Driver) status(v view, no []rejection, p spec.Proposal) (proposal.Status, error) {
	merge, err := d.mergeOf(v.main, p)
	if err != nil {
		return proposal.Status{}, err
	}
	if merge.id != "" {
		return proposal.Status{State: proposal.Merged, Merge: merge.id, By: merge.by}, nil
	}
	for _, r := range no {
		if r.Run == p.Run && r.Exchange == p.Exchange {
			return proposal.Status{State: proposal.Rejected, By: r.By, Reason: r.Reason}, nil
		}
	}
	tip, ok := v.branches[p.Branch()]
	if !ok {
		return proposal.Status{State: proposal.Closed, Reason: "the branch was deleted"}, nil
	}
	h, err := d.read(v, p.Branch(), tip)
	switch {
	case errors.Is(err, proposal.ErrNotProposal):
		return proposal.Status{State: proposal.Closed, Reason: "somebody has put something else on the branch"}, nil
	case err != nil:
		return proposal.Status{}, err
	case !proposal.Same(h.Proposal, p):
		return proposal.Status{State: proposal.Closed, Reason: fmt.Sprintf("a newer proposal of run %s has taken its place", h.Run)}, nil
	}
	return proposal.Status{State: proposal.Open}, nil
}
