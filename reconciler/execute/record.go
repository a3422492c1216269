package execute

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// record is all that the ledger holds about one Action.
type record struct {
	claims      []spec.LedgerEntry
	starts      []spec.LedgerEntry
	receipt     *spec.LedgerEntry
	resolutions []resolution
	signers     map[string]string // the fingerprint of who signed a claim, by its nonce
	// began and ended are which entries of the ledger are the last start and the receipt; 0 is none.
	began, ended int
}

// resolution is what a person has decided. One that does not count is kept, because its path is taken.
type resolution struct {
	spec.LedgerEntry
	by     spec.Key
	counts bool
}

// ClockSkew is how far the clocks of two machines may be apart. By a clock that is behind as far, a start is still under way at
// its deadline.
const ClockSkew = time.Hour

// RetryFrom is when a person can first let an Action start once more: the deadline of its last start, and [ClockSkew]. Until
// then such a resolution does not count, and no executor makes use of one. A tool that is declared idempotent needs none.
func RetryFrom(start spec.LedgerEntry) time.Time { return start.Deadline.Add(ClockSkew).UTC() }

// maxClaims bounds how often an Action may be claimed. It is only reached by executors that die again and again.
const maxClaims = 1000

// check reports why an entry cannot be the next one of its Action. Who of the people is listed makes no difference to it: an
// entry that was right stays right when they come and go.
func (r *record) check(e spec.LedgerEntry, n int) error {
	if e.Nonce == "" || e.Digest == "" {
		return errors.New("it has no nonce or digest")
	}
	if e.Step != spec.StepClaim && (e.Retry != "" || e.Direct != nil) {
		return errors.New("it holds what belongs into a claim")
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
		if err := r.checkDirect(e); err != nil {
			return err
		}
		return r.checkAgain(e.Retry)
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
		return r.checkAgain(last.Retry)
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
		if n != len(r.resolutions)+1 || n > maxClaims {
			return fmt.Errorf("it is resolution %d, and there are %d", n, len(r.resolutions))
		}
		switch e.Outcome {
		case spec.OutcomeDone, spec.OutcomeAbandoned, spec.OutcomeRetry:
		default:
			return fmt.Errorf("its outcome is %q", e.Outcome)
		}
		if r.started(e.Nonce) == nil {
			return errors.New("it is about no start")
		}
	default:
		return fmt.Errorf("its step is %q", e.Step)
	}
	return nil
}

// checkAgain reports why an Action cannot be claimed or started, for a reason to do so again.
func (r *record) checkAgain(retry string) error {
	switch {
	case r.receipt != nil, r.final() != nil && retry != spec.RetryResolved:
		return errors.New("the Action was settled before")
	case retry == "":
	case len(r.starts) == 0:
		return errors.New("it says that it starts again, and nothing was started")
	case retry == spec.RetryResolved && r.retry(false) == nil:
		return errors.New("no person lets it start again after its last start")
	case retry != spec.RetryResolved && retry != spec.RetryIdempotent:
		return fmt.Errorf("it starts again because of %q", retry)
	}
	return nil
}

// checkDirect reports why a claim cannot be one of an Action without a review.
func (r *record) checkDirect(e spec.LedgerEntry) error {
	last := r.claim()
	switch {
	case e.Direct == nil && (last == nil || last.Direct == nil):
		return nil
	case e.Direct == nil, last != nil && last.Direct == nil:
		return errors.New("the claims do not agree on whether the Action was reviewed")
	case e.Approval != nil || e.Direct.Rule == "":
		return errors.New("an Action that was not reviewed has a rule, and no approval")
	case spec.DigestBytes([]byte(e.Direct.File)) != e.Digest:
		return errors.New("its digest is not that of the call in it")
	case last != nil && last.Digest != e.Digest:
		return errors.New("it is about another call than the claim before")
	}
	return nil
}

// add takes over an entry that was checked, with who signed it and whether it counts, as all do but those of some people.
func (r *record) add(e spec.LedgerEntry, by spec.Key, counts bool) {
	switch e.Step {
	case spec.StepResolution:
		r.resolutions = append(r.resolutions, resolution{LedgerEntry: e, by: by, counts: counts && r.early(e) == ""})
	case spec.StepClaim:
		r.claims = append(r.claims, e)
	case spec.StepStarted:
		r.starts = append(r.starts, e)
	case spec.StepReceipt:
		r.receipt = &e
	}
}

