package reconciler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/spec"
)

// Decision is the answer an agent gets to a request that became a proposal, as JSON.
type Decision struct {
	// State is merged, rejected, closed, refused or expired.
	State string `json:"state"`
	// Reason is a person's for rejected, Mainstay's for refused and expired.
	Reason string `json:"reason,omitempty"`
	// Merge is the commit that merged the proposal.
	Merge string `json:"merge,omitempty"`
	// Outcome is done or failed, for an action; Result is what its tool returned, Message what went wrong.
	Outcome string          `json:"outcome,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Message string          `json:"message,omitempty"`
}

// wake gives waiting runs the decisions that have been made, and queues those that wait for nothing more.
func (r *Reconciler) wake(ctx context.Context) error {
	runs, err := r.parts.Store.Runs(ctx)
	if err != nil {
		return fmt.Errorf("list runs: %w", err)
	}
	var errs []error
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
	for _, p := range summary.Waiting {
		decision, ok, err := r.decision(ctx, p)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		answer, err := r.decided(p, decision)
		if err != nil {
			return err
		}
		ready, err := r.engine.Resolve(ctx, summary.Run, p.Exchange, answer)
		if err != nil {
			return err
		}
		if ready {
			if err := r.parts.Store.Enqueue(ctx, summary.Run); err != nil {
				return err
			}
		}
	}
	return nil
}

// decided writes a decision as the answer to the request that became the proposal.
func (r *Reconciler) decided(p spec.Proposal, decision Decision) (spec.Answer, error) {
	body, err := spec.Canonical(decision)
	if err != nil {
		return spec.Answer{}, fmt.Errorf("write the decision about %s: %w", p.Key, err)
	}
	return r.broker.Decided(p, body), nil
}

// decision looks for what has become of a proposal. It reports false while nothing has.
func (r *Reconciler) decision(ctx context.Context, p spec.Proposal) (Decision, bool, error) {
	var refused string
	if p.Kind == spec.ProposalAction {
		switch s := r.actionState(p.Action); s.State {
		case execute.Done, execute.Failed:
			return Decision{State: spec.ProposalMerged, Outcome: string(s.State), Result: s.Result, Message: s.Message}, true, nil
		case execute.Expired:
			return Decision{State: "expired", Reason: s.Message}, true, nil
		case execute.Refused:
			refused = s.Message
		case "":
		default:
			return Decision{}, false, nil // Merged, and on its way.
		}
	}
	status, err := r.proposals.Status(ctx, p)
	if err != nil {
		return Decision{}, false, fmt.Errorf("look for proposal %s: %w", p.Key, err)
	}
	switch {
	case status.State == proposal.Open:
		return Decision{}, false, nil
	case status.State == proposal.Merged && p.Kind == spec.ProposalAction:
		return Decision{}, false, nil // The revision that carries the Action comes next.
	case refused != "":
		return Decision{State: "refused", Reason: refused}, true, nil
	}
	return Decision{State: string(status.State), Reason: status.Reason, Merge: status.Merge}, true, nil
}
