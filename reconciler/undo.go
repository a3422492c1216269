package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/undo"
	"github.com/mainstay-dev/mainstay/spec"
)

// offerUndos offers to undo what runs have done before something failed in them, where a tool declares how. Each is a proposal
// like any other; the ledger remembers that it was offered. What is not offered is told in the state, with the reason.
func (r *Reconciler) offerUndos(ctx context.Context) error {
	r.mu.Lock()
	fleet, usable := r.fleet, r.ledgerErr == nil && r.trusted != nil && r.trusted.Ledger != nil
	r.mu.Unlock()
	if fleet == nil || !usable || !declaresUndo(fleet) {
		return nil
	}
	failed, err := r.failedRuns(ctx)
	if err != nil {
		return err
	}
	told := map[spec.ActionID]string{}
	var errs []error
	runs := r.ledger.Standings()
	for _, id := range slices.Sorted(maps.Keys(runs)) {
		run, calls := r.runToUndo(fleet, runs[id], failed[id])
		offers, held := undo.Decide(run)
		for _, h := range held {
			told[h.Action] = h.Why
		}
		for _, o := range offers {
			if !r.opts.Now().Before(o.At.Add(fleet.Expires)) {
				told[o.Undoes] = fmt.Sprintf("no undo is offered any more: something failed after it (%s), more than %s ago", o.Failed, fleet.Expires)
				continue
			}
			if err := r.offerUndo(ctx, fleet, o, calls[o.Undoes]); err != nil {
				told[o.Undoes] = "its undo could not be offered: " + err.Error()
				if _, never := errors.AsType[*proposal.InvalidError](err); !never {
					errs = append(errs, fmt.Errorf("offer to undo %s: %w", o.Undoes, err))
				}
				break // Those before it come after it.
			}
		}
	}
	r.mu.Lock()
	r.undos = told
	r.mu.Unlock()
	return errors.Join(errs...)
}

// declaresUndo reports whether any tool of a fleet declares an undo.
func declaresUndo(fleet *spec.Fleet) bool {
	for _, server := range fleet.Servers {
		for _, t := range server.Spec.Tools {
			if t.Undo != nil {
				return true
			}
		}
	}
	return false
}

// failedRuns are the runs that have ended as failed, as far as the store has them.
func (r *Reconciler) failedRuns(ctx context.Context) (map[spec.RunID]spec.RunSummary, error) {
	runs, err := r.parts.Store.Runs(ctx)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	failed := map[spec.RunID]spec.RunSummary{}
	for _, s := range runs {
		if s.Phase == spec.PhaseFailed && s.Outcome != nil {
			failed[s.Run] = s
		}
	}
	return failed, nil
}

// effects says what package undo calls the phases of an Action that somebody has claimed.
var effects = map[execute.Phase]undo.Effect{
	execute.Done: undo.Done, execute.Failed: undo.Failed, execute.Unknown: undo.Unknown, execute.Started: undo.Open,
}

// runToUndo is a run as package undo sees it, with the calls that it has made. A run in which nothing has failed is empty.
func (r *Reconciler) runToUndo(fleet *spec.Fleet, standings []execute.Standing, failed spec.RunSummary) (undo.Run, map[spec.ActionID]broker.Undone) {
	isFailure := func(s execute.Standing) bool { return s.State.State == execute.Failed && !s.ID.IsUndo() }
	if failed.Outcome == nil && !slices.ContainsFunc(standings, isFailure) {
		return undo.Run{}, nil
	}
	var run undo.Run
	if failed.Outcome != nil {
		run.FailedAt, run.Failed = failed.Updated, strings.TrimSpace(failed.Outcome.Reason+": "+failed.Outcome.Message)
	}
	calls := map[spec.ActionID]broker.Undone{}
	for _, s := range standings {
		a := undo.Action{ID: s.ID, Effect: effects[s.State.State], Began: s.Began, Ended: s.Ended, BeganAt: s.BeganAt, EndedAt: s.At, Message: s.Message,
			Offered: r.ledger.Offered(s.ID) != nil}
		if a.Effect == undo.None && s.Began > 0 && s.State.State != execute.Abandoned {
			a.Effect = undo.Open // It is about to start once more.
		}
		if action := callOf(fleet, s); action != nil && s.Began > 0 {
			_, _, a.Declared = fleet.UndoOf(action.Spec.Server, action.Spec.Tool)
			calls[s.ID] = broker.Undone{Action: s.ID, Spec: action.Spec, Result: s.Result, At: s.At, Expires: fleet.Expires}
		}
		if a.Declared && a.Effect == undo.Done && !a.Offered {
			if _, err := r.broker.Undo(fleet, calls[s.ID]); err != nil {
				a.Impossible = err.Error()
			}
		}
		run.Actions = append(run.Actions, a)
	}
	return run, calls
}

