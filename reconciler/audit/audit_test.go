package audit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/audit"
	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/spec"
)

func TestAWholeChainHolds(t *testing.T) {
	w := newWorld(t)
	claim := w.executed(1)
	w.push("Take it away", nil, map[string]string{path(action(1)): ""})
	w.executed(2)
	r := w.audit(nil)
	w.holds(r)
	if !r.Ledger.Holds || r.Ledger.Entries != 6 {
		t.Errorf("the ledger is %+v", r.Ledger)
	}
	w.state(r, action(2), execute.Done)
	a := w.state(r, action(1), execute.Done)
	if a.Digest != claim.Digest || a.Approval == nil || *a.Approval != *claim.Approval || a.Proposer.Key != w.robot.Fingerprint() ||
		a.Evidence.Run != run || a.Evidence.Agent != "triage" || a.Summary != "Restart deployment shop" {
		t.Errorf("the chain of the Action is %+v", a)
	}
	var steps []string
	for _, s := range a.Steps {
		steps = append(steps, s.Step+" by "+s.Signer.Name)
	}
	if got := strings.Join(steps, ", "); got != "claim by robot, started by robot, receipt by robot" {
		t.Errorf("its steps are %s", got)
	}
}

func TestActionsWithoutAReceiptSayWhere(t *testing.T) {
	w := newWorld(t)
	w.approved(1)
	claim := w.approved(2)
	started := next(claim, spec.StepStarted)
	w.enter(w.robot, claim, started)
	w.approved(3)
	w.push("Not any more", nil, map[string]string{path(action(3)): ""})
	r := w.audit(nil)
	w.holds(r)
	w.state(r, action(1), execute.Pending)
	w.state(r, action(2), execute.Started)
	w.state(r, action(3), audit.Removed)
	r = w.audit(func(o *audit.Options) { o.Now = w.now.Add(100 * time.Hour) })
	w.holds(r)
	w.state(r, action(1), execute.Expired)
	w.state(r, action(2), execute.Unknown)
}

