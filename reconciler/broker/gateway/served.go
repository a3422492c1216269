package gateway

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// The bounds of what is kept in memory of models and agents.
const (
	maxServed = 1000
	maxAgents = 10_000
)

// served are the models that were asked, as each was declared: one that has changed begins anew.
type served struct {
	mu  sync.Mutex
	all *simplelru.LRU[spec.Digest, *server]
}

// of returns what is kept of a model.
func (s *served) of(m *spec.Model) *server {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.all.Get(m.Digest); ok {
		return known
	}
	made := newServer(m)
	s.all.Add(m.Digest, made)
	return made
}

// server is what is kept of one model between requests. That a model has changed shows in its digest.
type server struct {
	cache   *cache
	breaker circuitbreaker.CircuitBreaker[*stream]
	policy  failsafe.Executor[*stream]
	rate    *rate
	// broke counts the answers in a row that have begun and broke off.
	broke atomic.Int32

	mu     sync.Mutex
	agents *simplelru.LRU[spec.AgentName, *rate]
}

func newServer(m *spec.Model) *server {
	s := &server{cache: newCache(m.Spec.Cache), rate: newRate(m.Spec.Rate, "")}
	s.agents = newLRU[spec.AgentName, *rate](maxAgents)
	s.policy, s.breaker = newPolicy(m)
	return s
}

// ended tells the breaker how an answer that had begun has ended. Its beginning was a success to the breaker, which would therefore
// never count those that break off each time.
func (s *server) ended(m *spec.Model, err error) {
	switch {
	case s.breaker == nil:
	case err == nil:
		s.broke.Store(0)
	case !broken(s.breaker, err):
	case int(s.broke.Add(1)) >= cmp.Or(m.Spec.Breaker.Failures, failures):
		s.breaker.Open()
	default:
		s.breaker.RecordError(err)
	}
}

// maxWait is how long a request waits for its turn at most.
const maxWait = time.Minute

// longestWait is how long a request to a model waits for its turn: not at all where another model is asked instead.
func longestWait(m *spec.Model) time.Duration {
	if slices.ContainsFunc(m.Spec.Fallbacks, func(f spec.Fallback) bool { return asks(f, model.RateLimited) }) {
		return 0
	}
	return maxWait
}

// admit waits until the model may be asked. The returned function is to be called with what the answer took.
func (s *server) admit(ctx context.Context, m *spec.Model, agent spec.AgentName, wait time.Duration, tokens int) (release func(spec.Usage), err error) {
	own, err := s.rate.admit(ctx, wait, tokens)
	if err != nil {
		return nil, err
	}
	its, err := s.rateOf(m, agent).admit(ctx, wait, tokens)
	if err != nil {
		own(spec.Usage{})
		return nil, err
	}
	return func(u spec.Usage) { own(u); its(u) }, nil
}

// maxDebt is for how many minutes at most one answer uses up a rate of tokens.
const maxDebt = 10

// rateOf returns the rate of one agent.
func (s *server) rateOf(m *spec.Model, agent spec.AgentName) *rate {
	if m.Spec.AgentRate == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.agents.Get(agent); ok {
		return known
	}
	made := newRate(m.Spec.AgentRate, agent)
	s.agents.Add(agent, made)
	return made
}

// rate bounds what is asked. A nil rate bounds nothing.
type rate struct {
	spec     spec.Rate
	whose    string
	at       bulkhead.Bulkhead[any]
	requests ratelimiter.RateLimiter[any]
	tokens   ratelimiter.RateLimiter[any]
}

func newRate(r *spec.Rate, agent spec.AgentName) *rate {
	if r == nil {
		return nil
	}
	made := &rate{spec: *r, whose: "spec.rate"}
	if agent != "" {
		made.whose = "spec.agentRate, for agent " + string(agent)
	}
	if r.Concurrent > 0 {
		made.at = bulkhead.New[any](uint(r.Concurrent))
	}
	if r.RequestsPerMinute > 0 {
		made.requests = ratelimiter.NewBursty[any](uint(r.RequestsPerMinute), time.Minute)
	}
	if r.TokensPerMinute > 0 {
		made.tokens = ratelimiter.NewBursty[any](uint(r.TokensPerMinute), time.Minute)
	}
	return made
}

// admit waits until one more request, of so many tokens, is within the rate.
func (r *rate) admit(ctx context.Context, wait time.Duration, tokens int) (release func(spec.Usage), err error) {
	if r == nil {
		return func(spec.Usage) {}, nil
	}
	release = func(spec.Usage) {}
	if r.at != nil {
		if err := r.at.AcquirePermitWithMaxWait(ctx, wait); err != nil {
			return nil, r.full(ctx, "%d requests are under way", r.spec.Concurrent)
		}
		release = func(spec.Usage) { r.at.ReleasePermit() }
	}
	if r.requests != nil {
		if err := r.requests.AcquirePermitWithMaxWait(ctx, wait); err != nil {
			release(spec.Usage{})
			return nil, r.full(ctx, "%d requests were sent in this minute", r.spec.RequestsPerMinute)
		}
	}
	if r.tokens != nil {
		estimate := min(max(tokens, 1), r.spec.TokensPerMinute)
		if err := r.tokens.AcquirePermitsWithMaxWait(ctx, uint(estimate), wait); err != nil {
			release(spec.Usage{})
			return nil, r.full(ctx, "%d tokens are used in this minute", r.spec.TokensPerMinute)
		}
		before := release
		release = func(u spec.Usage) {
			before(u)
			// What was estimated too low is taken from those who come later, as far as a server can be believed.
			if more := min(u.Input+u.Output-estimate, maxDebt*r.spec.TokensPerMinute); more > 0 {
				r.tokens.ReservePermits(uint(more))
			}
		}
	}
	return release, nil
}

func (r *rate) full(ctx context.Context, format string, n int) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &model.Error{Reason: model.RateLimited, Err: fmt.Errorf("it is asked too much: "+format+", as %s allows", n, r.whose)}
}
