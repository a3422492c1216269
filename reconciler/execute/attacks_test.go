package execute_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// attack is one way to have something executed that nobody has approved, or to forge what was. It returns the Action that
// is tried then. Nothing may be called, and the reason must be told.
type attack struct {
	name   string
	do     func(w *world) spec.ActionID
	reason string
}

// What somebody can do who may push to the branch, or who is an agent whose proposals are pushed.
var approvalAttacks = []attack{
	{"a direct push", func(w *world) spec.ActionID {
		id, file := w.action(1, nil)
		w.commit("Restart", map[string]string{"actions/" + string(id) + ".yaml": file}, nil)
		return id
	}, "a direct push approves nothing"},
	{"a direct push signed by an approver", func(w *world) spec.ActionID {
		id, file := w.action(1, nil)
		w.commit("Restart", map[string]string{"actions/" + string(id) + ".yaml": file}, w.reviewer)
		return id
	}, "a direct push approves nothing"},
	{"a squashed merge with the same bytes", func(w *world) spec.ActionID {
		id := w.proposal()
		file := w.git(w.dir, "show", "mainstay/triage/"+string(key(1))+":actions/"+string(id)+".yaml") + "\n"
		w.commit("Squashed", map[string]string{"actions/" + string(id) + ".yaml": file}, w.reviewer)
		return id
	}, "squashed"},
	{"an unsigned merge", func(w *world) spec.ActionID {
		id := w.proposal()
		w.mergeByHand(1, nil, nil)
		return id
	}, "not signed"},
	{"a merge signed by somebody else", func(w *world) spec.ActionID {
		id := w.proposal()
		w.mergeByHand(1, w.stranger(), nil)
		return id
	}, "listed"},
	{"a merge that adds its own key to the approvers", func(w *world) spec.ActionID {
		id := w.proposal()
		thief := w.stranger()
		w.mergeByHand(1, thief, map[string]string{"mainstay.yaml": w.fleetFile(w.reviewer, thief)})
		return id
	}, "before it"},
	{"the agent's own reconciler as approver", func(w *world) spec.ActionID {
		w.commit("Trust the robot", map[string]string{"mainstay.yaml": w.fleetFile(w.reviewer, w.robot)}, nil)
		id := w.propose(1, nil)
		w.mergeByHand(1, w.robot, nil)
		return id
	}, "no reconciler"},
	{"another reconciler as approver", func(w *world) spec.ActionID {
		w.commit("Trust the robot", map[string]string{"mainstay.yaml": w.fleetFile(w.reviewer, w.second)}, nil)
		id := w.propose(1, nil)
		w.mergeByHand(1, w.second, nil)
		return id
	}, "no reconciler"},
	{"a merge of what a person wrote", func(w *world) spec.ActionID {
		id, file := w.action(1, nil)
		w.push("handmade", w.draft(w.tip("main"), "Restart\n\nMainstay-Action: "+string(id), w.reviewer),
			map[string]string{"actions/" + string(id) + ".yaml": file})
		w.mergeBranch("handmade", w.reviewer, nil)
		return id
	}, "no reconciler has proposed"},
	{"a file changed while it was merged", func(w *world) spec.ActionID {
		id := w.proposal()
		_, file := w.action(1, func(a *spec.ActionSpec) { a.Arguments = map[string]any{"name": "bank"} })
		w.mergeByHand(1, w.reviewer, map[string]string{"actions/" + string(id) + ".yaml": file})
		return id
	}, "changed while it was merged"},
	{"a file changed after it was merged", func(w *world) spec.ActionID {
		id := w.approval()
		_, file := w.action(1, func(a *spec.ActionSpec) { a.Arguments = map[string]any{"name": "bank"} })
		w.commit("Better", map[string]string{"actions/" + string(id) + ".yaml": file}, w.reviewer)
		return id
	}, "was changed in commit"},
	{"a copy of an approved file under a new id", func(w *world) spec.ActionID {
		w.approval()
		id, file := w.action(2, func(a *spec.ActionSpec) { a.Evidence.Exchange = 1; a.Evidence.Key = key(1) })
		w.commit("Again", map[string]string{"actions/" + string(id) + ".yaml": file}, w.reviewer)
		return id
	}, "never copied"},
	{"a merged proposal's branch that carries a second file", func(w *world) spec.ActionID {
		w.proposal()
		id, file := w.action(2, nil)
		w.mergeByHand(1, w.reviewer, map[string]string{"actions/" + string(id) + ".yaml": file})
		return id
	}, "not as it was proposed"},
	{"a signed direct push of a revert of the revert of an Action", func(w *world) spec.ActionID {
		id := w.approval()
		name := "actions/" + string(id) + ".yaml"
		file := w.git(w.dir, "show", "main:"+name) + "\n"
		w.commit("Revert", map[string]string{name: ""}, w.reviewer)
		w.commit("Revert the revert", map[string]string{name: file}, w.reviewer)
		return id
	}, "a direct push approves nothing"},
	{"a rebased merge, which is the proposal's own commit", func(w *world) spec.ActionID {
		id := w.proposal()
		w.git(w.dir, "update-ref", "refs/heads/main", w.proposed(1))
		return id
	}, "a direct push approves nothing, and neither does a squashed or rebased merge"},
	{"a squashed merge that changes bytes", func(w *world) spec.ActionID {
		w.proposal()
		id, file := w.action(1, bank)
		w.commit("Squashed", map[string]string{"actions/" + string(id) + ".yaml": file}, w.reviewer)
		return id
	}, "squashed"},
	{"a co-author trailer in place of a signature", func(w *world) spec.ActionID {
		id := w.proposal()
		w.merge(remote.CommitDraft{Message: "Merge\n\nCo-authored-by: Ada <ada@example.com>\nReviewed-by: Ada <ada@example.com>"}, w.tip("main"), w.proposed(1))
		return id
	}, "not signed"},
	{"a look-alike: the approver's name and address, and another key", func(w *world) spec.ActionID {
		id := w.proposal()
		w.as = "approver-0"
		w.merge(remote.CommitDraft{Signer: w.stranger()}, w.tip("main"), w.proposed(1))
		return id
	}, "none of the 1 listed"},
	{"a signature of the approver that was cut out of another merge", func(w *world) spec.ActionID {
		id := w.proposal()
		signed := w.git(w.dir, "cat-file", "commit", w.approvedElsewhere())
		_, sig, _ := strings.Cut(signed, "gpgsig ")
		sig, _, _ = strings.Cut(sig, "\n\n")
		w.raw(w.proposed(1), fmt.Sprintf("gpgsig %s\n", sig), w.tip("main"), w.proposed(1))
		return id
	}, "signature did not verify"},
	{"a merge with two signatures", func(w *world) spec.ActionID {
		id := w.approval()
		w.prepare(id)
		sig := w.git(w.dir, "cat-file", "commit", "main")
		_, sig, _ = strings.Cut(sig, "gpgsig ")
		sig, _, _ = strings.Cut(sig, "\n\n")
		w.raw("main", fmt.Sprintf("gpgsig %s\ngpgsig %s\n", sig, sig), w.tip("main^1"), w.tip("main^2"))
		return id
	}, "two signatures"},
	{"an approver's key added by a push before the merge", func(w *world) spec.ActionID {
		id := w.proposal()
		thief := w.stranger()
		w.trusted = w.tip("main")
		w.commit("Let me approve", map[string]string{"mainstay.yaml": w.fleetFile(w.reviewer, thief)}, nil)
		w.mergeByHand(1, thief, nil)
		return id
	}, "none that counts now"},
	{"a history of the attacker's own, with main as its second parent", func(w *world) spec.ActionID {
		thief, hand := w.stranger(), w.stranger()
		w.trusted = w.tip("main")
		official, main := w.fleetFile(w.reviewer), w.tip("main")
		id, file := w.action(1, nil)
		r := w.clone()
		write := func(d remote.CommitDraft, by *remote.Signer, path, content string) string {
			d.Base, d.Message, d.AuthorName, d.AuthorEmail, d.When = d.Parents[0], trailers(id), "Mallory", "mallory@example.com", w.clock.now()
			d.Signer, d.Edits = by, []spec.FileEdit{{Path: path, Content: content}}
			c, err := r.WriteCommit(d)
			w.ok(err)
			return c
		}
		action := "actions/" + string(id) + ".yaml"
		robot := w.robot
		w.robot = hand
		side := write(remote.CommitDraft{Parents: []string{main}}, thief, "mainstay.yaml", w.fleetFile(thief))
		w.robot = robot
		head := write(remote.CommitDraft{Parents: []string{side}}, hand, action, file)
		merged := write(remote.CommitDraft{Parents: []string{side, head}}, thief, action, file)
		w.ok(r.Push(context.Background(), "main", main, write(remote.CommitDraft{Parents: []string{merged, main}}, thief, "mainstay.yaml", official)))
		return id
	}, "none that counts now"},
	{"an octopus merge", func(w *world) spec.ActionID {
		id := w.proposal()
		other := w.push("other", w.draft(w.tip("main"), "Other", nil), map[string]string{"other.txt": "hello\n"})
		w.merge(remote.CommitDraft{Signer: w.reviewer}, w.tip("main"), w.proposed(1), other)
		return id
	}, "merged together with others"},
	{"a signed merge whose parents are swapped", func(w *world) spec.ActionID {
		id := w.proposal()
		w.merge(remote.CommitDraft{Signer: w.reviewer}, w.proposed(1), w.tip("main"))
		return id
	}, "pushed directly"},
	{"a commit pushed to the proposal's branch after it was read, and merged", func(w *world) spec.ActionID {
		id := w.proposal()
		_, file := w.action(1, bank)
		w.push(w.branch(1), w.draft(w.proposed(1), trailers(id), nil), map[string]string{"actions/" + string(id) + ".yaml": file})
		w.mergeByHand(1, w.reviewer, nil)
		return id
	}, "no reconciler has proposed"},
	{"a commit pushed there by the agent's own reconciler, and merged", func(w *world) spec.ActionID {
		id := w.proposal()
		_, file := w.action(1, bank)
		w.push(w.branch(1), w.draft(w.proposed(1), trailers(id), w.robot), map[string]string{"actions/" + string(id) + ".yaml": file})
		w.mergeByHand(1, w.reviewer, nil)
		return id
	}, "was there before"},
	{"an approved Action edited by a second proposal, approved as well", func(w *world) spec.ActionID {
		id := w.approval()
		_, file := w.action(1, bank)
		w.push("mainstay/triage/second", w.draft(w.tip("main"), trailers(id), w.robot), map[string]string{"actions/" + string(id) + ".yaml": file})
		w.mergeBranch("mainstay/triage/second", w.reviewer, nil)
		return id
	}, "what was approved is never changed"},
	{"a file proposal that carries an Action", func(w *world) spec.ActionID {
		id, file := w.action(1, nil)
		w.push(w.branch(1), w.draft(w.tip("main"), "Better words\n\nMainstay-Proposal: "+string(key(1)), w.robot), map[string]string{"actions/" + string(id) + ".yaml": file})
		w.mergeByHand(1, w.reviewer, nil)
		return id
	}, "proposes the Action \"\""},
	{"a title that forges a second trailer", func(w *world) spec.ActionID {
		id, file := w.action(1, nil)
		w.push(w.branch(1), w.draft(w.tip("main"), "Words\n\nMainstay-Action: "+string(id)+"\nMainstay-Action: other\nMainstay-Proposal: "+string(key(1)), w.robot),
			map[string]string{"actions/" + string(id) + ".yaml": file})
		w.mergeByHand(1, w.reviewer, nil)
		return id
	}, "proposes the Action \"\""},
	{"a moved Action", func(w *world) spec.ActionID {
		id := w.approval()
		w.prepare(id)
		w.rename(id, "actions/other.yaml")
		return id
	}, "never moved or copied"},
	{"an Action at a path that differs in case", func(w *world) spec.ActionID {
		id := w.approval()
		w.prepare(id)
		w.rename(id, "Actions/"+string(id)+".yaml")
		return id
	}, "never moved or copied"},
	{"an Action at a path with a letter that looks alike", func(w *world) spec.ActionID {
		id := w.approval()
		w.prepare(id)
		w.rename(id, "\u0430ctions/"+string(id)+".yaml")
		return id
	}, "never moved or copied"},
	{"an Action whose file is a symbolic link to an approved one", func(w *world) spec.ActionID {
		w.approval()
		id, _ := w.action(2, nil)
		w.prepareAs(1, id)
		w.link("actions/"+string(id)+".yaml", "triage-"+string(run)+"-1.yaml")
		return id
	}, "symbolic link"},
	{"a folder actions that is a symbolic link", func(w *world) spec.ActionID {
		id := w.approval()
		w.prepare(id)
		w.link("actions", "elsewhere")
		return id
	}, "never moved or copied"},
	{"a folder actions that is a submodule", func(w *world) spec.ActionID {
		id := w.approval()
		w.prepare(id)
		w.cacheinfo("160000", w.tip("main"), "actions")
		return id
	}, "never moved or copied"},
	{"a merge approved for another branch", func(w *world) spec.ActionID {
		id := w.propose(1, func(a *spec.ActionSpec) { a.Evidence.Revision = "staging@sha1:" + spec.Revision(w.tip("main")) })
		w.approve(1)
		return id
	}, "proposed for the branch \"staging\""},
	{"a merge approved in another repository, or under a ledger that was replaced", func(w *world) spec.ActionID {
		id := w.approval()
		w.genesis = w.newLedger()
		w.commit("A new ledger", map[string]string{"mainstay.yaml": w.fleetFile(w.reviewer)}, w.reviewer)
		return id
	}, "pinned another ledger"},
}

