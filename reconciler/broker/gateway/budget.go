package gateway

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// underWay is what the requests that are under way take of budgets, as it is estimated: each counts once it is answered and in its
// run's record, and those that come at the same time are not to pass together where one would be the last.
type underWay struct {
	mu   sync.Mutex
	used map[string]spec.Usage
}

// budget is one bound of a model's budget.
type budget struct {
	whose, tokensField, costField string
	tokens                        int
	cost                          float64
	// day is "" for the budget of a run, and agent for all but that of an agent.
	day   string
	agent spec.AgentName
}

// afford reports a budget of a model that is used up. The returned function is to be called once the request has an answer or none.
func (q *question) afford(ctx context.Context, m *spec.Model) (done func(), err error) {
	b := m.Spec.Budget
	if b == nil {
		return func() {}, nil
	}
	day := spec.Day(q.gateway.opts.Now())
	estimate := m.Spec.Price.Of(spec.Usage{Input: q.Request.Bytes() / model.BytesPerToken})
	var counted []string
	u := &q.gateway.underWay
	done = func() { u.add(counted, estimate.Negative()) }
	for _, of := range []budget{
		{"run", "tokensPerRun", "costPerRun", b.TokensPerRun, b.CostPerRun, "", ""},
		{"day", "tokensPerDay", "costPerDay", b.TokensPerDay, b.CostPerDay, day, ""},
		{"day of agent " + string(q.Agent.Name), "tokensPerAgentDay", "costPerAgentDay", b.TokensPerAgentDay, b.CostPerAgentDay, day, q.Agent.Name},
	} {
		if of.tokens == 0 && of.cost == 0 {
			continue
		}
		used, err := q.spent(ctx, m, of)
		key := strings.Join([]string{m.Name, of.whose, cmp.Or(of.day, string(q.Run))}, "\x00")
		if err == nil {
			err = u.within(m, of, key, used, estimate)
		}
		if err != nil {
			done()
			return nil, err
		}
		counted = append(counted, key)
	}
	return done, nil
}

// spent is what is known to be used of a budget.
func (q *question) spent(ctx context.Context, m *spec.Model, b budget) (spec.Usage, error) {
	if b.day == "" {
		var ran spec.Usage
		for _, s := range q.Spent {
			if s.Model == m.Name {
				ran = ran.Add(s.Usage)
			}
		}
		return ran, nil
	}
	used, err := q.gateway.opts.Spent(ctx, b.day, m.Name, b.agent)
	if err != nil {
		return used, &model.Error{Reason: model.Unavailable, Err: fmt.Errorf("what it has cost today cannot be known: %w", err)}
	}
	return used, nil
}

// within adds an estimate to what is under way of a budget, or reports that the budget is used up. Of a day it is another one tomorrow,
// and people may raise it: the run is not tried again before. What only those under way use up is there again in a moment, or not.
func (u *underWay) within(m *spec.Model, b budget, key string, used, estimate spec.Usage) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	coming := u.used[key]
	for _, of := range []struct {
		field             string
		is, coming, bound float64
		budget            string
	}{
		{b.tokensField, float64(used.Input + used.Output), float64(coming.Input), float64(b.tokens), fmt.Sprintf("%d tokens", b.tokens)},
		{b.costField, used.Cost, coming.Cost, b.cost, spec.Usage{Cost: b.cost, Currency: m.Spec.Price.Of(spec.Usage{}).Currency}.Money()},
	} {
		switch {
		case of.bound == 0:
		case of.is >= of.bound:
			hint := ", or wait until it is full again"
			if b.day == "" {
				hint = "" // It never is.
			}
			return &model.Error{Reason: model.BudgetExceeded, Err: fmt.Errorf(
				"the budget of the %s is used up, %v of %s: raise spec.budget.%s of Model/%s%s", b.whose, of.is, of.budget, of.field, m.Name, hint)}
		case of.is+of.coming >= of.bound:
			return &model.Error{Reason: model.RateLimited, Err: fmt.Errorf(
				"the budget of the %s may be used up by the requests under way, %v and about %v of %s, as spec.budget.%s allows", b.whose, of.is, of.coming, of.budget, of.field)}
		}
	}
	if u.used == nil {
		u.used = map[string]spec.Usage{}
	}
	u.used[key] = coming.Add(estimate)
	return nil
}

// add adds to what is under way of some budgets.
func (u *underWay) add(keys []string, estimate spec.Usage) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, key := range keys {
		left := u.used[key].Add(estimate)
		if left.Input > 0 {
			u.used[key] = left
		} else {
			delete(u.used, key)
		}
	}
}
