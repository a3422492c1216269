package reconciler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// The bounds of threads.
const (
	// maxThreads is how many there are at once.
	maxThreads = 10_000
	// maxSaid bounds one message of a person, in bytes.
	maxSaid = 256 << 10
	// maxThreadTries is how often a thread that others write to is read again.
	maxThreadTries = 16
)

// ErrNoThread means that there is no such thread. It wraps fs.ErrNotExist, so that callers need not import this package.
var ErrNoThread error = noThread{}

type noThread struct{}

func (noThread) Error() string        { return "there is no such thread" }
func (noThread) Is(target error) bool { return target == fs.ErrNotExist }

// thread is what the store keeps of a conversation. What was said is in the records of its runs: each begins with the
// history that it was given, so that only the last one is needed to go on.
type thread struct {
	Agent   spec.AgentName `json:"agent"`
	Created time.Time      `json:"created"`
	// Last is the newest run, Next its task for as long as its record may be missing: whoever takes a thread writes its name
	// here first, so that of two only one does, and then the record.
	Last spec.RunID `json:"last"`
	Next *spec.Task `json:"next,omitempty"`
	// Deleted says that its runs are being removed.
	Deleted bool `json:"deleted,omitempty"`
}

// BusyError says that a thread's last run is not finished, so that nothing can be said in it now.
type BusyError struct {
	Thread spec.ThreadID
	Last   spec.RunSummary
}

// Error says what the thread waits for, and what to do.
func (e *BusyError) Error() string {
	if len(e.Last.Waiting) == 0 {
		return fmt.Sprintf("thread %s: run %s has no answer yet, and one message is answered at a time: wait for it, or cancel it", e.Thread, e.Last.Run)
	}
	var shown []string
	for _, p := range e.Last.Waiting {
		shown = append(shown, string(p.Key))
	}
	return fmt.Sprintf("thread %s: run %s waits for a review of %s, and goes on once that is decided; see `mainstay proposals show %s`",
		e.Thread, e.Last.Run, strings.Join(shown, " and "), strings.Join(shown[:min(len(shown), 1)], ""))
}

func threadKey(id spec.ThreadID) string { return "thread/" + string(id) }

// CheckThread says why an id is not one of a thread.
func CheckThread(id spec.ThreadID) error {
	if err := spec.CheckName(string(id)); err != nil {
		return fmt.Errorf("the id of a thread: %w", err)
	}
	return nil
}

// readThread returns a thread as it is kept, and its last run's record. A thread whose last run the store has forgotten has
// ended with it, and is none any more.
func readThread(ctx context.Context, st *store.Store, id spec.ThreadID) (store.Held, *thread, []spec.Entry, error) {
	if err := CheckThread(id); err != nil {
		return store.Held{}, nil, nil, err
	}
	held, err := st.Held(ctx, threadKey(id))
	if err != nil || held.Position == 0 {
		return held, nil, nil, err
	}
	t := &thread{}
	if err := json.Unmarshal(held.Value, t); err != nil {
		return held, nil, nil, fmt.Errorf("read thread %s: %w: %w", id, store.ErrDamaged, err)
	}
	entries, _, err := st.Record(ctx, t.Last)
	if err != nil {
		return held, nil, nil, fmt.Errorf("read thread %s: %w", id, err)
	}
	if len(entries) == 0 && t.Next != nil {
		entries = []spec.Entry{{Type: spec.EntryTask, At: t.Next.At, Task: t.Next}} // It will be written like this.
	}
	if len(entries) == 0 && !t.Deleted {
		return held, nil, nil, nil
	}
	return held, t, entries, nil
}

func swapThread(ctx context.Context, st *store.Store, was store.Held, t thread) error {
	value, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return st.Swap(ctx, was, value)
}

