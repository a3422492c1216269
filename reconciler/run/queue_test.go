package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// fakeLease notes how it was ended.
type fakeLease struct {
	run      spec.RunID
	extended int
	ended    string
	cancel   context.CancelFunc
}

func (l *fakeLease) Run() spec.RunID { return l.run }
func (l *fakeLease) Extend() error   { l.extended++; return nil }
func (l *fakeLease) Done() error     { l.ended = "done"; l.cancel(); return nil }
func (l *fakeLease) Retry(d time.Duration) error {
	l.ended = fmt.Sprintf("retry after %s", d)
	l.cancel()
	return nil
}

func TestALeaseEndsAsItsRunDoes(t *testing.T) {
	for name, tc := range map[string]struct {
		run      spec.RunID
		agent    agentFunc
		stop     time.Duration
		ended    string
		extended int
		failed   string
		// closed is why no session opens, unknown why there is no agent.
		closed, unknown error
	}{
		"a finished run":                 {agent: func(a *talk) (string, error) { time.Sleep(35 * time.Second); return "", nil }, ended: "done", extended: 3},
		"a run that waits":               {agent: func(a *talk) (string, error) { return a.ask(tool("c1", "write")) }, ended: "done"},
		"an agent that exits":            {agent: func(a *talk) (string, error) { return "", errors.New("exit") }, ended: "retry after 1s"},
		"a queue that is told to stop":   {agent: func(a *talk) (string, error) { <-a.cancel; return "", errGone }, stop: time.Second, ended: "retry after 0s"},
		"a run that nobody has recorded": {run: "unknown", ended: "done", failed: "no record"},
		// A missing file is no missing record: somebody can put it in place.
		"a tool that is not installed":      {closed: &fs.PathError{Op: "fork/exec", Path: "/nonexistent/tool", Err: fs.ErrNotExist}, ended: "retry after 1s"},
		"a repository that has lost a file": {unknown: fs.ErrNotExist, ended: "retry after 1s"},
		"an agent that is gone":             {unknown: fmt.Errorf("%w any more", ErrNoAgent), ended: "done"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newMemory(), tc.agent)
				w.closed, w.unknown = tc.closed, tc.unknown
				ctx, cancel := context.WithCancel(t.Context())
				if tc.stop > 0 {
					time.AfterFunc(tc.stop, cancel)
				}
				lease := &fakeLease{run: testRun, cancel: cancel}
				if tc.run != "" {
					lease.run = tc.run
				}
				given, failed := false, ""
				q := NewQueue(QueueOptions{Engine: w.engine(w.log), Failed: func(err error) { failed += err.Error() }, Dequeue: func(ctx context.Context) (Lease, error) {
					if given {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					given = true
					return lease, nil
				}})
				if err := q.Run(ctx); err != nil {
					t.Error(err)
				}
				if lease.ended != tc.ended || lease.extended != tc.extended || !strings.Contains(failed, tc.failed) || (failed == "") != (tc.failed == "") {
					t.Errorf("ended %q, extended %d times, failed with %q", lease.ended, lease.extended, failed)
				}
			})
		})
	}
}

func TestAQueueThatCannotBeReadEndsWithTheError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), steward)
		broken := errors.New("no queue")
		q := NewQueue(QueueOptions{Engine: w.engine(w.log), Workers: 2, Dequeue: func(context.Context) (Lease, error) { return nil, broken }})
		if err := q.Run(t.Context()); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
	})
}

