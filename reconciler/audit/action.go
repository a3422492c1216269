package audit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/spec"
)

// slack is how long after the end of an approval the start may have been written that was decided on before.
const slack = time.Minute

// What to do about the commonest problems.
const (
	doRemove   = "take the file away from the branch; if it is still wanted, the agent proposes it again and an approver merges that with `mainstay proposals approve`"
	doEarly    = "no executor starts it again that early, because the first call may have been under way: find out what both calls did, and look at the clock and the version of that executor"
	doResolved = "no executor starts it again for somebody who may not approve it: find out what the second call did and who holds the key that has signed its claim, and replace that key in mainstay.yaml"
	doForged   = "nobody has approved what was executed here: find out what the call did and who holds the key that has signed it, and replace that key in mainstay.yaml"
)

// assess brings the branch and the ledger together.
func (b *branch) assess(r *Report, entries []execute.Entry) error {
	of := map[spec.ActionID][]execute.Entry{}
	var order []spec.ActionID
	for _, e := range entries {
		if e.Ledger == nil {
			continue
		}
		if of[e.Ledger.Action] == nil {
			order = append(order, e.Ledger.Action)
		}
		of[e.Ledger.Action] = append(of[e.Ledger.Action], e)
	}
	for _, f := range b.order {
		if len(f.versions) == 0 {
			continue
		}
		id := b.owner(f)
		if id == "" {
			if f.present {
				r.add(Problem{File: f.path, What: f.last().Refused, Do: doRemove})
			}
			continue
		}
		a, err := b.action(r, id, f, of[id])
		if err != nil {
			return err
		}
		r.Actions = append(r.Actions, a)
		delete(of, id)
	}
	for _, id := range order {
		if of[id] == nil {
			continue
		}
		a, err := b.action(r, id, nil, of[id])
		if err != nil {
			return err
		}
		r.Actions = append(r.Actions, a)
	}
	return nil
}

// owner returns the Action whose file lies at this path, or "" where it is nobody's place.
func (b *branch) owner(f *file) spec.ActionID {
	for i := range f.versions {
		if a := f.versions[i].action; a != nil && b.judge.File(a.ID) == f.path {
			return a.ID
		}
	}
	return ""
}

// chain is an Action while it is looked at.
type chain struct {
	Action
	report *Report
	now    time.Time
}

func (c *chain) wrong(do, format string, args ...any) {
	c.Holds = false
	c.report.add(Problem{Action: c.ID, File: c.File, What: fmt.Sprintf(format, args...), Do: do})
}

// action checks the chain of one Action. The file is nil where none was ever on the branch.
func (b *branch) action(r *Report, id spec.ActionID, f *file, entries []execute.Entry) (Action, error) {
	c := &chain{report: r, Action: Action{ID: id, Holds: true}, now: b.o.Now}
	var counted []execute.Entry
	for _, e := range entries {
		if e.Ignored == "" {
			counted = append(counted, e)
			c.Steps = append(c.Steps, newStep(e))
		}
	}
	var v *version
	if f != nil {
		c.File, v = f.path, f.last()
	}
	state := execute.StateOf(counted, b.o.Now)
	c.State, c.Message = state.State, state.Message
	var about *version
	for _, e := range counted {
		if e.Ledger.Step != spec.StepClaim {
			continue
		}
		var claimed *version
		if e.Ledger.Direct == nil {
			claimed = c.claim(f, e)
		} else {
			var err error
			if claimed, err = b.directClaim(c, e, executed(counted, e)); err != nil {
				return Action{}, err
			}
		}
		if claimed != nil {
			v, about = claimed, claimed
		}
		c.startedEarly(e, entries)
		if err := b.startedAgain(c, claimed, e, counted); err != nil {
			return Action{}, err
		}
	}
	c.describe(v)
	if done := c.State == execute.Done || c.State == execute.Failed || c.State == execute.Abandoned; !r.Ledger.Holds && !done {
		c.Holds, c.Message = false, "the ledger does not hold, so that it does not say what became of it"
	}
	for _, e := range counted {
		if e.Ledger.Step == spec.StepStarted && v != nil && v.action != nil && e.Ledger.At.After(v.action.Expires.Add(slack)) {
			c.wrong("look at the clock and the version of that executor", "%s started it at %s, and its approval had ended at %s",
				e.Ledger.Executor, e.Ledger.At.UTC().Format(time.RFC3339), v.action.Expires.UTC().Format(time.RFC3339))
		}
	}
	if f != nil && (c.State == execute.Pending || f.present) {
		if err := b.present(c, f, about); err != nil {
			return Action{}, err
		}
	}
	return c.Action, nil
}

