package audit_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/reconciler/audit"
	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

const run = spec.RunID("01jd00000000000000000000ab")

// world is a history in memory. Its commits are what the real reconciler, people and intruders would make.
type world struct {
	testing.TB
	*remote.Remote
	ada, bob, mallory *remote.Signer // Ada approves
	robot, second     *remote.Signer // both are reconcilers
	now               time.Time
	genesis           string
	main, ledger      string // the tips
	files             map[spec.ActionID]string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), files: map[spec.ActionID]string{}}
	r, err := remote.Open(t.Context(), remote.Options{URL: filepath.Join(t.TempDir(), "nowhere.git")})
	w.ok(err)
	t.Cleanup(func() { w.ok(r.Close()) })
	w.Remote = r
	keys := t.TempDir()
	for name, into := range map[string]**remote.Signer{"ada": &w.ada, "bob": &w.bob, "mallory": &w.mallory, "robot": &w.robot, "second": &w.second} {
		*into, err = remote.GenerateSigner(filepath.Join(keys, name), name)
		w.ok(err)
	}
	w.ledger = w.commit("", "Begin", w.robot, map[string]string{"README.md": "The ledger.\n"})
	w.genesis = w.ledger
	w.push("Begin", nil, map[string]string{"mainstay.yaml": w.root(w.ada), "app.yaml": "replicas: 1\n"})
	return w
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// commit writes one commit. A file of "" is removed. The first parent is where its files come from.
func (w *world) commit(parent, message string, signer *remote.Signer, files map[string]string, others ...string) string {
	w.Helper()
	d := remote.CommitDraft{Base: parent, Message: message, Signer: signer, AuthorName: "Someone", AuthorEmail: "someone@example.com", When: w.now}
	if parent != "" {
		d.Parents = append([]string{parent}, others...)
	}
	for name, content := range files {
		d.Edits = append(d.Edits, spec.FileEdit{Path: name, Content: content, Remove: content == ""})
	}
	id, err := w.WriteCommit(d)
	w.ok(err)
	return id
}

// push puts a commit on main.
func (w *world) push(message string, signer *remote.Signer, files map[string]string) {
	w.Helper()
	w.main = w.commit(w.main, message, signer, files)
}

// root is mainstay.yaml with these approvers.
func (w *world) root(approvers ...*remote.Signer) string {
	w.Helper()
	var f spec.FleetSpec
	for i, a := range approvers {
		f.Approvers = append(f.Approvers, spec.Signer{Name: fmt.Sprintf("approver-%d", i+1), Key: a.AuthorizedKey()})
	}
	f.Ledger = &spec.LedgerSpec{Genesis: w.genesis, Signers: []spec.Signer{
		{Name: "robot", Key: w.robot.AuthorizedKey()}, {Name: "second", Key: w.second.AuthorizedKey()},
	}}
	b, err := yaml.Marshal(map[string]any{"apiVersion": spec.APIVersion, "kind": "Fleet", "metadata": map[string]any{"name": "team"}, "spec": f})
	w.ok(err)
	return string(b)
}

func action(n int) spec.ActionID { return spec.ActionID(fmt.Sprintf("triage-%s-%d", run, n)) }

func path(id spec.ActionID) string { return "actions/" + string(id) + ".yaml" }

// file is the file of an Action.
func (w *world) file(n int, name string) string {
	w.Helper()
	b, err := yaml.Marshal(map[string]any{
		"apiVersion": spec.APIVersion, "kind": "Action", "metadata": map[string]any{"name": action(n)},
		"spec": spec.ActionSpec{
			Summary: "Restart deployment " + name, Server: "cluster", Tool: "restart", Arguments: map[string]any{"name": name},
			Evidence: spec.Evidence{Agent: "triage", Run: run, Exchange: n, Revision: spec.NewRevision("main", w.main), Key: key(n)},
			Expires:  w.now.Add(72 * time.Hour).Format(time.RFC3339),
		},
	})
	w.ok(err)
	return string(b)
}

func key(n int) spec.ProposalKey { return spec.ProposalKey(fmt.Sprintf("%016x", n)) }

// proposed is the commit of the proposal of an Action.
func (w *world) proposed(n int, signer *remote.Signer) string {
	w.Helper()
	file := w.file(n, "shop")
	w.files[action(n)] = file
	return w.commit(w.main, proposal.Message(spec.Proposal{
		Key: key(n), Kind: spec.ProposalAction, Agent: "triage", Run: run, Exchange: n, Action: action(n),
		Base: spec.NewRevision("main", w.main), Title: "Restart deployment shop",
	}), signer, map[string]string{path(action(n)): file})
}

