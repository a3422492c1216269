package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/mainstay-dev/mainstay/spec"
)

// Cancellation is what was cancelled.
type Cancellation struct {
	// Run is the run as it is now. Where News is false it had ended before, and was left as it is.
	Run  spec.RunSummary `json:"run"`
	News bool            `json:"news"`
	// Beneath are the runs beneath it that were cancelled with it, each before those beneath it.
	Beneath []spec.ChildRun `json:"beneath,omitempty"`
	// Open are the proposals that some of these runs waited for. They stay open: a person may still want them, and merging is
	// a person's decision. No agent waits for what becomes of them.
	Open []spec.Proposal `json:"open,omitempty"`
}

// Cancel ends a run and all runs beneath it, whether it is worked on, waits or is queued. It says who wants that, and why
// where there is a reason. The error wraps [ErrNoRecord] where there is no such run.
func (e *Engine) Cancel(ctx context.Context, run spec.RunID, by, why string) (Cancellation, error) {
	message := "cancelled by " + by
	if why != "" {
		message += ": " + why
	}
	var c Cancellation
	err := e.end(ctx, run, cancelled(by, "%s", message), &c)
	if err != nil {
		return c, fmt.Errorf("cancel run %s: %w", run, err)
	}
	return c, nil
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
// to nobody is never written, because nothing can follow an end. What was ended is noted in c.
func (e *Engine) end(ctx context.Context, run spec.RunID, outcome *spec.Outcome, c *Cancellation) error {
	const tries = 16
	for range tries {
		entries, last, err := e.opts.Log.Record(ctx, run)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return ErrNoRecord
		}
		st, _ := fold(entries)
		r := record{log: e.opts.Log, run: run, state: st, last: last, count: len(entries)}
		news, open := st.outcome == nil, st.waiting()
		if news {
			outcome.Done = st.done()
			err := r.write(ctx, spec.Entry{Type: spec.EntryFinished, At: e.opts.Now().UTC(), Outcome: outcome})
			if isConflict(err) {
				continue
			}
			if err != nil {
				return err
			}
			c.Open = append(c.Open, open...)
		}
		e.poke(run)
		c.News = news
		// What follows is not left half done where whoever wants it leaves meanwhile: it is news only once.
		c.Run, err = e.conclude(context.WithoutCancel(ctx), &r, news, c)
		return err
	}
	return errors.New("somebody else wrote first, again and again")
}

// conclude does what follows the end of a run, which is in its record. Where that is news, it is told. What else ends is noted
// in c.
func (e *Engine) conclude(ctx context.Context, r *record, news bool, c *Cancellation) (spec.RunSummary, error) {
	e.forget(r.run)
	told := func(now bool) {
		if news && now {
			e.observe(Event{Type: Finished, Task: r.state.task, Outcome: r.state.outcome})
		}
	}
	child := r.state.task.Parent != nil
	told(child) // Before the run above goes on.
	if err := e.afterEnd(ctx, r.state, c); err != nil {
		return r.state.summary(), err
	}
	sum, err := r.keep(ctx, "")
	told(!child) // After the summary is kept, for whoever is told looks at it.
	return sum, err
}
