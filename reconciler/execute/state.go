package execute

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/policy"
	"github.com/mainstay-dev/mainstay/spec"
)

// Phase is where an Action on the branch stands.
type Phase string

// The phases of an Action.
const (
	Pending   Phase = "pending"   // merged and approved; nobody has claimed it
	Waiting   Phase = "waiting"   // for something named in the message
	Refused   Phase = "refused"   // the merge does not approve it; the message says why
	Expired   Phase = "expired"   // it was not executed in time
	Claimed   Phase = "claimed"   // an executor is about to start it
	Started   Phase = "started"   // the effect may be happening
	Unknown   Phase = "unknown"   // it started, and nobody knows whether the effect happened: a person decides
	Done      Phase = "done"      // the effect happened
	Failed    Phase = "failed"    // the tool said that it failed, or it was not called; the message says which
	Abandoned Phase = "abandoned" // a person has decided so
)

// State is where an Action stands.
type State struct {
	State Phase `json:"state"`
	// Reason is one CamelCase word where it waits for what is declared, such as [ReasonSuspended].
	Reason string `json:"reason,omitempty"`
	// Message is one sentence: the reason, or what it waits for.
	Message string `json:"message,omitempty"`
	// Result is what the tool returned: its structured result, or else its text as a JSON string.
	Result json.RawMessage `json:"result,omitempty"`
	// Executor made the newest entry.
	Executor string `json:"executor,omitempty"`
	// Approval is who approved it, where that is known; Direct is set where no person had to.
	Approval *spec.Approval   `json:"approval,omitempty"`
	Direct   *spec.DirectCall `json:"direct,omitempty"`
	// Deadline is when a claim may be taken over, or a start becomes unknown.
	Deadline time.Time `json:"deadline,omitzero"`
	// At is the time of the newest entry.
	At time.Time `json:"at,omitzero"`

	// begun says that it has a start, and retry lets another one follow. disputed says that somebody has said that it is
	// settled, which does not count.
	begun    bool
	retry    *resolution
	disputed bool
}

// Settled reports whether no executor can move the Action on.
func (s State) Settled() bool {
	switch s.State {
	case Refused, Expired, Unknown, Done, Failed, Abandoned:
		return true
	}
	return false
}

// State tells where an Action stands, from the ledger as it was last read and the commits in the store. It asks nobody.
func (e *Executor) State(w Work) (State, error) {
	now := e.opts.Now()
	if w.Fleet.Ledger == nil {
		return State{State: Waiting, Message: ErrNoLedger.Error()}, nil
	}
	s, err := e.opts.Ledger.state(w.Action.ID, now)
	if err != nil {
		return State{State: Waiting, Message: err.Error()}, nil //nolint:nilerr // It is the reason that it waits.
	}
	if s.State != Pending && s.State != Claimed {
		return s, nil
	}
	refused, approval, err := e.mayExecute(w, s)
	if err != nil {
		return State{State: Waiting, Message: err.Error()}, err
	}
	_, _, toolErr := e.tool(w)
	denied := Decide(w)
	switch {
	case refused != "":
		return State{State: Refused, Message: refused}, nil
	case !now.Before(w.Action.Expires):
		return State{State: Expired, Message: fmt.Sprintf("it expired at %s", w.Action.Expires.UTC().Format(time.RFC3339))}, nil
	case toolErr != nil:
		return State{State: Waiting, Message: toolErr.Error()}, nil
	case w.Direct == nil && denied.Decision == spec.DecisionDeny:
		return State{State: Waiting, Message: join("the newest policy denies it: "+denied.Rule, denied.Reason)}, nil
	}
	s.Approval = approval
	h, err := e.held(w)
	if err == nil && !h.holds() {
		h, err = e.crowded(w)
	}
	if err != nil {
		return State{State: Waiting, Message: err.Error()}, err
	}
	if h.holds() {
		return h.state(s), nil
	}
	return s, nil
}

// mayExecute returns who has approved an Action, or why nobody has who may. A person who lets it start once more must be one
// who could have approved it.
func (e *Executor) mayExecute(w Work, s State) (refused string, approval *spec.Approval, err error) {
	if w.Direct != nil {
		return "", nil, nil
	}
	v, err := e.approval(w)
	if err != nil || v.Refused != "" {
		return v.Refused, nil, err
	}
	if why, err := e.mayApproveNow(w, v, v.By); err != nil || why != "" {
		return fmt.Sprintf("the merge %s does not approve it: %s", v.Approval.Merge[:7], why), nil, err
	}
	if s.retry == nil {
		return "", v.Approval, nil
	}
	why, err := e.judge.MayApprove(w, v.Verdict, s.retry.by)
	if err == nil && why == "" {
		why, err = e.mayApproveNow(w, v, s.retry.by)
	}
	if err != nil || why != "" {
		return "it is not started once more: " + why, nil, err
	}
	return "", v.Approval, nil
}

// Decide asks the newest policies about an Action's call.
func Decide(w Work) policy.Decision {
	a, effect := w.Action.Spec, ""
	if server := w.Fleet.Servers[a.Server]; server != nil {
		effect = server.Spec.Tools[a.Tool].Effect
	}
	return policy.Decide(policy.Call{Agent: string(a.Evidence.Agent), Server: a.Server, Tool: a.Tool, Effect: effect,
		Arguments: a.Arguments, Sources: a.Evidence.Sources}, w.policies())
}
