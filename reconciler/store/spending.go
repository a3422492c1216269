package store

import (
	"context"

	"github.com/mainstay-dev/mainstay/spec"
)

// spending is what all runs together have asked of models. It follows the summaries: what it costs to keep follows the one that
// has changed. Store.showing guards it.
type spending struct {
	sums map[spendingOf]spec.Usage
	// counted is how much of each run is in the sums, and gone what forgotten runs have spent.
	counted map[spec.RunID]countedRun
	gone    map[goneOf]spec.Spent
}

// goneOf is what a sum over forgotten runs is of. Sums of two currencies are two.
type goneOf struct {
	agent                spec.AgentName
	day, model, currency string
}

type spendingOf struct {
	day, model string
	agent      spec.AgentName // "" is all of them
}

type countedRun struct {
	entries int
	agent   spec.AgentName
	spent   []spec.Spent
	// forgotten says that it is in gone.
	forgotten bool
}

func newSpending() spending {
	return spending{sums: map[spendingOf]spec.Usage{}, counted: map[spec.RunID]countedRun{}, gone: map[goneOf]spec.Spent{}}
}

// spend counts a run's summary in place of the one before, unless that one is derived from more of the record.
func (s *spending) spend(sum spec.RunSummary) {
	before := s.counted[sum.Run]
	if before.forgotten || before.entries > sum.Entries || len(before.spent)+len(sum.Spent) == 0 {
		return
	}
	for _, spent := range before.spent {
		s.add(sum.Agent, spent, -1)
	}
	for _, spent := range sum.Spent {
		s.add(sum.Agent, spent, 1)
	}
	s.counted[sum.Run] = countedRun{entries: sum.Entries, agent: sum.Agent, spent: sum.Spent}
}

// forgot goes on to count a run that has been forgotten.
func (s *spending) forgot(run spec.RunID) {
	was, ok := s.counted[run]
	if !ok || was.forgotten {
		return
	}
	for _, spent := range was.spent {
		s.leave(spentBy{was.agent, spent})
	}
	s.counted[run] = countedRun{forgotten: true}
}

// leave adds what forgotten runs have spent.
func (s *spending) leave(by spentBy) {
	key := goneOf{by.Agent, by.Day, by.Model, by.Usage.Currency}
	if sum, ok := s.gone[key]; ok {
		by.Answers += sum.Answers
		by.Usage = sum.Usage.Add(by.Usage)
	}
	s.gone[key] = by.Spent
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
// that is "". Runs that have been forgotten are in it, for 400 days.
func (s *Store) Spent(ctx context.Context, day, model string, agent spec.AgentName) (spec.Usage, error) {
	if err := s.loadSpending(ctx); err != nil {
		return spec.Usage{}, err
	}
	s.showing.Lock()
	defer s.showing.Unlock()
	return s.sums[spendingOf{day, model, agent}], nil
}

func (s *Store) loadSpending(ctx context.Context) error {
	s.glance.Lock()
	defer s.glance.Unlock()
	return s.loadRuns(ctx)
}

// Spending is what a run of an agent has asked of one model on one day, or with Run "" what all runs of it have that are forgotten.
type Spending struct {
	Run   spec.RunID
	Agent spec.AgentName
	spec.Spent
}

// Spendings returns what all runs have asked of models, in no particular order.
func (s *Store) Spendings(ctx context.Context) ([]Spending, error) {
	if err := s.loadSpending(ctx); err != nil {
		return nil, err
	}
	s.showing.Lock()
	defer s.showing.Unlock()
	var all []Spending
	for of, spent := range s.gone {
		all = append(all, Spending{"", of.agent, spent})
	}
	for run, c := range s.counted {
		for _, spent := range c.spent {
			all = append(all, Spending{run, c.agent, spent})
		}
	}
	return all, nil
}
