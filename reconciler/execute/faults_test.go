package execute_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// fault is something that goes wrong around one approved Action, from which everything must come to a good end.
type fault struct {
	name    string
	do      func(w *world) execute.State
	ends    execute.Phase
	effects int
}

// The pushes of an execution.
var pushed = []string{"claim", "start", "receipt"}

func faults() []fault {
	all := []fault{
		{name: "nothing goes wrong", do: func(w *world) execute.State {
			id := w.approval()
			return w.executor("one", w.robot).run(id)
		}, ends: execute.Done, effects: 1},
	}
	for i, step := range pushed {
		at := fmt.Sprintf("%s %d", remote.PointBeforePush+" "+execute.Branch, i+1)
		begins := i + 1 // the effect comes after the second
		killed := func(point string, ends execute.Phase, effects int) fault {
			return fault{name: "kill -9 " + point, ends: ends, effects: effects, do: func(w *world) execute.State { return w.killed(point) }}
		}
		before, after := "before push of mainstay/ledger "+strconv.Itoa(begins), "after push of mainstay/ledger "+strconv.Itoa(begins)
		switch step {
		case "claim":
			all = append(all, killed(before, execute.Done, 1), killed(after, execute.Done, 1))
		case "start":
			all = append(all, killed(before, execute.Done, 1), killed(after, execute.Unknown, 0),
				killed("before effect", execute.Unknown, 0), killed("after effect", execute.Unknown, 1))
		case "receipt":
			all = append(all, killed(before, execute.Unknown, 1), killed(after, execute.Done, 1))
		}
		interrupted := func(name string, begin func(w *world, cancel context.CancelFunc)) {
			all = append(all, fault{name: name + " at the " + step, ends: execute.Done, effects: 1, do: func(w *world) execute.State {
				return w.interrupted(at, begin)
			}})
		}
		interrupted("the remote is down", func(w *world, _ context.CancelFunc) { w.down() })
		interrupted("the remote is read-only", func(w *world, _ context.CancelFunc) { w.hook("pre-receive", "exit 1") })
		interrupted("the push is accepted and its answer lost", func(w *world, _ context.CancelFunc) { w.hook("post-receive", "kill -9 $PPID") })
		interrupted("the push is accepted, its answer lost, and the remote is down then", func(w *world, _ context.CancelFunc) {
			w.hook("post-receive", `mv "$PWD" "$PWD.down"; kill -9 $PPID`)
		})
		interrupted("a shutdown", func(_ *world, cancel context.CancelFunc) { cancel() })
		all = append(all, fault{name: "the disk is full at the " + step, ends: execute.Done, effects: 1, do: func(w *world) execute.State { return w.full(i) }})
	}
	return append(all, []fault{
		{name: "another executor's clock is an hour ahead", ends: execute.Done, effects: 1, do: func(w *world) execute.State {
			return w.meets(execute.PointBeforeEffect, 0, time.Hour, execute.Unknown)
		}},
		{name: "another executor's clock is an hour behind", ends: execute.Done, effects: 1, do: func(w *world) execute.State {
			return w.meets(execute.PointBeforeEffect, 0, -time.Hour, execute.Started)
		}},
		{name: "its own clock is an hour behind, and its claim is taken over", ends: execute.Done, effects: 1, do: func(w *world) execute.State {
			return w.meets(remote.PointBeforePush+" "+execute.Branch+" 2", -time.Hour, 0, execute.Done)
		}},
		{name: "its own clock is an hour ahead", ends: execute.Done, effects: 1, do: func(w *world) execute.State {
			return w.meets(remote.PointBeforePush+" "+execute.Branch+" 2", time.Hour, 0, execute.Claimed)
		}},
		{name: "two executors race", ends: execute.Done, effects: 1, do: func(w *world) execute.State { return w.race("one", "two") }},
		{name: "three executors race", ends: execute.Done, effects: 1, do: func(w *world) execute.State { return w.race("one", "two", "three") }},
		{name: "a force-push over the merge before it is claimed", ends: execute.Waiting, do: func(w *world) execute.State {
			id := w.approval()
			e := w.executor("one", w.robot)
			w.prepare(id)
			work := w.prepared
			w.git(w.dir, "update-ref", "refs/heads/main", w.tip("main^1"))
			s, err := e.Execute(context.Background(), work)
			w.ok(err)
			return s
		}},
		{name: "a force-push over the merge of what was done, and the merge once more", ends: execute.Done, effects: 1, do: func(w *world) execute.State {
			id := w.approval()
			w.executor("one", w.robot).run(id)
			before, head := w.tip("main^1"), w.tip("main^2")
			w.git(w.dir, "update-ref", "refs/heads/kept", head)
			w.git(w.dir, "update-ref", "refs/heads/main", before)
			w.push("main", remote.CommitDraft{Base: head, Parents: []string{before, head}, Message: "Once more", Signer: w.reviewer}, nil)
			return w.executor("one", w.robot).run(id)
		}},
		{name: "the ledger is deleted before the start, and put back", ends: execute.Done, effects: 1, do: func(w *world) execute.State {
			var tip string
			return w.around(remote.PointBeforePush+" "+execute.Branch+" 2", func() {
				tip = w.tip(execute.Branch)
				w.git(w.dir, "branch", "-D", execute.Branch)
			}, func() { w.git(w.dir, "update-ref", "refs/heads/"+execute.Branch, tip) })
		}},
		{name: "the ledger is deleted", ends: execute.Waiting, do: func(w *world) execute.State {
			id := w.approval()
			w.git(w.dir, "branch", "-D", execute.Branch)
			s, err := w.attempt(w.executor("one", w.robot), id)
			w.wantsError(err, execute.ErrLedgerMissing)
			return s
		}},
		{name: "the ledger is restored from a stale copy before the receipt, and put right", ends: execute.Done, effects: 1, do: func(w *world) execute.State {
			id, tip := w.approval(), ""
			ctx, cancel := context.WithCancel(context.Background())
			w.options = func(o *execute.Options) {
				o.After = func(d time.Duration) <-chan time.Time {
					cancel() // The receipt waits for a person, and the executor for nothing.
					return w.clock.after(d)
				}
			}
			e := w.watched(func(point string) {
				if strings.HasPrefix(point, execute.PointBeforeEffect) {
					tip = w.tip(execute.Branch)
					w.git(w.dir, "update-ref", "refs/heads/"+execute.Branch, w.genesis)
				}
			})
			if s, err := e.Execute(ctx, e.work(id)); err == nil {
				w.Fatalf("it is %s", s.State)
			}
			w.wantsError(w.ledgerFrom(w.clone(), tip).Read(context.Background()), execute.ErrLedgerRewritten)
			w.git(w.dir, "update-ref", "refs/heads/"+execute.Branch, tip)
			return e.run(id)
		}},
		{name: "a precondition does not hold, and holds later", ends: execute.Failed, do: func(w *world) execute.State {
			w.effects.value = map[string]any{"ready": false}
			id := w.approved(1, func(a *spec.ActionSpec) { a.Precondition = &spec.Precondition{Tool: "get", Check: "result.ready"} })
			w.wants(w.executor("one", w.robot).run(id), execute.Failed, "nothing was done")
			w.effects.value = map[string]any{"ready": true}
			return w.executor("one", w.robot).run(id)
		}},
		{name: "an idempotent tool does not answer, and then its precondition does not hold any more", ends: execute.Unknown, effects: 1, do: func(w *world) execute.State {
			w.effects.value = map[string]any{"ready": true}
			w.effects.lost = errors.New("the server died")
			id := w.approved(1, func(a *spec.ActionSpec) {
				a.Tool, a.Precondition = "scale", &spec.Precondition{Tool: "get", Check: "result.ready"}
			})
			e := w.executor("one", w.robot)
			w.wants(e.run(id), execute.Started, "the server died")
			w.clock.pass(time.Hour)
			w.effects.value = map[string]any{"ready": false}
			return e.run(id)
		}},
	}...)
}

