package execute

import (
	"fmt"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// The reasons of [State.Reason]: what keeps an approved Action waiting.
const (
	ReasonSuspended     = "Suspended"     // it, or all, is suspended
	ReasonAfter         = "After"         // an Action that comes first is not done
	ReasonOutsideWindow = "OutsideWindow" // no maintenance window is open
	ReasonBusy          = "Busy"          // as many calls as may be are under way on the same target
	ReasonLimited       = "Limited"       // a limit is used up
)

// hold says why an approved Action is neither claimed nor started now. Its message is "" where nothing holds it.
type hold struct {
	reason, message string
	// never says that it will never be executed.
	never bool
}

func (h hold) holds() bool { return h.message != "" }

// state is that of an Action that is held.
func (h hold) state(s State) State {
	s.State, s.Reason, s.Message = Waiting, h.reason, h.message
	if h.never {
		s.State = Refused
	}
	return s
}

// held finds out what holds an Action, from what is declared and from the ledger as it was last read.
func (e *Executor) held(w Work) (hold, error) {
	if why := e.opts.Suspended(w); why != "" {
		return hold{reason: ReasonSuspended, message: why}, nil
	}
	if h, err := e.comesAfter(w, 0); err != nil || h.holds() {
		return h, err
	}
	return e.outsideWindow(w), nil
}

// outsideWindow holds an Action while no maintenance window is open.
func (e *Executor) outsideWindow(w Work) hold {
	server, _, err := e.tool(w)
	if err != nil {
		return hold{} // It waits for its tool.
	}
	windows, of := w.Fleet.WindowsOf(server)
	open, opens := spec.OpenAt(windows, e.opts.Now())
	if open {
		return hold{}
	}
	text := fmt.Sprintf("no maintenance window of %s is open before %s", of, opens.UTC().Format(time.RFC3339))
	if !opens.IsZero() && !opens.Before(w.Action.Expires) {
		text += fmt.Sprintf(", and it expires before that, at %s: have it proposed again with more time, or widen the windows", w.Action.Expires.UTC().Format(time.RFC3339))
	}
	return hold{reason: ReasonOutsideWindow, message: text}
}

// maxAfter bounds how far is looked back from an Action to those that come first.
const maxAfter = 64

// comesAfter holds an Action until those that it comes after are done. Where one of them never will be, neither will it.
func (e *Executor) comesAfter(w Work, depth int) (hold, error) {
	if depth > maxAfter {
		return hold{reason: ReasonAfter, message: fmt.Sprintf("more than %d actions come before it, or it comes after itself: have it proposed again", maxAfter), never: true}, nil
	}
	for _, id := range w.Action.Spec.After {
		s, err := e.opts.Ledger.state(id, e.opts.Now())
		if err != nil {
			return hold{}, err
		}
		if s.State == Pending || s.State == Claimed {
			if s, err = e.first(w, id, s, depth); err != nil {
				return hold{}, err
			}
		}
		switch s.State {
		case Done:
		case Failed, Abandoned, Expired:
			return hold{ReasonAfter, fmt.Sprintf("it comes after %s, which is %s (%s): if it is still wanted, have it proposed again without that", id, s.State, s.Message), true}, nil
		case Refused:
			return hold{ReasonAfter, fmt.Sprintf("it comes after %s, which is refused (%s): have both proposed again", id, s.Message), false}, nil
		case Unknown:
			return hold{ReasonAfter, fmt.Sprintf("it comes after %s: %s", id, s.Message), false}, nil
		default:
			return hold{ReasonAfter, fmt.Sprintf("it comes after %s, which is not done yet: %s", id, s.Message), false}, nil
		}
	}
	return hold{}, nil
}

// first is where an Action that comes first, and has no receipt, stands.
func (e *Executor) first(w Work, id spec.ActionID, s State, depth int) (State, error) {
	action := w.Fleet.Actions[id]
	if action == nil {
		if why := e.opts.Ledger.rejected(id); why != "" {
			return State{State: Abandoned, Message: why}, nil
		}
		s.Message = "it is not on the branch; approve its proposal first"
		return s, nil
	}
	if !e.opts.Now().Before(action.Expires) {
		return State{State: Expired, Message: "it expired at " + action.Expires.UTC().Format(time.RFC3339)}, nil
	}
	work := Work{Action: action, Revision: w.Revision, Fleet: w.Fleet, Trusted: w.Trusted}
	v, err := e.approval(work)
	if err != nil {
		return s, err
	}
	if v.Refused != "" {
		return State{State: Refused, Message: v.Refused}, nil
	}
	if h, err := e.comesAfter(work, depth+1); err != nil || h.never {
		return State{State: Abandoned, Message: h.message}, err
	}
	return s, nil
}
