package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// children starts and wakes runs for package run.
type children struct {
	stored
	r *Reconciler
}

// Start submits a task that a run gives to another agent.
func (c children) Start(ctx context.Context, task spec.Task) (*spec.Answer, error) {
	if err := c.r.startAgent(task.Agent); err != nil {
		return nil, err
	}
	if why := c.r.suspendedAgent(task.Agent); why != "" && c.r.onlyAsks() {
		return &spec.Answer{Error: why}, nil // This process ends with its one run, and resumes nothing.
	}
	err := c.r.Submit(ctx, task)
	if errors.Is(err, ErrDenied) {
		return &spec.Answer{Error: err.Error()}, nil
	}
	return nil, err
}

// Cancel ends a run and all runs beneath it; see [run.Engine.Cancel].
func (r *Reconciler) Cancel(ctx context.Context, id spec.RunID, by, why string) (run.Cancellation, error) {
	return r.engine.Cancel(ctx, id, by, why)
}

// CancelStored does what [Reconciler.Cancel] does where no reconciler runs. A run above that has its answer now is queued.
func CancelStored(ctx context.Context, st *store.Store, now func() time.Time, id spec.RunID, by, why string) (run.Cancellation, error) {
	return run.New(run.Options{Log: st, Children: stored{st}, Now: now}).Cancel(ctx, id, by, why)
}

// stored is what can be done about children without a reconciler: none is started.
type stored struct{ *store.Store }

func (s stored) Start(context.Context, spec.Task) (*spec.Answer, error) {
	return nil, errors.New("no reconciler is running")
}

func (s stored) Wake(ctx context.Context, id spec.RunID) error { return s.Enqueue(ctx, id) }

func (s stored) Concluded(request spec.Request, child spec.Task, outcome spec.Outcome) spec.Answer {
	return broker.Concluded(request, child, outcome)
}

// describe is the sentence that describes an agent at a revision.
func (r *Reconciler) describe(ctx context.Context, revision spec.Revision, name spec.AgentName) (string, error) {
	agent, err := r.Agent(ctx, spec.Task{Agent: name, Revision: revision})
	if errors.Is(err, run.ErrNoAgent) {
		return "", nil // To give it a task is refused with the reason.
	}
	if err != nil {
		return "", err
	}
	return agent.Description, nil
}

// lookAfterTree mends what a crash has left of a tree of runs: a run whose parent has ended is cancelled, and one whose child has
// ended, or never came to be, is queued, because it finds so when it is worked on.
func (r *Reconciler) lookAfterTree(ctx context.Context, runs []spec.RunSummary) error {
	known := make(map[spec.RunID]spec.RunSummary, len(runs))
	for _, summary := range runs {
		known[summary.Run] = summary
	}
	ended := func(id spec.RunID) bool { return known[id].Outcome != nil }
	left := func(child spec.ChildRun) bool {
		_, begun := known[child.Run]
		return !begun || ended(child.Run)
	}
	var errs []error
	for _, summary := range runs {
		waits := summary.Outcome == nil && summary.Phase == spec.PhaseWaiting
		if waits && (summary.Parent != nil && ended(summary.Parent.Run) || slices.ContainsFunc(summary.Children, left)) {
			errs = append(errs, r.parts.Store.Enqueue(ctx, summary.Run))
		}
	}
	return errors.Join(errs...)
}

// startAgent starts an agent that gets a task, where only what one run needs is started.
func (r *Reconciler) startAgent(name spec.AgentName) error {
	fleet := r.current()
	if !r.onlyAsks() || fleet == nil || fleet.Agents[name] == nil {
		return nil
	}
	agent, err := host.AgentOf(fleet.Agents[name])
	if err != nil {
		return fmt.Errorf("start the agent %s: %w", name, err)
	}
	return r.parts.Host.Start(agent)
}

