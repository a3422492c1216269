package execute_test

import (
	"context"
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
