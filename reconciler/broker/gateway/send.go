package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// The values of fields of retry, breaker and hedge that are left out, as their comments in package spec say.
const (
	attempts   = 3
	backoff    = time.Second
	maxBackoff = time.Minute
	failures   = 5
	cooldown   = 30 * time.Second
	most       = 2
)

// jitter is how much of a wait is left to chance, either way: who failed together does not come back together.
const jitter = 0.25

// newPolicy makes what a model's spec says of requests that fail or are slow. It guards a request until somebody could see a piece of
// its answer.
func newPolicy(m *spec.Model) (failsafe.Executor[*stream], circuitbreaker.CircuitBreaker[*stream]) {
	var all []failsafe.Policy[*stream]
	if r := m.Spec.Retry; r != nil {
		longest := cmp.Or(time.Duration(r.MaxBackoff), maxBackoff)
		all = append(all, retrypolicy.NewBuilder[*stream]().
			WithMaxAttempts(cmp.Or(r.Attempts, attempts)).
			WithBackoff(min(cmp.Or(time.Duration(r.Backoff), backoff), longest), longest).
			WithJitterFactor(jitter).
			WithDelayFunc(func(e failsafe.ExecutionAttempt[*stream]) time.Duration {
				after := retryAfter(e.LastError())
				if after == 0 {
					return -1 // The next one of the waits that double.
				}
				return time.Duration(float64(after) / (1 - jitter)) // So that it is not sooner than the server asks for.
			}).
			AbortIf(func(_ *stream, err error) bool {
				_, held := errors.AsType[errHeld](err)
				return held || !model.Later(err) || errors.Is(err, circuitbreaker.ErrOpen) || retryAfter(err) > longest
			}).
			ReturnLastFailure().Build())
	}
	var breaker circuitbreaker.CircuitBreaker[*stream]
	if b := m.Spec.Breaker; b != nil {
		breaker = circuitbreaker.NewBuilder[*stream]().
			HandleIf(func(_ *stream, err error) bool { return broken(breaker, err) }).
			WithFailureThreshold(uint(cmp.Or(b.Failures, failures))).
			WithSuccessThreshold(1).
			WithDelay(cmp.Or(time.Duration(b.Cooldown), cooldown)).Build()
		all = append(all, breaker)
	}
	if h := m.Spec.Hedge; h != nil {
		all = append(all, hedgepolicy.NewBuilderWithDelay[*stream](time.Duration(h.After)).
			WithMaxHedges(cmp.Or(h.Most, most)-1).
			CancelIf(func(_ *stream, err error) bool {
				_, last := errors.AsType[errLast](err)
				return err == nil || last || !model.Later(err)
			}).Build())
	}
	if len(all) == 0 {
		return nil, nil
	}
	return failsafe.With(all...), breaker
}

// broken says whether an error speaks against the server. Somebody who leaves, or whose turn it is not yet, says nothing about it, but
// does not close a breaker that was about to find out.
func broken(breaker circuitbreaker.CircuitBreaker[*stream], err error) bool {
	switch model.ReasonOf(err) {
	case model.Unavailable, model.TimedOut, model.OutOfMemory:
		return err != nil
	}
	_, held := errors.AsType[errHeld](err)
	return (held || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) && breaker.IsHalfOpen()
}

// errHeld marks the error of a request that was not sent, because its model's rates do not let it.
type errHeld struct{ error }

func (e errHeld) Unwrap() error { return e.error }

// errLast marks the error of a request beside which none is under way any more: one that has failed is not slow, and what follows need
// not wait until it would be.
type errLast struct{ error }

func (e errLast) Unwrap() error { return e.error }

