package execute

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

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
	// Approval is who approved it, where that is known.
	Approval *spec.Approval `json:"approval,omitempty"`
	// Deadline is when a claim may be taken over, or a start becomes unknown.
	Deadline time.Time `json:"deadline,omitzero"`
	// At is the time of the newest entry.
	At time.Time `json:"at,omitzero"`
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
	v, err := e.approval(w)
	if err != nil {
		return State{State: Waiting, Message: err.Error()}, err
	}
	_, _, toolErr := e.tool(w)
	switch {
	case v.Refused != "":
		return State{State: Refused, Message: v.Refused}, nil
	case !now.Before(w.Action.Expires):
		return State{State: Expired, Message: fmt.Sprintf("it expired at %s", w.Action.Expires.UTC().Format(time.RFC3339))}, nil
	case toolErr != nil:
		return State{State: Waiting, Message: toolErr.Error()}, nil
	}
	s.Approval = v.Approval
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

// record is all that the ledger holds about one Action.
type record struct {
	claims     []spec.LedgerEntry
	starts     []spec.LedgerEntry
	receipt    *spec.LedgerEntry
	resolution *spec.LedgerEntry
	signers    map[string]string // the fingerprint of who signed a claim, by its nonce
}

// maxClaims bounds how often an Action may be claimed. It is only reached by executors that die again and again.
const maxClaims = 1000

// check reports why an entry cannot be the next one of its Action.
func (r *record) check(e spec.LedgerEntry, n int) error {
	if e.Nonce == "" || e.Digest == "" {
		return errors.New("it has no nonce or digest")
	}
	last := r.claim()
	switch e.Step {
	case spec.StepClaim:
		if n != len(r.claims)+1 || n > maxClaims {
			return fmt.Errorf("it is claim %d, and there are %d", n, len(r.claims))
		}
		if r.claimed(e.Nonce) != nil {
			return errors.New("its nonce is that of a claim before it")
		}
		if e.Deadline == nil {
			return errors.New("it has no deadline")
		}
		if r.receipt != nil || r.resolution != nil {
			return errors.New("the Action was settled before")
		}
	case spec.StepStarted:
		if n != len(r.starts)+1 {
			return fmt.Errorf("it is start %d, and there are %d", n, len(r.starts))
		}
		if last == nil || last.Nonce != e.Nonce || r.started(e.Nonce) != nil {
			return errors.New("it does not belong to the last claim")
		}
		if last.Digest != e.Digest {
			return errors.New("it is about other bytes than its claim")
		}
		if e.Deadline == nil {
			return errors.New("it has no deadline")
		}
		if r.receipt != nil || r.resolution != nil {
			return errors.New("the Action was settled before")
		}
	case spec.StepReceipt:
		if r.receipt != nil || n != 1 {
			return errors.New("there is a receipt already")
		}
		if e.Outcome != spec.OutcomeDone && e.Outcome != spec.OutcomeFailed {
			return fmt.Errorf("its outcome is %q", e.Outcome)
		}
		if r.started(e.Nonce) == nil && (last == nil || last.Nonce != e.Nonce) {
			return errors.New("it belongs to no start, and not to the last claim")
		}
		if of := r.claimed(e.Nonce); of == nil || of.Digest != e.Digest {
			return errors.New("it is about other bytes than its claim")
		}
	case spec.StepResolution:
		if r.resolution != nil || n != 1 {
			return errors.New("there is a resolution already")
		}
		if e.Outcome != spec.OutcomeDone && e.Outcome != spec.OutcomeAbandoned {
			return fmt.Errorf("its outcome is %q", e.Outcome)
		}
	default:
		return fmt.Errorf("its step is %q", e.Step)
	}
	return nil
}

func (r *record) add(e spec.LedgerEntry) {
	switch e.Step {
	case spec.StepClaim:
		r.claims = append(r.claims, e)
	case spec.StepStarted:
		r.starts = append(r.starts, e)
	case spec.StepReceipt:
		r.receipt = &e
	case spec.StepResolution:
		r.resolution = &e
	}
}

// claim returns the newest claim, or nil.
func (r *record) claim() *spec.LedgerEntry {
	if len(r.claims) == 0 {
		return nil
	}
	return &r.claims[len(r.claims)-1]
}

// claimed returns the claim with a nonce, or nil.
func (r *record) claimed(nonce string) *spec.LedgerEntry {
	for i := range r.claims {
		if r.claims[i].Nonce == nonce {
			return &r.claims[i]
		}
	}
	return nil
}

// started returns the start with a nonce, or nil.
func (r *record) started(nonce string) *spec.LedgerEntry {
	for i := range r.starts {
		if r.starts[i].Nonce == nonce {
			return &r.starts[i]
		}
	}
	return nil
}

// startedElse reports whether there is a start with another nonce.
func (r *record) startedElse(nonce string) bool {
	return slices.ContainsFunc(r.starts, func(start spec.LedgerEntry) bool { return start.Nonce != nonce })
}

// state tells what the entries say. A receipt counts more than a resolution, because it knows.
func (r *record) state(now time.Time) State {
	switch {
	case r.receipt != nil:
		s := settled(*r.receipt)
		if claim := r.claim(); claim != nil {
			s.Approval = claim.Approval
		}
		if r.receipt.Outcome == spec.OutcomeFailed {
			s.State = Failed
		}
		return s
	case r.resolution != nil:
		s := settled(*r.resolution)
		if r.resolution.Outcome == spec.OutcomeAbandoned {
			s.State = Abandoned
		}
		return s
	}
	claim := r.claim()
	if claim == nil {
		return State{State: Pending, Message: "nobody has claimed it yet"}
	}
	s := State{Executor: claim.Executor, Approval: claim.Approval, Deadline: *claim.Deadline, At: claim.At}
	live := now.Before(*claim.Deadline)
	switch start := r.started(claim.Nonce); {
	case start != nil:
		s.Deadline, s.At = *start.Deadline, start.At
		s.State, s.Message = Started, fmt.Sprintf("started by %s; unknown if there is no receipt by %s", start.Executor, s.Deadline.UTC().Format(time.RFC3339))
		if !now.Before(s.Deadline) {
			s.State, s.Message = Unknown, unknown(start)
		}
	case live:
		s.State, s.Message = Claimed, fmt.Sprintf("claimed by %s until %s", claim.Executor, s.Deadline.UTC().Format(time.RFC3339))
	case len(r.starts) > 0: // A second try of an idempotent tool that was claimed and never started.
		s.State, s.Message = Unknown, unknown(&r.starts[len(r.starts)-1])
	default:
		s.State, s.Message = Pending, fmt.Sprintf("the claim of %s has expired", claim.Executor)
	}
	return s
}

func settled(e spec.LedgerEntry) State {
	return State{State: Done, Message: e.Message, Result: e.Result, Executor: e.Executor, At: e.At}
}

func unknown(start *spec.LedgerEntry) string {
	return fmt.Sprintf("%s started it at %s and wrote no receipt: look whether the effect happened, then run `mainstay actions resolve %s --done`, or --abandon, with a --reason",
		start.Executor, start.At.UTC().Format(time.RFC3339), start.Action)
}
