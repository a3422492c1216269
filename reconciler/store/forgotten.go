package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/mainstay-dev/mainstay/spec"
)

const (
	// spentPart begins the keys of the facts that say what forgotten runs have asked of models, one for each day.
	spentPart = "spent"
	// maxSpentDays is for how many days those are kept.
	maxSpentDays = 400
)

// forgottenDay is what forgotten runs have asked of models on a day.
type forgottenDay struct {
	// Spent is the sum over all but the last of them.
	Spent []spentBy `json:"spent,omitempty"`
	// Last is the one that was forgotten last, and what it has spent. While its summary is still there, because a crash came before
	// that was removed, this counts for nothing: the summary does.
	Last      spec.RunID `json:"last"`
	LastSpent []spentBy  `json:"lastSpent"`
}

// spentBy is what an agent has asked of a model.
type spentBy struct {
	Agent spec.AgentName `json:"agent"`
	spec.Spent
}

// addSpent adds to a list, by agent, day, model and currency.
func addSpent(list []spentBy, more ...spentBy) []spentBy {
	for _, m := range more {
		i := slices.IndexFunc(list, func(s spentBy) bool {
			return s.Agent == m.Agent && s.Day == m.Day && s.Model == m.Model && s.Usage.Currency == m.Usage.Currency
		})
		if i < 0 {
			list = append(list, m)
			continue
		}
		list[i].Answers += m.Answers
		list[i].Usage = list[i].Usage.Add(m.Usage)
	}
	slices.SortFunc(list, func(a, b spentBy) int {
		return cmp.Or(cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Day, b.Day), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Usage.Currency, b.Usage.Currency))
	})
	return list
}

// all is what the forgotten runs of a day have spent, but for the last where that one is still there.
func (d forgottenDay) all(there func(spec.RunID) bool) []spentBy {
	if d.Last == "" || there(d.Last) {
		return slices.Clone(d.Spent)
	}
	return addSpent(slices.Clone(d.Spent), d.LastSpent...)
}

func (s *Store) isThere(run spec.RunID) bool { _, ok := s.summaries[run]; return ok }

func (s *Store) forgottenDay(ctx context.Context, day string) (forgottenDay, error) {
	var d forgottenDay
	raw, err := s.Get(ctx, spentPart+"/"+day)
	if errors.Is(err, ErrNotFound) {
		return d, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &d)
	}
	if err != nil {
		return d, fmt.Errorf("read what forgotten runs have cost on %s: %w", day, err)
	}
	return d, nil
}

// keepSpent keeps what a run has spent, before it is forgotten. Done twice it is the same as once: nothing is added up until the run
// is gone. The caller holds s.glance, and all summaries are loaded.
func (s *Store) keepSpent(ctx context.Context, run spec.RunID) error {
	sum, ok := s.summaries[run]
	if !ok {
		return nil
	}
	days := map[string][]spentBy{}
	for _, spent := range sum.Spent {
		days[spent.Day] = append(days[spent.Day], spentBy{sum.Agent, spent})
	}
	for day, spent := range days {
		before, err := s.forgottenDay(ctx, day)
		if err != nil {
			return err
		}
		raw, err := encode(forgottenDay{Spent: before.all(s.isThere), Last: run, LastSpent: spent})
		if err == nil {
			err = s.Put(ctx, spentPart+"/"+day, raw)
		}
		if err != nil {
			return fmt.Errorf("keep what run %s has cost: %w", run, err)
		}
	}
	return nil
}

// loadForgotten counts what forgotten runs have spent, and drops what is too old. The caller holds s.glance.
func (s *Store) loadForgotten(ctx context.Context) error {
	keys, err := s.Keys(ctx, spentPart)
	if err != nil {
		return err
	}
	for len(keys) > maxSpentDays { // They are sorted, and so are the days.
		held, err := s.Held(ctx, keys[0])
		if err == nil {
			err = s.Drop(ctx, held)
		}
		if err != nil {
			return err
		}
		keys = keys[1:]
	}
	var gone []spentBy
	for _, key := range keys {
		d, err := s.forgottenDay(ctx, key[len(spentPart)+1:])
		if err != nil {
			return err
		}
		gone = append(gone, d.all(s.isThere)...)
	}
	s.showing.Lock()
	defer s.showing.Unlock()
	for _, spent := range gone {
		s.add(spent.Agent, spent.Spent, 1)
		s.leave(spent)
	}
	return nil
}
