package local

import (
	"errors"
	"fmt"

	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxHistory bounds how many commits of the main branch are looked through.
const maxHistory = 500_000

// request names one request of one run.
type request struct {
	key      spec.ProposalKey
	run      spec.RunID
	exchange int
}

// merge is a commit of the main branch that brought a proposal in.
type merge struct {
	id string
	by string
}

// merges remembers which proposals the history of the main branch holds, so that every commit is looked at once.
type merges struct {
	tip string
	of  map[request]merge
}

func newMerges() merges { return merges{of: map[request]merge{}} }

// mergeOf returns the commit on the first-parent history of main that brought a proposal in, or the zero merge. It is a
// merge whose second parent carries the proposal's trailers, by whatever means it was made, or a commit of its own that
// carries them, after a fast-forward. This only says what became of a proposal: whether a merge approves an Action is for
// package execute to check.
func (d *Driver) mergeOf(main string, p spec.Proposal) (merge, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.merges.tip != main {
		if err := d.readHistory(main); err != nil {
			return merge{}, fmt.Errorf("read the history of %s: %w", d.opts.Branch, err)
		}
	}
	return d.merges.of[request{p.Key, p.Run, p.Exchange}], nil
}

func (d *Driver) readHistory(main string) error {
	found := map[request]merge{}
	n, joined := 0, false
	for c, err := range d.opts.Remote.FirstParents(main) {
		if err != nil {
			return err
		}
		if joined = c.ID == d.merges.tip; joined {
			break
		}
		if n++; n > maxHistory {
			return fmt.Errorf("it has more than %d commits", maxHistory)
		}
		p, ok, err := d.broughtIn(c)
		if err != nil {
			return err
		}
		if ok {
			// The oldest counts: what came in once can only be seen again in a later merge.
			found[request{p.Key, p.Run, p.Exchange}] = merge{id: c.ID, by: c.Author}
		}
	}
	if joined {
		for r, m := range d.merges.of {
			found[r] = m
		}
	}
	d.merges = merges{tip: main, of: found}
	return nil
}

func (d *Driver) broughtIn(c remote.Commit) (spec.Proposal, bool, error) {
	if len(c.Parents) < 2 {
		p, err := proposal.Parse(c.Message)
		return p, err == nil, nil
	}
	_, p, err := d.origin(c.Parents[1])
	if errors.Is(err, proposal.ErrNotProposal) {
		return p, false, nil
	}
	return p, err == nil, err
}
