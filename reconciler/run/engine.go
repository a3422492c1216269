package run

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// Options are what an engine works with.
type Options struct {
	Log       Log
	Agents    Agents
	Broker    Broker
	Proposals Proposals
	// Compact returns what a task's history becomes, because all of it is more than the agent's model reads, or nil where it
	// stays. The sentence says why the run cannot begin at all; the error, that it cannot now. Nil leaves every history.
	Compact func(ctx context.Context, task spec.Task, agent *spec.Agent) (c *spec.Compaction, refused string, err error)
	// Children may be nil where no Broker replies with a Delegation.
	Children Children
	// Now is the clock. After is time.After where it is nil, and Backoff is [Backoff].
	Now     func() time.Time
	After   func(time.Duration) <-chan time.Time
	Backoff func(failures int) time.Duration
	// Observe is told what happens, by several goroutines at once; it must not block. May be nil.
	Observe func(Event)
}

// Engine drives runs. Its methods may be called by several goroutines at once, but only one may execute a run.
type Engine struct {
	opts Options

	mu sync.Mutex
	// failures counts how often in a row each run has failed to go on. They are forgotten with the process.
	failures map[spec.RunID]int
	// seats are of the runs that are worked on.
	seats map[spec.RunID]*seat
}

// New makes an engine.
func New(opts Options) *Engine {
	if opts.After == nil {
		opts.After = time.After
	}
	if opts.Backoff == nil {
		opts.Backoff = Backoff
	}
	if opts.Observe == nil {
		opts.Observe = func(Event) {}
	}
	return &Engine{opts: opts, failures: map[spec.RunID]int{}, seats: map[spec.RunID]*seat{}}
}

// errTaken says that another executor has written to the record.
var errTaken = errors.New("somebody else works on this run too")

// Execute works on a run from where its record ends, until it is finished or waits for reviews; the summary says which. An
// error means that it is neither: a [*RetryAfter] says when to try again, one that wraps [ErrNoRecord] that there is no
// such run. Where ctx ends, the error is the context's, and the run can be executed again with nothing lost.
func (e *Engine) Execute(ctx context.Context, run spec.RunID) (spec.RunSummary, error) {
	sum, err := e.execute(ctx, run)
	var retry *RetryAfter
	if errors.As(err, &retry) {
		e.observe(Event{Type: Retrying, Task: sum.Task, Err: retry.Err, Delay: retry.Delay})
	}
	if err != nil {
		err = fmt.Errorf("run %s: %w", run, err)
	}
	return sum, err
}

func (e *Engine) execute(ctx context.Context, run spec.RunID) (spec.RunSummary, error) {
	// Before the record is read, so that what is written into it from now on is noticed.
	seat := e.sit(run)
	defer e.rise(run, seat)
	entries, last, err := e.opts.Log.Record(ctx, run)
	if err != nil {
		return spec.RunSummary{}, err
	}
	if len(entries) == 0 {
		return spec.RunSummary{}, ErrNoRecord
	}
	st, damage := fold(entries)
	w := &work{Engine: e, seat: seat, record: record{log: e.opts.Log, run: run, state: st, last: last, count: len(entries)}}
	switch {
	case st.outcome != nil:
		return e.conclude(ctx, &w.record, false, &Cancellation{})
	case damage != nil:
		return w.finish(ctx, failed(HostFailed, "the record is damaged: %v", damage))
	case st.idle >= maxIdle:
		return w.finish(ctx, failed(HostFailed, "%d attempts in a row came no further", st.idle))
	}
	w.agent, err = e.opts.Agents.Agent(ctx, st.task)
	switch {
	case errors.Is(err, ErrNoAgent):
		return w.finish(ctx, failed(HostFailed, "agent %s at %s: %v", st.task.Agent, st.task.Revision.Short(), err))
	case err != nil:
		return w.unopened(ctx, err)
	}
	if outcome, err := w.lookAround(ctx); outcome != nil {
		return w.finish(ctx, outcome)
	} else if err != nil {
		return w.ended(ctx, err)
	}
	if outcome := w.rejection(); outcome != nil { // The answer was refused for good before the process ended.
		return w.finish(ctx, outcome)
	}
	w.left = w.wallTime() - st.hasWorked()
	if w.left <= 0 {
		return w.finish(ctx, w.outOfTime())
	}
	if outcome, err := w.compact(ctx); outcome != nil {
		return w.finish(ctx, outcome)
	} else if err != nil {
		return w.ended(ctx, err)
	}
	if w.session, err = e.opts.Agents.Open(ctx, st.task, w.agent); err != nil {
		return w.unopened(ctx, err)
	}
	e.opened(w.seat)
	return w.attempt(ctx)
}

// Resolve records the decision about the proposal that exchange n of a run waits for. It reports whether the run is to be
// queued, because it waits for nothing else and is not worked on; to decide again what is decided changes nothing and reports
// the same.
func (e *Engine) Resolve(ctx context.Context, run spec.RunID, n int, answer spec.Answer) (ready bool, err error) {
	return e.resolve(ctx, run, n, answer, func(x *exchange) bool { return x.proposal != nil })
}

// resolve records the answer to an exchange that waits for what is meant.
func (e *Engine) resolve(ctx context.Context, run spec.RunID, n int, answer spec.Answer, meant func(*exchange) bool) (ready bool, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("decide exchange %d of run %s: %w", n, run, err)
		}
	}()
	const tries = 16
	for range tries {
		entries, last, err := e.opts.Log.Record(ctx, run)
		if err != nil {
			return false, err
		}
		if len(entries) == 0 {
			return false, ErrNoRecord
		}
		st, err := fold(entries)
		if err != nil {
			return false, err
		}
		r := record{log: e.opts.Log, run: run, state: st, last: last, count: len(entries)}
		x := st.exchange(n)
		switch {
		case st.outcome != nil:
			return false, nil
		case x == nil || !meant(x):
			return false, errors.New("it does not wait for a decision")
		case x.answer == nil:
			err := r.write(ctx, spec.Entry{Type: spec.EntryAnswer, At: e.opts.Now().UTC(), N: n, Answer: &answer})
			if isConflict(err) {
				continue
			}
			if err != nil {
				return false, err
			}
			e.observe(Event{Type: Answered, Task: st.task, N: n, Request: &x.request, Answer: x.answer})
		}
		if e.poke(run) {
			return false, nil // Whoever works on it takes it in, and keeps the summary.
		}
		if _, err := r.keep(ctx, ""); err != nil {
			return false, err
		}
		return st.ready(), nil
	}
	return false, fmt.Errorf("somebody else wrote first, %d times", tries)
}

func (e *Engine) observe(v Event) {
	v.At = e.opts.Now().UTC()
	e.opts.Observe(v)
}

// fail counts a failure of a run, from one again if it had come further.
func (e *Engine) fail(run spec.RunID, further bool) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if further {
		e.failures[run] = 0
	}
	e.failures[run]++
	return e.failures[run]
}

func (e *Engine) forget(run spec.RunID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.failures, run)
}
