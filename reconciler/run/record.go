package run

import (
	"context"
	"errors"
	"fmt"

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
	// kept is the summary that was written last.
	kept spec.RunSummary
}

// write appends an entry. It does not stop half-way when ctx ends, because then nobody could tell whether the entry
// exists.
func (r *record) write(ctx context.Context, e spec.Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTime)
	defer cancel()
	last, err := r.log.Append(ctx, r.run, r.last, e)
	if err != nil {
		return err
	}
	r.last, r.count = last, r.count+1
	return r.state.add(e)
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
