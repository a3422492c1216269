package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/proposal/local"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

func TestAnOpenProposalIsReadBackFromTheRemoteAlone(t *testing.T) {
	w := newWorld(t)
	p := w.change(runA, "nginx:1.27")
	w.ok(w.driver(w.robot).Open(ctx, p))
	if got := w.branches(); got != "main "+branchA {
		t.Errorf("the branches are %s", got)
	}
	other := w.driver(nil) // Another process, with nothing but the remote.
	list, err := other.List(ctx)
	w.ok(err)
	want := []proposal.Listed{{Proposal: p, State: proposal.Open, Head: w.tip(branchA)}}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
	shown, err := other.Show(ctx, "aaaa")
	w.ok(err)
	if shown.Sentence != "triage asks to change app.yaml: Use nginx:1.27." || !strings.Contains(shown.Diff, "-image: nginx:1.26\n+image: nginx:1.27\n") {
		t.Errorf("%s\n%s", shown.Sentence, shown.Diff)
	}
	if s := w.status(other, p); s.State != proposal.Open {
		t.Errorf("%+v", s)
	}
	if parents := w.git(w.dir, "log", "-1", "--format=%P", branchA); parents != w.tip("main") {
		t.Errorf("its parents are %s", parents)
	}
}

func TestOpeningTwiceLeavesOneBranchUntouched(t *testing.T) {
	w := newWorld(t)
	p := w.change(runA, "nginx:1.27")
	w.ok(w.driver(w.robot).Open(ctx, p))
	head := w.tip(branchA)
	w.ok(w.driver(w.robot).Open(ctx, p))
	w.ok(w.driver(w.second).Open(ctx, p))
	if w.tip(branchA) != head {
		t.Error("the branch has moved")
	}
}