func TestTheQueueOfTheRealStoreIsWorkedOff(t *testing.T) {
	st, err := store.Open(t.Context(), store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}()
	w := newWorld(t, st, func(a *talk) (string, error) { return a.ask(model("a")) })
	const total = 20
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var finished atomic.Int32
	w.events = func(e Event) {
		if e.Type == Finished && finished.Add(1) == total {
			cancel()
		}
	}
	for i := range total {
		task := spec.Task{Run: DerivedID(time.Unix(1e9, 0), fmt.Sprint(i)), Agent: "triage"}
		if _, err := st.Append(ctx, task.Run, 0, spec.Entry{Type: spec.EntryTask, Task: &task}); err != nil {
			t.Fatal(err)
		}
		if err := st.Enqueue(ctx, task.Run); err != nil {
			t.Fatal(err)
		}
	}
	q := NewQueue(QueueOptions{Engine: w.engine(st), Workers: 4, Failed: func(err error) { t.Error(err) },
		Dequeue: func(ctx context.Context) (Lease, error) {
			l, err := st.Dequeue(ctx)
			if err != nil {
				return nil, err
			}
			return l, nil
		}})
	if err := q.Run(ctx); err != nil {
		t.Error(err)
	}
	runs, err := st.Runs(t.Context())
	if err != nil || len(runs) != total || finished.Load() != total {
		t.Errorf("%d summaries, %d finished, %v", len(runs), finished.Load(), err)
	}
}

// Agents share the workers, and one that comes late finds room however many runs another has.
func TestNoAgentStarvesAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		workers := rapid.IntRange(4, 40).Draw(t, "workers")
		q := NewQueue(QueueOptions{Engine: New(Options{}), Workers: workers})
		agents := rapid.SliceOfNDistinct(rapid.StringMatching("[a-z]{3}"), 1, 3, rapid.ID).Draw(t, "agents")
		for _, agent := range agents {
			for range 100 {
				q.add(spec.AgentName(agent), &fakeLease{})
			}
		}
		var under []spec.AgentName
		work := func() {
			for {
				agent, lease := q.next()
				if lease == nil {
					return
				}
				under = append(under, agent)
			}
		}
		work()
		if q.total >= workers || q.total != len(under) {
			t.Fatalf("%d runs of %d agents are under way, and %d workers leave no room for another agent", q.total, len(agents), workers)
		}
		for _, a := range agents {
			for _, b := range agents {
				if d := q.running[spec.AgentName(a)] - q.running[spec.AgentName(b)]; d > 1 {
					t.Fatalf("%s has %d runs more under way than %s", a, d, b)
				}
			}
		}
		q.add("late", &fakeLease{})
		if agent, lease := q.next(); agent != "late" || lease == nil {
			t.Fatalf("%q goes before the only run of an agent", agent)
		}
		// Whatever ends in whatever order, all come to their turn.
		for len(under) > 0 {
			i := rapid.IntRange(0, len(under)-1).Draw(t, "ends")
			q.ended(under[i])
			under = append(under[:i], under[i+1:]...)
			work()
			if q.total > workers {
				t.Fatalf("%d runs under way on %d workers", q.total, workers)
			}
		}
		if len(q.waiting) > 0 || len(q.turns) > 0 {
			t.Fatalf("%d agents wait for ever", len(q.turns))
		}
	})
}

// What waits for a worker keeps its lease, and is given back when the queue is told to stop.
func TestWhatWaitsKeepsItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory(), func(a *talk) (string, error) { <-a.cancel; return "", errGone })
		ctx, cancel := context.WithCancel(t.Context())
		var leases []*fakeLease
		q := NewQueue(QueueOptions{Engine: w.engine(w.log), Workers: 1, Failed: func(err error) { t.Error(err) }, Dequeue: func(ctx context.Context) (Lease, error) {
			if len(leases) == 2 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			leases = append(leases, &fakeLease{run: testRun, cancel: func() {}})
			return leases[len(leases)-1], nil
		}})
		time.AfterFunc(35*time.Second, cancel)
		if err := q.Run(ctx); err != nil {
			t.Error(err)
		}
		for i, l := range leases {
			if l.ended != "retry after 0s" || l.extended != 3 {
				t.Errorf("lease %d ended %q, extended %d times", i, l.ended, l.extended)
			}
		}
	})
}