// What somebody has done who may push to the branch, or to the ledger, or who holds a key that counts for something else.
func TestTampering(t *testing.T) {
	id := action(1)
	for _, test := range []struct {
		name   string
		about  spec.ActionID
		what   string
		tamper func(w *world)
	}{
		{"an edited merged file", id, "was changed in commit", func(w *world) {
			w.executed(1)
			w.push("Better", w.ada, map[string]string{path(id): w.file(1, "bank")})
		}},
		{"an edited merged file that was executed", id, "it is not approved: actions/" + string(id) + ".yaml was changed", func(w *world) {
			claim := w.approved(1)
			edited := w.file(1, "bank")
			w.push("Better", nil, map[string]string{path(id): edited})
			claim.Digest = spec.DigestBytes([]byte(edited))
			w.enter(w.robot, claim, next(claim, spec.StepStarted), next(claim, spec.StepReceipt))
		}},
		{"a file that was edited while it was merged", id, "was changed while it was merged", func(w *world) {
			w.merge(1, w.proposed(1, w.robot), w.ada, map[string]string{path(id): w.file(1, "bank")})
		}},
		{"a receipt of other bytes", "", "it is about other bytes than its claim", func(w *world) {
			claim := w.approved(1)
			receipt := next(claim, spec.StepReceipt)
			receipt.Digest = spec.DigestBytes([]byte("other"))
			w.enter(w.robot, claim, next(claim, spec.StepStarted), receipt)
		}},
		{"a forged receipt", "", "which is none of the 2 listed", func(w *world) {
			claim := w.approved(1)
			w.enter(w.robot, claim, next(claim, spec.StepStarted))
			w.enter(w.mallory, next(claim, spec.StepReceipt))
		}},
		{"a forged receipt by the approver", "", "which is none of the 2 listed", func(w *world) {
			claim := w.approved(1)
			w.enter(w.robot, claim, next(claim, spec.StepStarted))
			w.enter(w.ada, next(claim, spec.StepReceipt))
		}},
		{"a receipt for the start of another reconciler", "", "belongs to a claim that", func(w *world) {
			claim := w.approved(1)
			w.enter(w.robot, claim, next(claim, spec.StepStarted))
			w.enter(w.second, next(claim, spec.StepReceipt))
		}},
		{"a receipt for the start of another Action", "", "it belongs to no start", func(w *world) {
			one, two := w.approved(1), w.approved(2)
			receipt := next(one, spec.StepReceipt)
			receipt.Nonce = two.Nonce
			w.enter(w.robot, one, two, next(one, spec.StepStarted), next(two, spec.StepStarted), receipt)
		}},
		{"a receipt without a claim", "", "it belongs to no start", func(w *world) {
			w.enter(w.robot, next(w.approved(1), spec.StepReceipt))
		}},
		{"a removed entry", "", "entries never change", func(w *world) {
			w.executed(1)
			w.ledger = w.commit(w.ledger, "Tidy", w.robot, map[string]string{"actions/" + string(id) + "/receipt.json": ""})
		}},
		{"a changed entry", "", "entries never change", func(w *world) {
			w.executed(1)
			w.ledger = w.commit(w.ledger, "Tidy", w.robot, map[string]string{"actions/" + string(id) + "/receipt.json": "{}"})
		}},
		{"a rewritten ledger", "", "was rewritten", func(w *world) {
			w.executed(1)
			w.ledger = w.commit("", "Begin again", w.robot, map[string]string{"README.md": "The ledger.\n"})
		}},
		{"a missing ledger", "", "is missing", func(w *world) {
			w.executed(1)
			w.ledger = ""
		}},
		{"a claim of what nobody has merged", action(2), "it was never on the branch", func(w *world) {
			w.executed(1)
			w.files[action(2)] = w.file(2, "bank")
			claim := w.claim(2, w.main, w.main)
			w.enter(w.robot, claim, next(claim, spec.StepStarted), next(claim, spec.StepReceipt))
		}},
		{"a claim of bytes that were never merged", id, "which were never in", func(w *world) {
			claim := w.approved(1)
			claim.Digest = spec.DigestBytes([]byte("other"))
			w.enter(w.robot, claim, next(claim, spec.StepStarted), next(claim, spec.StepReceipt))
		}},
		{"a claim that names another approver", id, "says that approver-1", func(w *world) {
			claim := w.approved(1)
			claim.Approval.Key = w.mallory.Fingerprint()
			w.enter(w.robot, claim)
		}},
		{"a claim that names no approval", id, "names no approval", func(w *world) {
			claim := w.approved(1)
			claim.Approval = nil
			w.enter(w.robot, claim)
		}},
		{"a start after the approval has ended", id, "its approval had ended", func(w *world) {
			claim := w.approved(1)
			claim.At = w.now.Add(80 * time.Hour)
			w.enter(w.robot, claim, next(claim, spec.StepStarted))
		}},
		{"an approver added in the same merge", id, "which is none of the 1 listed", func(w *world) {
			w.merge(1, w.proposed(1, w.robot), w.mallory, map[string]string{"mainstay.yaml": w.root(w.ada, w.mallory)})
		}},
		{"an approver added by a push before the merge", id, "is none that counts now", func(w *world) {
			w.push("Add a colleague", w.mallory, map[string]string{"mainstay.yaml": w.root(w.ada, w.mallory)})
			w.merge(1, w.proposed(1, w.robot), w.mallory, nil)
		}},
		{"an approver added by a push", "", "no approver has signed it", func(w *world) {
			w.push("Add a colleague", nil, map[string]string{"mainstay.yaml": w.root(w.ada, w.mallory)})
		}},
		{"an approver added by a reconciler", "", "no approver has signed it", func(w *world) {
			w.push("Be an approver", w.ada, map[string]string{"mainstay.yaml": w.root(w.ada, w.robot)})
			w.push("Add a colleague", w.robot, map[string]string{"mainstay.yaml": w.root(w.ada, w.robot, w.mallory)})
		}},
		{"an approver's name taken by a push, as rules know it", "", "no approver has signed it", func(w *world) {
			w.push("Bob is called like Ada", nil, map[string]string{"mainstay.yaml": strings.ReplaceAll(w.root(w.ada), "approver-1", "Grace")})
		}},
		{"a code owner made by a push", "", "no approver has signed it", func(w *world) {
			w.push("Ada owns it", nil, map[string]string{"mainstay.yaml": strings.ReplaceAll(w.root(w.ada), "    name: approver-1", "    name: approver-1\n    codeOwner: [\"@shop/sre\"]")})
		}},
		{"another ledger pinned by a push", "", "no approver has signed it", func(w *world) {
			w.genesis = w.commit("", "Begin mine", w.mallory, map[string]string{"README.md": "Mine.\n"})
			w.push("Move the ledger", nil, map[string]string{"mainstay.yaml": w.root(w.ada)})
		}},
		{"a merge by the reconciler itself", id, "none of the 1 listed", func(w *world) {
			w.merge(1, w.proposed(1, w.robot), w.robot, nil)
		}},
		{"a proposal that no reconciler has signed", id, "merges what no reconciler has proposed", func(w *world) {
			w.merge(1, w.proposed(1, w.mallory), w.ada, nil)
		}},
		{"a copied action", "", "an Action's file is never moved or copied", func(w *world) {
			w.executed(1)
			w.push("Once more", w.ada, map[string]string{"actions/again.yaml": w.files[id]})
		}},
		{"a copied action under a new name", action(2), "an Action is never copied", func(w *world) {
			w.executed(1)
			w.push("Once more", w.ada, map[string]string{path(action(2)): strings.ReplaceAll(w.files[id], "name: "+string(id), "name: "+string(action(2)))})
		}},
		{"a moved action", "", "an Action's file is never moved or copied", func(w *world) {
			w.executed(1)
			w.push("Tidy", w.ada, map[string]string{path(id): "", "actions/old/one.yaml": w.files[id]})
		}},
		{"an unsigned merge", id, "is not signed", func(w *world) {
			w.merge(1, w.proposed(1, w.robot), nil, nil)
		}},
		{"an unsigned merge that was executed", id, "it is not approved: commit", func(w *world) {
			head := w.proposed(1, w.robot)
			claim := w.claim(1, w.merge(1, head, nil, nil), head)
			w.enter(w.robot, claim, next(claim, spec.StepStarted), next(claim, spec.StepReceipt))
		}},
		{"a direct push", id, "a direct push approves nothing", func(w *world) {
			w.push("Restart", w.ada, map[string]string{path(id): w.file(1, "shop")})
		}},
		{"what is no Action", "", "is no Action", func(w *world) {
			w.push("Notes", w.ada, map[string]string{"actions/notes.yaml": "kind: [\n"})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			test.tamper(w)
			w.finds(w.audit(nil), test.about, test.what)
		})
	}
}

