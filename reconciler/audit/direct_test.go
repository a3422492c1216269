package audit_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/audit"
	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/spec"
)

const (
	policyFile = "policies/cluster.yaml"
	serverFile = "tools/cluster.yaml"
	rule       = policyFile + "#restarts"
)

// allowRule is a policy that lets restarts of the shop through.
const allowRule = `apiVersion: mainstay.dev/v1alpha1
kind: Policy
metadata:
  name: cluster
spec:
  rules:
  - name: restarts
    on: call
    when: call.tool == "restart" && call.arguments.name == "shop"
    decision: allow
`

// server is a tool server whose tool restart has an effect.
func server(effect string) string {
	return `apiVersion: mainstay.dev/v1alpha1
kind: ToolServer
metadata:
  name: cluster
spec:
  command: [cluster]
  tools:
    restart:
      effect: ` + effect + "\n"
}

// direct is the claim of a call that the rule lets through at the tip of the branch.
func (w *world) direct(n int, name string) spec.LedgerEntry {
	w.Helper()
	w.files[action(n)] = w.file(n, name)
	claim := w.claim(n, w.main, w.main)
	claim.Approval, claim.Direct = nil, &spec.DirectCall{Rule: rule, Revision: spec.NewRevision("main", w.main), File: w.files[action(n)]}
	return claim
}

// done writes the chain of a claim.
func (w *world) done(claim spec.LedgerEntry) {
	w.Helper()
	w.enter(w.robot, claim, next(claim, spec.StepStarted), next(claim, spec.StepReceipt))
}

// allowing is a world in which Ada has signed the rule.
func allowing(t *testing.T) *world {
	w := newWorld(t)
	w.push("Tools", nil, map[string]string{serverFile: server("write")})
	w.push("Let restarts through", w.ada, map[string]string{policyFile: allowRule})
	w.push("Something else", nil, map[string]string{"app.yaml": "replicas: 2\n"})
	return w
}

func TestACallThatARuleLetThroughHolds(t *testing.T) {
	w := allowing(t)
	signed := w.main
	w.done(w.direct(1, "shop"))
	r := w.audit(nil)
	w.holds(r)
	a := w.state(r, action(1), execute.Done)
	if a.Rule == nil || a.Rule.Name != rule || a.Rule.Revision.Commit() != signed || a.Rule.Signer == nil || a.Rule.Signer.Name != "approver-1" ||
		a.Approval != nil || a.Evidence.Agent != "triage" {
		t.Errorf("its chain is %+v", a)
	}

	t.Run("also after the rule and its signer are gone", func(*testing.T) {
		w.push("No more", nil, map[string]string{policyFile: ""})
		w.push("Bob takes over", w.ada, map[string]string{"mainstay.yaml": w.root(w.bob)})
		w.holds(w.audit(nil))
	})
	t.Run("also where only an environment's overlay makes it a write tool", func(t *testing.T) {
		w := allowing(t)
		w.push("Only in production", nil, map[string]string{serverFile: server("denied"),
			"overlays/production/cluster.yaml": "apiVersion: mainstay.dev/v1alpha1\nkind: ToolServer\nmetadata: {name: cluster}\nspec: {tools: {restart: {effect: write}}}\n"})
		w.done(w.direct(1, "shop"))
		w.holds(w.audit(nil))
	})
	t.Run("also where nothing was done since the rule was gone", func(t *testing.T) {
		w := allowing(t)
		w.push("No more", nil, map[string]string{policyFile: ""})
		claim := w.direct(1, "shop")
		receipt := next(claim, spec.StepReceipt)
		receipt.Outcome = spec.OutcomeFailed
		w.enter(w.robot, claim, receipt)
		w.holds(w.audit(nil))
	})
}