// What somebody can do who may push to the ledger, or who holds a reconciler's key and writes nonsense.
var ledgerAttacks = []attack{
	{"an entry without a signature", entering(nobody, claimed(nil)), "not signed"},
	{"a claim forged by a stranger", entering((*world).stranger, claimed(nil)), "none of the 2 listed"},
	{"a claim forged by an approver", entering(reviewer, claimed(nil)), "none of the 2 listed"},
	{"a receipt without a claim", entering(robot, claimed(func(e *spec.LedgerEntry) { e.Step, e.Outcome = spec.StepReceipt, spec.OutcomeDone })), "belongs to no start"},
	{"a start without a claim", entering(robot, claimed(func(e *spec.LedgerEntry) { e.Step = spec.StepStarted })), "does not belong to the last claim"},
	{"two entries at once", entering(robot, func(w *world) map[string]string {
		files := claimed(nil)(w)
		files["actions/triage-x-8/claim.json"] = "{}"
		return files
	}), "touches 2 files"},
	{"a changed file", entering(robot, files("README.md", "Other words.\n")), "entries never change"},
	{"a removed file", entering(robot, files("README.md", "")), "entries never change"},
	{"a file at another path", entering(robot, files("notes.txt", "hello\n")), "no path of the ledger"},
	{"an entry that is not JSON", entering(robot, files("actions/a/claim.json", "hello\n")), "not an entry"},
	{"an entry at a path that differs in case", entering(robot, files("Actions/a/claim.json", "{}")), "no path of the ledger"},
	{"an entry about another Action", entering(robot, renamed("actions/triage-x-7/claim.json")), "is about claim of triage-x-9"},
	{"a second claim before the first", entering(robot, renamed("actions/triage-x-9/claim-2.json")), "it is claim 2, and there are 0"},
	{"an entry of a megabyte", entering(robot, claimed(func(e *spec.LedgerEntry) { e.Message = strings.Repeat("x", 1<<20) })), "the limits are"},
	{"an entry with a key twice", entering(robot, func(w *world) map[string]string {
		out := claimed(nil)(w)
		for name, content := range out {
			out[name] = strings.Replace(content, "{", `{"action":"triage-x-1",`, 1)
		}
		return out
	}), "twice"},
	{"an entry that is a symbolic link", func(w *world) spec.ActionID {
		id := w.approval()
		blob := w.blob("../b/claim.json")
		w.cacheinfoOn(execute.Branch, "120000", blob, "actions/a/claim.json")
		return id
	}, "symbolic link"},
	{"a merge on the ledger", func(w *world) spec.ActionID {
		id := w.approval()
		tip := w.tip(execute.Branch)
		w.push(execute.Branch, remote.CommitDraft{Base: tip, Parents: []string{tip, w.tip("main")}, Message: "Merge", Signer: w.robot}, claimed(nil)(w))
		return id
	}, "not one commit on top of the one before"},
	{"a receipt that is reverted", func(w *world) spec.ActionID {
		done, next := w.approval(), w.approved(2, nil)
		w.wants(w.executor("one", w.robot).run(done), execute.Done, "")
		w.push(execute.Branch, remote.CommitDraft{Message: "Revert", Signer: w.robot}, map[string]string{"actions/" + string(done) + "/receipt.json": ""})
		return next
	}, "entries never change"},
	{"the ledger deleted", func(w *world) spec.ActionID {
		id := w.approval()
		w.git(w.dir, "branch", "-D", execute.Branch)
		return id
	}, "is missing"},
	{"the ledger begun again", func(w *world) spec.ActionID {
		id := w.approval()
		w.newLedger()
		return id
	}, "its first commit is"},
}

