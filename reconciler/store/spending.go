package store

import (
	"context"

	"github.com/mainstay-dev/mainstay/spec"
)

// spending is what all runs together have asked of models. It follows the summaries: what it costs to keep follows the one that
// has changed. Store.showing guards it.
type spending struct {
	sums map[spendingOf]spec.Usage
	// counted is how much of each run is in the sums.
	counted map[spec.RunID]countedRun
}

type spendingOf struct {
	day, model string
	agent      spec.AgentName // "" is all of them
}

type countedRun struct {
	entries int
	spent   []spec.Spent
}

func newSpending() spending {
	return spending{map[spendingOf]spec.Usage{}, map[spec.RunID]countedRun{}}
}

// spend counts a run's summary in place of the one before, unless that one is derived from more of the record.
func (s *spending) spend(sum spec.RunSummary) {
	before := s.counted[sum.Run]
	if before.entries > sum.Entries || len(before.spent)+len(sum.Spent) == 0 {
		return
	}
	for _, spent := range before.spent {
		s.add(sum.Agent, spent, -1)
	}
	for _, spent := range sum.Spent {
		s.add(sum.Agent, spent, 1)
	}
	s.counted[sum.Run] = countedRun{sum.Entries, sum.Spent}
}

func (s *spending) add(agent spec.AgentName, spent spec.Spent, sign int) {
	u := spent.Usage
	if sign < 0 {
		u = u.Negative()
	}
	for _, of := range []spec.AgentName{"", agent} {
		key := spendingOf{spent.Day, spent.Model, of}
		s.sums[key] = s.sums[key].Add(u)
	}
}

// Spent returns what a model has answered on a day (see [spec.Day]) to the runs of an agent, or to those of all agents where
// that is "". Runs that have been forgotten are in it until the store is closed.
func (s *Store) Spent(ctx context.Context, day, model string, agent spec.AgentName) (spec.Usage, error) {
	s.glance.Lock()
	err := s.loadRuns(ctx)
	s.glance.Unlock()
	if err != nil {
		return spec.Usage{}, err
	}
	s.showing.Lock()
	defer s.showing.Unlock()
	return s.sums[spendingOf{day, model, agent}], nil
}
