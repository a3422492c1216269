package reconciler

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxDirectShown bounds how many settled calls without a review the state lists, the newest first.
const maxDirectShown = 50

// begun looks into the ledger for a call without a review. Without a ledger none is made.
func (r *Reconciler) begun(ctx context.Context, id spec.ActionID) (*spec.DirectCall, error) {
	call, err := r.ledger.Begun(ctx, id)
	if errors.Is(err, execute.ErrNoLedger) {
		return nil, nil
	}
	return call, err
}

// directWork is a call without a review as it is executed by what is declared now.
func (r *Reconciler) directWork(p spec.Proposal) (execute.Work, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fleet == nil || r.trusted == nil {
		return execute.Work{}, errors.New("no good revision is known")
	}
	call := *p.Direct
	call.Revision = r.applied
	action, err := execute.NewDirect(p.Action, &call)
	if err != nil {
		return execute.Work{}, err
	}
	work := execute.Work{Action: action, Revision: r.applied, Fleet: r.fleet, Trusted: r.trusted, Policies: r.policiesNow, Direct: &call}
	// Where a claim is made it names the rule of its revision, which may not be the one that the agent was told of.
	if d := execute.Decide(work); d.Decision == spec.DecisionAllow {
		call.Rule = d.Rule
	}
	return work, nil
}

// executeDirect executes a call without a review, and returns the tool's answer. Nil means that it is not settled: the run waits,
// and the passes go on with it.
func (r *Reconciler) executeDirect(ctx context.Context, p spec.Proposal) (*spec.Answer, error) {
	work, err := r.directWork(p)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	untrusted := r.untrusted
	r.mu.Unlock()
	if untrusted != nil {
		r.setAction(work.Action, execute.State{State: execute.Waiting, Message: untrusted.Error()})
		return nil, nil
	}
	state, err := r.executor.Execute(ctx, work)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, execute.ErrNotListed):
		return nil, err // Somebody has to list the key, and a run that is tried again says so.
	case err != nil && !errors.Is(err, remote.ErrUnreachable):
		r.tellChange("action "+string(p.Action), err, Warned)
	}
	r.setAction(work.Action, state)
	return r.directAnswer(p, state), nil
}

// directAnswer is what the agent is told, or nil while the call is not settled.
func (r *Reconciler) directAnswer(p spec.Proposal, s execute.State) *spec.Answer {
	var answer spec.Answer
	switch s.State {
	case execute.Done:
		answer = r.broker.Executed(p, false, s.Result, s.Message)
	case execute.Failed:
		answer = r.broker.Executed(p, true, s.Result, s.Message)
	case execute.Abandoned:
		answer = r.broker.Executed(p, true, nil, "nobody knows whether it happened, and a person has given it up: "+s.Message)
	case execute.Expired, execute.Refused:
		answer = r.broker.Executed(p, true, nil, fmt.Sprintf("it was not done: %s", s.Message))
	default:
		return nil
	}
	return &answer
}

// wakeDirect gives a waiting run the answer to a call without a review, or goes on with that.
func (r *Reconciler) wakeDirect(ctx context.Context, p spec.Proposal) (*spec.Answer, error) {
	work, err := r.directWork(p)
	if err != nil {
		return nil, err
	}
	state, err := r.executor.State(work)
	if err != nil {
		return nil, err
	}
	r.setAction(work.Action, state)
	if answer := r.directAnswer(p, state); answer != nil {
		return answer, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ledgerErr == nil && !r.executing[p.Action] && len(r.executing) < maxExecuting && r.executor.MayGoOn(work, state) {
		r.execute(ctx, work, spec.Ref{Kind: spec.KindAction, Name: string(p.Action)})
	}
	return nil, nil
}

// directStatuses are the calls without a review: those that are not settled, and the newest others. The caller holds r.mu.
func (r *Reconciler) directStatuses(old map[spec.Ref][]metav1.Condition) []ActionStatus {
	var all []ActionStatus
	for _, d := range r.ledger.Direct(maxDirectShown) {
		action, err := execute.NewDirect(d.ID, d.Direct)
		if err != nil {
			continue // No executor has made the claim, since none could read it.
		}
		r.resources[action.Ref] = conditions(old[action.Ref], r.opts.Now(), actionVerdict(d.State))
		s := r.actionStatus(action, d.State)
		s.Rule = d.Direct.Rule
		all = append(all, s)
	}
	return all
}
