package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// childTask makes the task that another agent gets. Its run's id is derived from the exchange, so that a crash at any point
// makes no second one. An answer means that the agent cannot be given a task.
func (w *work) childTask(ctx context.Context, call Call, d spec.Delegation) (*spec.Task, *spec.Answer, error) {
	above := call.Task
	task := &spec.Task{
		Run: DerivedID(call.At, string(above.Run), strconv.Itoa(call.N)), Agent: d.Agent, Text: d.Text, Revision: above.Revision,
		At: call.At, Parent: &spec.Parent{Run: above.Run, Agent: above.Agent, Exchange: call.N}, Depth: above.Depth + 1, Review: d.Review,
	}
	agent, err := w.opts.Agents.Agent(ctx, *task)
	switch {
	case errors.Is(err, ErrNoAgent):
		return nil, &spec.Answer{Error: fmt.Sprintf("agent %q cannot be given a task: %v", d.Agent, err)}, nil
	case err != nil:
		return nil, nil, err
	}
	task.Digest = agent.Digest
	return task, nil, nil
}

// mayDelegate says why another agent cannot be given a task, or "".
func (w *work) mayDelegate() string {
	given, open := 0, len(w.state.children())
	for _, x := range w.state.exchanges {
		if x.child != nil {
			given++
		}
	}
	switch {
	case w.state.task.Depth >= MaxDepth:
		return fmt.Sprintf("a task is handed on %d times at most, and this one was: do it without another agent", MaxDepth)
	case given >= MaxDelegations:
		return fmt.Sprintf("this run has given %d tasks to other agents, the most that it may: go on with what they have said", given)
	case open >= MaxChildren:
		return fmt.Sprintf("other agents work on %d tasks of this run, the most at once: wait for an answer of one first", open)
	}
	return ""
}

// delegate records that an exchange has become another agent's task, and then starts its run.
func (w *work) delegate(ctx context.Context, x *exchange, task spec.Task, rule string) error {
	refused := &spec.Answer{Error: w.mayDelegate()}
	if refused.Error == "" {
		// What is left now bounds the child for good. The agent itself goes on, and what the child uses counts for both.
		task.Sources = w.state.read
		task.WallTime = max(w.wallTime()-w.state.spentAt(w.opts.Now()), time.Millisecond)
		if err := w.append(ctx, spec.Entry{Type: spec.EntryDelegated, N: x.n, Child: &task, Rule: rule}); err != nil {
			return err
		}
		w.further = true
		w.observe(Event{Type: Delegated, Task: w.state.task, N: x.n, Request: &x.request, Child: x.child})
		w.listen(x)
		// The summary comes first: by it those who count what a tree uses find the child.
		if _, err := w.keep(ctx, spec.PhaseRunning); err != nil {
			return err
		}
		var err error
		if refused, err = w.opts.Children.Start(ctx, task); refused == nil || err != nil {
			return err
		}
	}
	if err := w.answered(ctx, x, *refused); err != nil {
		return err
	}
	_, err := w.keep(ctx, spec.PhaseRunning)
	return err
}

// lookAround looks at the runs above and beneath before the run is worked on. A run whose parent has ended ends too. A child
// that never came to be is started, and one that has ended is answered with.
func (w *work) lookAround(ctx context.Context) (*spec.Outcome, error) {
	if p := w.state.task.Parent; p != nil {
		above, _, err := w.log.Record(ctx, p.Run)
		if err != nil {
			return nil, err
		}
		// Where it has no record, somebody is still bringing it here.
		if n := len(above); n > 0 && above[n-1].Outcome != nil {
			return endedWith(*p), nil
		}
	}
	for _, x := range w.state.exchanges {
		if x.child == nil || x.answer != nil {
			continue
		}
		entries, _, err := w.log.Record(ctx, x.child.Run)
		if err != nil {
			return nil, err
		}
		var answer *spec.Answer
		if len(entries) <= 1 { // Its task alone may not have been queued.
			answer, err = w.opts.Children.Start(ctx, *x.child)
		} else if st, _ := fold(entries); st.outcome != nil {
			answer, err = w.childAnswer(ctx, x, st)
		}
		if err == nil && answer != nil {
			err = w.answered(ctx, x, *answer)
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// afterEnd does what follows from a run's end: what its children still do is for nobody, and its parent has its answer. All of
// it may be done again. Which runs that ends is noted in c.
func (e *Engine) afterEnd(ctx context.Context, st *state, c *Cancellation) error {
	for _, child := range st.children() {
		var below Cancellation
		outcome := endedWith(spec.Parent{Run: st.task.Run, Agent: st.task.Agent})
		if err := e.end(ctx, child.Run, outcome, &below); err != nil && !errors.Is(err, ErrNoRecord) {
			return fmt.Errorf("cancel run %s: %w", child.Run, err)
		}
		if below.News {
			c.Beneath = append(append(c.Beneath, child), below.Beneath...)
			c.Open = append(c.Open, below.Open...)
		}
	}
	p := st.task.Parent
	if p == nil || e.opts.Children == nil {
		return nil
	}
	above, _, err := e.opts.Log.Record(ctx, p.Run)
	if err != nil {
		return err
	}
	asked, _ := fold(above)
	x := asked.exchange(p.Exchange)
	if x == nil || asked.outcome != nil || x.child == nil || x.child.Run != st.task.Run {
		return nil // Nobody waits for it, or not yet here: whoever works on its parent finds that it has ended.
	}
	answer, err := e.childAnswer(ctx, x, st)
	if err != nil {
		return err
	}
	ready, err := e.resolve(ctx, p.Run, p.Exchange, *answer, func(x *exchange) bool { return x.child != nil })
	if err != nil || !ready {
		return err
	}
	return e.opts.Children.Wake(ctx, p.Run)
}

// childAnswer is the answer to a request whose child has ended.
func (e *Engine) childAnswer(ctx context.Context, x *exchange, child *state) (*spec.Answer, error) {
	answer := *bounded(ptr(e.opts.Children.Concluded(x.request, child.task, *child.outcome)))
	usage := child.usage
	for _, c := range child.children() { // They were cancelled, and had their cost.
		more, err := e.used(ctx, c.Run)
		if err != nil {
			return nil, err
		}
		usage = usage.Add(more)
	}
	answer.Usage, answer.Worked, answer.Rule = &usage, child.hasWorked(), cmp.Or(answer.Rule, x.rule)
	answer.Sources = child.read
	return &answer, nil
}

func ptr[T any](v T) *T { return &v }
