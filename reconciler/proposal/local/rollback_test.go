package local_test

import (
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/proposal/local"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// forged is the branch of a rollback that somebody has made by hand.
type forged struct {
	*world
	proposal spec.Proposal
	files    map[string]string // "" is gone
	signer   *remote.Signer
	branch   string // another one than the proposal's own
	begun    string // the first commit of main
}

// What approvers merge as a rollback is one, to the byte, whoever has pushed the branch: it carries nothing else, and brings back no
// Action, which would be executed once more.
func TestWhatARollbackCannotCarry(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(f *forged)
		// after happens once it is pushed.
		after func(f *forged)
		want  string // "" is approved
	}{
		{name: "what the command makes", change: func(*forged) {}},
		{name: "an Action of then, to be executed once more", change: func(f *forged) { f.files["actions/triage-old-1.yaml"] = "kind: Action\n" }, want: "actions/triage-old-1.yaml: a rollback brings back what is declared, and nothing else"},
		{name: "an Action of now, gone", change: func(f *forged) { f.files["actions/triage-new-1.yaml"] = "" }, want: "actions/triage-new-1.yaml: a rollback brings back what is declared, and nothing else"},
		{name: "an Action in a folder that only looks alike", change: func(f *forged) { f.files["Actions/triage-old-1.yaml"] = "kind: Action\n" }, want: "and nothing else"},
		{name: "a file that declares nothing", change: func(f *forged) { f.files["app.yaml"] = "image: evil\n" }, want: "app.yaml: a rollback brings back what is declared, and nothing else"},
		{name: "an agent that was never like that", change: func(f *forged) { f.files["agents/triage.md"] = "evil" }, want: "agents is not as it was at"},
		{name: "one agent more", change: func(f *forged) { f.files["agents/evil.md"] = "evil" }, want: "agents is not as it was at"},
		{name: "half of it", change: func(f *forged) { delete(f.files, "tools/cluster.yaml") }, want: "tools is not as it was at"},
		{name: "another revision than its key says", change: func(f *forged) { f.proposal.Key = proposal.RollbackKey(f.begun) }, want: "is not as it was at"},
		{name: "a revision that was never there", change: func(f *forged) { f.proposal.Key = proposal.RollbackKey(strings.Repeat("0", 40)) }, want: "its key is that of no commit"},
		{name: "another list of approvers", change: func(f *forged) { f.files["mainstay.yaml"] = f.fleetFile(f.ada, f.eve) }, want: "mainstay.yaml is not as it was at"},
		{name: "a reconciler's signature", change: func(f *forged) { f.signer = f.robot }, want: "it is not signed by an approver that mainstay.yaml lists"},
		{name: "the signature of a reconciler that is listed as an approver", change: func(f *forged) {
			f.commit("main", "Trust", map[string]string{"mainstay.yaml": f.fleetFile(f.ada, f.robot)}, nil)
			f.signer = f.robot
		}, want: "it is not signed by an approver that mainstay.yaml lists"},
		{name: "a stranger's signature", change: func(f *forged) { f.signer = f.eve }, want: "it is not signed by an approver that mainstay.yaml lists"},
		{name: "no signature", change: func(f *forged) { f.signer = nil }, want: "it is not signed by an approver that mainstay.yaml lists"},
		{name: "an agent's branch", change: func(f *forged) { f.proposal.Agent = "triage" }, want: "the commit does not carry a proposal"},
		{name: "an agent's change on the branch of rollbacks", change: func(f *forged) { f.proposal.Kind, f.signer = spec.ProposalChange, f.robot }, want: "the commit does not carry a proposal"},
		{name: "a branch that only looks alike", change: func(f *forged) { f.branch = "mainstay/roll-back/" + string(f.proposal.Key) }, want: "its trailers say mainstay/rollback/"},
		{name: "a commit on top", change: func(*forged) {}, after: func(f *forged) {
			f.commit(f.proposal.Branch(), "One more thing", map[string]string{"agents/evil.md": "evil"}, f.eve)
		}, want: "has pushed to it"},
		{name: "a tip that has moved on", change: func(*forged) {}, after: func(f *forged) {
			f.commit("main", "Meanwhile", map[string]string{"agents/triage.md": "better"}, nil)
		}, want: "has changed since on main"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			f := &forged{world: w, begun: w.tip("main"), signer: w.ada}
			former := w.commit("main", "Good", map[string]string{"agents/triage.md": "good", "tools/cluster.yaml": "good", "actions/triage-old-1.yaml": "kind: Action\n"}, nil)
			w.commit("main", "Bad", map[string]string{"agents/triage.md": "bad", "tools/cluster.yaml": "bad", "actions/triage-old-1.yaml": "", "actions/triage-new-1.yaml": "kind: Action\n"}, nil)
			f.files = map[string]string{"agents/triage.md": "good", "tools/cluster.yaml": "good"}
			f.proposal = spec.Proposal{Key: proposal.RollbackKey(former), Kind: spec.ProposalRollback, Agent: spec.RollbackAgent, Run: runA, Exchange: 1,
				Title: "Bring back what was declared at main@" + former[:7], At: now}
			tt.change(f)
			f.proposal.Base = spec.NewRevision("main", w.tip("main"))
			if f.branch == "" {
				f.branch = f.proposal.Branch()
			}
			w.git(w.dir, "update-ref", "refs/heads/"+f.branch, "main")
			w.commit(f.branch, proposal.Message(f.proposal), f.files, f.signer)
			if tt.after != nil {
				tt.after(f)
			}
			main := w.tip("main")
			_, err := w.driver(nil).Approve(ctx, local.Approval{Key: f.proposal.Key, By: w.byAda})
			if tt.want == "" {
				w.ok(err)
				if got := w.git(w.dir, "show", "main:agents/triage.md"); got != "good" {
					t.Errorf("main has %q", got)
				}
				return
			}
			w.wantsError(err, tt.want)
			if w.tip("main") != main {
				t.Error("main has moved")
			}
		})
	}
}