func TestWhatIsWrongIsNotWrongForEver(t *testing.T) {
	w := newWorld(t)
	w.executed(1)
	w.push("Restart", nil, map[string]string{path(action(2)): w.file(2, "bank")})
	w.push("Add a colleague", nil, map[string]string{"mainstay.yaml": w.root(w.ada, w.mallory)})
	w.finds(w.audit(nil), action(2), "a direct push approves nothing")
	w.push("Take it back", nil, map[string]string{path(action(2)): "", "mainstay.yaml": w.root(w.ada)})
	w.holds(w.audit(nil))
}

func TestWhoApprovedIsJudgedByWhoCountedThen(t *testing.T) {
	w := newWorld(t)
	w.executed(1)
	w.push("Bob takes over", w.ada, map[string]string{"mainstay.yaml": w.root(w.bob)})
	w.holds(w.audit(nil))

	t.Run("what is not executed yet is judged by who counts now", func(t *testing.T) {
		w := newWorld(t)
		w.approved(1)
		w.push("Bob takes over", w.ada, map[string]string{"mainstay.yaml": w.root(w.bob)})
		r := w.audit(nil)
		w.finds(r, action(1), "is none that counts now")
		w.state(r, action(1), execute.Refused)
		// Once it has expired nothing needs to be done about it.
		r = w.audit(func(o *audit.Options) { o.Now = w.now.Add(100 * time.Hour) })
		w.holds(r)
		w.state(r, action(1), execute.Expired)
	})
}