// Say gives a thread's agent a message as the task of a new run, which is recorded and not queued. The thread begins with
// it where there is none. The error is a [*BusyError] while another run of the thread is not finished.
func (r *Reconciler) Say(ctx context.Context, id spec.ThreadID, name spec.AgentName, text string) (spec.Task, error) {
	task, err := r.newTask(name, text)
	if err != nil {
		return task, err
	}
	if len(text) > maxSaid {
		return task, fmt.Errorf("the message has %d bytes, and %d are the most in a thread: commit what is long to the repository and name its path", len(text), maxSaid)
	}
	task.Thread = id
	if err := r.mayRun(task); err != nil {
		return task, err
	}
	for range maxThreadTries {
		held, t, entries, err := readThread(ctx, r.parts.Store, id)
		if err != nil {
			return task, err
		}
		if t == nil {
			t = &thread{Agent: name, Created: task.At}
			if err := r.roomForThread(ctx, held); err != nil {
				return task, err
			}
		}
		if t.Deleted {
			return task, fmt.Errorf("thread %s is being deleted: `mainstay threads delete %s` completes that", id, id)
		}
		if t.Agent != name {
			return task, fmt.Errorf("thread %s is a conversation with agent %s, not with %s: give another --thread", id, t.Agent, name)
		}
		if len(entries) > 0 {
			last := run.Summarize(entries)
			if last.Outcome == nil {
				return task, &BusyError{Thread: id, Last: last}
			}
			task.History, task.Sources = run.Continue(entries), last.Read
			for i := range task.History {
				task.History[i].Text = r.broker.Redactor().Text(task.History[i].Text)
			}
		}
		t.Last, t.Next = task.Run, &task
		err = swapThread(ctx, r.parts.Store, held, *t)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return task, fmt.Errorf("keep thread %s: %w", id, err)
		}
		return task, r.recordNext(ctx, id)
	}
	return task, fmt.Errorf("thread %s: others write to it all the time; try again", id)
}

// recordNext writes the record of a thread's last run, if the process that began the run did not come to it.
func (r *Reconciler) recordNext(ctx context.Context, id spec.ThreadID) error {
	held, t, _, err := readThread(ctx, r.parts.Store, id)
	if err != nil || t == nil || t.Next == nil || t.Deleted {
		return err
	}
	if _, err := r.record(ctx, *t.Next); err != nil {
		return err
	}
	t.Next = nil
	if err := swapThread(ctx, r.parts.Store, held, *t); err != nil && !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("keep thread %s: %w", id, err)
	}
	return nil // Whoever wrote first has seen to it.
}

// roomForThread refuses a new thread where there are too many. Those that have ended make room.
func (r *Reconciler) roomForThread(ctx context.Context, held store.Held) error {
	if held.Position != 0 {
		return nil // It takes the place of one that has ended.
	}
	keys, err := r.parts.Store.Keys(ctx, "thread")
	if err != nil || len(keys) < maxThreads {
		return err
	}
	left := len(keys)
	for _, key := range keys {
		held, t, _, err := readThread(ctx, r.parts.Store, spec.ThreadID(strings.TrimPrefix(key, "thread/")))
		if err != nil {
			return err
		}
		if t != nil {
			continue
		}
		if err := r.parts.Store.Drop(ctx, held); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
		left--
	}
	if left >= maxThreads {
		return fmt.Errorf("there are %d threads, which is the most: `mainstay threads list` shows them, and `mainstay threads delete` makes room", left)
	}
	return nil
}

// ThreadRun returns the last run of a thread, in full. The error wraps [ErrNoThread].
func (r *Reconciler) ThreadRun(ctx context.Context, id spec.ThreadID) (spec.RunSummary, error) {
	_, t, entries, err := readThread(ctx, r.parts.Store, id)
	if err != nil {
		return spec.RunSummary{}, err
	}
	if t == nil || len(entries) == 0 {
		return spec.RunSummary{}, fmt.Errorf("thread %s: %w", id, ErrNoThread)
	}
	return run.Summarize(entries), nil
}

