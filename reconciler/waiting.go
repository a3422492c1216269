package reconciler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/spec"
)

// wake gives waiting runs the decisions that have been made, and queues those that wait for nothing more.
func (r *Reconciler) wake(ctx context.Context) error {
	runs, err := r.parts.Store.Runs(ctx)
	if err != nil {
		return fmt.Errorf("list runs: %w", err)
	}
	errs := []error{r.lookAfterTree(ctx, runs)}
	for _, summary := range runs {
		if summary.Phase == spec.PhaseWaiting {
			if err := r.wakeRun(ctx, summary); err != nil {
				errs = append(errs, fmt.Errorf("wake run %s: %w", summary.Run, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (r *Reconciler) wakeRun(ctx context.Context, summary spec.RunSummary) error {
	var proposed []spec.Proposal
	for _, p := range summary.Waiting {
		if p.Kind != spec.ProposalDirect {
			proposed = append(proposed, p)
			continue
		}
		answer, err := r.wakeDirect(ctx, p)
		if err != nil {
			return fmt.Errorf("look after %s: %w", p.Action, err)
		}
		if answer == nil {
			continue
		}
		if err := r.resolve(ctx, summary.Run, p.Exchange, *answer); err != nil {
			return err
		}
	}
	statuses, err := r.proposals.Statuses(ctx, proposed)
	if err != nil {
		return fmt.Errorf("look for its proposals: %w", err)
	}
	for i, p := range proposed {
		decision, ok := r.decision(p, statuses[i])
		if !ok {
			continue
		}
		answer, err := r.decided(p, decision)
		if err != nil {
			return err
		}
		answer.By = r.decider(p, statuses[i])
		if err := r.resolve(ctx, summary.Run, p.Exchange, answer); err != nil {
			return err
		}
	}
	return nil
}

// resolve gives a waiting run an answer, and queues it where it waits for nothing more.
func (r *Reconciler) resolve(ctx context.Context, id spec.RunID, n int, answer spec.Answer) error {
	ready, err := r.engine.Resolve(ctx, id, n, answer)
	if err != nil || !ready {
		return err
	}
	return r.parts.Store.Enqueue(ctx, id)
}

// decider is who merged or rejected a proposal, where that is known.
func (r *Reconciler) decider(p spec.Proposal, status proposal.Status) string {
	if approval := r.actionState(p.Action).Approval; p.Kind == spec.ProposalAction && approval != nil {
		return approval.Approver
	}
	return status.By
}

// decided writes a decision as the answer to the request that became the proposal.
func (r *Reconciler) decided(p spec.Proposal, decision spec.ProposalDecision) (spec.Answer, error) {
	body, err := spec.Canonical(decision)
	if err != nil {
		return spec.Answer{}, fmt.Errorf("write the decision about %s: %w", p.Key, err)
	}
	return r.broker.Decided(p, body), nil
}

// decision says what has become of a proposal. It reports false while nothing has.
func (r *Reconciler) decision(p spec.Proposal, status proposal.Status) (spec.ProposalDecision, bool) {
	if p.Kind == spec.ProposalChange {
		return spec.ProposalDecision{State: string(status.State), Reason: status.Reason, Merge: status.Merge}, status.State != proposal.Open
	}
	switch s := r.actionState(p.Action); s.State {
	case execute.Done, execute.Failed:
		return spec.ProposalDecision{State: spec.ProposalMerged, Outcome: string(s.State), Result: s.Result, Message: s.Message}, true
	case execute.Abandoned:
		return spec.ProposalDecision{State: spec.ProposalMerged, Outcome: string(s.State), Message: s.Message}, true
	case execute.Expired:
		return spec.ProposalDecision{State: "expired", Reason: s.Message}, true
	case execute.Refused:
		// The file is on the branch without an approval. While the proposal is open, a person may still mend that.
		return spec.ProposalDecision{State: "refused", Reason: s.Message}, status.State != proposal.Open
	case "":
	default:
		return spec.ProposalDecision{}, false // On its way, or a person has to say what happened.
	}
	switch {
	case status.State == proposal.Merged:
		return spec.ProposalDecision{}, false // The revision that carries the Action comes next.
	case status.State == proposal.Open && !p.Expires.IsZero() && r.opts.Now().After(p.Expires):
		return spec.ProposalDecision{State: "expired", Reason: "nobody approved it before " + p.Expires.Format(time.RFC3339)}, true
	}
	return spec.ProposalDecision{State: string(status.State), Reason: status.Reason}, status.State != proposal.Open
}
