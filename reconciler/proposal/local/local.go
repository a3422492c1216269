// Package local is the proposal driver for a bare Git remote with no forge: a proposal is a branch, an approval a signed
// merge, a rejection a signed entry of the ledger.
//
// A proposal is the branch mainstay/<agent>/<key> with one commit, signed by the reconciler, on top of the revision that
// the run is pinned to. It keeps nothing but that branch and the ledger's rejections; what became of a proposal is read
// from the history of the main branch. It never merges by itself: [Driver.Approve] and [Driver.Reject] run in the
// process of the person who decides, with the person's own key.
package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// Ledger is the part of the ledger branch that remembers rejections.
type Ledger interface {
	// Entries returns the files beneath a folder whose signatures count, by their path in the ledger.
	Entries(ctx context.Context, folder string) (map[string][]byte, error)
	// Append adds one file in one commit by the person with that name and address, signed with signer. The error has
	// [fs.ErrExist] where the path is taken.
	Append(ctx context.Context, path string, content []byte, message, name, email string, signer *remote.Signer) error
}

// Options are what [New] needs. All fields but Signer and Declared are required, Path may be empty.
type Options struct {
	Remote *remote.Remote
	// Branch is the branch that proposals are merged into, such as main.
	Branch string
	// Path is the folder of the repository that holds mainstay.yaml; "" is the root.
	Path string
	// Name and Email are the author of proposals.
	Name, Email string
	// Signer signs proposals. It may be nil in a process that opens none.
	Signer *remote.Signer
	Ledger Ledger
	// FleetAt returns the fleet at a commit. Only its Approvers and its Ledger are read, so that it is enough to load
	// mainstay.yaml.
	FleetAt func(commit string) (*spec.Fleet, error)
	// Declared returns what is in force at a commit, in each of its environments, so that a person who may approve an Action in
	// none of them is told before the merge. May be nil: whoever executes looks at the rules in any case.
	Declared func(commit string) ([]*spec.Fleet, error)
	Now      func() time.Time
}

// Driver is a [proposal.Driver] over a bare remote. It is safe for concurrent use.
type Driver struct {
	opts   Options
	merges merges
	mu     sync.Mutex // guards merges
}

var _ proposal.Driver = (*Driver)(nil)

// New returns a driver. It reads nothing yet.
func New(opts Options) *Driver { return &Driver{opts: opts, merges: newMerges()} }

// maxMoved bounds how often a push is tried again because somebody else was first.
const maxMoved = 20

// view is the remote as one fetch has shown it.
type view struct {
	branches map[string]string
	main     string
	fleet    *spec.Fleet
	// trusted are the keys whose signature makes a commit a reconciler's.
	trusted []spec.Key
}

func (d *Driver) look(ctx context.Context) (view, error) {
	branches, err := d.opts.Remote.Fetch(ctx)
	if err != nil {
		return view{}, err
	}
	v := view{branches: branches, main: branches[d.opts.Branch]}
	if v.main == "" {
		return view{}, fmt.Errorf("%s has no branch %s: push it, or name the branch that exists", d.opts.Remote.URL(), d.opts.Branch)
	}
	if v.fleet, err = d.opts.FleetAt(v.main); err != nil {
		return view{}, fmt.Errorf("read mainstay.yaml at %s: %w", spec.NewRevision(d.opts.Branch, v.main).Short(), err)
	}
	if v.fleet.Ledger != nil {
		v.trusted = append(v.trusted, v.fleet.Ledger.Signers...)
	}
	if d.opts.Signer != nil {
		v.trusted = append(v.trusted, d.opts.Signer.Public(d.opts.Name))
	}
	return v, nil
}

// Open pushes the proposal's branch. See [proposal.Driver].
func (d *Driver) Open(ctx context.Context, p spec.Proposal) error {
	if err := d.open(ctx, proposal.Clean(p)); err != nil {
		return fmt.Errorf("open proposal %s of %s: %w", p.Key, p.Agent, err)
	}
	return nil
}

func (d *Driver) open(ctx context.Context, p spec.Proposal) error {
	if d.opts.Signer == nil {
		return errors.New("this process has no key to sign proposals with")
	}
	if err := proposal.Check(p, d.opts.Path); err != nil {
		return &proposal.InvalidError{Err: err}
	}
	var moved error
	for range maxMoved {
		v, err := d.look(ctx)
		if err != nil {
			return err
		}
		old, done, err := d.mayOpen(ctx, v, p)
		if err != nil || done {
			return err
		}
		head, err := d.commit(p)
		if err != nil {
			return err
		}
		if old == "" {
			err = d.opts.Remote.Push(ctx, p.Branch(), "", head)
		} else {
			err = d.opts.Remote.ReplaceBranch(ctx, p.Branch(), old, head)
		}
		if !errors.Is(err, remote.ErrMoved) {
			return err
		}
		moved = err // Another reconciler was first: most likely it has opened the same proposal.
	}
	return moved
}

// mayOpen decides what Open has to do: nothing, because it is done; or a branch at old ("" for none) to move.
func (d *Driver) mayOpen(ctx context.Context, v view, p spec.Proposal) (old string, done bool, err error) {
	if merge, err := d.mergeOf(v.main, p); err != nil || merge.id != "" {
		return "", true, err
	}
	old = v.branches[p.Branch()]
	if old != "" {
		h, err := d.read(v, p.Branch(), old)
		switch {
		case errors.Is(err, proposal.ErrNotProposal):
			return "", false, &proposal.EditedError{Branch: p.Branch(), By: h.commit.Author}
		case err != nil:
			return "", false, err
		case proposal.Same(h.Proposal, p):
			return "", true, nil
		}
		merge, err := d.mergeOf(v.main, h.Proposal)
		if err != nil {
			return "", false, err
		}
		if h.edited && merge.id == "" {
			return "", false, &proposal.EditedError{Branch: p.Branch(), By: h.commit.Author}
		}
	}
	return old, false, d.checkRejected(ctx, v, p)
}

// commit writes the one commit of a proposal. It depends on nothing but p and the key, so that opening it again after
// a crash makes the same commit.
func (d *Driver) commit(p spec.Proposal) (string, error) {
	at := p.At
	if at.IsZero() {
		at = d.opts.Now()
	}
	base := p.Base.Commit()
	before, err := d.opts.Remote.Snapshot(base)
	if err != nil {
		return "", fmt.Errorf("the base %s: %w", p.Base.Short(), err)
	}
	if p.Kind == spec.ProposalAction {
		if _, err := before.Stat(p.Files[0].Path); err == nil {
			return "", &proposal.InvalidError{Err: fmt.Errorf("%s exists at %s already: an Action's id is never used again", p.Files[0].Path, p.Base.Short())}
		}
	}
	head, err := d.opts.Remote.WriteCommit(remote.CommitDraft{
		Base: base, Parents: []string{base}, Edits: p.Files, Message: proposal.Message(p),
		AuthorName: d.opts.Name, AuthorEmail: d.opts.Email, When: at.UTC(), Signer: d.opts.Signer,
	})
	if bad, ok := errors.AsType[*remote.EditError](err); ok {
		return "", &proposal.InvalidError{Err: bad}
	}
	return head, err
}