func nobody(*world) *remote.Signer     { return nil }
func reviewer(w *world) *remote.Signer { return w.reviewer }

// entering pushes an entry with a key.
func entering(by func(*world) *remote.Signer, files func(*world) map[string]string) func(*world) spec.ActionID {
	return func(w *world) spec.ActionID {
		id := w.approval()
		w.push(execute.Branch, remote.CommitDraft{Message: "Entry", Signer: by(w)}, files(w))
		return id
	}
}

func files(path, content string) func(*world) map[string]string {
	return func(*world) map[string]string { return map[string]string{path: content} }
}

// claimed is a claim, or what change makes of it.
func claimed(change func(*spec.LedgerEntry)) func(*world) map[string]string {
	return func(w *world) map[string]string {
		deadline := w.clock.now().Add(time.Hour)
		e := spec.LedgerEntry{
			Step: spec.StepClaim, Action: "triage-x-9", Digest: "sha256:00", Nonce: "0123", Executor: "x", At: w.clock.now(), Deadline: &deadline,
		}
		if change != nil {
			change(&e)
		}
		b, err := json.Marshal(e)
		w.ok(err)
		return map[string]string{"actions/triage-x-9/" + e.Step + ".json": string(b)}
	}
}

func renamed(path string) func(*world) map[string]string {
	return func(w *world) map[string]string {
		for _, content := range claimed(nil)(w) {
			return map[string]string{path: content}
		}
		return nil
	}
}

