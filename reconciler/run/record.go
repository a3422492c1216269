package run

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mainstay-dev/mainstay/spec"
)

// record is the record of one run together with its state. It has a single writer at a time.
type record struct {
	log   Log
	run   spec.RunID
	state *state
	// last is the position of the last entry, count the number of entries.
	last  uint64
	count int
	// held are entries that the state knows already, and that are written with the next one.
	held     []spec.Entry
	heldSize int
	// kept is the summary that was written last.
	kept spec.RunSummary
}

// write appends an entry, after those that are held.
func (r *record) write(ctx context.Context, e spec.Entry) error {
	if err := r.put(ctx, append(slices.Clip(r.held), e)); err != nil {
		return err
	}
	return r.state.add(e)
}

// put appends entries, the first of which are those that are held. It does not stop half-way when ctx ends, because then nobody
// could tell whether they exist.
func (r *record) put(ctx context.Context, entries []spec.Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTime)
	defer cancel()
	last, err := r.log.Append(ctx, r.run, r.last, entries...)
	if err != nil {
		return err
	}
	r.last, r.count = last, r.count+len(entries)
	r.held, r.heldSize = nil, 0
	return nil
}

// hold has an answer written later, with what follows from it. It reports whether that is so: a large one is not held.
func (r *record) hold(e spec.Entry) (bool, error) {
	size := len(e.Answer.Body) + len(e.Answer.Error)
	for _, i := range e.Answer.Images {
		size += 2 * len(i.Data)
	}
	if r.heldSize+size > maxHeld {
		return false, nil
	}
	if err := r.state.add(e); err != nil {
		return false, err
	}
	r.held, r.heldSize = append(r.held, e), r.heldSize+size
	return true, nil
}

// errEnded says that somebody has ended the run while it was worked on.
var errEnded = errors.New("the run was cancelled")

// catchUp takes in decisions and ends of children that were recorded meanwhile, if any, and returns their exchanges. The error
// is errEnded where the run was cancelled. Any other entry means that the run has been taken from us.
func (r *record) catchUp(ctx context.Context) ([]*exchange, error) {
	entries, last, err := r.log.Record(context.WithoutCancel(ctx), r.run)
	if err != nil {
		return nil, err
	}
	if len(entries) < r.count {
		return nil, errTaken
	}
	var decided []*exchange
	for _, e := range entries[r.count:] {
		if e.Type == spec.EntryFinished && e.Outcome != nil && e.Outcome.Reason == Cancelled {
			r.last, r.count = last, len(entries)
			return nil, errors.Join(r.state.add(e), errEnded)
		}
		x := r.state.exchange(e.N)
		if e.Type != spec.EntryAnswer || x == nil || !x.waits() {
			return nil, errTaken
		}
		if err := r.state.add(e); err != nil {
			return nil, err
		}
		decided = append(decided, x)
	}
	r.last, r.count = last, len(entries)
	return decided, nil
}

// keep writes the summary, in a phase that only the caller knows unless it is "". One that tells little more than the last that
// was written is only shown.
func (r *record) keep(ctx context.Context, phase string) (spec.RunSummary, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTime)
	defer cancel()
	sum := r.state.summary()
	sum.Entries = r.count
	if phase != "" {
		sum.Phase = phase
	}
	if r.isNear(sum) {
		r.log.ShowRun(Glance(sum))
		return sum, nil
	}
	if err := r.log.PutRun(ctx, Glance(sum)); err != nil {
		return sum, fmt.Errorf("keep the summary: %w", err)
	}
	r.kept = sum
	return sum, nil
}

// isNear says that a summary tells no more than that a run has gone on for a moment: after a crash the one before is as good, for
// whoever takes the run up writes it anew. It spares each turn a write that must reach the disk.
func (r *record) isNear(sum spec.RunSummary) bool {
	return sum.Phase == spec.PhaseRunning && r.kept.Phase == spec.PhaseRunning && sum.Updated.Sub(r.kept.Updated) < keepTime &&
		len(sum.Waiting) == len(r.kept.Waiting) && len(sum.Children) == len(r.kept.Children)
}

func isConflict(err error) bool {
	var c interface{ Conflict() bool }
	return errors.As(err, &c) && c.Conflict()
}
