package audit

import (
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/spec"
)

// Removed is where an Action stands whose file was taken away before anybody claimed it.
const Removed execute.Phase = "removed"

// Report is the outcome of an audit. Everything in it that people or agents wrote is as they wrote it.
type Report struct {
	// Revision is the tip of the branch.
	Revision spec.Revision `json:"revision"`
	Trust    Trust         `json:"trust"`
	Ledger   LedgerReport  `json:"ledger"`
	// Actions are all that were ever on the branch or in the ledger, in the order in which they came.
	Actions []Action `json:"actions"`
	// Problems are all that does not hold, those of the actions too. None are no null.
	Problems []Problem `json:"problems"`
}

// Holds reports whether nothing is wrong.
func (r *Report) Holds() bool { return len(r.Problems) == 0 }

func (r *Report) add(p Problem) { r.Problems = append(r.Problems, p) }

// Trust is whose keys counted at the tip of the branch, and why.
type Trust struct {
	// Since is the first commit whose mainstay.yaml pins a ledger. Its approvers count because it is the first.
	Since string `json:"since,omitempty"`
	// Given says that the approvers were given from outside, GenesisGiven that the ledger's first commit was.
	Given        bool   `json:"given"`
	GenesisGiven bool   `json:"genesisGiven"`
	Genesis      string `json:"genesis,omitempty"`
	Approvers    []Key  `json:"approvers,omitempty"`
	Signers      []Key  `json:"signers,omitempty"`
}

// Key is somebody's public key.
type Key struct {
	Name string `json:"name"`
	// Key is the fingerprint, as ssh-keygen -l prints it.
	Key string `json:"key"`
}

func newKey(k spec.Key) Key { return Key{Name: k.Name, Key: k.Fingerprint()} }

func (t *Trust) fill(f *spec.Fleet) {
	t.Genesis = f.Ledger.Genesis
	for _, k := range f.Approvers {
		t.Approvers = append(t.Approvers, newKey(k))
	}
	for _, k := range f.Ledger.Signers {
		t.Signers = append(t.Signers, newKey(k))
	}
}

// LedgerReport is what was read of the ledger.
type LedgerReport struct {
	Tip string `json:"tip,omitempty"`
	// Entries is the number of entries that hold. Where Holds is false, Problem says which commit comes after them and why.
	Entries int    `json:"entries"`
	Holds   bool   `json:"holds"`
	Problem string `json:"problem,omitempty"`
	// Ignored are entries of people whose key does not count.
	Ignored []string `json:"ignored,omitempty"`
}

// Action is one Action and its chain.
type Action struct {
	ID spec.ActionID `json:"id"`
	// File is where it lies or lay on the branch; "" where it never did.
	File string `json:"file,omitempty"`
	// Digest is over the bytes that were claimed, or else those that came last.
	Digest spec.Digest `json:"digest,omitempty"`
	// Holds is false as well where nothing is wrong with the Action, the ledger does not hold, and the entries before that place
	// do not say how the Action ended.
	Holds bool `json:"holds"`
	// State is as in package execute, or removed. Message is one sentence about it.
	State   execute.Phase `json:"state"`
	Message string        `json:"message,omitempty"`
	Summary string        `json:"summary,omitempty"`
	// Evidence says which agent asked for it, in which run, at which revision. Proposer has signed that.
	Evidence *spec.Evidence `json:"evidence,omitempty"`
	Proposer *Key           `json:"proposer,omitempty"`
	// Approval is the merge that approves these bytes, and MergedAt its time, as the commit says.
	Approval *spec.Approval `json:"approval,omitempty"`
	MergedAt time.Time      `json:"mergedAt,omitzero"`
	// Rule is set in place of Approval for a call that a policy rule lets be executed without a review.
	Rule *Rule `json:"rule,omitempty"`
	// Steps are its entries in the ledger that count, the oldest first.
	Steps []Step `json:"steps,omitempty"`
}

// Rule is a policy rule that approves calls.
type Rule struct {
	// Name is such as policies/tickets.yaml#comments, and Revision the one by which it was decided.
	Name     string        `json:"name"`
	Revision spec.Revision `json:"revision"`
	// Commit brought the policy's file to the branch as it is at Revision, and Signer is the approver who has signed that. They
	// are not set where the rule does not count.
	Commit string `json:"commit,omitempty"`
	Signer *Key   `json:"signer,omitempty"`
}

// Step is one entry of the ledger about an Action.
type Step struct {
	Step   string `json:"step"`
	Commit string `json:"commit"`
	// Executor made it, and Signer has signed it.
	Executor string    `json:"executor"`
	Signer   Key       `json:"signer"`
	At       time.Time `json:"at"`
	Outcome  string    `json:"outcome,omitempty"`
	Message  string    `json:"message,omitempty"`
}

// Problem is something that does not hold.
type Problem struct {
	// Action is whose chain is broken; "" where it is not that of one Action.
	Action spec.ActionID `json:"action,omitempty"`
	// File is a path of the branch, or the branch of the ledger.
	File string `json:"file,omitempty"`
	// What is a sentence without a full stop that says what is wrong, Do what to do about it.
	What string `json:"what"`
	Do   string `json:"do"`
}