// describe fills in where the Action comes from.
func (c *chain) describe(v *version) {
	if v == nil {
		return
	}
	c.Digest = v.digest
	if v.action != nil {
		c.Summary, c.Evidence = v.action.Spec.Summary, &v.action.Spec.Evidence
	}
	if v.Approval != nil {
		proposer := newKey(v.Proposer)
		c.Approval, c.Proposer, c.MergedAt = v.Approval, &proposer, v.when
	}
}

// claimant says who has made an entry.
func claimant(e execute.Entry) string {
	return fmt.Sprintf("%s, signed by %s (%s) in commit %s,", e.Ledger.Executor, e.Signer.Name, e.Signer.Fingerprint(), e.Commit[:7])
}

// executed reports whether anything came of a claim but the receipt that nothing was done.
func executed(entries []execute.Entry, claim execute.Entry) bool {
	return slices.ContainsFunc(entries, func(e execute.Entry) bool {
		return e.Ledger.Nonce == claim.Ledger.Nonce &&
			(e.Ledger.Step == spec.StepStarted || e.Ledger.Step == spec.StepReceipt && e.Ledger.Outcome != spec.OutcomeFailed)
	})
}

// startedAgain checks that whoever let a reviewed Action start once more could have approved it, where a claim makes use of
// that.
func (b *branch) startedAgain(c *chain, v *version, claim execute.Entry, entries []execute.Entry) error {
	if claim.Ledger.Retry != spec.RetryResolved || v == nil || v.Approval == nil {
		return nil
	}
	start := ""
	var lets []execute.Entry
	for _, e := range entries {
		switch {
		case e.Commit == claim.Commit:
			return b.letAgain(c, v, claim, lets)
		case e.Ledger.Step == spec.StepStarted:
			start, lets = e.Ledger.Nonce, nil
		case e.Ledger.Step == spec.StepResolution && e.Ledger.Outcome == spec.OutcomeRetry && e.Ledger.Nonce == start:
			lets = append(lets, e)
		}
	}
	return nil
}

// startedEarly checks that a claim which makes use of a person's resolution was not made before another start was possible, and
// that the resolution was not either.
func (c *chain) startedEarly(claim execute.Entry, entries []execute.Entry) {
	if claim.Ledger.Retry != spec.RetryResolved {
		return
	}
	var start, let *spec.LedgerEntry
	for _, e := range entries {
		switch l := e.Ledger; {
		case e.Commit == claim.Commit:
			if start == nil {
				return
			}
			if from := execute.RetryFrom(*start); claim.Ledger.At.Before(from) || let != nil && let.At.Before(from) {
				c.wrong(doEarly, "%s started it once more, and that was possible from %s on", claimant(claim), from.Format(time.RFC3339))
			}
			return
		case l.Step == spec.StepStarted:
			start, let = l, nil
		case l.Step == spec.StepResolution && l.Outcome == spec.OutcomeRetry && start != nil && l.Nonce == start.Nonce && (let == nil || let.At.Before(l.At)):
			let = l
		}
	}
}

// letAgain checks that one of the resolutions is by somebody who may approve the Action. Of those who were removed since there
// are none left, since they do not count any more.
func (b *branch) letAgain(c *chain, v *version, claim execute.Entry, lets []execute.Entry) error {
	var refused []string
	for _, e := range lets {
		why, err := b.judge.MayApprove(execute.Work{Action: v.action, Trusted: b.trust.Fleet}, v.Verdict, e.Signer)
		if err != nil || why == "" {
			return err
		}
		refused = append(refused, fmt.Sprintf("commit %s by %s: %s", e.Commit[:7], e.Signer.Name, why))
	}
	if refused != nil {
		c.wrong(doResolved, "%s started it once more, and whoever let it may not approve it: %s", claimant(claim), strings.Join(refused, "; "))
	}
	return nil
}

