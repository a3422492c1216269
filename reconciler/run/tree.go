package run

import (
	"context"
	"errors"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// What the limits of a run bound is what it uses together with all runs beneath it. Tokens and costs are counted at every request to a
// model, for the run and for each one above it, so that a tree may exceed a limit by the one request that each of its runs
// has under way. Wall time is counted in the same way where a child ends, and a child may work no longer than its parent could
// when it gave the task. Turns, tool calls and the size of the output are each run's own: how many runs there are is bounded.

// wallTime is how long the agents may work.
func (w *work) wallTime() time.Duration {
	if left := w.state.task.WallTime; left > 0 {
		return min(left, w.agent.Limits.WallTime)
	}
	return w.agent.Limits.WallTime
}

// spentAt is the time in which agents have worked until now, while one works.
func (s *state) spentAt(now time.Time) time.Duration {
	return s.worked + max(now.Sub(s.began), s.last.Sub(s.began))
}

// checkTree counts a request to a model against the limits of the runs that it is counted for.
func (w *work) checkTree(ctx context.Context, q spec.Request) (*spec.Outcome, error) {
	if q.Kind != spec.RequestModel {
		return nil, nil
	}
	if children := w.state.children(); len(children) > 0 {
		sum := w.state.summary()
		if outcome, err := w.overUse(ctx, sum, w.agent); outcome != nil || err != nil {
			return outcome, err
		}
	}
	for p := w.state.task.Parent; p != nil; {
		sum, err := w.log.GetRun(ctx, p.Run)
		if isNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		agent, err := w.opts.Agents.Agent(ctx, sum.Task)
		if errors.Is(err, ErrNoAgent) {
			return endedWith(*p), nil // It will not be taken up again.
		}
		if err != nil {
			return nil, err
		}
		if outcome, err := w.overUse(ctx, sum, agent); outcome != nil || err != nil {
			return outcome, err
		}
		p = sum.Parent
	}
	return nil, nil
}

// overUse is the outcome where a run and those beneath it have used what its agent may.
func (w *work) overUse(ctx context.Context, sum spec.RunSummary, agent *spec.Agent) (*spec.Outcome, error) {
	limits := agent.Limits
	if limits.Tokens == 0 && limits.Cost == 0 {
		return nil, nil
	}
	used, err := w.usedBy(ctx, sum)
	if err != nil {
		return nil, err
	}
	switch tokens := used.Input + used.Output; {
	case limits.Tokens > 0 && tokens >= limits.Tokens:
		return failed(LimitReached, "run %s of Agent/%s and the runs beneath it have used %d tokens, and its limit is %d; if it needs more, raise limits.tokens of Agent/%s",
			sum.Run, sum.Agent, tokens, limits.Tokens, sum.Agent), nil
	case limits.Cost > 0 && used.Cost >= limits.Cost:
		return failed(LimitReached, "run %s of Agent/%s and the runs beneath it have cost %s, and its limit is %v; if it needs more, raise limits.cost of Agent/%s",
			sum.Run, sum.Agent, used.Money(), limits.Cost, sum.Agent), nil
	}
	return nil, nil
}

// usedBy is what a run and all runs beneath it have used. Its own part holds that of the children that have ended.
func (e *Engine) usedBy(ctx context.Context, sum spec.RunSummary) (spec.Usage, error) {
	used := sum.Usage
	for _, child := range sum.Children {
		more, err := e.used(ctx, child.Run)
		if err != nil {
			return used, err
		}
		used = used.Add(more)
	}
	return used, nil
}

func (e *Engine) used(ctx context.Context, run spec.RunID) (spec.Usage, error) {
	sum, err := e.opts.Log.GetRun(ctx, run)
	if isNotFound(err) {
		return spec.Usage{}, nil // It has not begun.
	}
	if err != nil {
		return spec.Usage{}, err
	}
	return e.usedBy(ctx, sum)
}

func isNotFound(err error) bool {
	var n interface{ NotFound() bool }
	return errors.As(err, &n) && n.NotFound()
}
