package reconciler

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/knowledge"
	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

const threadRevision = spec.Revision("main@sha1:0123456789012345678901234567890123456789")

// talker is a reconciler that keeps threads, and does nothing else. Its store ends the process, in effect, at a durable write.
type talker struct {
	*Reconciler
	t     *testing.T
	dir   string
	crash atomic.Int64 // the number of the write before which nothing is written any more; 0 is none
}

var errKilled = errors.New("the process was killed")

func newTalker(t *testing.T) *talker {
	k := &talker{t: t, dir: t.TempDir()}
	k.open()
	t.Cleanup(func() {
		if err := k.parts.Store.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func (k *talker) open() {
	st, err := store.Open(k.t.Context(), store.Options{Dir: k.dir, Barrier: func(point string) {
		if strings.HasSuffix(point, "before") && k.crash.Load() > 0 && k.crash.Add(-1) == 0 {
			panic(errKilled)
		}
	}})
	if err != nil {
		k.t.Fatal(err)
	}
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var asked atomic.Int64
	now := func() time.Time { return began.Add(time.Duration(asked.Add(1)) * time.Second) }
	k.Reconciler = &Reconciler{
		knowledge: knowledge.New(knowledge.Options{}),
		parts:     Parts{Store: st}, applied: threadRevision,
		opts:   Options{Now: now, Random: rand.Reader, Observe: func(Event) {}},
		broker: broker.New(broker.Options{Redactor: broker.NewRedactor(func() []string { return []string{"s3cret-value"} })}),
		fleet:  &spec.Fleet{Agents: map[spec.AgentName]*spec.Agent{"keeper": {Name: "keeper"}, "clerk": {Name: "clerk"}}},
	}
	k.engine = run.New(run.Options{Log: st, Now: k.opts.Now})
}

// says gives a message, and survives a kill. It reports whether it came to its end.
func (k *talker) says(id spec.ThreadID, text string) (task spec.Task, err error) {
	defer func() {
		if v := recover(); v != nil {
			if v != errKilled {
				panic(v)
			}
			err = errKilled
		}
	}()
	return k.Say(k.t.Context(), id, "keeper", text)
}

// answers ends the last run of a thread.
func (k *talker) answers(id spec.ThreadID, outcome spec.Outcome) {
	k.t.Helper()
	ctx := context.Background()
	if err := k.recordNext(ctx, id); err != nil {
		k.t.Fatal(err)
	}
	last, err := k.ThreadRun(ctx, id)
	if err != nil {
		k.t.Fatal(err)
	}
	entries, at, err := k.parts.Store.Record(ctx, last.Run)
	if err != nil {
		k.t.Fatal(err)
	}
	end := spec.Entry{Type: spec.EntryFinished, At: k.opts.Now(), Outcome: &outcome}
	if _, err := k.parts.Store.Append(ctx, last.Run, at, end); err != nil {
		k.t.Fatal(err)
	}
	if err := k.parts.Store.PutRun(ctx, run.Summarize(append(entries, end))); err != nil {
		k.t.Fatal(err)
	}
}

func succeeded(output string) spec.Outcome {
	return spec.Outcome{Phase: spec.PhaseSucceeded, Output: output}
}

func TestOfManyMessagesAtOnceAThreadTakesOne(t *testing.T) {
	k := newTalker(t)
	for round := range 3 {
		var wg sync.WaitGroup
		errs := make([]error, 6)
		for i := range errs {
			wg.Go(func() { _, errs[i] = k.Say(t.Context(), "t", "keeper", fmt.Sprint(i)) })
		}
		wg.Wait()
		taken := 0
		for _, err := range errs {
			var busy *BusyError
			switch {
			case err == nil:
				taken++
			case !errors.As(err, &busy):
				t.Errorf("round %d: %v", round, err)
			}
		}
		if taken != 1 {
			t.Errorf("round %d: %d messages were taken", round, taken)
		}
		k.answers("t", succeeded("yes"))
	}
	said, err := ReadThread(t.Context(), k.parts.Store, "t")
	if err != nil || len(said.Turns) != 3 || said.Messages != 6 {
		t.Errorf("the thread is %+v, %v", said, err)
	}
}

// A thread is what was answered in it, whatever else happens: messages that fail, a process that dies before any write, and other
// threads.
func TestAThreadIsWhatWasAnsweredInIt(t *testing.T) {
	k, checks := newTalker(t), 0
	rapid.Check(t, func(rt *rapid.T) {
		checks++
		want := map[spec.ThreadID][]spec.ThreadMessage{}
		for i := range rapid.IntRange(1, 8).Draw(rt, "steps") {
			id := spec.ThreadID(fmt.Sprintf("%s-%d", rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "thread"), checks))
			text := fmt.Sprintf("message %d", i)
			k.crash.Store(int64(rapid.IntRange(0, 5).Draw(rt, "killed before")))
			task, err := k.says(id, text)
			k.crash.Store(0)
			if errors.Is(err, errKilled) {
				if rapid.IntRange(0, 9).Draw(rt, "opened again") == 9 { // Not every time, because it takes long.
					if err := k.parts.Store.Close(); err != nil {
						rt.Fatal(err)
					}
					k.open()
				}
				// The message was taken, whole, or it was never said.
				last, err := k.ThreadRun(t.Context(), id)
				if errors.Is(err, ErrNoThread) || err == nil && last.Text != text {
					continue
				}
				if err != nil || last.Outcome != nil {
					rt.Fatalf("after a kill the last run is %+v, %v", last, err)
				}
			} else if err != nil {
				rt.Fatal(err)
			} else if diff := cmp.Diff(want[id], task.History, cmp.Transformer("empty", func(h []spec.ThreadMessage) string { return fmt.Sprint(h) })); diff != "" {
				rt.Fatalf("the history of %s (-want +got):\n%s", text, diff)
			}
			if _, err := k.says(id, "too early"); !errors.As(err, new(*BusyError)) {
				rt.Fatalf("a second message is taken: %v", err)
			}
			if rapid.Bool().Draw(rt, "fails") {
				k.answers(id, spec.Outcome{Phase: spec.PhaseFailed, Reason: run.AgentFailed})
				continue
			}
			k.answers(id, succeeded("answer to "+text))
			want[id] = append(want[id], spec.ThreadMessage{Role: spec.RoleUser, Text: text},
				spec.ThreadMessage{Role: spec.RoleAssistant, Text: "answer to " + text})
		}
	})
}

func TestWhatBecameASecretIsNotSaidAgain(t *testing.T) {
	k := newTalker(t)
	if _, err := k.says("t", "Use s3cret-value."); err != nil {
		t.Fatal(err)
	}
	k.answers("t", succeeded("I use s3cret-value."))
	task, err := k.says("t", "Go on.")
	if err != nil || strings.Contains(fmt.Sprint(task.History), "s3cret") {
		t.Errorf("the history is %+v, %v", task.History, err)
	}
}

func TestAThreadThatTheStoreHasForgottenHasEnded(t *testing.T) {
	k := newTalker(t)
	task, err := k.says("t", "one")
	if err != nil {
		t.Fatal(err)
	}
	k.answers("t", succeeded("yes"))
	if err := k.parts.Store.Forget(t.Context(), task.Run); err != nil {
		t.Fatal(err)
	}
	if list, err := Threads(t.Context(), k.parts.Store); err != nil || len(list) != 0 {
		t.Errorf("it is listed: %+v, %v", list, err)
	}
	if _, err := ReadThread(t.Context(), k.parts.Store, "t"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is read: %v", err)
	}
	// Its name may begin another one, with whichever agent.
	again, err := k.Say(t.Context(), "t", "clerk", "two")
	if err != nil || again.History != nil {
		t.Errorf("begun again: %+v, %v", again, err)
	}
}

func TestADeletedThreadIsGoneWithItsRunsWhereverTheProcessIsKilled(t *testing.T) {
	for kill := int64(1); ; kill++ {
		k := newTalker(t)
		for i := range 2 {
			if _, err := k.says("t", fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
			if err := k.DeleteThread(t.Context(), "t"); !errors.As(err, new(*BusyError)) {
				t.Errorf("a thread is deleted whose run is under way: %v", err)
			}
			k.answers("t", succeeded("yes"))
		}
		k.crash.Store(kill)
		killed := func() (killed bool) {
			defer func() { killed = recover() == errKilled }()
			if err := k.DeleteThread(t.Context(), "t"); err != nil {
				t.Error(err)
			}
			return
		}()
		k.crash.Store(0)
		if killed {
			if err := k.parts.Store.Close(); err != nil {
				t.Fatal(err)
			}
			k.open()
			if _, err := k.says("t", "late"); kill > 1 && (err == nil || !strings.Contains(err.Error(), "is being deleted: `mainstay threads delete t` completes that")) {
				t.Errorf("killed before write %d, it takes a message: %v", kill, err)
			} else if kill == 1 {
				k.answers("t", succeeded("yes"))
			}
			if err := k.DeleteThread(t.Context(), "t"); err != nil {
				t.Errorf("killed before write %d: %v", kill, err)
			}
		}
		runs, err := k.parts.Store.Runs(t.Context())
		if err != nil || len(runs) != 0 {
			t.Errorf("killed before write %d: there are %d runs, %v", kill, len(runs), err)
		}
		if err := k.DeleteThread(t.Context(), "t"); !errors.Is(err, ErrNoThread) {
			t.Errorf("killed before write %d: deleted again: %v", kill, err)
		}
		if !killed {
			return
		}
	}
}

func TestWhatIsNoThreadIsRefused(t *testing.T) {
	k := newTalker(t)
	for id, text := range map[spec.ThreadID]string{"": "hello", "A b": "hello", "../x": "hello", "t": strings.Repeat("x", maxSaid+1)} {
		if _, err := k.says(id, text); err == nil {
			t.Errorf("thread %q takes %d bytes", id, len(text))
		}
	}
	if _, err := k.ThreadRun(t.Context(), "t"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a thread has begun: %v", err)
	}
	if err := k.CancelThread(t.Context(), "t", "Ada"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there is cancelled: %v", err)
	}
	if _, err := k.says("t", "hello"); err != nil {
		t.Fatal(err)
	}
	if err := k.CancelThread(t.Context(), "t", "Ada"); err != nil {
		t.Fatal(err)
	}
	if last, err := k.ThreadRun(t.Context(), "t"); err != nil || last.Outcome == nil || last.Outcome.Reason != run.Cancelled {
		t.Errorf("cancelled it is %+v, %v", last.Outcome, err)
	}
	if err := k.CancelThread(t.Context(), "t", "Ada"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what has ended is cancelled: %v", err)
	}
}
