package execute_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/spec"
)

func TestAnApprovedActionIsExecutedOnceWithAReceipt(t *testing.T) {
	w := newWorld(t)
	id := w.approved(1, nil)
	e := w.executor("one", w.robot)
	s := e.run(id)
	w.wants(s, execute.Done, "")
	if string(s.Result) != `{"restarted":"shop"}` {
		t.Errorf("the result is %s", s.Result)
	}
	w.wants(e.run(id), execute.Done, "")
	w.wants(w.executor("two", w.second).run(id), execute.Done, "")
	if n := w.effects.of(id); n != 1 {
		t.Errorf("%d effects", n)
	}
	files := w.git(w.dir, "ls-tree", "-r", "--name-only", "mainstay/ledger", "actions/")
	dir := "actions/" + string(id) + "/"
	if want := dir + "claim.json\n" + dir + "receipt.json\n" + dir + "started.json"; files != want {
		t.Errorf("the ledger holds\n%s", files)
	}
}

func TestGitItselfVerifiesEveryEntryOfTheLedger(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("git checks signatures with ssh-keygen, which is not here")
	}
	w := newWorld(t)
	w.wants(w.executor("one", w.robot).run(w.approved(1, nil)), execute.Done, "")
	allowed := filepath.Join(t.TempDir(), "allowed")
	w.write(allowed, "robot@example.com "+w.robot.AuthorizedKey()+"\n")
	seen := w.git(w.dir, "-c", "gpg.ssh.allowedSignersFile="+allowed, "log", "--format=%G?", "mainstay/ledger")
	if want := "G\nG\nG\nG"; seen != want {
		t.Errorf("git says %q of the genesis and three entries, want %q", seen, want)
	}
}

func TestAMergeMadeWithGitApprovesToo(t *testing.T) {
	w := newWorld(t)
	id := w.propose(1, nil)
	w.mergeWithGit(w.branch(1), w.reviewer)
	w.wants(w.executor("one", w.robot).run(id), execute.Done, "")
}

func TestAnActionThatWasRemovedAgainIsNotExecuted(t *testing.T) {
	w := newWorld(t)
	id := w.approved(1, nil)
	e := w.executor("one", w.robot)
	work := e.work(id)
	w.commit("Second thoughts", map[string]string{"actions/" + string(id) + ".yaml": ""}, nil)
	s, err := e.Execute(context.Background(), work)
	w.ok(err)
	w.wants(s, execute.Waiting, "removed")
}

func TestAnExpiredActionIsNotExecuted(t *testing.T) {
	w := newWorld(t)
	id := w.approved(1, nil)
	w.clock.pass(73 * time.Hour)
	w.wants(w.executor("one", w.robot).run(id), execute.Expired, "expired at")
	if w.effects.calls != 0 {
		t.Error("it was called")
	}
}

func TestWithoutAWriteToolItWaits(t *testing.T) {
	for _, tool := range []string{"get", "wipe", "gone"} {
		w := newWorld(t)
		id := w.approved(1, func(a *spec.ActionSpec) { a.Tool = tool })
		w.wants(w.executor("one", w.robot).run(id), execute.Waiting, "no write tool")
	}
}

func TestThePreconditionIsCheckedRightBefore(t *testing.T) {
	tests := []struct {
		name, check string
		value       any
		err         error
		phase       execute.Phase
		message     string
	}{
		{"holds", "result.ready == true", map[string]any{"ready": true}, nil, execute.Done, ""},
		{"does not hold", "result.ready == true", map[string]any{"ready": false}, nil, execute.Failed, "does not hold any more"},
		{"cannot be evaluated", "result.ready == true", map[string]any{}, nil, execute.Failed, "cannot be checked"},
		{"cannot be reached", "true", nil, errors.New("the server is down"), execute.Failed, "nothing was done"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.effects.value, w.effects.err = test.value, test.err
			id := w.approved(1, func(a *spec.ActionSpec) { a.Precondition = &spec.Precondition{Tool: "get", Check: test.check} })
			w.wants(w.executor("one", w.robot).run(id), test.phase, test.message)
			if want := test.phase == execute.Done; (w.effects.calls == 1) != want {
				t.Errorf("%d calls", w.effects.calls)
			}
		})
	}
}

func TestACallThatWasNotSentHasFailed(t *testing.T) {
	w := newWorld(t)
	w.effects.err = errors.Join(execute.ErrNotSent, errors.New("no such server"))
	id := w.approved(1, nil)
	w.wants(w.executor("one", w.robot).run(id), execute.Failed, "nothing was done")
}