// What somebody has written into the ledger who holds a reconciler's key, or may push to the branch.
func TestForgedDirectCalls(t *testing.T) {
	id := action(1)
	for _, test := range []struct {
		name   string
		about  spec.ActionID
		what   string
		tamper func(w *world)
	}{
		{"a call of other bytes than the claim", "", "its digest is not that of the call in it", func(w *world) {
			claim := w.direct(1, "shop")
			claim.Direct.File = w.file(1, "bank")
			w.done(claim)
		}},
		{"a call of another Action", id, "it says that it is", func(w *world) {
			claim := w.direct(1, "shop")
			claim.Direct.File = w.file(2, "shop")
			claim.Digest = spec.DigestBytes([]byte(claim.Direct.File))
			w.done(claim)
		}},
		{"a call that the rule is not about", id, "what was decided there is propose, by default: write tools are proposed", func(w *world) {
			w.done(w.direct(1, "bank"))
		}},
		{"a rule that does not exist", id, "what was decided there is allow, by " + rule, func(w *world) {
			claim := w.direct(1, "shop")
			claim.Direct.Rule = policyFile + "#anything"
			w.done(claim)
		}},
		{"a claim with neither a rule nor an approval", "", "an Action that was not reviewed has a rule", func(w *world) {
			claim := w.direct(1, "shop")
			claim.Direct.Rule = ""
			w.done(claim)
		}},
		{"a claim with a rule and an approval", "", "an Action that was not reviewed has a rule, and no approval", func(w *world) {
			claim := w.direct(1, "shop")
			claim.Approval = &spec.Approval{Merge: w.main, Head: w.main, Approver: "approver-1", Key: w.ada.Fingerprint()}
			w.done(claim)
		}},
		{"an unsigned policy", id, "no approver has signed it", func(w *world) {
			w.push("Anything goes", nil, map[string]string{policyFile: strings.ReplaceAll(allowRule, "shop", "bank")})
			w.done(w.direct(1, "bank"))
		}},
		{"a policy that the reconciler has signed", id, "no approver has signed it", func(w *world) {
			w.push("Anything goes", w.robot, map[string]string{policyFile: strings.ReplaceAll(allowRule, "shop", "bank")})
			w.done(w.direct(1, "bank"))
		}},
		{"a policy signed by an approver whom a push has added", id, "no approver has signed it", func(w *world) {
			w.push("Add a colleague", nil, map[string]string{"mainstay.yaml": w.root(w.ada, w.mallory)})
			w.push("Anything goes", w.mallory, map[string]string{policyFile: strings.ReplaceAll(allowRule, "shop", "bank")})
			w.done(w.direct(1, "bank"))
		}},
		{"a policy signed by somebody who was an approver later", id, "no approver has signed it", func(w *world) {
			w.push("Anything goes", w.bob, map[string]string{policyFile: strings.ReplaceAll(allowRule, "shop", "bank")})
			w.done(w.direct(1, "bank"))
			w.push("Bob joins", w.ada, map[string]string{"mainstay.yaml": w.root(w.ada, w.bob)})
		}},
		{"an overlay that changes the rule", id, "the revision is broken, and never ran", func(w *world) {
			w.push("Anything goes", nil, map[string]string{"overlays/production/cluster.yaml": "apiVersion: mainstay.dev/v1alpha1\nkind: Policy\nmetadata: {name: cluster}\n" +
				"spec: {rules: [{name: restarts, on: call, when: call.tool == \"restart\", decision: allow}]}\n"})
			w.done(w.direct(1, "bank"))
		}},
		{"a rule that denies beside it", id, "what was decided there is deny, by policies/deny.yaml#restarts", func(w *world) {
			w.push("Never", nil, map[string]string{"policies/deny.yaml": strings.NewReplacer("name: cluster", "name: deny", "allow", "deny").Replace(allowRule)})
			w.done(w.direct(1, "shop"))
		}},
		{"a revision that is on no branch", id, "the revision is not on main", func(w *world) {
			mine := w.commit(w.main, "Mine", w.mallory, map[string]string{"app.yaml": "replicas: 9\n"})
			claim := w.direct(1, "shop")
			claim.Direct.Revision = spec.NewRevision("main", mine)
			w.done(claim)
		}},
		{"a revision that was only merged", id, "the revision is not on main", func(w *world) {
			mine := w.commit(w.main, "Mine", w.mallory, map[string]string{"app.yaml": "replicas: 9\n"})
			w.main = w.commit(w.main, "Merge", w.ada, nil, mine)
			claim := w.direct(1, "shop")
			claim.Direct.Revision = spec.NewRevision("main", mine)
			w.done(claim)
		}},
		{"a revision of another branch", id, "the revision is not on main", func(w *world) {
			claim := w.direct(1, "shop")
			claim.Direct.Revision = spec.NewRevision("staging", w.main)
			w.done(claim)
		}},
		{"a revision before the rule", id, "what was decided there is propose", func(w *world) {
			c, err := w.Commit(w.main)
			w.ok(err)
			c, err = w.Commit(c.Parents[0])
			w.ok(err)
			claim := w.direct(1, "shop")
			claim.Direct.Revision = spec.NewRevision("main", c.Parents[0])
			w.done(claim)
		}},
		{"a broken revision", id, "the revision is broken", func(w *world) {
			w.push("Oops", nil, map[string]string{"agents/x.yaml": "kind: [\n"})
			w.done(w.direct(1, "shop"))
		}},
		{"a read tool", id, "has no write tool restart", func(w *world) {
			w.push("It only reads", nil, map[string]string{serverFile: server("read")})
			claim := w.direct(1, "shop")
			claim.Direct.Rule = "default: read tools are allowed"
			w.done(claim)
		}},
		{"a tool that is not declared", id, "has no write tool restart", func(w *world) {
			w.push("No tools", nil, map[string]string{serverFile: ""})
			w.done(w.direct(1, "shop"))
		}},
		{"a start after it had expired", id, "its approval had ended", func(w *world) {
			claim := w.direct(1, "shop")
			claim.At = w.now.Add(80 * time.Hour)
			w.done(claim)
		}},
		{"a receipt that says done without a start", id, "what was decided there is propose", func(w *world) {
			claim := w.direct(1, "bank")
			w.enter(w.robot, claim, next(claim, spec.StepReceipt))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := allowing(t)
			test.tamper(w)
			w.finds(w.audit(nil), test.about, test.what)
		})
	}
}

