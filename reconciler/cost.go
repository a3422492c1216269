package reconciler

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// The fields that costs are summed by.
const (
	CostByRun   = "run"
	CostByAgent = "agent"
	CostByModel = "model"
	CostByDay   = "day"
)

// CostFields lists the fields that costs are summed by.
func CostFields() []string { return []string{CostByRun, CostByAgent, CostByModel, CostByDay} }

// CostQuery asks what models have cost. By is one of [CostFields], and Since the first day that counts (see [spec.Day]); "" counts
// all that is known.
type CostQuery struct {
	By, Since string
}

// Cost is a sum of what models have answered.
type Cost struct {
	// Name is that of the run, agent or model, or the day. What runs have cost that are forgotten is summed by run under "".
	Name string `json:"name"`
	// Agent is set in a sum by run.
	Agent   spec.AgentName `json:"agent,omitempty"`
	Answers int            `json:"answers"`
	// Usage has no cost: that is in Costs, sorted by currency.
	Usage spec.Usage `json:"usage"`
	Costs []Money    `json:"costs,omitempty"`
}

// Money is an amount in a currency, an ISO 4217 code.
type Money struct {
	Amount   float64 `json:"amount"`
	Currency string  `json:"currency"`
}

// Query writes a query as that of a URL.
func (q CostQuery) Query() url.Values { return url.Values{"by": {q.By}, "since": {q.Since}} }

// ParseCostQuery reads what Query has written.
func ParseCostQuery(v url.Values) (CostQuery, error) {
	q := CostQuery{By: v.Get("by"), Since: v.Get("since")}
	if !slices.Contains(CostFields(), q.By) {
		return q, fmt.Errorf("costs are not summed by %q; use %s", q.By, strings.Join(CostFields(), ", "))
	}
	if _, err := time.Parse(time.DateOnly, q.Since); q.Since != "" && err != nil {
		return q, fmt.Errorf("since: %w", err)
	}
	return q, nil
}

// StoredCosts sums what the runs in a store have asked of models, forgotten ones too. Runs and days come newest first, agents and
// models by name.
func StoredCosts(ctx context.Context, st *store.Store, q CostQuery) ([]Cost, error) {
	all, err := st.Spendings(ctx)
	if err != nil {
		return nil, fmt.Errorf("sum costs: %w", err)
	}
	return sumCosts(all, q), nil
}

// Costs sums what runs have asked of models until now.
func (r *Reconciler) Costs(ctx context.Context, q CostQuery) ([]Cost, error) {
	return StoredCosts(ctx, r.parts.Store, q)
}

func sumCosts(all []store.Spending, q CostQuery) []Cost {
	// In one order, because a sum of amounts depends on it in its last digits.
	all = slices.SortedFunc(slices.Values(all), func(a, b store.Spending) int {
		return cmp.Or(cmp.Compare(a.Run, b.Run), cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Day, b.Day), cmp.Compare(a.Model, b.Model))
	})
	sums, money := map[string]*Cost{}, map[string]map[string]spec.Usage{}
	for _, s := range all {
		if s.Day < q.Since {
			continue
		}
		name := map[string]string{CostByRun: string(s.Run), CostByAgent: string(s.Agent), CostByModel: s.Model, CostByDay: s.Day}[q.By]
		sum := sums[name]
		if sum == nil {
			sum = &Cost{Name: name}
			if q.By == CostByRun && name != "" {
				sum.Agent = s.Agent
			}
			sums[name], money[name] = sum, map[string]spec.Usage{}
		}
		sum.Answers += s.Answers
		u := s.Usage
		if u.Currency != "" {
			money[name][u.Currency] = money[name][u.Currency].Add(spec.Usage{Cost: u.Cost, Currency: u.Currency})
		}
		u.Cost, u.Currency = 0, ""
		sum.Usage = sum.Usage.Add(u)
	}
	out := []Cost{}
	for name, sum := range sums {
		for _, currency := range slices.Sorted(maps.Keys(money[name])) {
			sum.Costs = append(sum.Costs, Money{money[name][currency].Cost, currency})
		}
		out = append(out, *sum)
	}
	slices.SortFunc(out, func(a, b Cost) int {
		if q.By == CostByRun || q.By == CostByDay {
			a, b = b, a
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return out
}
