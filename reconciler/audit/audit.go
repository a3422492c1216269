// Package audit checks from outside that whatever was executed was proposed by a reconciler, approved by a person who counted
// at that time or let through by a rule that such a person has signed, and written down step by step: for every Action that was ever on the branch, and for every entry of the ledger.
//
// It needs the commits of the branch and of the ledger and nothing else: no daemon, no state, no network. It has no rules of its
// own. Package execute decides which merge approves which bytes, who may approve them, which rule lets a call through without a
// review, which entry may follow which, and whose keys count; what it refuses to execute is what is reported here. The history is walked once, the oldest commit first.
//
// What a repository says of itself begins with a first list of approvers that nobody has signed. Whoever knows the approvers,
// the ledger's first commit or an earlier tip from elsewhere gives them in [Options]; then the whole chain hangs on those.
package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// Options say what is audited. History, Branch, Tip and Now are required.
type Options struct {
	History execute.History
	// Branch is the branch that Actions are merged into, and Tip its newest commit.
	Branch, Tip string
	// Path is the folder of the repository that holds mainstay.yaml; "" is the root.
	Path string
	// Jsonnet evaluates programs among the files. Without it a commit that has some declares nothing.
	Jsonnet spec.Evaluator
	// LedgerTip is the newest commit of the ledger; "" where there is none.
	LedgerTip string
	// Approvers, where there are any, are those who count, whatever mainstay.yaml says of itself. Who approves must still have
	// been listed there before the merge.
	Approvers []spec.Key
	// Genesis, if set, is the ledger's first commit, whatever mainstay.yaml pins.
	Genesis string
	// Seen, if set, is a commit that the ledger has held before, such as its tip at the audit before this one.
	Seen string
	Now  time.Time
}

// Audit checks the whole chain. What does not hold is in the report. An error says that commits could not be read, as in a
// shallow clone; then nothing is known.
func Audit(ctx context.Context, o Options) (*Report, error) {
	b := newBranch(o)
	if err := b.walk(ctx, true); err != nil {
		return nil, fmt.Errorf("audit %s: %w", o.Branch, err)
	}
	report, entries, err := b.readLedger(ctx)
	if err != nil {
		return nil, fmt.Errorf("audit %s: %w", execute.Branch, err)
	}
	if err := b.assess(report, entries); err != nil {
		return nil, fmt.Errorf("audit %s: %w", o.Branch, err)
	}
	return report, nil
}

// Ledger checks the ledger alone and returns its entries, the oldest first. Where an entry does not hold, those before it are
// returned, and the report says why.
func Ledger(ctx context.Context, o Options) (*Report, []execute.Entry, error) {
	b := newBranch(o)
	if err := b.walk(ctx, false); err != nil {
		return nil, nil, fmt.Errorf("read who counts on %s: %w", o.Branch, err)
	}
	return b.readLedger(ctx)
}

// readLedger reads the ledger with the keys that count at the tip of the branch, as an executor does, and begins the report.
func (b *branch) readLedger(ctx context.Context) (*Report, []execute.Entry, error) {
	r := &Report{
		Revision: spec.NewRevision(b.o.Branch, b.o.Tip), Actions: []Action{}, Problems: []Problem{},
		Trust: Trust{Since: b.since, Given: len(b.o.Approvers) > 0, GenesisGiven: b.o.Genesis != ""}, Ledger: LedgerReport{Tip: b.o.LedgerTip},
	}
	for _, w := range b.wrong {
		r.add(w)
	}
	if err := b.trust.Uncounted; err != nil {
		r.add(Problem{File: b.rootFile, What: err.Error(), Do: "if the change is right, an approver from before makes it in a signed commit, or you say who counts with --approvers FILE"})
	}
	counts := b.trust.Fleet
	if counts == nil || counts.Ledger == nil {
		r.add(Problem{File: b.rootFile, What: "it pins no ledger, so that nothing can be checked", Do: "run `mainstay ledger init`, and add what it prints"})
		return r, nil, nil
	}
	r.Trust.fill(counts)
	if pinned := counts.Ledger.Genesis; b.o.Genesis != "" && pinned != b.o.Genesis {
		r.add(Problem{File: b.rootFile, What: fmt.Sprintf("it pins the ledger that begins with %s, and you said %s", pinned, b.o.Genesis),
			Do: "find out who has changed it: every executor works by the ledger that it pins"})
		ledger := *counts.Ledger
		ledger.Genesis = b.o.Genesis
		counts = &spec.Fleet{Approvers: counts.Approvers, Ledger: &ledger}
		r.Trust.Genesis = b.o.Genesis
	}
	entries, err := execute.ReadEntries(ctx, b.o.History, b.o.LedgerTip, b.o.Seen, counts)
	r.Ledger.Entries, r.Ledger.Holds = len(entries), err == nil
	switch {
	case err == nil:
	case ctx.Err() != nil || errors.Is(err, remote.ErrMissing):
		return nil, nil, err
	default:
		r.Ledger.Problem = err.Error()
		r.add(Problem{File: execute.Branch, What: err.Error(), Do: "until the branch is put back nothing is executed; what is later on it is not checked"})
	}
	for _, e := range entries {
		if e.Ignored != "" {
			r.Ledger.Ignored = append(r.Ledger.Ignored, e.Ignored)
		}
	}
	return r, entries, nil
}
