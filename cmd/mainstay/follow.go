package main

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/serve"
	"github.com/mainstay-dev/mainstay/spec"
)

// happening is what a daemon tells of a run under way, one line each: an event, or, last, how the run stands.
type happening struct {
	Type     reconciler.EventType `json:"type,omitempty"`
	Run      spec.RunID           `json:"run,omitempty"`
	Text     string               `json:"text,omitempty"`
	Request  *spec.Request        `json:"request,omitempty"`
	Proposal *spec.Proposal       `json:"proposal,omitempty"`
	Err      string               `json:"error,omitempty"`
	Summary  *spec.RunSummary     `json:"summary,omitempty"`
}

func happened(e reconciler.Event) happening {
	h := happening{Type: e.Type, Run: e.Run, Text: e.Text, Request: e.Request, Proposal: e.Proposal}
	if e.Err != nil {
		h.Err = e.Err.Error()
	}
	return h
}

func (h happening) event() reconciler.Event {
	e := reconciler.Event{Type: h.Type, Run: h.Run, Text: h.Text, Request: h.Request, Proposal: h.Proposal}
	if h.Err != "" {
		e.Err = errors.New(h.Err)
	}
	return e
}

// maxBehind is how many events a follower that does not read is kept.
const maxBehind = 10_000

// followers pass events on to those who follow a thread. A follower never holds up a run: one that does not read misses
// events, and learns how the run ended from its record.
type followers struct {
	// look is [lookTime] where it is zero.
	look  time.Duration
	mu    sync.Mutex
	these map[*follower]spec.ThreadID
}

type follower struct {
	wake   chan struct{}
	mu     sync.Mutex
	events []reconciler.Event
}

func (f *followers) tell(e reconciler.Event) {
	if e.Task.Thread == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for follower, thread := range f.these {
		if thread == e.Task.Thread {
			follower.push(e)
		}
	}
}

func (f *followers) follow(thread spec.ThreadID) (_ *follower, done func()) {
	one := &follower{wake: make(chan struct{}, 1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.these == nil {
		f.these = map[*follower]spec.ThreadID{}
	}
	f.these[one] = thread
	return one, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.these, one)
	}
}

func (f *follower) push(e reconciler.Event) {
	f.mu.Lock()
	if len(f.events) < maxBehind || e.Type == reconciler.RunFinished || e.Type == reconciler.RunWaiting {
		f.events = append(f.events, e)
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// beneathTime is the time between two looks at the runs beneath one that waits for them, and whose events nobody follows.
const beneathTime = 500 * time.Millisecond

// lookTime is the time between two looks at a run of which nothing is heard. That it has ended is told once: where the record could not
// be written to its end at that moment, nobody hears of it.
const lookTime = 10 * time.Second

// next waits for events, but no longer than until it is time to look.
func (f *follower) next(ctx context.Context, look time.Duration) ([]reconciler.Event, error) {
	timer := time.NewTimer(look)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-f.wake:
	case <-timer.C:
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	events := f.events
	f.events = nil
	return events, nil
}

// threadViews let a daemon's owner talk to agents.
func threadViews(w *wired, f *followers) serve.Threads {
	// watch emits what happens in a run until it is finished, or waits with all beneath it for reviews.
	watch := func(ctx context.Context, one *follower, thread spec.ThreadID, run spec.RunID, emit func(v any) error) error {
		for waits := false; ; {
			look := cmp.Or(f.look, lookTime)
			if waits {
				look = beneathTime
			}
			events, err := one.next(ctx, look)
			if err != nil {
				return err
			}
			for _, e := range events {
				if e.Run != run {
					continue
				}
				waits = e.Type == reconciler.RunFinished || e.Type == reconciler.RunWaiting
				if err := emit(happened(e)); err != nil {
					return err
				}
			}
			if !waits && len(events) > 0 {
				continue
			}
			last, busy, err := w.Standing(ctx, thread)
			if err != nil {
				return err
			}
			if !busy {
				return emit(happening{Summary: &last})
			}
		}
	}
	return serve.Threads{
		List: func(ctx context.Context) (any, error) { return reconciler.Threads(ctx, w.parts.Store) },
		Read: func(ctx context.Context, id string) (any, error) {
			return reconciler.ReadThread(ctx, w.parts.Store, spec.ThreadID(id))
		},
		Delete: func(ctx context.Context, id string) error { return w.DeleteThread(ctx, spec.ThreadID(id)) },
		Cancel: func(ctx context.Context, id string) error { return w.CancelThread(ctx, spec.ThreadID(id), account()) },
		Say: func(ctx context.Context, id string, m serve.Said, emit func(v any) error) error {
			one, done := f.follow(spec.ThreadID(id))
			defer done()
			task, err := w.Say(ctx, spec.ThreadID(id), spec.AgentName(m.Agent), m.Text)
			if err != nil {
				return err
			}
			if err := w.Enqueue(ctx, task); err != nil {
				return err
			}
			return watch(ctx, one, task.Thread, task.Run, emit)
		},
		Follow: func(ctx context.Context, id string, emit func(v any) error) error {
			one, done := f.follow(spec.ThreadID(id))
			defer done()
			last, busy, err := w.Standing(ctx, spec.ThreadID(id))
			if errors.Is(err, reconciler.ErrNoThread) || err == nil && !busy {
				return nil
			}
			if err != nil {
				return err
			}
			return watch(ctx, one, last.Thread, last.Run, emit)
		},
	}
}