// After every fault the Action has come to the end that is written here; nothing was done twice, and an executor on a fresh
// disk, which knows nothing but what is in Git, says the same and does nothing.
func TestEveryFaultComesToAGoodEnd(t *testing.T) {
	stages := newStages(t)
	table := newTable("faults", "fault", "the Action is then", "effects")
	for i, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := stages.begin(t)
			s := f.do(w)
			if s.State != f.ends {
				t.Errorf("it ends as %s (%s), want %s", s.State, s.Message, f.ends)
			}
			if n := w.effects.of(stages.id); n != f.effects {
				t.Errorf("%d effects, want %d", n, f.effects)
			}
			table.add(i, f.name, string(s.State), strconv.Itoa(w.effects.of(stages.id)))
			w.options, w.effects.lost = func(*execute.Options) {}, nil
			fresh := w.executor("fresh", w.second)
			work := w.prepared
			if work.Action == nil {
				work = fresh.work(stages.id)
			}
			if again, _ := fresh.Execute(context.Background(), work); again.State != s.State {
				t.Errorf("on a fresh disk it is %s (%s), want %s", again.State, again.Message, s.State)
			}
			if n := w.effects.of(stages.id); n != f.effects {
				t.Errorf("on a fresh disk there are %d effects, want %d", n, f.effects)
			}
		})
	}
	t.Cleanup(func() { table.check(t) })
}

