package execute

import (
	"context"
	"fmt"
	"time"
)

// The verdicts of a [Check].
const (
	VerdictOK      = "ok"      // nothing against it
	VerdictWaits   = "waits"   // not now
	VerdictRefused = "refused" // never as it is
	VerdictUnknown = "unknown" // it cannot be found out
)

// CheckApproval is the name of the check who has approved the Action.
const CheckApproval = "approval"

// Check is one thing that is checked before an Action is executed.
type Check struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict"`
	// Message is one sentence: why, or what was found.
	Message string `json:"message"`
}

// DryRun goes through all that [Executor.Execute] checks, one after the other and whatever the ones before said. The
// precondition's tool is called, which only reads. It claims nothing, writes nothing and makes no other call. An error says
// that the remote or the ledger could not be read.
func (e *Executor) DryRun(ctx context.Context, w Work) ([]Check, error) {
	if err := e.opts.Ledger.Read(ctx); err != nil {
		return nil, err
	}
	now := e.opts.Now()
	var checks []Check
	add := func(name, verdict, format string, args ...any) {
		checks = append(checks, Check{name, verdict, fmt.Sprintf(format, args...)})
	}
	held := func(name, fine string, h hold, err error) {
		switch {
		case err != nil:
			add(name, VerdictUnknown, "%v", err)
		case h.never:
			add(name, VerdictRefused, "%s", h.message)
		case h.holds():
			add(name, VerdictWaits, "%s", h.message)
		default:
			add(name, VerdictOK, "%s", fine)
		}
	}

	s, err := e.opts.Ledger.state(w.Action.ID, now)
	switch {
	case err != nil:
		add("ledger", VerdictUnknown, "%v", err)
	case s.State == Pending:
		add("ledger", VerdictOK, "%s", s.Message)
	case s.Settled() && s.State != Unknown:
		add("ledger", VerdictRefused, "it is %s%s", s.State, because(s.Message))
	default:
		add("ledger", VerdictWaits, "it is %s%s", s.State, because(s.Message))
	}
	v, err := e.approval(w)
	switch {
	case err != nil:
		add(CheckApproval, VerdictUnknown, "%v", err)
	case v.Refused != "":
		add(CheckApproval, VerdictRefused, "%s", v.Refused)
	default:
		add(CheckApproval, VerdictOK, "approved by %s in commit %.7s", v.Approval.Approver, v.Approval.Merge)
	}
	expires := w.Action.Expires.UTC().Format(time.RFC3339)
	if now.Before(w.Action.Expires) {
		add("expiry", VerdictOK, "it expires at %s", expires)
	} else {
		add("expiry", VerdictRefused, "it expired at %s", expires)
	}
	if _, _, err := e.tool(w); err != nil {
		add("tool", VerdictWaits, "%v", err)
		return checks, nil // All that follows is about the tool.
	}
	add("tool", VerdictOK, "%s declares it as a write tool", w.Fleet.Servers[w.Action.Spec.Server].Place.File)
	held("suspended", "nothing suspends it", hold{reason: ReasonSuspended, message: e.opts.Suspended(w)}, nil)
	h, err := e.comesAfter(w, 0)
	held("order", "nothing has to come first", h, err)
	held("window", "it may be executed at this time", e.outsideWindow(w), nil)
	h, err = e.crowded(w)
	held("limits", "its target is free, and no limit is used up", h, err)
	if p := w.Action.Spec.Precondition; p != nil {
		switch failed, err := e.checkPrecondition(ctx, w); {
		case err != nil:
			return checks, err
		case failed != "":
			add("precondition", VerdictRefused, "%s", failed)
		default:
			add("precondition", VerdictOK, "%s", p.Check)
		}
	}
	return checks, nil
}

func because(message string) string {
	if message == "" {
		return ""
	}
	return ": " + message
}

// Executes reports whether nothing is against executing an Action now.
func Executes(checks []Check) bool {
	for _, c := range checks {
		if c.Verdict != VerdictOK {
			return false
		}
	}
	return len(checks) > 0
}