// finishTree works on a run and on those beneath it, and on nothing else, until it ends or all of them wait. What the runs
// beneath it wait for is in the summary too.
func (r *Reconciler) finishTree(ctx context.Context, id spec.RunID) (spec.RunSummary, error) {
	working, stop := context.WithCancel(ctx)
	worked := make(chan error, 1)
	queue := run.NewQueue(run.QueueOptions{Engine: r.engine, Workers: r.opts.Workers, Failed: r.warn,
		Dequeue: func(ctx context.Context) (run.Lease, error) { return r.dequeueOf(ctx, id) }})
	go func() { worked <- queue.Run(working) }()
	summary, err := r.awaitTree(ctx, id, worked)
	stop()
	return summary, errors.Join(err, <-worked)
}

// dequeueOf waits for a run of a tree. Others are left in the queue, for a process that has their agents.
func (r *Reconciler) dequeueOf(ctx context.Context, id spec.RunID) (run.Lease, error) {
	for {
		lease, err := r.parts.Store.Dequeue(ctx)
		if err != nil {
			return nil, err
		}
		runs, err := r.parts.Store.Runs(ctx)
		if err != nil {
			return nil, errors.Join(err, lease.Retry(0))
		}
		if slices.ContainsFunc(treeOf(id, runs), func(s spec.RunSummary) bool { return s.Run == lease.Run() }) {
			return lease, nil
		}
		if err := lease.Retry(time.Hour); err != nil { // Whoever opens the store next gets it at once.
			return nil, err
		}
	}
}

// treeOf returns a run and all beneath it.
func treeOf(id spec.RunID, runs []spec.RunSummary) []spec.RunSummary {
	above := map[spec.RunID]spec.RunID{}
	for _, s := range runs {
		if s.Parent != nil {
			above[s.Run] = s.Parent.Run
		}
	}
	var tree []spec.RunSummary
	for _, s := range runs {
		at := s.Run
		for depth := 0; at != id && at != "" && depth <= run.MaxDepth; depth++ {
			at = above[at]
		}
		if at == id {
			tree = append(tree, s)
		}
	}
	return tree
}

// standing returns how a run stands, with what those beneath it wait for, whether any of them is under way, and why one makes no
// progress.
func (r *Reconciler) standing(ctx context.Context, id spec.RunID) (asked spec.RunSummary, busy bool, stuck, err error) {
	runs, err := r.parts.Store.Runs(ctx)
	if err != nil {
		return asked, false, nil, err
	}
	var waiting []spec.Proposal
	for _, summary := range treeOf(id, runs) {
		switch {
		case summary.Run == id:
			asked = summary
		case summary.Outcome == nil:
			waiting = append(waiting, summary.Waiting...)
		}
		switch err := r.Stuck(summary.Run); {
		case summary.Outcome != nil || summary.Phase == spec.PhaseWaiting:
		case err != nil:
			stuck = fmt.Errorf("run %s could not go on, and was tried %d times: %w", summary.Run, maxTries, err)
		default:
			busy = true
		}
	}
	slices.SortFunc(waiting, func(a, b spec.Proposal) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Key, b.Key)) })
	asked.Waiting = append(slices.Clone(asked.Waiting), waiting...)
	return asked, busy, stuck, nil
}

func (r *Reconciler) awaitTree(ctx context.Context, id spec.RunID, worked chan error) (spec.RunSummary, error) {
	for {
		asked, busy, stuck, err := r.standing(ctx, id)
		switch {
		case err != nil:
			return asked, err
		case asked.Outcome != nil:
			return r.whole(ctx, asked)
		case !busy:
			return asked, stuck
		}
		select {
		case <-ctx.Done():
			return asked, ctx.Err()
		case err := <-worked:
			worked <- nil // It is waited for once more.
			return asked, err
		case <-r.poke:
		case <-r.opts.After(onceInterval):
		}
	}
}

// whole returns the summary with all of its outcome, which is cut in what is kept at a glance.
func (r *Reconciler) whole(ctx context.Context, summary spec.RunSummary) (spec.RunSummary, error) {
	entries, _, err := r.parts.Store.Record(ctx, summary.Run)
	if err != nil {
		return summary, err
	}
	return run.Summarize(entries), nil
}
