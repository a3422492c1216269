package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/near"
)

// FailedError says which resources and runs are not as declared, after all that could be done was done.
type FailedError struct{ Failures []string }

func (e *FailedError) Error() string { return "not converged:\n  " + strings.Join(e.Failures, "\n  ") }

// onceInterval is the time between two looks while something is under way.
const onceInterval = 500 * time.Millisecond

// Once does what is due and returns: it starts what is declared and runs that are due, executes what was approved, and
// lets every run come to an end or to a review. The error wraps remote.ErrUnreachable where the branch could not be read,
// and is a [*FailedError] where something failed.
func (r *Reconciler) Once(ctx context.Context) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	var queue <-chan error
	r.background.Go(func() { _ = r.notifier.Run(working) }) // It only ends with its context.
	err := r.converge(working, func() { queue = r.work(working, queue) })
	r.flush(ctx)
	stop()
	r.background.Wait()
	r.settle()
	if queue != nil {
		err = errors.Join(err, <-queue)
	}
	if err == nil {
		err = r.publish(context.WithoutCancel(ctx)) // The last run may have ended after the last pass.
	}
	if r.opts.Travels && r.current() != nil {
		err = errors.Join(err, r.handOver(context.WithoutCancel(ctx)))
	}
	if err != nil {
		return err
	}
	return r.verdictOfAll(ctx)
}

// converge makes passes until nothing is under way, and nothing has happened since the last one began, such as the end of an
// action that others come after. After each it calls passed.
func (r *Reconciler) converge(ctx context.Context, passed func()) error {
	for failures := 0; ; {
		err := r.pass(ctx)
		passed()
		if err != nil {
			if failures++; r.current() == nil || failures > 3 || ctx.Err() != nil {
				return err
			}
		} else if busy, err := r.busy(ctx); err != nil || !busy && len(r.poke) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.poke:
		case <-r.opts.After(onceInterval):
		}
	}
}

// busy reports whether anything is under way that ends without a person. Before a good revision is known nothing is.
func (r *Reconciler) busy(ctx context.Context) (bool, error) {
	fleet := r.current()
	if fleet == nil {
		return false, nil
	}
	runs, err := r.parts.Store.Runs(ctx)
	if err != nil {
		return false, err
	}
	for _, s := range runs {
		if (s.Phase == spec.PhaseQueued || s.Phase == spec.PhaseRunning) && r.Stuck(s.Run) == nil && r.suspendedAgent(s.Agent) == "" {
			return true, nil
		}
	}
	r.mu.Lock()
	executing := len(r.executing) > 0
	r.mu.Unlock()
	if executing || r.keeper.Busy() || r.knowledge.Busy() {
		return true, nil
	}
	for _, step := range plan.Diff(r.observed(), fleet) {
		if step.Verb == plan.Execute && r.executable(spec.ActionID(step.Ref.Name)) {
			return true, nil
		}
	}
	return false, nil
}

// executable reports whether an action moves on without a person.
func (r *Reconciler) executable(id spec.ActionID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.executing[id] || r.ledgerErr == nil && r.shownState(id).State != execute.Waiting
}

// verdictOfAll lists what failed.
func (r *Reconciler) verdictOfAll(ctx context.Context) error {
	s, err := r.Status(ctx)
	if err != nil {
		return err
	}
	var failed FailedError
	if s.Seen != s.Applied {
		failed.Failures = append(failed.Failures, fmt.Sprintf("revision %s does not run", s.Seen.Short()))
		for _, rev := range s.Revisions {
			if rev.Revision == s.Seen {
				failed.Failures = append(failed.Failures, rev.Problems...)
			}
		}
	}
	for _, res := range s.Resources {
		for _, c := range res.Conditions {
			if c.Type == ConditionStalled && c.Status == "True" {
				failure := fmt.Sprintf("%s: %s: %s", res.Ref, c.Reason, c.Message)
				if res.Kind == spec.KindAction && s.settled(res.Name) {
					failure += fmt.Sprintf(" (remove %s once that is dealt with)", res.Place.File)
				}
				failed.Failures = append(failed.Failures, failure)
			}
		}
	}
	for _, a := range s.Actions {
		if a.Rule != "" && a.State == string(execute.Unknown) {
			failed.Failures = append(failed.Failures, fmt.Sprintf("Action/%s: Unknown: %s", a.ID, a.Message))
		}
	}
	for _, summary := range s.Runs {
		if err := r.Stuck(summary.Run); err != nil {
			failed.Failures = append(failed.Failures, fmt.Sprintf("run %s of %s could not go on, and is kept: %v", summary.Run, summary.Agent, err))
		}
		if summary.Phase == spec.PhaseFailed && r.finishedHere(summary.Run) {
			failed.Failures = append(failed.Failures, fmt.Sprintf("run %s of %s: %s: %s", summary.Run, summary.Agent, summary.Outcome.Reason, summary.Outcome.Message))
		}
	}
	if len(failed.Failures) > 0 {
		return &failed
	}
	return nil
}

