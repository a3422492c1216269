package reconciler

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// statusKey is where the store keeps the published state.
const statusKey = "status"

// maxRunsShown bounds how many runs the state lists, newest first.
const maxRunsShown = 200

// StoredStatus reads the state that the last pass published. Its error wraps store.ErrNotFound where there is none.
// Nothing runs any more: agents are shown as stopped.
func StoredStatus(ctx context.Context, st *store.Store) (Status, error) {
	var s Status
	runs, err := newestRuns(ctx, st) // They go on between two passes.
	if err != nil {
		return s, err
	}
	value, err := st.Get(ctx, statusKey)
	if errors.Is(err, store.ErrNotFound) && len(runs) > 0 { // Only conversations were held here.
		return Status{Revisions: []RevisionStatus{}, Agents: []AgentStatus{}, Models: []ModelStatus{}, Resources: []ResourceStatus{}, Actions: []ActionStatus{},
			Proposals: []ProposalStatus{}, Runs: runs}, nil
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(value, &s); err != nil {
		return s, fmt.Errorf("read the published state: %w", err)
	}
	s.Runs = runs
	if err := s.suspend(ctx, st); err != nil {
		return s, err
	}
	for i := range s.Agents {
		a := &s.Agents[i]
		a.State, a.Processes, a.Runs, a.Waiting = host.StateStopped, nil, 0, 0
		a.Conditions = conditions(a.Conditions, s.At, reconciling("Stopped", "no daemon is running"))
	}
	return s, nil
}

// publish writes the state to the store if it has changed, so that it can be read without this process.
func (r *Reconciler) publish(ctx context.Context) error {
	s, err := r.Status(ctx)
	if err != nil {
		return err
	}
	at := s.At
	s.At = time.Time{} // The time alone is no change.
	timeless, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if bytes.Equal(timeless, r.published) {
		return nil
	}
	s.At = at
	value, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := r.parts.Store.Put(ctx, statusKey, value); err != nil {
		return err
	}
	r.published = timeless
	return nil
}

// newestRuns lists the runs that the state shows.
func newestRuns(ctx context.Context, st *store.Store) ([]spec.RunSummary, error) {
	list, err := StoredRuns(ctx, st, RunFilter{Limit: maxRunsShown})
	return list.Runs, err
}

// listProposals looks which proposals are open. While the remote cannot be reached the last list stays.
func (r *Reconciler) listProposals(ctx context.Context) error {
	open, err := r.proposals.List(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open, r.listed = open, true
	return nil
}

// Status returns the state as it is now. What the remote holds is as the last pass has seen it, so that the answer never
// waits for the network.
func (r *Reconciler) Status(ctx context.Context) (Status, error) {
	runs, err := newestRuns(ctx, r.parts.Store)
	if err != nil {
		return Status{}, err
	}
	running := r.parts.Host.Agents()

	r.mu.Lock()
	defer r.mu.Unlock()
	s := Status{At: r.opts.Now().UTC(), Seen: r.seen, Applied: r.applied, Source: r.source, Runs: runs,
		Revisions: slices.Clone(r.revisions), Agents: []AgentStatus{}, Models: []ModelStatus{}, Resources: []ResourceStatus{}, Actions: []ActionStatus{}}
	s.Proposals = ProposalStatuses(r.open)
	s.Suspended = slices.Clone(r.suspended)
	if r.forgotten != nil && !r.forgotten.Before.IsZero() {
		s.Forgotten = r.forgotten
	}
	if r.fleet == nil {
		return s, nil
	}
	ordered, err := inOrder(r.fleet.Resources)
	if err != nil {
		return s, err
	}
	old := r.resources
	r.resources = make(map[spec.Ref][]metav1.Condition, len(ordered)) // What is no longer declared is forgotten.
	for _, res := range ordered {
		list := notYet(conditions(old[res.Ref], s.At, r.verdict(res, running)), s.At, res.NotYetReconciled())
		r.resources[res.Ref] = alsoSuspended(list, s.At, r.suspendedResource(res.Ref))
	}
	for _, res := range r.fleet.Resources {
		s.Resources = append(s.Resources, ResourceStatus{Resource: res, Conditions: r.resources[res.Ref]})
	}
	for _, m := range r.fleet.Models {
		s.Models = append(s.Models, r.modelStatus(m))
	}
	slices.SortFunc(s.Models, func(a, b ModelStatus) int { return cmp.Compare(a.Name, b.Name) })
	for name, agent := range r.fleet.Agents {
		s.Agents = append(s.Agents, r.agentStatus(agent, running[name]))
	}
	slices.SortFunc(s.Agents, func(a, b AgentStatus) int { return cmp.Compare(a.Name, b.Name) })
	for id, action := range r.fleet.Actions {
		s.Actions = append(s.Actions, r.actionStatus(action, r.shownState(id)))
	}
	s.Actions = append(s.Actions, r.directStatuses(old)...)
	slices.SortFunc(s.Actions, func(a, b ActionStatus) int { return cmp.Compare(a.ID, b.ID) })
	return s, nil
}

// actionStatus shows one Action. The caller holds r.mu.
func (r *Reconciler) actionStatus(action *spec.Action, state execute.State) ActionStatus {
	return ActionStatus{ID: action.ID, Digest: action.Digest, Summary: action.Spec.Summary, State: cmp.Or(string(state.State), "pending"),
		Settled: state.Settled(), Message: cmp.Or(state.Message, string(state.Result)), Expires: action.Expires,
		Approval: state.Approval, Executor: state.Executor, Undoes: action.Spec.Evidence.Undoes, Undo: r.undoStatus(action), Conditions: r.resources[action.Ref]}
}

// shownState is where an action stands, as far as this process knows. Where it has never read the ledger, the action may
// be done, so nothing is said but why that is not known. The caller holds r.mu.
func (r *Reconciler) shownState(id spec.ActionID) execute.State {
	state := r.actions[id]
	if state.State == "" && r.ledgerErr != nil {
		return execute.State{State: execute.Waiting, Message: r.ledgerErr.Error()}
	}
	if action := r.fleet.Actions[id]; action != nil && !state.Settled() {
		if err := r.refused(action.DependsOn...); err != nil {
			return execute.State{State: execute.Waiting, Message: err.Error()}
		}
	}
	return state
}

// ProposalStatuses writes what a driver lists as the state does.
func ProposalStatuses(open []proposal.Listed) []ProposalStatus {
	list := []ProposalStatus{}
	for _, p := range open {
		list = append(list, ProposalStatus{Proposal: p.Proposal, State: string(p.State), Head: p.Head, Branch: p.Branch(), Problem: p.Problem})
	}
	return list
}

// Observed is what a state says runs, for a plan made outside of the reconciler. While no daemon is live, nothing runs.
func Observed(s Status, live bool) plan.Observed {
	o := plan.Observed{Agents: map[spec.AgentName]spec.Digest{}, Settled: map[spec.ActionID]bool{}}
	for _, a := range s.Agents {
		if live && a.State != host.StateStopped {
			o.Agents[a.Name] = a.RunningDigest
		}
	}
	for _, a := range s.Actions {
		o.Settled[a.ID] = a.Settled
	}
	return o
}

// Record returns the record of a run. The error wraps fs.ErrNotExist where there is none.
func (r *Reconciler) Record(ctx context.Context, id spec.RunID) ([]spec.Entry, error) {
	entries, _, err := r.parts.Store.Record(ctx, id)
	if err == nil && len(entries) == 0 {
		err = fmt.Errorf("run %s: %w", id, fs.ErrNotExist)
	}
	return entries, err
}

func (r *Reconciler) agentStatus(agent *spec.Agent, p host.Status) AgentStatus {
	a := AgentStatus{
		Name: agent.Name, Description: agent.Description, Digest: agent.Digest, Revision: r.applied, Model: agent.Model.Name,
		Runtime: agent.Runtime, State: cmp.Or(p.State, host.StateStopped), RunningDigest: p.Digest, Runs: p.Runs, Waiting: p.Waiting, Isolation: p.Isolation,
		Restarts: p.Restarts, Since: p.Since, LastExit: p.LastExit, Stderr: p.LastStderr, Conditions: r.resources[agent.Ref],
	}
	for _, process := range p.Processes {
		a.Processes = append(a.Processes, ProcessStatus{PID: process.PID, Runs: process.Runs, Since: process.Since, Leaving: process.Leaving, MemoryBytes: (process.Memory + 1<<20 - 1) &^ (1<<20 - 1)})
	}
	if agent.Isolation != nil {
		a.Exec = agent.Isolation.Exec
	}
	for _, t := range agent.Tools {
		a.Tools = append(a.Tools, t.FullName())
	}
	return a
}

// verdict says how one resource is doing. What it depends on has its conditions already. The caller holds r.mu.
func (r *Reconciler) verdict(res spec.Resource, running map[spec.AgentName]host.Status) verdict {
	if res.Kind.OnlyChecked() {
		return verdict{ConditionNotYetReconciled, "OnlyChecked", res.NotYetReconciled()}
	}
	switch res.Kind {
	case spec.KindPolicy:
		if err := r.unsigned[res.Ref]; err != nil {
			return stalled("Unsigned", err.Error())
		}
	case spec.KindAction:
		state := r.actions[spec.ActionID(res.Name)]
		if r.ledgerErr != nil && !state.Settled() {
			return stalled("LedgerFailed", r.ledgerErr.Error())
		}
		if err := r.refused(res.DependsOn...); err != nil && !state.Settled() {
			return stalled(ReasonLockMismatch, err.Error())
		}
		return actionVerdict(state)
	case spec.KindKnowledgeSource:
		if err := r.refused(res.DependsOn...); err != nil {
			return stalled(ReasonLockMismatch, err.Error())
		}
		return r.knowledgeVerdict(res)
	case spec.KindToolServer, spec.KindModel:
		if err := r.refused(res.Ref); err != nil {
			return stalled(ReasonLockMismatch, err.Error())
		}
		if v, ok := r.modelVerdict(res); ok {
			return v
		}
		if err := r.serverErrs[res.Digest]; err != nil {
			return stalled("ServerFailed", err.Error())
		}
		if err := r.secretErrs[res.Ref]; err != nil {
			return ready("SecretUnavailable", err.Error())
		}
	case spec.KindAgent:
		name := spec.AgentName(res.Name)
		if err := r.refused(res.DependsOn...); err != nil {
			return stalled(ReasonLockMismatch, err.Error())
		}
		if mismatch, ok := errors.AsType[*spec.LockMismatch](r.agentErrs[name]); ok {
			return stalled(ReasonLockMismatch, mismatch.Error())
		}
		if missing, ok := errors.AsType[*host.MissingError](r.agentErrs[name]); ok {
			return stalled("IsolationMissing", missing.Error())
		}
		if err := r.agentErrs[name]; err != nil {
			return stalled("StartFailed", err.Error())
		}
		p, ok := running[name]
		agent := r.fleet.Agents[name]
		switch {
		case !ok:
			return reconciling("Starting", "it is not ready for runs yet")
		case p.Broken:
			return stalled("StartFailed", p.LastExit)
		case p.State == host.StateBackoff:
			return stalled("Backoff", "the process ended: "+p.LastExit+"; the next one is not started before "+p.Until.UTC().Format(time.RFC3339))
		case agent == nil || agent.Digest != p.Digest:
			return reconciling("Replacing", "runs that begin now are still of the revision before")
		}
	}
	var waits []string
	for _, ref := range res.DependsOn {
		if ref.Kind != spec.KindAction && !ref.Kind.OnlyChecked() && !IsReady(r.resources[ref]) {
			waits = append(waits, ref.String())
		}
	}
	if len(waits) > 0 {
		return stalled("DependencyNotReady", strings.Join(waits, ", ")+" is not ready")
	}
	if res.Kind == spec.KindAgent {
		return agentReady(running[spec.AgentName(res.Name)])
	}
	return ready("Loaded", "at "+r.applied.Short())
}

// agentReady says what an agent does that can do something.
func agentReady(p host.Status) verdict {
	walls := ""
	if p.Isolation != "" {
		walls = ", isolation " + p.Isolation
	}
	if len(p.Processes) == 0 {
		return ready("Idle", "no process, and a run starts one"+walls)
	}
	text := fmt.Sprintf("process %d", p.Processes[0].PID)
	if n := len(p.Processes); n > 1 {
		text = fmt.Sprintf("%d processes", n)
	}
	return ready("Running", text+walls)
}

func actionVerdict(s execute.State) verdict {
	switch s.State {
	case execute.Done:
		return ready("Executed", cmp.Or(s.Message, "executed once; the receipt is in the ledger"))
	case execute.Abandoned:
		return ready("Abandoned", s.Message)
	case execute.Failed:
		return stalled("Failed", s.Message)
	case execute.Refused:
		return stalled("NotApproved", s.Message)
	case execute.Expired:
		return stalled("Expired", s.Message)
	case execute.Unknown:
		return stalled("Unknown", s.Message)
	default:
		return reconciling("Pending", cmp.Or(s.Message, "not executed yet"))
	}
}
