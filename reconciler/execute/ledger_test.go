package execute_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// refuses makes sure that an executor does nothing because of its ledger.
func (w *world) refuses(e executor, id spec.ActionID, kind error) {
	w.Helper()
	s, err := e.Execute(context.Background(), e.work(id))
	w.wantsError(err, kind)
	w.wants(s, execute.Waiting, "")
	if w.effects.calls != 0 {
		w.Fatalf("%d calls", w.effects.calls)
	}
}

func TestAMissingLedgerExecutesNothing(t *testing.T) {
	w := newWorld(t)
	id := w.approved(1, nil)
	w.git(w.dir, "branch", "-D", execute.Branch)
	w.refuses(w.executor("one", w.robot), id, execute.ErrLedgerMissing)
}

func TestALedgerWithAnotherFirstCommitExecutesNothing(t *testing.T) {
	w := newWorld(t)
	id := w.approved(1, nil)
	w.git(w.dir, "branch", "-D", execute.Branch)
	w.clock.pass(time.Second)
	_, err := execute.InitLedger(context.Background(), w.clone(), w.robot, "robot", "robot@example.com", w.clock.now())
	w.ok(err)
	w.refuses(w.executor("one", w.robot), id, execute.ErrLedgerRewritten)
}

func TestALedgerSetBackExecutesNothing(t *testing.T) {
	w := newWorld(t)
	first, second := w.approved(1, nil), w.approved(2, nil)
	e := w.executor("one", w.robot)
	w.wants(e.run(first), execute.Done, "")
	tip := e.ledger.Tip()
	w.git(w.dir, "update-ref", "refs/heads/"+execute.Branch, w.genesis)
	w.effects.calls = 0
	w.refuses(e, second, execute.ErrLedgerRewritten)

	t.Run("also after a restart that remembers the tip", func(*testing.T) {
		r := w.clone()
		w.wantsError(w.ledgerFrom(r, tip).Read(context.Background()), execute.ErrLedgerRewritten)
	})
	t.Run("until it is put back", func(*testing.T) {
		w.git(w.dir, "update-ref", "refs/heads/"+execute.Branch, tip)
		w.wants(e.run(second), execute.Done, "")
	})
}

func TestEntriesThatMustNotBeThereStopEverything(t *testing.T) {
	entry := func(w *world, change func(*spec.LedgerEntry)) map[string]string {
		deadline := w.clock.now().Add(time.Hour)
		e := spec.LedgerEntry{
			Step: spec.StepClaim, Action: "triage-x-9", Digest: "sha256:00", Nonce: "0123", Executor: "x", At: w.clock.now(), Deadline: &deadline,
		}
		path := "actions/triage-x-9/claim.json"
		if change != nil {
			change(&e)
			path = "actions/triage-x-9/" + e.Step + ".json"
		}
		b, err := json.Marshal(e)
		w.ok(err)
		return map[string]string{path: string(b)}
	}
	receipt := func(e *spec.LedgerEntry) { e.Step, e.Outcome = spec.StepReceipt, spec.OutcomeDone }
	tests := []struct {
		name   string
		signer func(w *world) *remote.Signer
		files  func(w *world) map[string]string
	}{
		{"an unsigned one", func(*world) *remote.Signer { return nil }, func(w *world) map[string]string { return entry(w, nil) }},
		{"one of a stranger", (*world).stranger, func(w *world) map[string]string { return entry(w, nil) }},
		{"a claim of an approver", func(w *world) *remote.Signer { return w.reviewer }, func(w *world) map[string]string { return entry(w, nil) }},
		{"a receipt without a claim", robot, func(w *world) map[string]string { return entry(w, receipt) }},
		{"two at once", robot, func(w *world) map[string]string {
			files := entry(w, nil)
			files["actions/triage-x-8/claim.json"] = "{}"
			return files
		}},
		{"a changed one", robot, func(*world) map[string]string { return map[string]string{"README.md": "Other words.\n"} }},
		{"a removed one", robot, func(*world) map[string]string { return map[string]string{"README.md": ""} }},
		{"one at another path", robot, func(*world) map[string]string { return map[string]string{"notes.txt": "hello\n"} }},
		{"one that is not JSON", robot, func(*world) map[string]string { return map[string]string{"actions/a/claim.json": "hello\n"} }},
		{"one about another Action", robot, func(w *world) map[string]string {
			for _, content := range entry(w, nil) {
				return map[string]string{"actions/triage-x-7/claim.json": content}
			}
			return nil
		}},
		{"a second claim before the first", robot, func(w *world) map[string]string {
			for _, content := range entry(w, nil) {
				return map[string]string{"actions/triage-x-9/claim-2.json": content}
			}
			return nil
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.approved(1, nil)
			e := w.executor("one", w.robot)
			w.ok(e.ledger.Read(context.Background()))
			w.push(execute.Branch, remote.CommitDraft{Message: "Entry", Signer: test.signer(w)}, test.files(w))
			w.refuses(e, id, execute.ErrLedgerForeign)
			w.refuses(w.executor("two", w.second), id, execute.ErrLedgerForeign)
		})
	}
}

func robot(w *world) *remote.Signer { return w.robot }

func TestAReconcilerThatIsNotListedWritesNothing(t *testing.T) {
	w := newWorld(t)
	id := w.approved(1, nil)
	before := w.tip(execute.Branch)
	w.refuses(w.executor("one", w.stranger()), id, execute.ErrNotListed)
	if after := w.tip(execute.Branch); after != before {
		t.Error("the ledger has moved")
	}
	w.wants(w.executor("two", w.robot).run(id), execute.Done, "")
}