func bank(a *spec.ActionSpec) { a.Arguments = map[string]any{"name": "bank"} }

func trailers(id spec.ActionID) string {
	return "Restart\n\nMainstay-Action: " + string(id) + "\nMainstay-Proposal: " + string(key(1))
}

// Each attack is tried with the real Git: nothing is called, and the reason is told.
func TestEveryAttackIsRefusedWithAReason(t *testing.T) {
	stages := newStages(t)
	table := newTable("attacks", "attack", "the Action is", "because")
	for i, a := range slices.Concat(approvalAttacks, ledgerAttacks) {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			w := stages.begin(t)
			id := a.do(w)
			w.effects.calls = 0
			e := w.executor("one", w.robot)
			s := w.tried(e, id)
			if !strings.Contains(s.Message, a.reason) {
				t.Errorf("it is %s (%s), want a reason with %q", s.State, s.Message, a.reason)
			}
			if s.State == execute.Refused { // It stays so when the branch goes on.
				w.commit("More", nil, nil)
				if again := w.tried(e, id); !strings.Contains(again.Message, a.reason) {
					t.Errorf("later it is %s (%s), want a reason with %q", again.State, again.Message, a.reason)
				}
			}
			if w.effects.calls != 0 {
				t.Errorf("%d calls", w.effects.calls)
			}
			table.add(i, a.name, string(s.State), s.Message)
		})
	}
	t.Cleanup(func() { table.check(t) })
}