func TestTrustCanBeGivenFromOutside(t *testing.T) {
	w := newWorld(t)
	w.executed(1)
	given := func(name string, line string) []spec.Key {
		k, err := spec.ParseKey(name, line)
		w.ok(err)
		return []spec.Key{k}
	}
	ada, mallory := given("ada", w.ada.AuthorizedKey()), given("mallory", w.mallory.AuthorizedKey())

	w.holds(w.audit(func(o *audit.Options) { o.Approvers, o.Genesis, o.Seen = ada, w.genesis, w.ledger }))
	// A repository whose whole history somebody has made holds by itself, and not by what others know.
	w.finds(w.audit(func(o *audit.Options) { o.Approvers = mallory }), action(1), "is none that counts now")
	none := func(change func(*audit.Options), what string) {
		r := w.audit(change)
		w.finds(r, "", what)
		for _, a := range r.Actions {
			if a.Holds || !strings.Contains(a.Message, "the ledger does not hold") {
				t.Errorf("the ledger is not the one that is known from elsewhere, and %s holds: %s", a.ID, a.Message)
			}
		}
	}
	none(func(o *audit.Options) { o.Genesis = w.main }, "and you said "+w.main)
	// A ledger that was set back looks like one that has not come as far.
	seen := w.ledger
	w.ledger = w.genesis
	w.state(w.audit(nil), action(1), execute.Pending)
	none(func(o *audit.Options) { o.Seen = seen }, "was rewritten")
}

func TestAnApproverWhoWasAddedWithoutASignatureIsNamed(t *testing.T) {
	w := newWorld(t)
	w.push("Add Bob before anything runs", nil, map[string]string{"mainstay.yaml": w.root(w.ada, w.bob)})
	w.finds(w.audit(nil), "", "no approver has signed it")
	both := func(o *audit.Options) {
		for name, s := range map[string]string{"ada": w.ada.AuthorizedKey(), "bob": w.bob.AuthorizedKey()} {
			k, err := spec.ParseKey(name, s)
			w.ok(err)
			o.Approvers = append(o.Approvers, k)
		}
	}
	w.holds(w.audit(both))
}

func TestWhatPeopleWroteWithoutAListedKeyDoesNotCount(t *testing.T) {
	w := newWorld(t)
	claim := w.approved(1)
	w.enter(w.robot, claim, next(claim, spec.StepStarted))
	w.enter(w.mallory, next(claim, spec.StepResolution))
	r := w.audit(func(o *audit.Options) { o.Now = w.now.Add(time.Hour) })
	w.holds(r)
	w.state(r, action(1), execute.Unknown)
	if len(r.Ledger.Ignored) != 1 {
		t.Errorf("ignored are %q", r.Ledger.Ignored)
	}
}

func TestWithoutALedgerNothingIsVerified(t *testing.T) {
	w := newWorld(t)
	w.main = w.commit("", "Begin", nil, map[string]string{"app.yaml": "replicas: 1\n"})
	w.finds(w.audit(nil), "", "it pins no ledger")
}

func TestAFleetCanLieInAFolder(t *testing.T) {
	w := newWorld(t)
	w.main = w.commit("", "Begin", nil, map[string]string{"fleet/mainstay.yaml": w.root(w.ada), path(action(1)): w.file(1, "shop")})
	in := func(o *audit.Options) { o.Path = "fleet" }
	w.holds(w.audit(in)) // What lies elsewhere is no Action.
	w.push("Restart", nil, map[string]string{"fleet/" + path(action(1)): w.file(1, "shop")})
	r := w.audit(in)
	w.finds(r, action(1), "a direct push approves nothing")
	if a := w.state(r, action(1), execute.Refused); a.File != "fleet/"+path(action(1)) {
		t.Errorf("its file is %s", a.File)
	}
}
