package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/mainstay-dev/mainstay/spec"
)

// Cancel ends a run and all runs beneath it, whether it is worked on, waits or is queued. It says who wants that, and why
// where there is a reason. A run that has ended already is left as it is: its summary tells. The error wraps [ErrNoRecord]
// where there is no such run.
func (e *Engine) Cancel(ctx context.Context, run spec.RunID, by, why string) (spec.RunSummary, error) {
	message := "cancelled by " + by
	if why != "" {
		message += ": " + why
	}
	sum, err := e.end(ctx, run, cancelled(by, "%s", message))
	if err != nil {
		return sum, fmt.Errorf("cancel run %s: %w", run, err)
	}
	return sum, nil
}

func cancelled(by, format string, args ...any) *spec.Outcome {
	outcome := failed(Cancelled, format, args...)
	outcome.By = clip(by, maxLane)
	return outcome
}

// endedWith is the outcome of a run whose parent has ended.
func endedWith(p spec.Parent) *spec.Outcome {
	return cancelled("run "+string(p.Run), "run %s of %s, which gave the task, has ended", p.Run, p.Agent)
}

// end writes the end of a run from outside of it. Whoever works on the run sees it in the record and stops; the run's answer
// to nobody is never written, because nothing can follow an end.
func (e *Engine) end(ctx context.Context, run spec.RunID, outcome *spec.Outcome) (spec.RunSummary, error) {
	const tries = 16
	for range tries {
		entries, last, err := e.opts.Log.Record(ctx, run)
		if err != nil {
			return spec.RunSummary{}, err
		}
		if len(entries) == 0 {
			return spec.RunSummary{}, ErrNoRecord
		}
		st, _ := fold(entries)
		r := record{log: e.opts.Log, run: run, state: st, last: last, count: len(entries)}
		news := st.outcome == nil
		if news {
			err := r.write(ctx, spec.Entry{Type: spec.EntryFinished, At: e.opts.Now().UTC(), Outcome: outcome})
			if isConflict(err) {
				continue
			}
			if err != nil {
				return st.summary(), err
			}
		}
		e.poke(run)
		e.forget(run)
		if err := e.afterEnd(ctx, st); err != nil {
			return st.summary(), err
		}
		sum, err := r.keep(ctx, "")
		if news {
			e.observe(Event{Type: Finished, Task: st.task, Outcome: outcome})
		}
		return sum, err
	}
	return spec.RunSummary{}, errors.New("somebody else wrote first, again and again")
}
