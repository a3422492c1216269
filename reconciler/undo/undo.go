// Package undo decides which effects of a run are offered to be undone, once something has failed after them. It is a function of
// what the ledger says of the run's Actions and of how the run ended: it does no I/O and asks no clock. It never offers to undo
// what may not have happened, what was offered before, or what is an undo itself.
package undo

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// Effect says whether an Action has taken effect.
type Effect int

// What is known of an effect.
const (
	None    Effect = iota // it did not begin, or a person has given it up
	Open                  // it is under way
	Unknown               // it began, and nobody knows whether it happened
	Done                  // it happened
	Failed                // the receipt says that it failed
)

// Action is one Action of a run.
type Action struct {
	ID     spec.ActionID
	Effect Effect
	// Began and Ended are the places of its last start and of its receipt or resolution in the ledger, which orders the entries
	// of all executors; 0 is none. BeganAt and EndedAt are their times.
	Began, Ended     int
	BeganAt, EndedAt time.Time
	// Declared says that its tool declares an undo. Impossible is why none can be made of this call all the same, or "".
	Declared   bool
	Impossible string
	// Offered says that its undo was offered before.
	Offered bool
	// Message is what the receipt of one that failed says.
	Message string
}

// Run is what became of a run. Its Actions may be in any order.
type Run struct {
	Actions []Action
	// FailedAt is when the run itself ended as failed, and Failed says why; zero where it did not.
	FailedAt time.Time
	Failed   string
}

// Offer is an undo to be offered.
type Offer struct {
	Undoes spec.ActionID
	// After is the undo that is done before this one, or "".
	After spec.ActionID
	// Failed says what failed after the effect. At is since when the undo is wanted.
	Failed string
	At     time.Time
}

// Held is an effect whose undo is wanted and not offered.
type Held struct {
	Action spec.ActionID
	Why    string
}

// Decide returns the undos to be offered, the last effect's first, and those that are wanted and cannot be offered. While it is
// open whether a later effect happened, those before it wait, so that all are undone in the reverse order.
func Decide(r Run) (offers []Offer, held []Held) {
	var effects []Action
	for _, a := range r.Actions {
		if a.Declared && !a.ID.IsUndo() && (a.Effect == Done || a.Effect == Open || a.Effect == Unknown) {
			effects = append(effects, a)
		}
	}
	slices.SortFunc(effects, func(a, b Action) int { return cmp.Or(cmp.Compare(b.Began, a.Began), cmp.Compare(b.ID, a.ID)) })
	var blocker, after spec.ActionID
	var since time.Time
	for _, e := range effects {
		failed, at, ok := r.failure(e)
		switch {
		case !ok:
			continue
		case e.Effect == Unknown:
			held = append(held, Held{e.ID, fmt.Sprintf("nobody knows whether it happened: no undo is offered before somebody has run `mainstay actions resolve %s`", e.ID)})
		case e.Effect == Open:
			held = append(held, Held{e.ID, "it is under way: whether an undo is offered is decided once it has ended"})
		case e.Impossible != "":
			held = append(held, Held{e.ID, "no undo can be offered: " + e.Impossible})
			continue
		}
		if e.Effect != Done {
			if blocker == "" {
				blocker = e.ID
			}
			continue
		}
		since = latest(since, latest(at, e.EndedAt))
		switch {
		case e.Offered:
		case blocker != "":
			held = append(held, Held{e.ID, fmt.Sprintf("its undo is offered once it is known whether %s happened, which came after it", blocker)})
			continue
		default:
			offers = append(offers, Offer{Undoes: e.ID, After: after, Failed: failed, At: since})
		}
		after = ID(e.ID)
	}
	return offers, held
}

// failure returns the first thing that failed after an effect began.
func (r Run) failure(e Action) (what string, at time.Time, ok bool) {
	var first *Action
	for i := range r.Actions {
		a := &r.Actions[i]
		if a.Effect == Failed && !a.ID.IsUndo() && a.Ended > e.Began && (first == nil || a.Ended < first.Ended) {
			first = a
		}
	}
	switch {
	case first != nil:
		return fmt.Sprintf("%s failed: %s", first.ID, first.Message), first.EndedAt, true
	case !r.FailedAt.IsZero() && !r.FailedAt.Before(e.BeganAt):
		return "the run failed: " + r.Failed, r.FailedAt, true
	}
	return "", time.Time{}, false
}

// ID is the id of the Action that undoes another one.
func ID(of spec.ActionID) spec.ActionID {
	_, n, _ := of.Origin()
	digits := len(fmt.Sprint(n))
	return spec.ActionID(fmt.Sprintf("%s%d", of[:len(of)-digits], spec.UndoExchange(n)))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