// callOf is what was called, by the bytes that the ledger names: the file on the branch, or the claim of a call without a review.
// Nil is a file that is gone, or that is not what was executed.
func callOf(fleet *spec.Fleet, s execute.Standing) *spec.Action {
	action := fleet.Actions[s.ID]
	if s.Direct != nil {
		direct, err := execute.NewDirect(s.ID, s.Direct)
		if err != nil {
			return nil
		}
		action = direct
	}
	if action == nil || action.Digest != s.Digest {
		return nil
	}
	return action
}

// offerUndo opens the proposal of an undo and writes to the ledger that it was offered. After a crash between the two the
// proposal is found as it was opened.
func (r *Reconciler) offerUndo(ctx context.Context, fleet *spec.Fleet, o undo.Offer, call broker.Undone) error {
	if err := r.ledger.Read(ctx); err != nil {
		return err
	}
	if r.ledger.Offered(o.Undoes) != nil {
		return nil // Another reconciler was first.
	}
	call.Failed, call.At, call.After = o.Failed, o.At, o.After
	p, err := r.broker.Undo(fleet, call)
	if err != nil {
		return err
	}
	if _, err := r.commitTime(p.Base); err != nil {
		return &proposal.InvalidError{Err: fmt.Errorf("what its run was pinned to is not in the repository any more: %w", err)}
	}
	err = r.proposals.Open(ctx, p)
	// A person who has said no, or has taken the branch over, has seen it.
	rejected, isRejected := errors.AsType[*proposal.RejectedError](err)
	edited, isEdited := errors.AsType[*proposal.EditedError](err)
	switch {
	case isRejected:
		err = rejected
	case isEdited:
		err = edited
	case err != nil:
		return err
	}
	wrote := r.ledger.Offer(ctx, execute.Offer{
		Proposal: p.Key, Action: p.Action, Undoes: o.Undoes, Executor: r.opts.Name, At: r.opts.Now().UTC().Truncate(time.Second),
	}, r.parts.Signer)
	if wrote == nil && err == nil {
		r.tell(Event{Type: Proposed, Run: p.Run, Task: spec.Task{Run: p.Run, Agent: p.Agent}, Proposal: &p})
	}
	return wrote
}

// undoStatus says in one sentence how an Action is undone, or why not; "" where its tool declares nothing. The caller holds r.mu.
func (r *Reconciler) undoStatus(action *spec.Action) string {
	if action.Spec.Evidence.Undoes != "" {
		return ""
	}
	_, by, ok := r.fleet.UndoOf(action.Spec.Server, action.Spec.Tool)
	if offered := r.ledger.Offered(action.ID); offered != nil {
		return fmt.Sprintf("offered as proposal %s, which is action %s", offered.Proposal, offered.Action)
	}
	if !ok {
		return ""
	}
	return cmp.Or(r.undos[action.ID], fmt.Sprintf("by %s of %s; it is offered as a proposal if something fails after this in the same run", by.Name, by.Server.Name))
}