// merge merges a proposal. More files change in the merge itself.
func (w *world) merge(n int, head string, signer *remote.Signer, more map[string]string) string {
	w.Helper()
	files := map[string]string{path(action(n)): w.files[action(n)]}
	for name, content := range more {
		files[name] = content
	}
	w.main = w.commit(w.main, "Merge", signer, files, head)
	return w.main
}

// approved is an Action that Ada has merged, with its claim.
func (w *world) approved(n int) spec.LedgerEntry {
	w.Helper()
	head := w.proposed(n, w.robot)
	merge := w.merge(n, head, w.ada, nil)
	return w.claim(n, merge, head)
}

// claim is the claim of an Action.
func (w *world) claim(n int, merge, head string) spec.LedgerEntry {
	deadline := w.now.Add(2 * time.Minute)
	return spec.LedgerEntry{
		Step: spec.StepClaim, Action: action(n), Digest: spec.DigestBytes([]byte(w.files[action(n)])), Nonce: fmt.Sprintf("%032x", n),
		Executor: "one", At: w.now, Deadline: &deadline,
		Approval: &spec.Approval{Merge: merge, Head: head, Approver: "approver-1", Key: w.ada.Fingerprint()},
	}
}

// next is the step after a claim.
func next(claim spec.LedgerEntry, step string) spec.LedgerEntry {
	claim.Step, claim.Approval, claim.Direct, claim.Retry = step, nil, nil, ""
	if step != spec.StepStarted {
		claim.Deadline, claim.Outcome = nil, spec.OutcomeDone
	}
	return claim
}

// enter writes entries into the ledger.
func (w *world) enter(signer *remote.Signer, entries ...spec.LedgerEntry) {
	w.Helper()
	for _, e := range entries {
		b, err := json.MarshalIndent(e, "", "  ")
		w.ok(err)
		w.ledger = w.commit(w.ledger, e.Step, signer, map[string]string{"actions/" + string(e.Action) + "/" + e.Step + ".json": string(b)})
	}
}

// enterNext writes one entry into the ledger, the n-th of its step.
func (w *world) enterNext(signer *remote.Signer, n int, e spec.LedgerEntry) {
	w.Helper()
	b, err := json.MarshalIndent(e, "", "  ")
	w.ok(err)
	w.ledger = w.commit(w.ledger, e.Step, signer, map[string]string{fmt.Sprintf("actions/%s/%s-%d.json", e.Action, e.Step, n): string(b)})
}

// executed is an Action with its whole chain.
func (w *world) executed(n int) spec.LedgerEntry {
	w.Helper()
	claim := w.approved(n)
	w.enter(w.robot, claim, next(claim, spec.StepStarted), next(claim, spec.StepReceipt))
	return claim
}

func (w *world) options() audit.Options {
	return audit.Options{History: w.Remote, Branch: "main", Tip: w.main, LedgerTip: w.ledger, Now: w.now}
}

func (w *world) audit(change func(*audit.Options)) *audit.Report {
	w.Helper()
	o := w.options()
	if change != nil {
		change(&o)
	}
	r, err := audit.Audit(w.Context(), o)
	w.ok(err)
	return r
}

// holds makes sure that nothing is wrong.
func (w *world) holds(r *audit.Report) {
	w.Helper()
	for _, p := range r.Problems {
		w.Errorf("%s: %s", p.Action, p.What)
	}
	for _, a := range r.Actions {
		if !a.Holds {
			w.Errorf("%s does not hold, and no problem says why", a.ID)
		}
	}
}

// finds makes sure that one problem says this, that every problem says what to do, and that those with an Action are its.
func (w *world) finds(r *audit.Report, about spec.ActionID, what string) {
	w.Helper()
	found := false
	for _, p := range r.Problems {
		if p.Do == "" {
			w.Errorf("%q does not say what to do", p.What)
		}
		found = found || (p.Action == about && strings.Contains(p.What, what))
	}
	if !found {
		w.Errorf("nothing says %q of %q: %+v", what, about, r.Problems)
	}
	for _, a := range r.Actions {
		if a.ID == about && a.Holds {
			w.Errorf("%s is said to hold", about)
		}
	}
}

func (w *world) state(r *audit.Report, id spec.ActionID, want execute.Phase) audit.Action {
	w.Helper()
	for _, a := range r.Actions {
		if a.ID == id {
			if a.State != want {
				w.Errorf("%s is %s (%s), want %s", id, a.State, a.Message, want)
			}
			return a
		}
	}
	w.Fatalf("%s is not in the report", id)
	return audit.Action{}
}