// Standing returns how the last run of a thread stands, in full, with what the runs beneath it wait for, and whether any of them
// is under way. The error wraps [ErrNoThread].
func (r *Reconciler) Standing(ctx context.Context, id spec.ThreadID) (_ spec.RunSummary, busy bool, err error) {
	last, err := r.ThreadRun(ctx, id)
	if err != nil || last.Outcome != nil {
		return last, false, err
	}
	asked, busy, stuck, err := r.standing(ctx, last.Run)
	last.Waiting = asked.Waiting
	return last, busy || stuck != nil || asked.Run == "", err // A run that is not listed yet is on its way.
}

// CancelThread ends the run of a thread that is not finished, for whom it names. What it has proposed stays proposed. The error
// wraps [ErrNoThread] where there is no such run.
func (r *Reconciler) CancelThread(ctx context.Context, id spec.ThreadID, by string) error {
	last, err := r.ThreadRun(ctx, id)
	if err == nil && last.Outcome != nil {
		err = fmt.Errorf("thread %s has all its answers: %w", id, ErrNoThread)
	}
	if err != nil {
		return err
	}
	if err := r.recordNext(ctx, id); err != nil {
		return err
	}
	_, err = r.engine.Cancel(ctx, last.Run, by, "")
	return err
}

// Converse is [Reconciler.Ask] within a thread: it works on the run that the message begins, and on nothing else.
func (r *Reconciler) Converse(ctx context.Context, id spec.ThreadID, name spec.AgentName, text string) (spec.RunSummary, error) {
	if err := r.observe(ctx); err != nil {
		return spec.RunSummary{}, err
	}
	r.only()
	if err := r.startAgent(name); err != nil {
		return spec.RunSummary{}, err
	}
	task, err := r.Say(ctx, id, name, text)
	if err != nil {
		return spec.RunSummary{}, err
	}
	if err := r.Enqueue(ctx, task); err != nil {
		return spec.RunSummary{}, err
	}
	return r.answer(ctx, task.Run)
}

// answer works on a run of a thread. A person is waiting: where there can be no answer now, the run ends, so that the thread
// can go on. Where ctx ends, it is kept.
func (r *Reconciler) answer(ctx context.Context, id spec.RunID) (spec.RunSummary, error) {
	r.keepKnowledge(ctx)
	defer r.settle()
	summary, err := r.finishTree(ctx, id)
	if err != nil && ctx.Err() == nil {
		_, ended := r.engine.Cancel(ctx, id, "mainstay", "there can be no answer now: "+err.Error())
		err = errors.Join(err, ended)
	}
	return summary, err
}

// Resume works on the last run of a thread where it was cut off, or where the decisions that it waits for have been made. It
// reports whether it came further; one that waits still is returned as it is.
func (r *Reconciler) Resume(ctx context.Context, id spec.ThreadID) (_ spec.RunSummary, resumed bool, err error) {
	last, err := r.ThreadRun(ctx, id)
	if errors.Is(err, ErrNoThread) || err == nil && last.Outcome != nil {
		return last, false, nil
	}
	if err != nil {
		return last, false, err
	}
	if err := r.observe(ctx); err != nil {
		return last, false, err
	}
	if err := r.recordNext(ctx, id); err != nil {
		return last, false, err
	}
	r.only()
	all, err := r.parts.Store.Runs(ctx)
	if err != nil {
		return last, false, err
	}
	tree := treeOf(last.Run, all)
	errs := []error{r.lookAfterTree(ctx, tree)}
	for _, s := range tree {
		if s.Phase == spec.PhaseWaiting {
			errs = append(errs, r.wakeRun(ctx, s))
		}
		if s.Outcome == nil {
			errs = append(errs, r.startAgent(s.Agent))
		}
		if s.Phase == spec.PhaseQueued || s.Phase == spec.PhaseRunning {
			errs = append(errs, r.parts.Store.Enqueue(ctx, s.Run))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return last, false, err
	}
	if last, busy, err := r.Standing(ctx, id); err != nil || !busy && last.Outcome == nil {
		return last, false, err
	}
	summary, err := r.answer(ctx, last.Run)
	return summary, true, err
}