// finishedHere reports whether this process has finished the run, and not one before it.
func (r *Reconciler) finishedHere(id spec.RunID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.finished[id]
}

// Ask gives an agent a task at the newest revision and works on it, and on what other agents are given to do for it, until it
// has an answer or waits for reviews. The summary lists the proposals of all of them. A run that waits is left on the remote
// for whoever sees the decision.
func (r *Reconciler) Ask(ctx context.Context, name spec.AgentName, text string, images ...spec.Image) (spec.RunSummary, error) {
	var none spec.RunSummary
	if err := r.observe(ctx); err != nil {
		return none, err
	}
	r.only()
	task, err := r.newTask(name, text)
	if err != nil {
		return none, err
	}
	if err := r.mayBeShown(ctx, name, images); err != nil {
		return none, err
	}
	for _, i := range images {
		task.Images = append(task.Images, i.Named())
	}
	if err := r.startAgent(name); err != nil {
		return none, err
	}
	r.keepKnowledge(ctx)
	defer r.knowledge.Close()
	if err := r.Submit(ctx, task, images...); err != nil {
		return none, err
	}
	summary, err := r.finishAsked(ctx, task.Run)
	if err != nil {
		return none, err
	}
	if summary.Phase == spec.PhaseWaiting {
		err = r.handOver(ctx)
	}
	return summary, err
}

// finishAsked is finishTree for a run of which nothing is kept: where ctx ends the run is cancelled, for an answer that is
// under way is of no use any more.
func (r *Reconciler) finishAsked(ctx context.Context, id spec.RunID) (spec.RunSummary, error) {
	working, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	stop := context.AfterFunc(ctx, func() {
		if _, err := r.engine.Cancel(working, id, "", ""); err != nil {
			giveUp()
		}
	})
	defer stop()
	summary, err := r.finishTree(working, id)
	if ctx.Err() != nil && (err != nil || summary.Phase == spec.PhaseFailed) {
		return summary, ctx.Err()
	}
	return summary, err
}

// only has this process start what one run needs, and nothing else.
func (r *Reconciler) only() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asking = true
}

// onlyAsks reports whether this process works on one run, and on those beneath it, and on nothing else.
func (r *Reconciler) onlyAsks() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asking
}

// newTask makes the task of a new run that a person has asked for.
func (r *Reconciler) newTask(name spec.AgentName, text string) (spec.Task, error) {
	r.mu.Lock()
	fleet, revision, seen := r.fleet, r.applied, r.seen
	r.mu.Unlock()
	if fleet == nil {
		return spec.Task{}, fmt.Errorf("%s does not run, and nothing did before:%s", seen.Short(), r.problemsOf(seen))
	}
	agent, ok := fleet.Agents[name]
	if !ok {
		hint := "there are: " + strings.Join(agentNames(fleet), ", ")
		if len(fleet.Agents) == 0 {
			hint = "it declares none"
		}
		return spec.Task{}, fmt.Errorf("no agent %q at %s; %s", spec.Visible(string(name)), revision.Short(), near.Hint(string(name), agentNames(fleet), hint))
	}
	now := r.opts.Now().UTC()
	return spec.Task{Run: run.NewID(now, r.opts.Random), Agent: name, Text: strings.ToValidUTF8(text, "\uFFFD"), Revision: revision, Digest: agent.Digest, At: now}, nil
}

// maxTold bounds how many problems of a revision an error lists.
const maxTold = 10

// problemsOf lists what keeps a revision from running, a line each.
func (r *Reconciler) problemsOf(revision spec.Revision) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.revisions, func(s RevisionStatus) bool { return s.Revision == revision })
	if i < 0 {
		return " nobody knows why"
	}
	var b strings.Builder
	problems := r.revisions[i].Problems
	for _, p := range problems[:min(len(problems), maxTold)] {
		b.WriteString("\n  " + spec.Visible(p))
	}
	if more := len(problems) - maxTold; more > 0 {
		fmt.Fprintf(&b, "\n  and %s", count(more, "more problem"))
	}
	return b.String()
}

func agentNames(fleet *spec.Fleet) []string {
	var names []string
	for name := range fleet.Agents {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return names
}

// settled reports whether no reconciler can move an action on.
func (s Status) settled(id string) bool {
	return slices.ContainsFunc(s.Actions, func(a ActionStatus) bool { return string(a.ID) == id && a.Settled })
}