// claim checks that what was claimed is what was approved, and returns the version of the file that it is about.
func (c *chain) claim(f *file, e execute.Entry) *version {
	claim := e.Ledger
	who := claimant(e)
	if f == nil {
		c.wrong("the branch was rewritten, or the entry is forged: put back the merge that brought the Action in, or find out who holds that key, and what the call did",
			"%s claimed it, and it was never on the branch", who)
		return nil
	}
	var about *version
	for i := range f.versions {
		v := &f.versions[i]
		if v.digest != claim.Digest {
			continue
		}
		if about = v; v.Approval != nil && claim.Approval != nil && *v.Approval == *claim.Approval {
			return v
		}
	}
	switch {
	case about == nil:
		c.wrong(doForged, "%s claimed the bytes %s, which were never in %s", who, claim.Digest.Short(), f.path)
	case about.Approval == nil:
		c.wrong(doForged, "%s claimed it, and it is not approved: %s", who, about.Refused)
	case claim.Approval == nil:
		c.wrong(doForged, "%s claimed it and names no approval; the branch says that %s approved it in %s", who, about.Approval.Approver, about.Approval.Merge[:7])
	default:
		c.wrong(doForged, "%s claimed it and says that %s (%s) approved it in %.7s; the branch says that %s (%s) did, in %s", who,
			claim.Approval.Approver, claim.Approval.Key, claim.Approval.Merge, about.Approval.Approver, about.Approval.Key, about.Approval.Merge[:7])
	}
	return about
}

// present checks what is on the branch now, and says where an Action stands that nobody has begun.
func (b *branch) present(c *chain, f *file, claimed *version) error {
	last := f.last()
	if !f.present {
		c.State, c.Message = Removed, "its file was taken away before it was started"
		return nil
	}
	refused := last.Refused
	if c.State == execute.Pending && refused == "" {
		if !c.now.Before(last.action.Expires) {
			c.State, c.Message = execute.Expired, fmt.Sprintf("it expired at %s", last.action.Expires.UTC().Format(time.RFC3339))
			return nil
		}
		// Who approved it then may not count any more.
		v, err := b.again(f, last)
		if err != nil {
			return err
		}
		if refused = v.Refused; refused == "" {
			if refused, err = b.mayApproveNow(last, v); err != nil {
				return err
			}
		}
	}
	switch {
	case refused != "" && c.State != execute.Pending && claimed != nil && claimed.Approval != nil && claimed.digest == last.digest:
		// The bytes that were approved and executed came back. No executor looks at them again.
	case refused != "":
		if c.State == execute.Pending {
			c.State, c.Message = execute.Refused, refused
		}
		if claimed != last { // What is wrong with a claim of these bytes was said there.
			c.wrong(doRemove, "%s", refused)
		}
	}
	return nil
}

// again judges a version with those who count at the tip.
func (b *branch) again(f *file, v *version) (execute.Verdict, error) {
	c, err := b.o.History.Commit(v.merge)
	if err != nil {
		return execute.Verdict{}, err
	}
	tree, err := b.o.History.Snapshot(v.merge)
	if err != nil {
		return execute.Verdict{}, err
	}
	object, err := objectAt(tree, f.path)
	if err == nil && object == "" {
		err = errors.New("it is gone")
	}
	if err != nil {
		return execute.Verdict{}, fmt.Errorf("%s in %s: %w", f.path, v.merge, err)
	}
	return b.judged(f, *v, c, object, b.trust.Fleet)
}

// mayApproveNow returns why whoever merged a version may not approve it by what is declared at the tip, or "".
func (b *branch) mayApproveNow(of *version, v execute.Verdict) (string, error) {
	now, err := b.declared.At(b.o.Tip)
	if err != nil || len(now) == 0 {
		return "", err // A broken tip never runs.
	}
	why, err := b.judge.MayApproveBy(execute.Work{Action: of.action, Trusted: b.trust.Fleet}, v, v.By, now)
	if why != "" {
		why = fmt.Sprintf("the merge %s does not approve it: %s", v.Approval.Merge[:7], why)
	}
	return why, err
}

func newStep(e execute.Entry) Step {
	return Step{
		Step: e.Ledger.Step, Commit: e.Commit, Executor: e.Ledger.Executor, Signer: newKey(e.Signer), At: e.Ledger.At,
		Outcome: e.Ledger.Outcome, Message: e.Ledger.Message,
	}
}
