package run

import (
	"context"
	"errors"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// end says how an attempt ended: with an outcome, with an error, or, where both are nil, waiting.
type end struct {
	outcome *spec.Outcome
	err     error
	// over says that the agent has ended by itself, so that there is nothing to cancel.
	over bool
	// lost says that the record cannot be written any more.
	lost bool
}

func lost(err error) *end { return &end{err: err, lost: true} }

// exited is the error of an agent that ended without a result.
type exited struct{ err error }

func (e *exited) Error() string { return e.err.Error() }
func (e *exited) Unwrap() error { return e.err }

// unserved is the error of a request that has no answer now.
type unserved struct{ err error }

func (u *unserved) Error() string { return u.err.Error() }
func (u *unserved) Unwrap() error { return u.err }

// onPurpose says that the host has ended the agent's process for reasons of its own, which are no failure of the run.
func onPurpose(err error) bool {
	var told interface{ OnPurpose() bool }
	return errors.As(err, &told) && told.OnPurpose()
}

// maxRetryAfter bounds how long a run waits because somebody asks to be left alone.
const maxRetryAfter = time.Hour

// ended decides what an error of an attempt means for the run.
func (w *work) ended(ctx context.Context, err error) (spec.RunSummary, error) {
	var exit *exited
	var no *unserved
	switch {
	case errors.Is(err, errEnded):
		w.forget(w.run)
		return w.keep(ctx, "")
	case errors.As(err, &exit) && onPurpose(err):
		return w.state.summary(), &RetryAfter{Err: err}
	case errors.As(err, &exit):
		n := w.fail(w.run, w.further)
		if n >= maxExits {
			return w.finish(ctx, failed(AgentExited, "%d attempts in a row ended without a result: %v", n, err))
		}
		return w.state.summary(), &RetryAfter{Delay: w.opts.Backoff(n), Err: err}
	case errors.As(err, &no):
		delay := w.opts.Backoff(w.fail(w.run, w.further))
		var asks interface{ RetryAfter() time.Duration }
		if errors.As(err, &asks) {
			delay = max(delay, min(asks.RetryAfter(), maxRetryAfter))
		}
		return w.state.summary(), &RetryAfter{Delay: delay, Err: err}
	}
	return w.state.summary(), err
}

// unopened is an attempt that could not begin.
func (w *work) unopened(ctx context.Context, err error) (spec.RunSummary, error) {
	if ctx.Err() != nil {
		return w.state.summary(), ctx.Err()
	}
	if errors.Is(err, ErrUnfit) {
		return w.finish(ctx, failed(HostFailed, "%v", err))
	}
	n := w.fail(w.run, false)
	if n >= maxOpens {
		return w.finish(ctx, failed(HostFailed, "the agent could not be started, %d times in a row: %v", n, err))
	}
	return w.state.summary(), &RetryAfter{Delay: w.opts.Backoff(n), Err: err}
}

// finish records the end of the run.
func (w *work) finish(ctx context.Context, outcome *spec.Outcome) (spec.RunSummary, error) {
	if outcome.Phase == spec.PhaseFailed {
		outcome.Done = w.state.done()
	}
	if outcome.Reason == OutputRejected {
		if err := w.flush(ctx); err != nil { // What a person is told of must be there first.
			return w.ended(ctx, err)
		}
		if err := w.escalate(ctx, outcome); err != nil {
			return w.ended(ctx, &unserved{err})
		}
	}
	err := w.append(ctx, spec.Entry{Type: spec.EntryFinished, Outcome: outcome})
	if errors.Is(err, errEnded) {
		return w.ended(ctx, err)
	}
	if err != nil {
		return w.state.summary(), err
	}
	return w.conclude(ctx, &w.record, true, &Cancellation{})
}
