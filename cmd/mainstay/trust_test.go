package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// forger is somebody who may push to the branch, and whose key nobody has listed.
type forger struct {
	world
	remote *remote.Remote
	key    *remote.Signer
}

func newForger(w world) forger {
	w.t.Helper()
	key, err := remote.GenerateSigner(w.path("keys/mallory"), "mallory")
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := remote.Open(w.t.Context(), remote.Options{URL: w.path("remote.git")})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { r.Close() })
	return forger{w, r, key}
}

// branches are the tips on the remote.
func (f forger) branches() map[string]string {
	f.t.Helper()
	tips, err := f.remote.Fetch(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return tips
}

// commit writes a commit with the forger's signature, or signed by whom else.
func (f forger) commit(message string, signer *remote.Signer, edits []spec.FileEdit, base string, parents ...string) string {
	f.t.Helper()
	id, err := f.remote.WriteCommit(remote.CommitDraft{Base: base, Parents: parents, Edits: edits, Message: message,
		AuthorName: "Mallory", AuthorEmail: "mallory@example.com", When: time.Now(), Signer: signer})
	if err != nil {
		f.t.Fatal(err)
	}
	return id
}

func (f forger) push(from, to string) {
	f.t.Helper()
	if err := f.remote.Push(f.t.Context(), "main", from, to); err != nil {
		f.t.Fatal(err)
	}
}

// root is mainstay.yaml on main, with more approvers and signers.
func (f forger) root(approver, signer string) []spec.FileEdit {
	f.t.Helper()
	text := f.git("remote.git", "show", "main:mainstay.yaml")
	if approver != "" {
		text = strings.Replace(text, "  approvers:\n", "  approvers:\n  - name: Mallory\n    key: "+approver+"\n", 1)
	}
	if signer != "" {
		text = strings.Replace(text, "    signers:\n", "    signers:\n    - name: mallory\n      key: "+signer+"\n", 1)
	}
	return []spec.FileEdit{{Path: "mainstay.yaml", Content: text}}
}

const forgedAction = "keeper-01kb0000000000000000000000-99"

func forgedFile() []spec.FileEdit {
	return []spec.FileEdit{{Path: "actions/" + forgedAction + ".yaml", Content: `apiVersion: mainstay.dev/v1alpha1
kind: Action
metadata:
  name: ` + forgedAction + `
spec:
  summary: Restart deployment shop/catalog
  server: cluster
  tool: restart_deployment
  arguments: {namespace: shop, name: catalog}
  evidence:
    agent: keeper
    run: 01kb0000000000000000000000
    exchange: 99
    revision: main@sha1:0000000000000000000000000000000000000000
    key: "0000000000000000"
  expires: "2099-01-01T00:00:00Z"
`}}
}

const forgedMessage = "Restart\n\nMainstay-Action: " + forgedAction + "\nMainstay-Proposal: 0000000000000000\n"

// One push that only goes forward: a side branch on which the forger is approver and reconciler, with main as the second
// parent and the official mainstay.yaml on top. Its own history approves the action, and nobody else does.
func TestAForgersOwnHistoryApprovesNothing(t *testing.T) {
	for _, disk := range []string{"with lasting state", "on a fresh disk"} {
		t.Run(disk, func(t *testing.T) {
			w := newWorld(t)
			f := newForger(w)
			if disk == "with lasting state" {
				w.mainstay(0, w.once()...)
			}
			main := f.branches()["main"]
			line := f.key.AuthorizedKey()
			official := f.git("remote.git", "show", "main:mainstay.yaml")
			side := f.commit("Side", f.key, f.root(line, line), main, main)
			head := f.commit(forgedMessage, f.key, forgedFile(), side, side)
			merge := f.commit("Merge", f.key, forgedFile(), side, side, head)
			tip := f.commit("Merge branch main", f.key, []spec.FileEdit{{Path: "mainstay.yaml", Content: official}}, merge, merge, main)
			f.push(main, tip)
			e := w.start(nil, w.once()...)
			if e.code != 1 || !strings.Contains(e.stderr, "NotApproved") {
				t.Errorf("exit code %d\n%s", e.code, e.stderr)
			}
			if n := w.restarts(); n != 0 {
				t.Errorf("the forged action was executed %d times", n)
			}
		})
	}
}

// Whoever may push can write a key into mainstay.yaml. It approves nothing until an approver has signed for it.
func TestAnApproverIsMadeByAnApprover(t *testing.T) {
	w := newWorld(t)
	f := newForger(w)
	w.mainstay(0, w.once()...)
	f.branches()
	main := f.branches()["main"]
	official := f.git("remote.git", "show", "main:mainstay.yaml")
	added := f.root(f.key.AuthorizedKey(), "")
	pushed := f.commit("Let me approve", nil, added, main, main)
	f.push(main, pushed)
	for _, p := range w.proposals() {
		if p.Kind == spec.ProposalAction {
			head := f.branches()[p.Branch]
			merge, err := f.remote.Merge(remote.MergeDraft{Ours: pushed, Theirs: head, Message: "Approve", AuthorName: "Mallory",
				AuthorEmail: "mallory@example.com", When: time.Now(), Signer: f.key})
			if err != nil {
				t.Fatal(err)
			}
			f.push(pushed, merge)
		}
	}
	e := w.start(nil, w.once()...)
	if e.code != 1 || !strings.Contains(e.stderr, "changed the approvers or the ledger in mainstay.yaml, and no approver has signed it") {
		t.Errorf("exit code %d\n%s", e.code, e.stderr)
	}
	// Put back, there is nothing wrong any more, but what Mallory merged is still approved by nobody.
	tip := f.branches()["main"]
	reverted := f.commit("Put it back", nil, []spec.FileEdit{{Path: "mainstay.yaml", Content: official}}, tip, tip)
	f.push(tip, reverted)
	e = w.start(nil, w.once()...)
	if e.code != 1 || !strings.Contains(e.stderr, "NotApproved") || strings.Contains(e.stderr, "changed the approvers") {
		t.Errorf("exit code %d\n%s", e.code, e.stderr)
	}
	if n := w.restarts(); n != 0 {
		t.Errorf("an action was executed %d times", n)
	}
}

// An approver lists another one in a signed commit; from then on that one approves.
func TestANewApproverApproves(t *testing.T) {
	w := newWorld(t)
	f := newForger(w)
	w.mainstay(0, w.once()...)
	ada, err := remote.LoadSigner(w.path("keys/ada"))
	if err != nil {
		t.Fatal(err)
	}
	main := f.branches()["main"]
	f.push(main, f.commit("Mallory may approve", ada, f.root(f.key.AuthorizedKey(), ""), main, main))
	if err := os.Rename(w.path("keys/mallory"), w.path("keys/new")); err != nil {
		t.Fatal(err)
	}
	w.approveWith("keys/new")
	w.mainstay(0, w.once()...)
	if n := w.restarts(); n != 1 {
		t.Errorf("the effect happened %d times, want 1", n)
	}
}