// approversRule is a policy that names who approves restarts.
func approversRule(names string) string {
	return strings.ReplaceAll(allowRule, "decision: allow", "decision: propose\n    approvers: ["+names+"]")
}

func TestWhoMayApproveIsNarrowedAsForTheExecutor(t *testing.T) {
	narrowed := func(t *testing.T, files map[string]string) *world {
		w := newWorld(t)
		w.push("Bob joins", w.ada, map[string]string{"mainstay.yaml": w.root(w.ada, w.bob)})
		files[serverFile] = cmp.Or(files[serverFile], server("write"))
		w.push("Narrow", nil, files)
		return w
	}
	for _, test := range []struct {
		name, what string
		files      map[string]string
	}{
		{"by a policy rule", rule + " lets approver-2 approve it, and not approver-1", map[string]string{policyFile: approversRule("approver-2")}},
		{"by CODEOWNERS", "CODEOWNERS line 1 gives actions/", map[string]string{"CODEOWNERS": "* @shop/sre\n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := narrowed(t, test.files)
			w.executed(1)
			r := w.audit(nil)
			w.finds(r, action(1), "it is not approved: commit")
			w.finds(r, action(1), test.what)
			for name := range test.files {
				w.push("Anybody", nil, map[string]string{name: ""})
			}
			w.finds(w.audit(nil), action(1), test.what) // Whatever is declared later.
		})
	}
	t.Run("a rule that names the person", func(t *testing.T) {
		w := narrowed(t, map[string]string{policyFile: approversRule("approver-1, approver-2")})
		w.executed(1)
		w.holds(w.audit(nil))
		w.push("Only Bob from now on", nil, map[string]string{policyFile: approversRule("approver-2")})
		w.holds(w.audit(nil)) // It was executed before.
	})
	t.Run("a rule that tightens holds for what is not executed yet", func(t *testing.T) {
		w := narrowed(t, map[string]string{policyFile: approversRule("approver-1")})
		w.approved(1)
		w.push("Only Bob", nil, map[string]string{policyFile: approversRule("approver-2")})
		r := w.audit(nil)
		w.finds(r, action(1), "lets approver-2 approve it")
		w.state(r, action(1), execute.Refused)
	})
	t.Run("a broken commit before the merge loosens nothing", func(t *testing.T) {
		w := narrowed(t, map[string]string{policyFile: approversRule("approver-2")})
		w.push("Oops", nil, map[string]string{policyFile: "kind: [\n"})
		w.executed(1)
		w.finds(w.audit(nil), action(1), "lets approver-2 approve it")
	})
	t.Run("by what the tool touches in every environment", func(t *testing.T) {
		touching := server("write") + "      touches: [manifests/shop.yaml]\n"
		w := narrowed(t, map[string]string{"CODEOWNERS": "/manifests/ @shop/sre\n", serverFile: touching})
		w.executed(1)
		w.finds(w.audit(nil), action(1), "CODEOWNERS line 1 gives manifests/shop.yaml to @shop/sre")

		t.Run("but in one", func(t *testing.T) {
			w := narrowed(t, map[string]string{"CODEOWNERS": "/manifests/ @shop/sre\n", serverFile: touching,
				"overlays/production/cluster.yaml": "apiVersion: mainstay.dev/v1alpha1\nkind: ToolServer\nmetadata: {name: cluster}\n" +
					"spec: {tools: {restart: {touches: [scratch.yaml]}}}\n"})
			w.executed(1)
			w.holds(w.audit(nil)) // Which environment it was executed in is not known.
		})
	})
}

