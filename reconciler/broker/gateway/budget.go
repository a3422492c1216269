package gateway

import (
	"context"
	"fmt"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// affordable reports a budget of a model that is used up.
func (q *question) affordable(ctx context.Context, m *spec.Model) error {
	b := m.Spec.Budget
	if b == nil {
		return nil
	}
	var ran spec.Usage
	for _, s := range q.Spent {
		if s.Model == m.Name {
			ran = ran.Add(s.Usage)
		}
	}
	if err := within(m, "run", b.TokensPerRun, b.CostPerRun, "tokensPerRun", "costPerRun", ran); err != nil {
		return err
	}
	day := spec.Day(q.gateway.opts.Now())
	for _, of := range []struct {
		whose, tokensField, costField string
		tokens                        int
		cost                          float64
		agent                         spec.AgentName
	}{
		{"day", "tokensPerDay", "costPerDay", b.TokensPerDay, b.CostPerDay, ""},
		{"day of agent " + string(q.Agent.Name), "tokensPerAgentDay", "costPerAgentDay", b.TokensPerAgentDay, b.CostPerAgentDay, q.Agent.Name},
	} {
		if of.tokens == 0 && of.cost == 0 {
			continue
		}
		used, err := q.gateway.opts.Spent(ctx, day, m.Name, of.agent)
		if err != nil {
			return &model.Error{Reason: model.Unavailable, Err: fmt.Errorf("what it has cost today cannot be known: %w", err)}
		}
		if err := within(m, of.whose, of.tokens, of.cost, of.tokensField, of.costField, used); err != nil {
			return err
		}
	}
	return nil
}

// within reports a budget that is used up. Of a day it is another one tomorrow, and people may raise it: the run is not tried again
// before.
func within(m *spec.Model, whose string, tokens int, cost float64, tokensField, costField string, used spec.Usage) error {
	over := func(field, budget, is string) error {
		return &model.Error{Reason: model.BudgetExceeded, Err: fmt.Errorf(
			"the budget of the %s is used up, %s of %s: raise spec.budget.%s of Model/%s, or wait until it is full again", whose, is, budget, field, m.Name)}
	}
	if n := used.Input + used.Output; tokens > 0 && n >= tokens {
		return over(tokensField, fmt.Sprintf("%d tokens", tokens), fmt.Sprint(n))
	}
	if cost > 0 && used.Cost >= cost {
		budget := spec.Usage{Cost: cost, Currency: m.Spec.Price.Of(spec.Usage{}).Currency}
		return over(costField, budget.Money(), fmt.Sprint(used.Cost))
	}
	return nil
}