func TestACallWithoutAnAnswerBecomesUnknownAndWaitsForAPerson(t *testing.T) {
	w := newWorld(t)
	w.effects.err = errors.New("the server died")
	id := w.approved(1, nil)
	e := w.executor("one", w.robot)
	w.wants(e.run(id), execute.Started, "the server died")
	w.wants(e.run(id), execute.Started, "unknown if there is no receipt")
	w.clock.pass(5 * time.Minute)
	w.effects.err = nil
	w.wants(e.run(id), execute.Unknown, "actions resolve")
	w.wants(w.executor("two", w.second).run(id), execute.Unknown, "actions resolve")
	if w.effects.calls != 1 {
		t.Errorf("%d calls", w.effects.calls)
	}

	ada := execute.Person{Name: "Ada", Email: "ada@example.com", Signer: w.reviewer}
	robot := execute.Person{Name: "robot", Email: "robot@example.com", Signer: w.robot}
	w.wantsError(e.ledger.Resolve(context.Background(), id, spec.OutcomeDone, "I looked", robot), execute.ErrNotListed)
	w.ok(e.ledger.Resolve(context.Background(), id, spec.OutcomeAbandoned, "it was not restarted", ada))
	w.wants(e.run(id), execute.Abandoned, "it was not restarted")
}

func TestAnIdempotentToolIsCalledAgainWithTheSameKey(t *testing.T) {
	w := newWorld(t)
	w.effects.err = errors.New("the server died")
	id := w.approved(1, func(a *spec.ActionSpec) { a.Tool = "scale" })
	e := w.executor("one", w.robot)
	w.wants(e.run(id), execute.Started, "the server died")
	w.effects.err = nil
	w.wants(e.run(id), execute.Started, "")
	w.clock.pass(5 * time.Minute)
	w.wants(w.executor("two", w.second).run(id), execute.Done, "")
	if w.effects.of(id) != 1 || w.effects.calls != 2 {
		t.Errorf("%d calls, %d with the Action's key", w.effects.calls, w.effects.of(id))
	}
}

func TestAClaimKeepsOthersAwayUntilItExpires(t *testing.T) {
	w := newWorld(t)
	id := w.approved(1, func(a *spec.ActionSpec) { a.Precondition = &spec.Precondition{Tool: "get", Check: "true"} })
	ctx, cancel := context.WithCancel(context.Background())
	w.options = func(o *execute.Options) { o.Tools = killedAtPrecondition{cancel} }
	dead := w.executor("one", w.robot)
	s, err := dead.Execute(ctx, dead.work(id))
	w.ok(err)
	w.wants(s, execute.Claimed, "precondition")

	w.options = func(*execute.Options) {}
	other := w.executor("two", w.second)
	w.wants(other.run(id), execute.Claimed, "claimed by one until")
	w.clock.pass(3 * time.Minute)
	w.wants(other.run(id), execute.Done, "")
}

func TestAnExecutorTakesItsOwnClaimUpAtOnceAfterARestart(t *testing.T) {
	w := newWorld(t)
	id := w.approved(1, func(a *spec.ActionSpec) { a.Precondition = &spec.Precondition{Tool: "get", Check: "true"} })
	ctx, cancel := context.WithCancel(context.Background())
	w.options = func(o *execute.Options) { o.Tools = killedAtPrecondition{cancel} }
	dead := w.executor("one", w.robot)
	_, err := dead.Execute(ctx, dead.work(id))
	w.ok(err)
	w.options = func(*execute.Options) {}
	w.wants(w.executor("one", w.robot).run(id), execute.Done, "")
	if w.effects.of(id) != 1 {
		t.Errorf("%d effects", w.effects.of(id))
	}
}

// killedAtPrecondition ends the context of the executor that checks a precondition.
type killedAtPrecondition struct{ cancel context.CancelFunc }

func (k killedAtPrecondition) Call(ctx context.Context, _ *spec.ToolServer, _ string, _ map[string]any, _ string) (execute.Result, error) {
	k.cancel()
	return execute.Result{}, ctx.Err()
}

func TestTwoExecutorsRaceOverTenActionsAndEachHappensOnce(t *testing.T) {
	w := newWorld(t)
	var ids []spec.ActionID
	for n := 1; n <= 10; n++ {
		ids = append(ids, w.approved(n, nil))
	}
	w.hook("update", "exit 0") // So that Git itself lets one of them win.
	var wg sync.WaitGroup
	for _, e := range []executor{w.executor("one", w.robot), w.executor("two", w.second)} {
		works := make([]execute.Work, len(ids))
		for i, id := range ids {
			works[i] = e.work(id)
		}
		for worker := range 2 {
			wg.Go(func() {
				for i := worker; i < len(works); i += 2 {
					if _, err := e.Execute(context.Background(), works[i]); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	e := w.executor("three", w.robot) // Those that found their target busy are left.
	for _, id := range ids {
		w.wants(e.run(id), execute.Done, "")
		if n := w.effects.of(id); n != 1 {
			t.Errorf("%s happened %d times", id, n)
		}
	}
}