// watched is an executor that tells of every point; pushes are counted.
func (w *world) watched(at func(point string)) executor {
	w.Helper()
	return w.watchedIn("", at)
}

func (w *world) watchedIn(dir string, at func(point string)) executor {
	w.Helper()
	pushes := 0
	counted := func(point string) {
		switch point {
		case remote.PointBeforePush + " " + execute.Branch:
			pushes++
			point += " " + strconv.Itoa(pushes)
		case remote.PointAfterPush + " " + execute.Branch:
			point += " " + strconv.Itoa(pushes)
		}
		at(point)
	}
	r, err := remote.Open(context.Background(), remote.Options{URL: w.dir, Dir: dir, Barrier: counted})
	w.ok(err)
	w.Cleanup(func() { w.ok(r.Close()) })
	l := w.ledger(r)
	was := w.options
	defer func() { w.options = was }()
	w.options = func(o *execute.Options) {
		was(o)
		o.Remote, o.Ledger, o.Barrier = r, l, counted
	}
	return executor{Executor: w.executor("one", w.robot).Executor, w: w, remote: r, ledger: l}
}

// killed ends an executor at a point, and starts it again.
func (w *world) killed(at string) execute.State {
	w.Helper()
	type killed struct{}
	id := w.approval()
	e := w.watched(func(point string) {
		if strings.HasPrefix(point, at) {
			panic(killed{})
		}
	})
	func() {
		defer func() {
			if _, ok := recover().(killed); !ok {
				w.Fatal("it was not killed")
			}
		}()
		e.run(id)
	}()
	next := w.executor("one", w.robot)
	if s := next.run(id); s.State == execute.Started {
		w.clock.pass(time.Hour)
	}
	return next.run(id)
}

// interrupted lets something begin at a point; it is over when the executor waits, or has given up for now.
func (w *world) interrupted(at string, begin func(*world, context.CancelFunc)) execute.State {
	w.Helper()
	id := w.approval()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w.options = func(o *execute.Options) {
		o.After = func(d time.Duration) <-chan time.Time {
			if d == o.Drain {
				return make(chan time.Time)
			}
			w.over()
			return w.clock.after(d)
		}
		o.Drain = 20 * time.Second
	}
	e := w.watched(func(point string) {
		if point == at {
			begin(w, cancel)
		}
	})
	s, err := e.Execute(ctx, e.work(id))
	w.over()
	for range 5 {
		if err == nil && s.Settled() {
			break
		}
		s, err = e.Execute(context.Background(), e.work(id))
	}
	w.ok(err)
	return s
}