func TestTwoReconcilersOpenOneProposalAtTheSameTime(t *testing.T) {
	w := newWorld(t)
	p := w.change(runA, "nginx:1.27")
	drivers := []*local.Driver{w.driver(w.robot), w.driver(w.second), w.driver(w.robot), w.driver(w.second)}
	var wg sync.WaitGroup
	for _, d := range drivers {
		wg.Go(func() {
			if err := d.Open(ctx, p); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := w.branches(); got != "main "+branchA {
		t.Errorf("the branches are %s", got)
	}
}

func TestBetterContentOfALaterRunUpdatesTheSameProposal(t *testing.T) {
	w := newWorld(t)
	d := w.driver(w.robot)
	first, second := w.change(runA, "nginx:1.27"), w.change(runB, "nginx:1.28")
	w.ok(d.Open(ctx, first))
	w.ok(d.Open(ctx, second))
	shown, err := d.Show(ctx, keyA)
	w.ok(err)
	if shown.Run != runB || shown.Files[0].Content != "image: nginx:1.28\n" {
		t.Errorf("%+v", shown.Proposal)
	}
	if s := w.status(d, first); s.State != proposal.Closed || !strings.Contains(s.Reason, "newer proposal") {
		t.Errorf("the first is %+v", s)
	}
	if s := w.status(d, second); s.State != proposal.Open {
		t.Errorf("the second is %+v", s)
	}
}

func TestABranchThatAPersonPushedToIsLeftAlone(t *testing.T) {
	for name, edit := range map[string]func(w *world){
		"with a commit on top": func(w *world) {
			w.commit(branchA, "Even better", map[string]string{"app.yaml": "image: nginx:2\n"}, nil)
		},
		"with the commit amended": func(w *world) {
			w.git(w.dir, "update-ref", "refs/heads/"+branchA, w.amended())
		},
		"with something else": func(w *world) {
			w.git(w.dir, "update-ref", "refs/heads/"+branchA, w.tip("main"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.driver(w.robot)
			w.ok(d.Open(ctx, w.change(runA, "nginx:1.27")))
			edit(w)
			head := w.tip(branchA)
			_, edited := errors.AsType[*proposal.EditedError](d.Open(ctx, w.change(runB, "nginx:1.28")))
			if !edited || w.tip(branchA) != head {
				t.Error("it was not left alone")
			}
			list, err := d.List(ctx)
			w.ok(err)
			if len(list) != 1 || list[0].Problem == "" {
				t.Errorf("%+v", list)
			}
			if _, err := d.Approve(ctx, local.Approval{Key: keyA, By: w.byAda}); err == nil {
				t.Error("it was approved")
			}
		})
	}
}

// amended is the proposal's commit with another tree, as `git commit --amend` leaves it.
func (w *world) amended() string {
	work := filepath.Join(w.TempDir(), "work")
	w.git("", "clone", "-q", "-b", branchA, w.dir, work)
	w.ok(os.WriteFile(filepath.Join(work, "app.yaml"), []byte("image: nginx:3\n"), 0o600))
	w.git(work, "commit", "-q", "-a", "--amend", "--no-edit")
	w.git(work, "push", "-q", "-f", "origin", branchA)
	return w.tip(branchA)
}

func TestAnApprovalIsASignedMergeAndDeletesTheBranch(t *testing.T) {
	w := newWorld(t)
	d := w.driver(w.robot)
	p := w.change(runA, "nginx:1.27")
	w.ok(d.Open(ctx, p))
	head := w.tip(branchA)
	main := w.commit("main", "Meanwhile", map[string]string{"other.yaml": "x: 2\n"}, nil)
	merge, err := w.driver(nil).Approve(ctx, local.Approval{Key: keyA, Head: head, By: w.byAda})
	w.ok(err)
	if w.tip("main") != merge || w.git(w.dir, "log", "-1", "--format=%P", merge) != main+" "+head {
		t.Errorf("main is at %s", w.git(w.dir, "log", "-1", "--format=%H %P", "main"))
	}
	if got := w.git(w.dir, "show", "main:app.yaml", "main:other.yaml"); got != "image: nginx:1.27\nx: 2" {
		t.Errorf("main holds %q", got)
	}
	if got := w.branches(); got != "main" {
		t.Errorf("the branches are %s", got)
	}
	c, err := w.clone().Commit(merge)
	w.ok(err)
	if _, err := remote.VerifyCommit(c, []spec.Key{w.ada.Public("Ada")}); err != nil {
		t.Error(err)
	}
	if s := w.status(d, p); s.State != proposal.Merged || s.Merge != merge || s.By != "Ada <ada@example.com>" {
		t.Errorf("%+v", s)
	}
	w.ok(d.Open(ctx, p)) // A run that is replayed after a crash opens it again.
	if got := w.branches(); got != "main" {
		t.Errorf("it was opened again: %s", got)
	}
}

func TestAnApprovalThatDiedBeforeItDeletedTheBranchIsFinishedByTheNext(t *testing.T) {
	w := newWorld(t)
	d := w.driver(w.robot)
	p := w.change(runA, "nginx:1.27")
	w.ok(d.Open(ctx, p))
	head := w.tip(branchA)
	merge, err := d.Approve(ctx, local.Approval{Key: keyA, By: w.byAda})
	w.ok(err)
	w.git(w.dir, "update-ref", "refs/heads/"+branchA, head)
	list, err := d.List(ctx)
	w.ok(err)
	if len(list) != 0 {
		t.Errorf("it is listed: %+v", list)
	}
	again, err := d.Approve(ctx, local.Approval{Key: keyA, By: w.byAda})
	w.ok(err)
	if again != merge || w.branches() != "main" {
		t.Errorf("merged again as %s, the branches are %s", again, w.branches())
	}
}

func TestWhoAndWhatIsNotApproved(t *testing.T) {
	tests := []struct {
		name     string
		prepare  func(w *world)
		approval func(w *world) local.Approval
		want     string
	}{
		{"by somebody who is not listed", nil, func(w *world) local.Approval { return local.Approval{Key: keyA, By: w.byEve} }, "not among the approvers"},
		{"by the reconciler itself", nil, func(w *world) local.Approval { return local.Approval{Key: keyA, By: w.byRobot} }, "a person decides"},
		{"by a reconciler that is listed as an approver", func(w *world) {
			w.commit("main", "Trust", map[string]string{"mainstay.yaml": w.fleetFile(w.ada, w.robot)}, nil)
		}, func(w *world) local.Approval { return local.Approval{Key: keyA, By: w.byRobot} }, "a person decides"},
		{"without a key", nil, func(w *world) local.Approval { return local.Approval{Key: keyA, By: w.nobody} }, "person's own key"},
		{"a head that was not read", nil, func(w *world) local.Approval { return local.Approval{Key: keyA, Head: w.tip("main"), By: w.byAda} }, "read it again"},
		{"an unknown key", nil, func(w *world) local.Approval { return local.Approval{Key: "bbbb", By: w.byAda} }, "no open proposal"},
		{"a conflict", func(w *world) {
			w.commit("main", "Meanwhile", map[string]string{"app.yaml": "image: nginx:1.26.1\n"}, nil)
		}, func(w *world) local.Approval { return local.Approval{Key: keyA, By: w.byAda} }, "both sides changed app.yaml"},
		{"a branch that somebody imitated", func(w *world) {
			message := w.git(w.dir, "log", "-1", "--format=%B", branchA)
			head := w.tip("main")
			w.git(w.dir, "update-ref", "refs/heads/"+branchA, head)
			w.commit(branchA, message, map[string]string{"app.yaml": "image: evil\n"}, w.eve)
		}, func(w *world) local.Approval { return local.Approval{Key: keyA, By: w.byAda} }, "not signed by a reconciler"},
		{"a branch with trailers of another", func(w *world) {
			w.git(w.dir, "branch", "-m", branchA, "mainstay/other/"+string(keyA))
		}, func(w *world) local.Approval { return local.Approval{Key: keyA, By: w.byAda} }, "its trailers say"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.ok(w.driver(w.robot).Open(ctx, w.change(runA, "nginx:1.27")))
			if test.prepare != nil {
				test.prepare(w)
			}
			main := w.tip("main")
			_, err := w.driver(nil).Approve(ctx, test.approval(w))
			w.wantsError(err, test.want)
			if w.tip("main") != main {
				t.Error("main has moved")
			}
		})
	}
}

func TestAnExpiredActionIsNotApproved(t *testing.T) {
	w := newWorld(t)
	p := w.action(runA, "shop")
	p.Files[0].Content = strings.Replace(p.Files[0].Content, "2026-03-01T13", "2026-03-01T11", 1)
	w.ok(w.driver(w.robot).Open(ctx, p))
	_, err := w.driver(nil).Approve(ctx, local.Approval{Key: keyA, By: w.byAda})
	w.wantsError(err, "has expired")
}

func TestAProposalMergedWithGitIsMerged(t *testing.T) {
	for name, args := range map[string][]string{"a merge": {"--no-ff"}, "a fast-forward": {"--ff-only"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.driver(w.robot)
			p := w.change(runA, "nginx:1.27")
			w.ok(d.Open(ctx, p))
			work := filepath.Join(t.TempDir(), "work")
			w.git("", "clone", "-q", w.dir, work)
			w.git(work, append([]string{"merge", "-q", "origin/" + branchA}, args...)...)
			w.git(work, "push", "-q", "origin", "main", ":"+branchA)
			if s := w.status(d, p); s.State != proposal.Merged || s.Merge != w.tip("main") {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestABranchThatVanishedIsClosed(t *testing.T) {
	w := newWorld(t)
	d := w.driver(w.robot)
	p := w.change(runA, "nginx:1.27")
	w.ok(d.Open(ctx, p))
	w.git(w.dir, "branch", "-D", branchA)
	if s := w.status(d, p); s.State != proposal.Closed || s.Reason != "the branch was deleted" {
		t.Errorf("%+v", s)
	}
}

func TestARejectionBindsUntilTheFileChanges(t *testing.T) {
	w := newWorld(t)
	d := w.driver(w.robot)
	p := w.change(runA, "nginx:1.27")
	w.ok(d.Open(ctx, p))
	w.wantsError(w.driver(nil).Reject(ctx, keyA, "no", w.byEve), "not among the approvers")
	w.ok(w.driver(nil).Reject(ctx, keyA, "we pin 1.26 until May", w.byAda))
	if got := w.branches(); got != "main" {
		t.Errorf("the branches are %s", got)
	}
	if s := w.status(d, p); s.State != proposal.Rejected || s.Reason != "we pin 1.26 until May" || s.By != "Ada" {
		t.Errorf("%+v", s)
	}
	rejected := func(p spec.Proposal) bool {
		err := d.Open(ctx, p)
		no, ok := errors.AsType[*proposal.RejectedError](err)
		if !ok {
			w.ok(err)
		}
		return ok && no.Reason == "we pin 1.26 until May"
	}
	w.commit("main", "Elsewhere", map[string]string{"other.yaml": "x: 3\n"}, nil)
	if !rejected(p) || !rejected(w.change(runB, "nginx:1.28")) {
		t.Error("the rejection does not bind")
	}
	w.commit("main", "There", map[string]string{"app.yaml": "image: nginx:1.26.9\n"}, nil)
	if rejected(w.change(runB, "nginx:1.28")) {
		t.Error("the rejection binds although the file has changed")
	}
	w.ok(w.driver(nil).Reject(ctx, keyA, "not this one either", w.byAda))
	if len(w.ledger.files) != 2 || w.ledger.files["proposals/"+string(keyA)+"/rejection-2.json"] == nil {
		t.Errorf("the ledger holds %d files", len(w.ledger.files))
	}
}

func TestARejectionOfAnActionBindsTheSameCall(t *testing.T) {
	w := newWorld(t)
	d := w.driver(w.robot)
	w.ok(d.Open(ctx, w.action(runA, "shop")))
	w.ok(d.Reject(ctx, keyA, "not during the sale", w.byAda))
	if _, no := errors.AsType[*proposal.RejectedError](d.Open(ctx, w.action(runB, "shop"))); !no {
		t.Error("the rejection does not bind the same call of another run")
	}
	w.ok(d.Open(ctx, w.action(runB, "bank")))
}

func TestWhatMayNeverBeOpened(t *testing.T) {
	w := newWorld(t)
	d := w.driver(w.robot)
	for path, want := range map[string]string{"actions/x.yaml": "Actions", "policies/p.yaml": "only people", "mainstay.yaml": "only people"} {
		p := w.change(runA, "nginx:1.27")
		p.Files[0].Path = path
		w.wantsInvalid(d.Open(ctx, p), want)
	}
	p := w.change(runA, "nginx:1.27")
	p.Files = append(p.Files, spec.FileEdit{Path: p.Files[0].Path + "/x", Content: "y\n"})
	w.wantsInvalid(d.Open(ctx, p), "edited as")
	taken := w.action(runA, "shop")
	w.commit("main", "Put it there before", map[string]string{taken.Files[0].Path: "x: 1\n"}, nil)
	taken.Base = spec.NewRevision("main", w.tip("main"))
	w.wantsInvalid(d.Open(ctx, taken), "never used again")
	w.wantsError(w.driver(nil).Open(ctx, w.change(runA, "nginx:1.27")), "no key to sign")
	if got := w.branches(); got != "main" {
		t.Errorf("the branches are %s", got)
	}
}

func TestAFleetInASubfolder(t *testing.T) {
	w := newWorld(t)
	w.path = "fleet"
	d := w.driver(w.robot)
	p := w.action(runA, "shop")
	w.ok(d.Open(ctx, p))
	shown, err := d.Show(ctx, keyA)
	w.ok(err)
	if want := "fleet/actions/" + string(p.Action) + ".yaml"; shown.Files[0].Path != want {
		t.Errorf("it is at %s, want %s", shown.Files[0].Path, want)
	}
	_, err = d.Approve(ctx, local.Approval{Key: keyA, By: w.byAda})
	w.ok(err)
}
