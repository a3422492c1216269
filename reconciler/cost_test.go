package reconciler

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

func TestCostsAreSummedByCurrency(t *testing.T) {
	spent := func(run spec.RunID, agent spec.AgentName, day, model string, u spec.Usage) store.Spending {
		return store.Spending{Run: run, Agent: agent, Spent: spec.Spent{Day: day, Model: model, Answers: 1, Usage: u}}
	}
	usd, eur := spec.Usage{Input: 10, Output: 2, Cached: 4, Cost: 0.1, Currency: "USD"}, spec.Usage{Input: 1, Output: 1, Reasoning: 1, Cost: 0.2, Currency: "EUR"}
	local := spec.Usage{Input: 5, Output: 5, Busy: time.Second}
	all := []store.Spending{
		spent("r2", "b", "2026-11-28", "cloud", usd), spent("r1", "a", "2026-11-27", "cloud", usd), spent("r1", "a", "2026-11-28", "euro", eur),
		spent("r1", "a", "2026-11-28", "local", local), spent("", "a", "2026-11-20", "cloud", usd),
	}
	sum := func(name string, agent spec.AgentName, answers int, u spec.Usage, costs ...Money) Cost {
		return Cost{Name: name, Agent: agent, Answers: answers, Usage: u, Costs: costs}
	}
	u := func(input, output, cached, reasoning int, busy time.Duration) spec.Usage {
		return spec.Usage{Input: input, Output: output, Cached: cached, Reasoning: reasoning, Busy: busy}
	}
	for _, test := range []struct {
		query CostQuery
		want  []Cost
	}{
		{CostQuery{By: CostByRun}, []Cost{
			sum("r2", "b", 1, u(10, 2, 4, 0, 0), Money{0.1, "USD"}),
			sum("r1", "a", 3, u(16, 8, 4, 1, time.Second), Money{0.2, "EUR"}, Money{0.1, "USD"}),
			sum("", "", 1, u(10, 2, 4, 0, 0), Money{0.1, "USD"}),
		}},
		{CostQuery{By: CostByAgent, Since: "2026-11-27"}, []Cost{
			sum("a", "", 3, u(16, 8, 4, 1, time.Second), Money{0.2, "EUR"}, Money{0.1, "USD"}),
			sum("b", "", 1, u(10, 2, 4, 0, 0), Money{0.1, "USD"}),
		}},
		{CostQuery{By: CostByModel}, []Cost{
			sum("cloud", "", 3, u(30, 6, 12, 0, 0), Money{0.3, "USD"}),
			sum("euro", "", 1, u(1, 1, 0, 1, 0), Money{0.2, "EUR"}),
			sum("local", "", 1, u(5, 5, 0, 0, time.Second)),
		}},
		{CostQuery{By: CostByDay, Since: "2026-11-28"}, []Cost{
			sum("2026-11-28", "", 3, u(16, 8, 4, 1, time.Second), Money{0.2, "EUR"}, Money{0.1, "USD"}),
		}},
	} {
		if diff := cmp.Diff(test.want, sumCosts(all, test.query)); diff != "" {
			t.Errorf("%+v: %s", test.query, diff)
		}
		if read, err := ParseCostQuery(test.query.Query()); err != nil || read != test.query {
			t.Errorf("%+v, %v", read, err)
		}
	}
	for _, bad := range []CostQuery{{By: "moon"}, {By: CostByDay, Since: "yesterday"}, {}} {
		if _, err := ParseCostQuery(bad.Query()); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