// early returns why a resolution does not count that lets a start be followed by another one too soon, or "".
func (r *record) early(e spec.LedgerEntry) string {
	start := r.started(e.Nonce)
	if e.Outcome != spec.OutcomeRetry || start == nil || !e.At.Before(RetryFrom(*start)) {
		return ""
	}
	return fmt.Sprintf("it is of %s, and the Action may be started once more from %s on", e.At.UTC().Format(time.RFC3339), RetryFrom(*start).Format(time.RFC3339))
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

// lastStart returns the newest start, or nil.
func (r *record) lastStart() *spec.LedgerEntry {
	if len(r.starts) == 0 {
		return nil
	}
	return &r.starts[len(r.starts)-1]
}

// final returns the resolution that ends the Action, or nil. It is the first one that counts.
func (r *record) final() *resolution {
	for i := range r.resolutions {
		if res := &r.resolutions[i]; res.counts && res.Outcome != spec.OutcomeRetry {
			return res
		}
	}
	return nil
}

// retry returns the resolution that lets one more start follow the last one, or nil.
func (r *record) retry(counts bool) *resolution {
	last := r.lastStart()
	for i := range r.resolutions {
		res := &r.resolutions[i]
		if last != nil && res.Nonce == last.Nonce && res.Outcome == spec.OutcomeRetry && (res.counts || !counts) {
			return res
		}
	}
	return nil
}

// state tells what the entries say. A receipt counts more than a resolution, because it knows.
func (r *record) state(now time.Time) State {
	claim := r.claim()
	if claim == nil {
		return State{State: Pending, Message: "nobody has claimed it yet"}
	}
	s := State{Executor: claim.Executor, Approval: claim.Approval, Direct: claim.Direct, Deadline: *claim.Deadline, At: claim.At}
	switch final := r.final(); {
	case r.receipt != nil:
		return s.settled(*r.receipt)
	case final != nil:
		return s.settled(final.LedgerEntry)
	}
	start, retry := r.lastStart(), r.retry(true)
	begun := start != nil && start.Nonce == claim.Nonce
	s.retry, s.begun = retry, start != nil
	for _, res := range r.resolutions {
		s.disputed = s.disputed || res.Outcome != spec.OutcomeRetry
	}
	switch {
	case begun && now.Before(*start.Deadline):
		s.Deadline, s.At = *start.Deadline, start.At
		s.State, s.Message = Started, fmt.Sprintf("started by %s; unknown if there is no receipt by %s", start.Executor, s.Deadline.UTC().Format(time.RFC3339))
	case !begun && now.Before(*claim.Deadline):
		s.State, s.Message = Claimed, fmt.Sprintf("claimed by %s until %s", claim.Executor, s.Deadline.UTC().Format(time.RFC3339))
	case retry != nil && now.Before(RetryFrom(*start)): // By this clock, whatever that of the person says.
		s.State, s.Message = Waiting, fmt.Sprintf("%s lets it start once more, and that is possible from %s on: %s", retry.by.Name, RetryFrom(*start).Format(time.RFC3339), retry.Message)
	case retry != nil:
		s.State, s.Message = Pending, fmt.Sprintf("%s lets it start once more: %s", retry.by.Name, retry.Message)
	case start != nil: // Also where a second try of an idempotent tool was claimed and never started.
		s.Deadline, s.At = *start.Deadline, start.At
		s.State, s.Message = Unknown, unknown(start)
	default:
		s.State, s.Message = Pending, fmt.Sprintf("the claim of %s has expired", claim.Executor)
	}
	return s
}

// again is why an Action in that state may start again, as a claim says it; "" where it never started.
func (s State) again() string {
	switch {
	case s.retry != nil:
		return spec.RetryResolved
	case s.begun:
		return spec.RetryIdempotent
	}
	return ""
}

// settled is the state that an entry ends an Action in.
func (s State) settled(e spec.LedgerEntry) State {
	s = State{State: Done, Message: e.Message, Result: e.Result, Executor: e.Executor, Approval: s.Approval, Direct: s.Direct, At: e.At}
	switch e.Outcome {
	case spec.OutcomeFailed:
		s.State = Failed
	case spec.OutcomeAbandoned:
		s.State = Abandoned
	}
	return s
}

func unknown(start *spec.LedgerEntry) string {
	return fmt.Sprintf("%s started it at %s and wrote no receipt: look whether the effect happened, then run `mainstay actions resolve %s --reason TEXT` with --done, with --abandon, or with --retry to have it started once more, which is possible from %s on",
		start.Executor, start.At.UTC().Format(time.RFC3339), start.Action, RetryFrom(*start).Format(time.RFC3339))
}

// startedElse reports whether there is a start with another nonce.
func (r *record) startedElse(nonce string) bool {
	return slices.ContainsFunc(r.starts, func(start spec.LedgerEntry) bool { return start.Nonce != nonce })
}
