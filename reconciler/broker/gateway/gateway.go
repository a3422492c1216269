// Package gateway decides which model answers a request, and asks it. A model's spec says all of it: routes and splits
// choose, a cache may answer, budgets and rates refuse or hold back, a request is sent again or twice, and fallbacks are asked in the
// end. What was decided goes into the run's record with the answer.
//
// Once somebody has seen a piece of an answer the choice is made: nothing else is asked, for a person has read it. Package model sends
// one request; package run asks again later where there is no answer.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// Options are what [New] needs. All fields are required, but for Spent.
type Options struct {
	// Chat asks one model once, as [model.Providers.Chat] does.
	Chat func(ctx context.Context, m *spec.Model, request model.Request, delta func(string)) (model.Answer, error)
	// Spent returns what a model has answered on a day, to one agent or with "" to all. Nil knows of nothing.
	Spent func(ctx context.Context, day, model string, agent spec.AgentName) (spec.Usage, error)
	// Now is the clock of days and of what the caches keep.
	Now func() time.Time
}

// Gateway asks models. It is safe for concurrent use.
type Gateway struct {
	opts     Options
	served   served
	underWay underWay
}

// New returns a Gateway.
func New(opts Options) *Gateway {
	if opts.Spent == nil {
		opts.Spent = func(context.Context, string, string, spec.AgentName) (spec.Usage, error) { return spec.Usage{}, nil }
	}
	return &Gateway{opts: opts, served: served{all: newLRU[spec.Digest, *server](maxServed)}}
}

// newLRU returns a map that forgets what was not used for longest once it has so many entries, at least one.
func newLRU[K comparable, V any](most int) *simplelru.LRU[K, V] {
	m, err := simplelru.NewLRU[K, V](most, nil)
	if err != nil {
		panic(err) // The size is wrong, which is a constant.
	}
	return m
}

// Asking is a request of a run.
type Asking struct {
	Run spec.RunID
	// Agent asks, and Task is what it was told to do.
	Agent *spec.Agent
	Task  string
	// Turn counts the run's requests to models, from 1.
	Turn int
	// Spent is what the run has asked of models before.
	Spent   []spec.Spent
	Request model.Request
}

// errBegun marks the failure of an answer whose beginning somebody has seen.
type errBegun struct{ error }

func (e errBegun) Unwrap() error { return e.error }

// Ask has the request answered by m or by those that its spec names. The decision says by whom; it is there where nobody answers,
// too. The error is that of the model that was asked first and goes on to tell of the others; it wraps a [model.Error], whose reason says
// whether a later try may help, or is the context's. Pieces of the text go to delta as they come, if it is not nil.
func (g *Gateway) Ask(ctx context.Context, m *spec.Model, a Asking, delta func(string)) (model.Answer, *spec.ModelDecision, error) {
	q := &question{Asking: a, gateway: g, delta: delta, asked: map[string]bool{}, decision: &spec.ModelDecision{Model: m.Name}}
	answer, err := q.ask(ctx, m, "")
	if ctx.Err() != nil && err != nil {
		err = ctx.Err()
	}
	return answer, q.decision, err
}

// question is a request on its way.
type question struct {
	Asking
	gateway  *Gateway
	delta    func(string)
	asked    map[string]bool
	decision *spec.ModelDecision
}

// ask asks a model, or who answers in its place, and its fallbacks where there is no answer. why says why it is this one.
func (q *question) ask(ctx context.Context, m *spec.Model, why string) (model.Answer, error) {
	m, why = q.choose(m, why)
	if q.asked[m.Name] {
		return model.Answer{}, nil
	}
	q.asked[m.Name] = true
	q.decision.Model, q.decision.Why = m.Name, why
	answer, err := q.one(ctx, m)
	if _, begun := errors.AsType[errBegun](err); err == nil || begun || ctx.Err() != nil {
		return answer, err
	}
	reason := model.ReasonOf(err)
	for _, f := range m.Spec.Fallbacks {
		other := m.Other(f.Model)
		if other == nil || !asks(f, reason) {
			continue
		}
		before := len(q.asked)
		answer, its := q.ask(ctx, other, "fallback after "+string(reason))
		switch _, begun := errors.AsType[errBegun](its); {
		case len(q.asked) == before:
			continue // It was asked already.
		case its == nil || begun || ctx.Err() != nil:
			return answer, its
		}
		err = both(m, err, its)
	}
	return model.Answer{}, err
}

// asks says whether a fallback is asked in a case.
func asks(f spec.Fallback, reason model.Reason) bool {
	return len(f.On) == 0 || slices.Contains(f.On, reason.Case())
}

// both is the error of a model that failed, and of one that was asked instead. It may be mended later where one of them may.
func both(m *spec.Model, first, second error) error {
	of := &model.Error{Reason: model.ReasonOf(first)}
	if e, ok := errors.AsType[*model.Error](first); ok {
		of.RetryAfter = e.RetryAfter
	}
	if e, ok := errors.AsType[*model.Error](second); ok && model.Later(second) && (!model.Later(first) || e.RetryAfter < of.RetryAfter) {
		of.Reason, of.RetryAfter = e.Reason, e.RetryAfter
	}
	why := first
	if inner, ok := errors.AsType[*model.AskError](first); ok {
		why = inner.Err
	}
	of.Err = fmt.Errorf("%w; asked instead: %w", why, second)
	return &model.AskError{Model: m.Name, Err: of}
}

// one has a model answer, from its cache or by asking it.
func (q *question) one(ctx context.Context, m *spec.Model) (model.Answer, error) {
	s := q.gateway.served.of(m)
	key, cached := s.cache.key(q.Run, q.Agent.Name, q.Request)
	if cached {
		if said, ok := s.cache.get(key, q.gateway.opts.Now()); ok {
			q.decision.Why = strings.TrimPrefix(q.decision.Why+", cached", ", ")
			if said.Text != "" && q.delta != nil {
				q.delta(said.Text)
			}
			return model.Answer{ModelAnswer: said}, nil
		}
	}
	answer, err := q.within(ctx, m, s)
	if err != nil {
		return model.Answer{}, err
	}
	q.decision.Repaired, q.decision.Compacted = answer.Repaired, answer.Compacted
	if cached && answer.Finish != plugins.FinishLength {
		s.cache.put(key, answer.ModelAnswer, q.gateway.opts.Now())
	}
	return answer, nil
}

// within asks a model within its budgets and rates, as often as it says.
func (q *question) within(ctx context.Context, m *spec.Model, s *server) (model.Answer, error) {
	done, err := q.afford(ctx, m)
	switch {
	case ctx.Err() != nil:
		return model.Answer{}, ctx.Err()
	case err != nil:
		q.attempt(m, err)
		return model.Answer{}, &model.AskError{Model: m.Name, Err: err}
	}
	defer done()
	return q.send(ctx, m, s)
}

// attemptOf notes a try that gave no answer, and what it took.
func (q *question) attemptOf(s *stream, err error) {
	s.noted = true
	q.attempt(s.model, err)
	if used, estimated := s.took(); used != (spec.Usage{}) {
		tried := &q.decision.Attempts[len(q.decision.Attempts)-1]
		used = s.model.Spec.Price.Of(used)
		tried.Usage, tried.Estimated = &used, estimated
	}
}

// attempt notes a try that gave no answer.
func (q *question) attempt(m *spec.Model, err error) {
	if inner, ok := errors.AsType[*model.AskError](err); ok {
		err = inner.Err
	}
	q.decision.Attempts = append(q.decision.Attempts, spec.ModelAttempt{Model: m.Name, Reason: string(model.ReasonOf(err)), Error: err.Error()})
}
