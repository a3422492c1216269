package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/mainstay-dev/mainstay/reconciler/broker/tool"
	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxExecuting bounds how many actions are executed at once. The others are steps again in the next pass.
const maxExecuting = 4

// ledgerTipKey is where the store keeps the newest tip of the ledger that was seen: the ledger must descend from it.
const ledgerTipKey = "ledger/tip"

// openLedger makes the ledger, which knows from the store how far it had come.
func (r *Reconciler) openLedger(ctx context.Context) error {
	tip, err := r.parts.Store.Get(ctx, ledgerTipKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("read the ledger's last tip: %w", err)
	}
	r.ledger = execute.OpenLedger(execute.LedgerOptions{
		Remote: r.parts.Remote, LastTip: string(tip), Name: r.opts.Name, Email: r.opts.Email, Now: r.opts.Now,
		Fleet: func() (*spec.Fleet, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.trusted == nil {
				return nil, errors.New("no good revision is known")
			}
			return r.trusted, nil
		},
	})
	r.savedTip = string(tip)
	return nil
}

// readLedger brings what is known of every action up to date with the ledger branch. While something is wrong with the
// ledger nothing is executed; agents go on.
func (r *Reconciler) readLedger(ctx context.Context) error {
	r.mu.Lock()
	fleet, revision, trusted, untrusted, policies := r.fleet, r.applied, r.trusted, r.untrusted, r.policiesNow
	r.mu.Unlock()
	if fleet == nil || trusted == nil {
		return nil
	}
	err := execute.ErrNoLedger
	if trusted.Ledger != nil {
		err = r.ledger.Read(ctx)
	}
	r.mu.Lock()
	r.ledgerErr = err
	if err == nil {
		r.ledgerErr = untrusted
	}
	r.mu.Unlock()
	if errors.Is(err, execute.ErrNoLedger) && len(fleet.Actions) == 0 {
		return nil // Nobody has asked for an execution yet.
	}
	if err != nil {
		return err
	}
	if tip := r.ledger.Tip(); tip != r.savedTip {
		if err := r.parts.Store.Put(ctx, ledgerTipKey, []byte(tip)); err != nil {
			return fmt.Errorf("remember the ledger's tip: %w", err)
		}
		r.savedTip = tip
	}
	for _, sentence := range r.ledger.Ignored() {
		r.tellChange("ledger entry "+sentence, errors.New(sentence), Warned)
	}
	var errs []error
	for _, action := range fleet.Actions {
		state, err := r.executor.State(execute.Work{Action: action, Revision: revision, Fleet: fleet, Trusted: trusted, Policies: policies})
		if err != nil {
			errs = append(errs, fmt.Errorf("action %s: %w", action.ID, err))
			continue
		}
		r.setAction(action, state)
	}
	return errors.Join(append(errs, untrusted)...)
}

// holdActions stops executions while the ledger cannot be read.
func (r *Reconciler) holdActions(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledgerErr = why
}

// settledActions are those that no step can move on.
func (r *Reconciler) settledActions() map[spec.ActionID]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	settled := map[spec.ActionID]bool{}
	for id, state := range r.actions {
		if state.Settled() {
			settled[id] = true
		}
	}
	return settled
}

// startAction executes an action in the background, unless that is under way already.
func (r *Reconciler) startAction(ctx context.Context, action *spec.Action, step plan.Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ledgerErr != nil || r.executing[action.ID] || len(r.executing) >= maxExecuting || r.actions[action.ID].State == execute.Waiting || r.refused(action.DependsOn...) != nil {
		return
	}
	r.execute(ctx, execute.Work{Action: action, Revision: r.applied, Fleet: r.fleet, Trusted: r.trusted, Policies: r.policiesNow}, step.Ref)
}

// execute executes an action in the background. The caller holds r.mu.
func (r *Reconciler) execute(ctx context.Context, work execute.Work, ref spec.Ref) {
	action := work.Action
	r.executing[action.ID] = true
	r.background.Go(func() {
		// Last, so that whoever sees no execution under way sees what has become of it.
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.executing, action.ID)
		}()
		state, err := r.executor.Execute(ctx, work)
		if err != nil {
			if ctx.Err() == nil {
				r.tellChange(ref.String(), err, Warned)
			}
			return // The next pass tries again.
		}
		if r.setAction(action, state) {
			r.Look()
		}
	})
}

// hasEnded reports whether the ledger holds how an action ended, which nothing changes any more.
func hasEnded(s execute.State) bool {
	return s.State == execute.Done || s.State == execute.Failed || s.State == execute.Abandoned
}

// setAction remembers where an action stands and tells of it once it is settled. It reports whether that is news.
func (r *Reconciler) setAction(action *spec.Action, state execute.State) bool {
	id := action.ID
	r.mu.Lock()
	old := r.actions[id]
	if hasEnded(old) && !hasEnded(state) { // It was read before the receipt came, and is told after it.
		r.mu.Unlock()
		return false
	}
	r.actions[id] = state
	r.mu.Unlock()
	if old.State == state.State && old.Message == state.Message {
		return false
	}
	r.notifyAction(action, state, old.State)
	event := Event{Type: ActionSettled, Action: id, Approval: state.Approval, Text: cmp.Or(state.Message, string(state.Result))}
	switch state.State {
	case execute.Done:
		if old.State == "" {
			return true // It was done before this process looked.
		}
	case execute.Failed, execute.Refused, execute.Expired, execute.Unknown, execute.Abandoned:
		event.Err = fmt.Errorf("%s is %s: %s", id, state.State, state.Message)
	default:
		return true
	}
	r.tell(event)
	return true
}

func (r *Reconciler) actionState(id spec.ActionID) execute.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.actions[id]
}

// fleetAtCommit returns the approvers and the ledger that mainstay.yaml lists at a commit, whatever else is broken there.
func (r *Reconciler) fleetAtCommit(commit string) (*spec.Fleet, error) {
	seen, err := r.parts.Source.At(context.Background(), spec.NewRevision(r.opts.Branch, commit))
	if err != nil {
		return nil, err
	}
	return RootAt(seen.Tree)
}

// RootAt reads mainstay.yaml alone: who may approve, and which ledger is pinned.
func RootAt(tree fs.FS) (*spec.Fleet, error) {
	fleet, problems := spec.LoadRoot(tree)
	return fleet, problems.Err()
}

// pinned returns why a tool server is not as its lock pins it now, or nil.
func (r *Reconciler) pinned(ctx context.Context, server *spec.ToolServer) error {
	_, err := r.parts.Tools.Schemas(ctx, server)
	if !tool.IsMismatch(err) {
		return nil // Whoever calls it finds out what is wrong.
	}
	return r.broker.Redactor().Error(err)
}

// toolCaller shows the tool servers to package execute. What a tool answers goes into the ledger, so secrets are taken out.
type toolCaller struct{ r *Reconciler }

func (t toolCaller) Call(ctx context.Context, server *spec.ToolServer, name string, args map[string]any, key string) (execute.Result, error) {
	result, err := t.r.parts.Tools.Call(ctx, server, name, args, tool.CallOptions{IdempotencyKey: key})
	redact := t.r.broker.Redactor()
	if errors.Is(err, tool.ErrNotSent) {
		err = fmt.Errorf("%w: %s", execute.ErrNotSent, redact.Error(err).Error())
	} else if err != nil {
		err = errors.New(redact.Error(err).Error())
	}
	return execute.Result{Text: redact.Text(result.Text), Structured: redact.Value(result.Structured), IsError: result.IsError}, err
}
