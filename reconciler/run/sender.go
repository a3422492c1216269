package run

import (
	"context"
	"sync"
)

// maxDeltas is how many pieces of text may wait until the agent reads them; then whoever makes them waits too.
const maxDeltas = 64

// sender sends to a session in order, in a goroutine of its own, so that an agent that does not read holds up nobody else.
// Its queue is bounded by the requests that may be outstanding and by maxDeltas.
type sender struct {
	session Session
	wake    chan struct{}
	room    chan struct{}
	quit    chan struct{}
	done    sync.WaitGroup
	// failed gets the first error.
	failed chan error

	mu    sync.Mutex
	queue []func() error
}

func newSender(session Session) *sender {
	s := &sender{
		session: session, wake: make(chan struct{}, 1), room: make(chan struct{}, maxDeltas), quit: make(chan struct{}),
		failed: make(chan error, 1),
	}
	s.done.Go(s.send)
	return s
}

func (s *sender) send() {
	broken := false
	for {
		s.mu.Lock()
		var next func() error
		if len(s.queue) > 0 {
			next, s.queue = s.queue[0], s.queue[1:]
		}
		s.mu.Unlock()
		if next == nil {
			select {
			case <-s.wake:
			case <-s.quit:
				return
			}
			continue
		}
		// After an error nothing can arrive any more, but the queue is emptied all the same.
		if err := next(); err != nil && !broken {
			broken = true
			s.failed <- err
		}
	}
}

func (s *sender) push(f func() error) {
	s.mu.Lock()
	s.queue = append(s.queue, f)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sender) answer(x *exchange) {
	if x.id == ours {
		return
	}
	id, kind, answer := x.id, x.request.Kind, *x.answer
	s.push(func() error { return s.session.Answer(id, kind, answer) })
}

func (s *sender) delta(ctx context.Context, id uint64, text string) {
	select {
	case s.room <- struct{}{}:
		s.push(func() error {
			defer func() { <-s.room }()
			return s.session.Delta(id, text)
		})
	case <-ctx.Done():
	case <-s.quit:
	}
}

// offer sends a piece of text, or drops it where the agent does not keep up: the text of a child is shown and nothing waits for
// its being read.
func (s *sender) offer(id uint64, text string) {
	select {
	case s.room <- struct{}{}:
		s.push(func() error {
			defer func() { <-s.room }()
			return s.session.Delta(id, text)
		})
	default:
	}
}

func (s *sender) cancel(reason string) {
	s.push(func() error { return s.session.Cancel(reason) })
}

// stop waits for the goroutine. The session must be closed before, so that no send blocks.
func (s *sender) stop() {
	close(s.quit)
	s.done.Wait()
}