// tried executes an Action, wherever it was found last.
func (w *world) tried(e executor, id spec.ActionID) execute.State {
	w.Helper()
	work := w.prepared
	if work.Action == nil {
		work = e.work(id)
	}
	work.Revision = spec.NewRevision("main", w.tip("main"))
	if w.trusted != "" {
		var err error
		work.Trusted, err = fleetAt(e.remote, w.trusted)
		w.ok(err)
	}
	s, _ := e.Execute(context.Background(), work) // Its error is the message.
	return s
}

// prepare keeps an Action as it is loaded now, because it will not be found where it belongs.
func (w *world) prepare(id spec.ActionID) { w.prepared = w.executor("one", w.robot).work(id) }

// prepareAs keeps the Action n under the id of another one, as a link to its file would have it loaded.
func (w *world) prepareAs(n int, id spec.ActionID) {
	w.prepare(spec.ActionID(fmt.Sprintf("triage-%s-%d", run, n)))
	action := *w.prepared.Action
	action.ID, action.Spec.Evidence.Exchange = id, 2
	w.prepared.Action = &action
}

func (w *world) branch(n int) string   { return "mainstay/triage/" + string(key(n)) }
func (w *world) proposed(n int) string { return w.tip(w.branch(n)) }

// merge pushes a commit with the files of the proposal and these parents to main.
func (w *world) merge(d remote.CommitDraft, parents ...string) {
	w.Helper()
	d.Base, d.Parents = w.proposed(1), parents
	if d.Message == "" {
		d.Message = "Merge"
	}
	w.push("main", d, nil)
}