func TestARejectionOfSomebodyWhoIsNotListedIsPassedOver(t *testing.T) {
	w := newWorld(t)
	id := w.approved(1, nil)
	path := "proposals/" + string(key(9)) + "/rejection.json"
	w.push(execute.Branch, remote.CommitDraft{Message: "No", Signer: w.stranger()},
		map[string]string{path: fmt.Sprintf(`{"step":"rejection","proposal":%q}`, key(9))})
	e := w.executor("one", w.robot)
	w.wants(e.run(id), execute.Done, "")
	entries, err := e.ledger.Entries(context.Background(), filepath.Dir(path))
	w.ok(err)
	if len(entries) != 0 || len(e.ledger.Ignored()) != 1 {
		t.Errorf("%d entries count, and these do not: %q", len(entries), e.ledger.Ignored())
	}
}

func TestTheReceiptIsPushedUntilItLands(t *testing.T) {
	w := newWorld(t)
	id := w.approved(1, nil)
	w.effects.hook = func() {
		w.hook("pre-receive", `
n=$(cat tries 2>/dev/null || echo 0)
echo $((n+1)) > tries
[ "$n" -ge 5 ] || { echo "come back later"; exit 1; }`)
	}
	w.wants(w.executor("one", w.robot).run(id), execute.Done, "")
	if w.effects.of(id) != 1 {
		t.Errorf("%d effects", w.effects.of(id))
	}
}

func TestAReceiptThatDidNotLandInTimeLandsWithTheNextCall(t *testing.T) {
	w := newWorld(t)
	id := w.approved(1, nil)
	ctx, cancel := context.WithCancel(context.Background())
	w.effects.hook = func() {
		w.hook("pre-receive", "exit 1")
		cancel()
	}
	never := make(chan time.Time)
	released := make(chan time.Time)
	w.options = func(o *execute.Options) {
		o.Drain = time.Minute
		o.Barrier = func(point string) {
			if point == execute.PointAfterEffect+" "+string(id) {
				close(released)
			}
		}
		o.After = func(d time.Duration) <-chan time.Time {
			if d == o.Drain {
				return released
			}
			return never
		}
	}
	e := w.executor("one", w.robot)
	s, err := e.Execute(ctx, e.work(id))
	if err == nil || s.State != execute.Started {
		t.Fatalf("it is %s, error %v", s.State, err)
	}
	w.hook("pre-receive", "exit 0")
	w.wants(e.run(id), execute.Done, "")
	if w.effects.calls != 1 {
		t.Errorf("%d calls", w.effects.calls)
	}
}

func TestAPushThatLandedAlthoughTheClientSawAnErrorCounts(t *testing.T) {
	w := newWorld(t)
	id := w.approved(1, nil)
	w.hook("post-receive", "kill -9 $PPID")
	w.wants(w.executor("one", w.robot).run(id), execute.Done, "")
	if w.effects.of(id) != 1 {
		t.Errorf("%d effects", w.effects.of(id))
	}
}

func TestAKilledExecutorIsFollowedByAnotherAtEveryPoint(t *testing.T) {
	type killed struct{}
	for _, at := range []string{
		"before push of mainstay/ledger 1", "after push of mainstay/ledger 1", "before push of mainstay/ledger 2", "after push of mainstay/ledger 2",
		"before effect", "after effect", "before push of mainstay/ledger 3", "after push of mainstay/ledger 3",
	} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.approved(1, nil)
			pushes := 0
			die := func(point string) {
				var here string
				switch point {
				case remote.PointBeforePush + " " + execute.Branch:
					pushes++
					here = fmt.Sprintf("%s %d", point, pushes)
				case remote.PointAfterPush + " " + execute.Branch:
					here = fmt.Sprintf("%s %d", point, pushes)
				case execute.PointBeforeEffect + " " + string(id):
					here = "before effect"
				case execute.PointAfterEffect + " " + string(id):
					here = "after effect"
				}
				if here == at {
					panic(killed{})
				}
			}
			r, err := remote.Open(context.Background(), remote.Options{URL: w.dir, Barrier: die})
			w.ok(err)
			first := executor{w: w, remote: r, ledger: w.ledger(r)}
			w.options = func(o *execute.Options) { o.Remote, o.Ledger, o.Barrier = r, first.ledger, die }
			first.Executor = w.executor("one", w.robot).Executor
			func() {
				defer func() {
					if _, ok := recover().(killed); !ok {
						t.Fatal("it was not killed")
					}
				}()
				first.run(id)
			}()
			w.options = func(*execute.Options) {}
			next := w.executor("one", w.robot)
			s := next.run(id)
			if s.State == execute.Started {
				w.clock.pass(time.Hour)
				w.wants(next.run(id), execute.Unknown, "actions resolve")
				if w.effects.of(id) > 1 {
					t.Errorf("%d effects", w.effects.of(id))
				}
				return
			}
			w.wants(s, execute.Done, "")
			if w.effects.of(id) != 1 {
				t.Errorf("%d effects", w.effects.of(id))
			}
		})
	}
}

func TestInitializingTheLedgerTwiceFindsTheFirstOne(t *testing.T) {
	w := newWorld(t)
	w.wants(w.executor("one", w.robot).run(w.approved(1, nil)), execute.Done, "")
	again, err := execute.InitLedger(context.Background(), w.clone(), w.robot, "robot", "robot@example.com", w.clock.now())
	w.ok(err)
	if again != w.genesis {
		t.Errorf("%s, want %s", again, w.genesis)
	}
	if _, err := execute.InitLedger(context.Background(), w.clone(), w.second, "second", "second@example.com", w.clock.now()); err == nil {
		t.Error("another key took the ledger over")
	}
}
