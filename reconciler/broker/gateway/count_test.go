package gateway_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// TestARateCountsEachTry checks that what is sent again counts again, and is not sent sooner than the rate lets it.
func TestARateCountsEachTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		off := fails(model.Unavailable, time.Millisecond)
		p := &peers{tries: map[string][]try{"a": {off, off, off, says("yes")}}}
		began := time.Now()
		_, _, err := p.gateway(nil).Ask(t.Context(), declared(t, map[string]spec.ModelSpec{
			"a": {Rate: &spec.Rate{RequestsPerMinute: 2}, Retry: &spec.Retry{Attempts: 4}},
		})["a"], asking("r"), nil)
		if took := time.Since(began); err != nil || took.Round(time.Second) != time.Minute {
			t.Errorf("four requests at two a minute took %s: %v", took, err)
		}
	})
}

// TestAWaitThatIsTooLongIsNotRepeated checks that a request which its rate does not let through is not tried again in vain, and closes
// no breaker.
func TestAWaitThatIsTooLongIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peers{tries: map[string][]try{"a": {{silent: time.Hour, pieces: []string{"late"}}}, "b": {says("instead")}}}
		g, m := p.gateway(nil), declared(t, map[string]spec.ModelSpec{
			"a": {Rate: &spec.Rate{Concurrent: 1}, Retry: &spec.Retry{}, Breaker: &spec.Breaker{}, Fallbacks: []spec.Fallback{{Model: "b"}}}, "b": {},
		})["a"]
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, _, err := g.Ask(t.Context(), m, asking("r"), nil); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		began := time.Now()
		_, d, err := g.Ask(t.Context(), m, asking("r"), nil)
		if err != nil || d.Model != "b" || len(d.Attempts) != 1 || time.Since(began) != 0 {
			t.Errorf("after %s: %+v: %v", time.Since(began), d, err)
		}
		wg.Wait()
	})
}

// TestTheLastOfABudgetIsForOne checks that of requests at the same time not more pass than one beyond the budget.
func TestTheLastOfABudgetIsForOne(t *testing.T) {
	for name, budget := range map[string]spec.Budget{"tokens": {TokensPerDay: 1000}, "money": {CostPerDay: 1000}, "tokens of the agent": {TokensPerAgentDay: 1000}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				used := spec.Usage{Input: 900, Cost: 900}
				p := &peers{tries: map[string][]try{"a": {{silent: time.Minute, pieces: []string{"yes"}}}}}
				g := p.gateway(func(context.Context, string, string, spec.AgentName) (spec.Usage, error) { return used, nil })
				m := declared(t, map[string]spec.ModelSpec{"a": {Budget: &budget, Price: &spec.Price{Input: 1e6}}})["a"]
				var wg sync.WaitGroup
				ask := func() error { _, _, err := g.Ask(t.Context(), m, asking("r"), nil); return err }
				wg.Go(func() {
					if err := ask(); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
				if err := ask(); !model.Later(err) || !strings.Contains(err.Error(), "may be used up by the requests under way, 900 and about 105 of 1000") {
					t.Errorf("beside the last one: %v", err)
				}
				wg.Wait()
				if err := ask(); err != nil { // It took less than it might have.
					t.Error(err)
				}
				used.Input, used.Cost = 1000, 1000
				if err := ask(); model.ReasonOf(err) != model.BudgetExceeded {
					t.Error(err)
				}
			})
		})
	}
}
