package execute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// stepOffer is the name of an offer's file in the ledger: proposals/<key>/offer.json.
const stepOffer = "offer"

// Offer says that the undo of an Action was offered as a proposal. The ledger holds one for each Action at most, so that no
// reconciler offers it again, whatever has become of the proposal.
type Offer struct {
	// Step is offer.
	Step     string           `json:"step"`
	Proposal spec.ProposalKey `json:"proposal"`
	// Action is the undo, and Undoes what it undoes.
	Action   spec.ActionID `json:"action"`
	Undoes   spec.ActionID `json:"undoes"`
	Executor string        `json:"executor"`
	At       time.Time     `json:"at"`
}

// parseOffer reads an offer and reports why it cannot be there.
func (b *book) parseOffer(p place, content []byte) (Offer, error) {
	var o Offer
	if err := json.Unmarshal(content, &o); err != nil {
		return o, err
	}
	_, n, ok := o.Undoes.Origin()
	_, by, isID := o.Action.Origin()
	switch {
	case p.n != 1:
		return o, errors.New("a proposal is offered once")
	case !ok || !isID || by != spec.UndoExchange(n) || o.Undoes.IsUndo():
		return o, fmt.Errorf("%q is not the undo of %q", o.Action, o.Undoes)
	case b.offers[o.Undoes].Proposal != "":
		return o, fmt.Errorf("the undo of %s was offered before", o.Undoes)
	}
	return o, nil
}

// Offer writes down that an undo was offered. Where another reconciler has written it that is as good.
func (l *Ledger) Offer(ctx context.Context, o Offer, signer *remote.Signer) error {
	o.Step = stepOffer
	content, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return err
	}
	p := place{proposal: o.Proposal, step: stepOffer, n: 1}
	err = l.append(ctx, author{name: l.opts.Name, email: l.opts.Email, signer: signer}, func(b *book) (draft, error) {
		if _, taken := b.offers[o.Undoes]; taken {
			return draft{}, fmt.Errorf("%s: %w", p.path(), fs.ErrExist)
		}
		return draft{path: p.path(), content: append(content, '\n'), message: fmt.Sprintf("offer %s\n\nby %s", o.Action, o.Executor)}, nil
	})
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// Offered returns the offer to undo an Action, as the ledger was last read, or nil.
func (l *Ledger) Offered(id spec.ActionID) *Offer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.book == nil {
		return nil
	}
	if o, ok := l.book.offers[id]; ok {
		return &o
	}
	return nil
}

// Standing is what the ledger holds of one Action that somebody has claimed, and when.
type Standing struct {
	ID spec.ActionID
	State
	// Digest is of the bytes that were claimed last.
	Digest spec.Digest
	// Began and Ended are which entries of the ledger are its last start and its receipt, counted from its first commit; 0 is none. They
	// order what several executors have done, whatever their clocks say. BeganAt is the time of that start.
	Began, Ended int
	BeganAt      time.Time
}

// Standings returns where the Actions of each run stand, as the ledger was last read.
func (l *Ledger) Standings() map[spec.RunID][]Standing {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.book == nil {
		return nil
	}
	all := map[spec.RunID][]Standing{}
	for id, r := range l.book.actions {
		run, _, ok := id.Origin()
		claim := r.claim()
		if !ok || claim == nil {
			continue
		}
		s := Standing{ID: id, State: r.state(l.opts.Now()), Digest: claim.Digest, Began: r.began, Ended: r.ended}
		if start := r.lastStart(); start != nil {
			s.BeganAt = start.At
		}
		all[run] = append(all[run], s)
	}
	return all
}

// place remembers which entry of the ledger was added last to the record.
func (r *record) place(e spec.LedgerEntry, n int) {
	switch e.Step {
	case spec.StepStarted:
		r.began = n
	case spec.StepReceipt:
		r.ended = n
	}
}