// approvedElsewhere is a merge of the proposal that the reviewer has signed on another branch.
func (w *world) approvedElsewhere() string {
	w.Helper()
	main := w.tip("main")
	aside := w.push("aside", w.draft(main, "Aside", nil), map[string]string{"aside.txt": "hello\n"})
	return w.push("aside", remote.CommitDraft{Base: w.proposed(1), Parents: []string{aside, w.proposed(1)}, Message: "Merge", Signer: w.reviewer}, nil)
}

// raw writes a commit object with headers of its own, and moves main there.
func (w *world) raw(tree, headers string, parents ...string) {
	w.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", w.git(w.dir, "rev-parse", tree+"^{tree}"))
	for _, p := range parents {
		fmt.Fprintf(&b, "parent %s\n", p)
	}
	fmt.Fprintf(&b, "author Ada <ada@example.com> 1772366400 +0000\ncommitter Ada <ada@example.com> 1772366400 +0000\n%s\nMerge\n", headers)
	file := filepath.Join(w.TempDir(), "commit")
	w.write(file, b.String())
	w.git(w.dir, "update-ref", "refs/heads/main", w.git(w.dir, "hash-object", "-t", "commit", "-w", "--literally", file))
}

// rename moves the file of an Action on main.
func (w *world) rename(id spec.ActionID, to string) {
	w.Helper()
	from := "actions/" + string(id) + ".yaml"
	w.commit("Move", map[string]string{from: "", to: w.git(w.dir, "show", "main:"+from) + "\n"}, nil)
}

func (w *world) blob(content string) string {
	w.Helper()
	file := filepath.Join(w.TempDir(), "blob")
	w.write(file, content)
	return w.git(w.dir, "hash-object", "-w", file)
}

// link puts a symbolic link at a path of main, in place of what is there.
func (w *world) link(path, target string) { w.cacheinfo("120000", w.blob(target), path) }

func (w *world) cacheinfo(mode, object, path string) { w.cacheinfoOn("main", mode, object, path) }

// cacheinfoOn commits an entry of any mode to a branch, as git would not, in place of what is at the path; to the ledger
// with the robot's signature.
func (w *world) cacheinfoOn(branch, mode, object, path string) {
	w.Helper()
	work := filepath.Join(w.TempDir(), "index")
	w.git("", "clone", "-q", "-b", branch, w.dir, work)
	w.git(work, "rm", "-rq", "--cached", "--ignore-unmatch", path)
	w.git(work, "update-index", "--add", "--cacheinfo", mode+","+object+","+path)
	tree := w.git(work, "write-tree")
	w.git(work, "push", "-q", "origin", w.git(work, "commit-tree", "-m", "Entry", tree)+":refs/heads/made")
	var signer *remote.Signer
	if branch == execute.Branch {
		signer = w.robot
	}
	tip := w.tip(branch)
	w.push(branch, remote.CommitDraft{Base: w.tip("made"), Parents: []string{tip}, Message: "Entry", Signer: signer}, nil)
}

// newLedger puts another first commit in place of the ledger.
func (w *world) newLedger() string {
	w.Helper()
	w.git(w.dir, "branch", "-D", execute.Branch)
	w.clock.pass(time.Second)
	id, err := execute.InitLedger(context.Background(), w.clone(), w.robot, "robot", "robot@example.com", w.clock.now())
	w.ok(err)
	return id
}