func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*model.Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// send asks a model as often as its spec says, until there is an answer or somebody sees the beginning of one, and gives that on.
func (q *question) send(ctx context.Context, m *spec.Model, s *server) (model.Answer, error) {
	t := &tries{question: q, model: m, server: s}
	first, err := t.first(ctx)
	t.leave(first)
	if ctx.Err() != nil {
		return model.Answer{}, ctx.Err()
	}
	if errors.Is(err, circuitbreaker.ErrOpen) {
		wait, how := s.breaker.RemainingDelay(), "until another request has shown that it works again"
		if wait > 0 {
			how = "for " + wait.Round(time.Millisecond).String()
		}
		err = &model.AskError{Model: m.Name, Err: &model.Error{Reason: model.Unavailable, RetryAfter: wait,
			Err: fmt.Errorf("it is left alone %s, because it failed %d times in a row", how, cmp.Or(m.Spec.Breaker.Failures, failures))}}
		q.attempt(m, err)
	}
	if err != nil {
		return model.Answer{}, err
	}
	answer, err := first.rest(q.delta)
	s.ended(m, err)
	if err == nil {
		return answer, nil
	}
	q.attemptOf(first, err)
	return model.Answer{}, errBegun{err}
}

// tries are the requests that one question has become.
type tries struct {
	*question
	model  *spec.Model
	server *server

	mu      sync.Mutex
	streams []*stream
	asking  int // those that wait for their turn among them
	left    bool
	failed  error // the last one of a request that was sent
}

// first returns the stream that has begun to answer.
func (t *tries) first(ctx context.Context) (*stream, error) {
	if t.server.policy == nil {
		return t.try(ctx, nil, false)
	}
	return t.server.policy.WithContext(ctx).GetWithExecution(func(e failsafe.Execution[*stream]) (*stream, error) {
		t.mu.Lock()
		t.asking++
		t.mu.Unlock()
		s, err := t.try(ctx, e.Canceled(), e.IsHedge())
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.asking--; err != nil && t.asking == 0 {
			err = errLast{err}
		}
		return s, err
	})
}

// errUnneeded is that of a request that was not sent a second time.
var errUnneeded = &model.Error{Reason: model.TimedOut, Err: errors.New("the request under way is waited for")}

// try sends the request once, as soon as the model's rates let it. A second one beside it is not sent where the first has begun to
// answer, and does not wait for its turn. The stream outlives the policies: ctx is that of the question.
func (t *tries) try(ctx context.Context, given <-chan struct{}, hedge bool) (*stream, error) {
	wait := longestWait(t.model)
	if hedge {
		wait = 0
		if t.underWay() {
			return nil, t.unneeded()
		}
	}
	release, err := t.server.admit(ctx, t.model, t.Agent.Name, wait, t.Request.Bytes()/model.BytesPerToken)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && hedge:
		return nil, t.unneeded()
	case err != nil:
		err = &model.AskError{Model: t.model.Name, Err: err}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.attempt(t.model, err)
		return nil, errHeld{err}
	}
	s := open(ctx, t.gateway.opts.Chat, t.model, t.Request, release)
	t.mu.Lock()
	t.streams = append(t.streams, s)
	left := t.left
	t.mu.Unlock()
	if left {
		s.close()
	}
	err = s.begin(given, t.delta != nil)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil && ctx.Err() == nil && !t.left && !errors.Is(err, errGivenUp) {
		t.failed = err
		t.attemptOf(s, err)
	}
	return s, err
}

// underWay reports whether an answer has begun to come.
func (t *tries) underWay() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.streams, func(s *stream) bool { return s.begun.Load() && !s.over.Load() })
}

// unneeded is the error of a request that is not sent: whoever hears of it last hears what has become of the others.
func (t *tries) unneeded() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed != nil {
		return t.failed
	}
	return errUnneeded
}

// leave ends all requests but one, those that are still to come too.
func (t *tries) leave(but *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left = true
	for _, s := range t.streams {
		if s != but {
			s.close()
			if !s.noted && but != nil {
				t.attemptOf(s, &model.Error{Reason: slower, Err: errGivenUp})
			}
		}
	}
}

// slower is why a request was left of which another one was faster.
const slower model.Reason = "slower"
