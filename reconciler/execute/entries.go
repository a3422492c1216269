package execute

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// Entry is one commit of the ledger, which adds one file.
type Entry struct {
	// Commit is its id; Author is `Name <address>`, and When the committer's time, as the commit says.
	Commit string
	Author string
	When   time.Time
	Path   string
	// Content is the file.
	Content []byte
	// Ledger is what the file says about an Action; nil for an entry about a proposal.
	Ledger *spec.LedgerEntry
	// Proposal is what an entry is about that is about no Action.
	Proposal spec.ProposalKey
	// Signer is the listed key that has signed it.
	Signer spec.Key
	// Ignored says why it does not count, or is "": a person signed it who is not listed any more, or never was.
	Ignored string
}

// ReadEntries reads the ledger up to tip by the rules by which every executor reads it, and returns its entries, the oldest
// first. The fleet lists the ledger and the approvers that count; the ledger must hold the commit last, unless it is "". The error wraps one of the ErrLedger errors where something
// is wrong with the ledger itself; the entries before that place are returned with it.
func ReadEntries(ctx context.Context, h History, tip, last string, fleet *spec.Fleet) ([]Entry, error) {
	switch {
	case fleet == nil || fleet.Ledger == nil:
		return nil, ErrNoLedger
	case tip == "":
		return nil, ErrLedgerMissing
	}
	var entries []Entry
	b := newBook(h, newTrust(fleet), &sync.Mutex{})
	b.added = func(c remote.Commit, e entry) {
		read := Entry{
			Commit: c.ID, Author: c.Author, When: c.When, Path: e.path, Content: e.content,
			Proposal: e.place.proposal, Signer: e.signer, Ignored: e.ignored,
		}
		if e.place.action != "" {
			read.Ledger = &e.ledger
		}
		entries = append(entries, read)
	}
	if err := b.advance(ctx, tip, last); err != nil {
		return entries, fmt.Errorf("read the ledger: %w", err)
	}
	return entries, nil
}

// StateOf tells where an Action stands by its entries alone, which are all those of [ReadEntries] about it, in their order.
func StateOf(entries []Entry, now time.Time) State {
	r := &record{}
	for _, e := range entries {
		if e.Ledger != nil {
			r.add(*e.Ledger, e.Signer, e.Ignored == "")
		}
	}
	return r.state(now)
}
