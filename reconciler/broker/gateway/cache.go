package gateway

import (
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// The bounds of a model's cache.
const (
	maxAnswers = 1000
	// maxAnswer is the largest answer that is kept, in bytes.
	maxAnswer = 64 << 10
)

// cache keeps the answers of one model in memory. A nil cache keeps none.
type cache struct {
	scope string
	ttl   time.Duration

	mu      sync.Mutex
	answers *simplelru.LRU[question256, kept]
}

// question256 is the SHA-256 of a request and of those who share its answer.
type question256 [sha256.Size]byte

type kept struct {
	answer plugins.ModelAnswer
	until  time.Time
}

func newCache(c *spec.AnswerCache) *cache {
	if c == nil {
		return nil
	}
	return &cache{scope: c.Scope, ttl: time.Duration(c.TTL), answers: newLRU[question256, kept](maxAnswers)}
}

// key returns the name of a request, and false where its answer is not kept.
func (c *cache) key(run spec.RunID, agent spec.AgentName, request model.Request) (question256, bool) {
	if c == nil {
		return question256{}, false
	}
	whose := "agent " + string(agent)
	switch c.scope {
	case "fleet":
		whose = "fleet"
	case "run":
		whose = "run " + string(run)
	}
	raw, err := plugins.Canonical([]any{whose, request})
	if err != nil {
		return question256{}, false
	}
	return sha256.Sum256(raw), true
}

// clone returns an answer whose calls may be changed.
func clone(a plugins.ModelAnswer) plugins.ModelAnswer {
	a.Calls = slices.Clone(a.Calls)
	return a
}

func (c *cache) get(key question256, now time.Time) (plugins.ModelAnswer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.answers.Get(key)
	if !ok || !now.Before(k.until) {
		return plugins.ModelAnswer{}, false
	}
	return clone(k.answer), true
}

func (c *cache) put(key question256, answer plugins.ModelAnswer, now time.Time) {
	size := len(answer.Text)
	for _, call := range answer.Calls {
		size += len(call.Name) + len(call.Arguments)
	}
	if size > maxAnswer {
		return
	}
	answer = clone(answer)
	answer.Usage = plugins.Usage{} // It costs nothing the next time.
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers.Add(key, kept{answer, now.Add(c.ttl)})
}