func TestWhoLetsAnActionStartOnceMoreMayApproveIt(t *testing.T) {
	again := func(t *testing.T, names string, after time.Duration) *audit.Report {
		w := newWorld(t)
		w.push("Bob joins", w.ada, map[string]string{"mainstay.yaml": w.root(w.ada, w.bob)})
		w.push("Narrow", nil, map[string]string{serverFile: server("write"), policyFile: approversRule(names)})
		first := w.approved(1)
		w.enter(w.robot, first, next(first, spec.StepStarted))
		for n := 2; n <= 3; n++ { // Two retries, each with a resolution of its own.
			res := next(first, spec.StepResolution)
			res.Outcome, res.Message = spec.OutcomeRetry, "it was down"
			res.At = first.Deadline.Add(after)
			if n == 2 {
				w.enter(w.bob, res)
			} else {
				w.enterNext(w.bob, n-1, res)
			}
			claim := first
			claim.Step, claim.Nonce, claim.Retry = spec.StepClaim, fmt.Sprintf("%032x", 10+n), spec.RetryResolved
			deadline := res.At.Add(time.Minute)
			claim.At, claim.Deadline = res.At, &deadline
			w.enterNext(w.second, n, claim)
			w.enterNext(w.second, n, next(claim, spec.StepStarted))
			first = claim
		}
		w.enter(w.second, next(first, spec.StepReceipt))
		r := w.audit(nil)
		w.state(r, action(1), execute.Done)
		if after < execute.ClockSkew {
			w.finds(r, action(1), "started it once more, and that was possible from")
		} else if names == "approver-1" {
			w.finds(r, action(1), "started it once more, and whoever let it may not approve it: commit")
		} else {
			w.holds(r)
		}
		return r
	}
	t.Run("somebody who may", func(t *testing.T) { again(t, "approver-1, approver-2", execute.ClockSkew) })
	t.Run("too early", func(t *testing.T) {
		if r := again(t, "approver-1, approver-2", execute.ClockSkew-time.Second); len(r.Problems) != 2 {
			t.Errorf("the problems are %+v", r.Problems)
		}
	})
	t.Run("somebody who may not", func(t *testing.T) {
		if r := again(t, "approver-1", execute.ClockSkew); len(r.Problems) != 2 {
			t.Errorf("the problems are %+v", r.Problems)
		}
	})
}
