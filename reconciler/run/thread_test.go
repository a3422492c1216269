package run

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/spec"
)

func user(text string) spec.ThreadMessage {
	return spec.ThreadMessage{Role: spec.RoleUser, Text: text}
}
func assistant(text string) spec.ThreadMessage {
	return spec.ThreadMessage{Role: spec.RoleAssistant, Text: text}
}

func TestAThreadGoesOnFromWhatSucceeded(t *testing.T) {
	before := []spec.ThreadMessage{user("a"), assistant("b")}
	task := spec.Entry{Type: spec.EntryTask, Task: &spec.Task{Run: testRun, Text: "look", History: before}}
	finished := func(phase, output string) spec.Entry {
		return spec.Entry{Type: spec.EntryFinished, Outcome: &spec.Outcome{Phase: phase, Output: output}}
	}
	shorter := spec.Entry{Type: spec.EntryCompaction, Compaction: &spec.Compaction{History: before[:1], Left: 1}}
	for name, tt := range map[string]struct {
		entries []spec.Entry
		want    []spec.ThreadMessage
	}{
		"a run that has succeeded":        {[]spec.Entry{task, finished(spec.PhaseSucceeded, "seen")}, []spec.ThreadMessage{before[0], before[1], user("look"), assistant("seen")}},
		"one whose history was compacted": {[]spec.Entry{task, shorter, finished(spec.PhaseSucceeded, "seen")}, []spec.ThreadMessage{before[0], user("look"), assistant("seen")}},
		"one that has failed":             {[]spec.Entry{task, finished(spec.PhaseFailed, "half of it")}, before},
		"one that is not finished":        {[]spec.Entry{task}, before},
	} {
		if diff := cmp.Diff(tt.want, Continue(tt.entries)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if sum := Summarize([]spec.Entry{task}); sum.History != nil {
		t.Errorf("the summary has a history: %+v", sum.History)
	}
}

// historian keeps which histories sessions were opened with.
type historian struct {
	*world
	opened [][]spec.ThreadMessage
}

func (h *historian) Open(ctx context.Context, task spec.Task, agent *spec.Agent) (Session, error) {
	h.opened = append(h.opened, task.History)
	return h.world.Open(ctx, task, agent)
}

// threaded makes a world whose run has a history that is compacted to one message, and counts how often it was.
func threaded(t *testing.T, log Log, agent agentFunc, compact func() error) (*historian, func(Log) *Engine, *int) {
	h := &historian{world: newWorld(t, log, agent)}
	task := *h.entries()[0].Task
	task.Run, task.History = "01hzzzzzzzzzzzzzzzzzzzzzz2", []spec.ThreadMessage{user("a"), assistant("b")}
	if _, err := log.Append(t.Context(), task.Run, 0, spec.Entry{Type: spec.EntryTask, At: task.At, Task: &task}); err != nil {
		t.Fatal(err)
	}
	times := 0
	return h, func(log Log) *Engine {
		return New(Options{Log: log, Agents: h, Broker: h, Proposals: opener{h.world}, Now: time.Now,
			Compact: func(context.Context, spec.Task, *spec.Agent) (*spec.Compaction, string, error) {
				if err := compact(); err != nil {
					return nil, "", err
				}
				times++
				return &spec.Compaction{History: []spec.ThreadMessage{user("short")}, Left: 2, Usage: &spec.Usage{Input: 5, Output: 7}}, "", nil
			}})
	}, &times
}

func TestAHistoryIsCompactedOnceWhereverTheRunIsKilled(t *testing.T) {
	const threadRun = spec.RunID("01hzzzzzzzzzzzzzzzzzzzzzz2")
	for at := 1; ; at++ {
		for _, after := range []bool{false, true} {
			var finished bool
			synctest.Test(t, func(t *testing.T) {
				log := newMemory()
				h, engine, times := threaded(t, log, func(a *talk) (string, error) { return a.ask(model("go on")) }, func() error { return nil })
				crash := &crashing{Log: log, at: at, after: after}
				_, err := engine(crash).Execute(t.Context(), threadRun)
				if finished = err == nil; !finished && !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
				sum, err := engine(log).Execute(t.Context(), threadRun)
				if err != nil || sum.Phase != spec.PhaseSucceeded {
					t.Fatalf("%+v, %v", sum, err)
				}
				if sum.Usage != (spec.Usage{Input: 7, Output: 8}) {
					t.Errorf("the usage is %+v: that of the summary once, and of one answer", sum.Usage)
				}
				entries, _, err := log.Record(t.Context(), threadRun)
				if err != nil || entries[1].Type != spec.EntryCompaction {
					t.Fatalf("the record is %+v, %v", entries, err)
				}
				if *times > 2 {
					t.Errorf("it was compacted %d times", *times)
				}
				for _, history := range h.opened {
					if len(history) != 1 || history[0].Text != "short" {
						t.Errorf("a session has the history %+v", history)
					}
				}
			})
			if finished {
				return
			}
		}
	}
}

func TestWhatCannotBeCompactedNowIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("the model is away")
		_, engine, _ := threaded(t, newMemory(), func(*talk) (string, error) { return "done", nil }, func() error { return away })
		_, err := engine(newMemory()).Execute(t.Context(), "01hzzzzzzzzzzzzzzzzzzzzzz2")
		if !errors.Is(err, ErrNoRecord) {
			t.Errorf("got %v", err)
		}
		log := newMemory()
		_, engine, _ = threaded(t, log, func(*talk) (string, error) { return "done", nil }, func() error { return away })
		var retry *RetryAfter
		if _, err := engine(log).Execute(t.Context(), "01hzzzzzzzzzzzzzzzzzzzzzz2"); !errors.As(err, &retry) || !errors.Is(err, away) {
			t.Errorf("got %v", err)
		}
	})
}

func TestARunIsCancelledWhileItsHistoryIsCompacted(t *testing.T) {
	const threadRun = spec.RunID("01hzzzzzzzzzzzzzzzzzzzzzz2")
	synctest.Test(t, func(t *testing.T) {
		log := newMemory()
		h, _, _ := threaded(t, log, nil, nil)
		asked := make(chan struct{})
		e := New(Options{Log: log, Agents: h, Broker: h, Proposals: opener{h.world}, Now: time.Now,
			Compact: func(ctx context.Context, _ spec.Task, _ *spec.Agent) (*spec.Compaction, string, error) {
				close(asked)
				<-ctx.Done() // A model that takes its time.
				return nil, "", ctx.Err()
			}})
		done := make(chan spec.RunSummary, 1)
		go func() {
			sum, err := e.Execute(t.Context(), threadRun)
			if err != nil {
				t.Error(err)
			}
			done <- sum
		}()
		<-asked
		if _, err := e.Cancel(t.Context(), threadRun, "Ada", "too slow"); err != nil {
			t.Fatal(err)
		}
		if sum := <-done; sum.Outcome == nil || sum.Outcome.Reason != Cancelled || len(h.opened) > 0 {
			t.Errorf("it ends as %+v, after %d sessions", sum.Outcome, len(h.opened))
		}
	})
}