// around is interrupted by something that takes its own to be over.
func (w *world) around(at string, begin, over func()) execute.State {
	w.Helper()
	id := w.approval()
	e := w.watched(func(point string) {
		if point == at {
			begin()
		}
	})
	if s, err := w.attempt(e, id); err == nil {
		w.Fatalf("it is %s, and nothing has interrupted it", s.State)
	}
	over()
	return e.run(id)
}

func (w *world) attempt(e executor, id spec.ActionID) (execute.State, error) {
	w.Helper()
	return e.Execute(context.Background(), e.work(id))
}

func (w *world) down() {
	w.Helper()
	w.ok(os.Rename(w.dir, w.dir+".down"))
}

// over ends whatever is wrong with the remote.
func (w *world) over() {
	w.Helper()
	if _, err := os.Stat(w.dir + ".down"); err == nil {
		w.ok(os.Rename(w.dir+".down", w.dir))
	}
	for _, hook := range []string{"pre-receive", "post-receive"} {
		if err := os.Remove(filepath.Join(w.dir, "hooks", hook)); !errors.Is(err, os.ErrNotExist) {
			w.ok(err)
		}
	}
}

// full lets nothing be written to the executor's disk from one push on until it waits or has given up for now.
func (w *world) full(push int) execute.State {
	w.Helper()
	id, store := w.approval(), w.TempDir()
	packs, aside := filepath.Join(store, "objects", "pack"), filepath.Join(store, "objects", "aside")
	isFull := false
	toggle := func(to bool) {
		if to == isFull {
			return
		}
		isFull = to
		if to {
			w.ok(os.Rename(packs, aside))
			w.write(packs, "")
			return
		}
		w.ok(os.Remove(packs))
		w.ok(os.Rename(aside, packs))
	}
	w.options = func(o *execute.Options) {
		o.After = func(d time.Duration) <-chan time.Time {
			toggle(false)
			return w.clock.after(d)
		}
	}
	e := w.watchedIn(store, func(point string) {
		if push > 0 && point == fmt.Sprintf("%s %s %d", remote.PointAfterPush, execute.Branch, push) {
			toggle(true)
		}
	})
	work := e.work(id)
	w.ok(e.ledger.Read(context.Background()))
	toggle(push == 0)
	s, err := e.Execute(context.Background(), work)
	if push < 2 && err == nil {
		w.Fatalf("it is %s, although the disk was full", s.State)
	}
	toggle(false)
	if err == nil {
		return s
	}
	return e.run(id)
}

// meets lets another executor come by at a point of the first, their clocks so far off, and find the Action in a state.
func (w *world) meets(at string, own, others time.Duration, finds execute.Phase) execute.State {
	w.Helper()
	id := w.approval()
	skewed := func(by time.Duration) func(*execute.Options) {
		return func(o *execute.Options) { o.Now = func() time.Time { return w.clock.now().Add(by) } }
	}
	w.options = skewed(others)
	other := w.executor("two", w.second)
	met := false
	w.options = skewed(own)
	e := w.watched(func(point string) {
		if strings.HasPrefix(point, at) && !met {
			met = true
			w.wants(other.run(id), finds, "")
		}
	})
	s := e.run(id)
	if !met {
		w.Fatal("the other one has not come by")
	}
	return s
}

// race lets executors go for the same Action at once.
func (w *world) race(names ...string) execute.State {
	w.Helper()
	id := w.approval()
	w.hook("update", "exit 0") // So that Git itself lets one of them win.
	var wg sync.WaitGroup
	for i, name := range names {
		e := w.executor(name, []*remote.Signer{w.robot, w.second}[i%2])
		work := e.work(id)
		wg.Go(func() {
			if _, err := e.Execute(context.Background(), work); err != nil {
				w.Error(err)
			}
		})
	}
	wg.Wait()
	return w.executor("last", w.robot).run(id)
}
