package execute

import (
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// entries builds a record by the reading rules.
type entries struct {
	*testing.T
	r record
}

func (e *entries) entry(step, nonce string, change func(*spec.LedgerEntry)) (spec.LedgerEntry, int) {
	deadline := noon.Add(time.Minute)
	l := spec.LedgerEntry{Step: step, Action: "a", Digest: "d", Nonce: nonce, Executor: "one", At: noon}
	n := map[string]int{spec.StepClaim: len(e.r.claims), spec.StepStarted: len(e.r.starts), spec.StepResolution: len(e.r.resolutions)}[step] + 1
	if step == spec.StepClaim || step == spec.StepStarted {
		l.Deadline = &deadline
	}
	if change != nil {
		change(&l)
	}
	return l, n
}

func (e *entries) add(step, nonce string, change func(*spec.LedgerEntry)) {
	e.Helper()
	l, n := e.entry(step, nonce, change)
	if err := e.r.check(l, n); err != nil {
		e.Fatalf("%s of %s: %v", step, nonce, err)
	}
	e.r.add(l, spec.Key{Name: "Ada"}, l.Executor != "nobody")
}

func (e *entries) refused(step, nonce, why string, change func(*spec.LedgerEntry)) {
	e.Helper()
	l, n := e.entry(step, nonce, change)
	if err := e.r.check(l, n); err == nil || !strings.Contains(err.Error(), why) {
		e.Fatalf("%s of %s: got %v, want %q", step, nonce, err, why)
	}
}

func (e *entries) wants(after time.Duration, phase Phase) State {
	e.Helper()
	s := e.r.state(noon.Add(after))
	if s.State != phase {
		e.Fatalf("it is %s (%s), want %s", s.State, s.Message, phase)
	}
	return s
}

// late is when a person can let it start once more.
const late = time.Minute + ClockSkew

func outcome(o string) func(*spec.LedgerEntry) {
	return func(l *spec.LedgerEntry) { l.Outcome, l.At = o, noon.Add(late) }
}

func again(why string) func(*spec.LedgerEntry) { return func(l *spec.LedgerEntry) { l.Retry = why } }

func TestARetryLetsExactlyOneStartFollow(t *testing.T) {
	e := &entries{T: t}
	e.refused(spec.StepResolution, "1", "about no start", outcome(spec.OutcomeRetry))
	e.add(spec.StepClaim, "1", nil)
	e.refused(spec.StepClaim, "2", "nothing was started", again(spec.RetryResolved))
	e.add(spec.StepStarted, "1", nil)
	e.wants(2*time.Minute, Unknown)
	e.refused(spec.StepClaim, "2", "no person lets it", again(spec.RetryResolved))
	e.add(spec.StepResolution, "1", outcome(spec.OutcomeRetry))
	e.wants(0, Started) // Its deadline has not passed, whoever is early.
	if s := e.wants(late, Pending); s.again() != spec.RetryResolved || !strings.HasPrefix(s.Message, "Ada lets it start once more") {
		t.Errorf("got %+v", s)
	}
	e.add(spec.StepClaim, "2", again(spec.RetryResolved)) // and dies
	e.wants(0, Claimed)
	e.wants(late, Pending)
	e.add(spec.StepClaim, "3", again(spec.RetryResolved))
	e.add(spec.StepStarted, "3", nil)
	e.wants(2*time.Minute, Unknown)
	e.refused(spec.StepClaim, "4", "no person lets it", again(spec.RetryResolved))
	e.add(spec.StepResolution, "1", outcome(spec.OutcomeRetry)) // about the first start: used up
	e.refused(spec.StepClaim, "4", "no person lets it", again(spec.RetryResolved))
	e.wants(2*time.Minute, Unknown)
	e.add(spec.StepResolution, "3", outcome(spec.OutcomeAbandoned))
	e.wants(2*time.Minute, Abandoned)
	e.refused(spec.StepClaim, "4", "settled before", nil)
}

func TestARetryIsNotBeforeTheClocksOfAllAgreeThatTheStartIsOver(t *testing.T) {
	e := &entries{T: t}
	e.add(spec.StepClaim, "1", nil)
	e.add(spec.StepStarted, "1", nil)
	early := func(l *spec.LedgerEntry) { outcome(spec.OutcomeRetry)(l); l.At = l.At.Add(-time.Second) }
	e.add(spec.StepResolution, "1", early)
	if s := e.wants(2*late, Unknown); s.again() != spec.RetryIdempotent || !strings.Contains(s.Message, "possible from 2026-03-01T13:01:00Z on") {
		t.Errorf("what came too early counts later: %+v", s)
	}
	e.add(spec.StepResolution, "1", outcome(spec.OutcomeRetry))
	e.wants(late-time.Second, Waiting) // The person's clock is ahead, or she says so.
	e.wants(late, Pending)
	e.add(spec.StepClaim, "2", again(spec.RetryResolved))
	e.add(spec.StepStarted, "2", nil)
	e.add(spec.StepResolution, "2", func(l *spec.LedgerEntry) { early(l); l.Outcome = spec.OutcomeDone })
	e.wants(2*time.Minute, Done) // It lets nothing start, and so it is never too early.
}

func TestWhoeverIsNotListedLetsNothingStart(t *testing.T) {
	e := &entries{T: t}
	e.add(spec.StepClaim, "1", nil)
	e.add(spec.StepStarted, "1", nil)
	e.add(spec.StepResolution, "1", func(l *spec.LedgerEntry) { l.Outcome, l.Executor = spec.OutcomeRetry, "nobody" })
	if s := e.wants(2*time.Minute, Unknown); s.again() != spec.RetryIdempotent || s.disputed {
		t.Errorf("got %+v", s)
	}
	e.add(spec.StepResolution, "1", func(l *spec.LedgerEntry) { l.Outcome, l.Executor = spec.OutcomeDone, "nobody" })
	if s := e.wants(2*time.Minute, Unknown); !s.disputed {
		t.Errorf("an idempotent tool would be called again, though somebody says that it is done: %+v", s)
	}
}

func TestALedgerOfAnEarlierVersionStaysValid(t *testing.T) {
	e := &entries{T: t} // The second try of an idempotent tool said nothing of why.
	for _, nonce := range []string{"1", "2"} {
		e.add(spec.StepClaim, nonce, nil)
		e.add(spec.StepStarted, nonce, nil)
	}
	e.add(spec.StepResolution, "2", outcome(spec.OutcomeDone))
	e.add(spec.StepReceipt, "2", outcome(spec.OutcomeFailed))
	e.wants(0, Failed)
}

func TestWhatALateReceiptKnowsCountsMore(t *testing.T) {
	e := &entries{T: t}
	e.add(spec.StepClaim, "1", nil)
	e.add(spec.StepStarted, "1", nil)
	e.add(spec.StepResolution, "1", outcome(spec.OutcomeRetry))
	e.add(spec.StepClaim, "2", again(spec.RetryResolved))
	e.add(spec.StepReceipt, "1", outcome(spec.OutcomeDone))
	e.refused(spec.StepStarted, "2", "settled before", nil)
	e.wants(2*time.Minute, Done)
}

func TestAClaimWithoutAReviewHoldsTheCall(t *testing.T) {
	direct := func(file, rule string) func(*spec.LedgerEntry) {
		return func(l *spec.LedgerEntry) {
			l.Direct, l.Digest = &spec.DirectCall{Rule: rule, File: file}, spec.DigestBytes([]byte("spec: {}"))
		}
	}
	e := &entries{T: t}
	e.refused(spec.StepClaim, "1", "not that of the call", direct("spec: {server: other}", "r"))
	e.refused(spec.StepClaim, "1", "has a rule", direct("spec: {}", ""))
	e.refused(spec.StepClaim, "1", "no approval", func(l *spec.LedgerEntry) { direct("spec: {}", "r")(l); l.Approval = &spec.Approval{} })
	e.add(spec.StepClaim, "1", direct("spec: {}", "r"))
	e.refused(spec.StepClaim, "2", "do not agree", nil)
	e.refused(spec.StepStarted, "1", "belongs into a claim", direct("spec: {}", "r"))
	e = &entries{T: t}
	e.add(spec.StepClaim, "1", nil)
	e.refused(spec.StepClaim, "2", "do not agree", direct("spec: {}", "r"))
}

func TestAClaimThatNobodyLetsStartAgainAnyMoreIsNotGoneOnWith(t *testing.T) {
	server := &spec.ToolServer{}
	server.Spec.Tools = map[string]spec.ToolSpec{"restart": {Effect: spec.EffectWrite}}
	w := Work{Action: &spec.Action{Spec: spec.ActionSpec{Server: "cluster", Tool: "restart"}}, Fleet: &spec.Fleet{Servers: map[string]*spec.ToolServer{"cluster": server}}}
	e := New(Options{Name: "one"})
	claimed := State{State: Claimed, Executor: "one"}
	if !e.mayClaim(w, claimed) {
		t.Error("its own claim is not gone on with")
	}
	claimed.begun = true
	if e.mayClaim(w, claimed) {
		t.Error("it was started before, and nobody who counts lets it start again")
	}
	claimed.retry = &resolution{}
	if !e.mayClaim(w, claimed) {
		t.Error("a person lets it start again, and its own claim is not gone on with")
	}
}
