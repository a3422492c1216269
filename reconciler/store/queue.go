package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mainstay-dev/mainstay/spec"
)

const (
	// LeaseTime is how long a lease lasts without [Lease.Extend].
	LeaseTime = 30 * time.Second
	// maxHeld bounds how many messages are taken or parked at once. Whoever takes them lets agents take turns, which it can
	// only do with runs that it has seen.
	maxHeld = 1 << 16
	// pollTime bounds one wait for a message, so that a lost one costs no more.
	pollTime = 5 * time.Second
)

// Enqueue says that a run has work to do. To queue a queued run changes nothing. A run that is being worked on is given
// out again when its lease ends, because the work may have passed the point that the caller wants looked at.
func (s *Store) Enqueue(ctx context.Context, run spec.RunID) error {
	subj, err := subject("queue", run)
	if err != nil {
		return fmt.Errorf("queue run: %w", err)
	}
	return s.durable(ctx, "enqueue", func(ctx context.Context) error {
		if _, err := s.js.PublishMsg(ctx, &nats.Msg{Subject: subj}); err != nil {
			return fmt.Errorf("queue run %s: %w", run, err)
		}
		return nil
	})
}

// Lease is the right to work on a run. It must be ended with Done or Retry.
type Lease struct {
	store *Store
	run   spec.RunID
	msg   jetstream.Msg
}

// Run is what the lease is for.
func (l *Lease) Run() spec.RunID { return l.run }

// Extend keeps the lease for another [LeaseTime].
func (l *Lease) Extend() error {
	if err := l.msg.InProgress(); err != nil {
		return fmt.Errorf("extend lease of run %s: %w", l.run, err)
	}
	return nil
}

// Done ends the lease: there is no more work to do for now.
func (l *Lease) Done() error {
	defer l.store.release(l.run)
	return l.store.durable(context.Background(), "dequeue", func(ctx context.Context) error {
		if err := l.msg.DoubleAck(ctx); err != nil {
			return fmt.Errorf("end lease of run %s: %w", l.run, err)
		}
		return nil
	})
}

// Retry ends the lease and gives the run out again after a delay, or when the store is opened again.
func (l *Lease) Retry(delay time.Duration) error {
	defer l.store.release(l.run)
	if err := l.msg.NakWithDelay(max(delay, time.Millisecond)); err != nil {
		return fmt.Errorf("give back lease of run %s: %w", l.run, err)
	}
	return nil
}

// Dequeue waits for a run that has work to do. One run is never given out twice at once.
func (s *Store) Dequeue(ctx context.Context) (*Lease, error) {
	consumer, err := s.workers(ctx)
	if err != nil {
		return nil, fmt.Errorf("take from the queue: %w", err)
	}
	for {
		wait, cancel := context.WithTimeout(ctx, pollTime)
		msg, err := consumer.Next(jetstream.FetchContext(wait))
		cancel()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = msg.Nak() // It came just now, and another worker may want it. Where this fails, it comes again after LeaseTime.
			}
			return nil, ctx.Err()
		case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, jetstream.ErrNoMessages),
			errors.Is(err, jetstream.ErrInvalidOption): // The deadline passed a moment before ctx noticed.
			continue
		case err != nil:
			return nil, fmt.Errorf("take from the queue: %w", err)
		}
		run := spec.RunID(strings.TrimPrefix(msg.Subject(), "queue."))
		if s.hold(run, msg) {
			return &Lease{store: s, run: run, msg: msg}, nil
		}
	}
}

// hold notes that a run is being worked on. Where it is already, the message is parked until that ends.
func (s *Store) hold(run spec.RunID, msg jetstream.Msg) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, taken := s.held[run]
	if taken {
		s.held[run] = msg
	} else {
		s.held[run] = nil
	}
	return !taken
}

func (s *Store) release(run spec.RunID) {
	s.mu.Lock()
	parked := s.held[run]
	delete(s.held, run)
	s.mu.Unlock()
	if parked != nil {
		_ = parked.Nak() // Where this fails, the message comes again after LeaseTime.
	}
}

// workers returns the one consumer of the queue. It lives in memory and is made anew by every process: the folder is
// locked, so whoever held a lease before is dead, and all that is queued can be given out at once.
func (s *Store) workers(ctx context.Context) (jetstream.Consumer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.consumer != nil {
		return s.consumer, nil
	}
	const name = "workers"
	if err := s.queue.DeleteConsumer(ctx, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, err
	}
	consumer, err := s.queue.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: name, AckPolicy: jetstream.AckExplicitPolicy, AckWait: LeaseTime, MaxAckPending: maxHeld, MemoryStorage: true,
	})
	if err != nil {
		return nil, err
	}
	// A process that died between writing a run's summary and queueing it left a run that nobody would take up.
	runs, err := s.Runs(ctx)
	if err != nil {
		return nil, err
	}
	for _, run := range runs {
		if run.Phase == spec.PhaseQueued || run.Phase == spec.PhaseRunning {
			if err := s.Enqueue(ctx, run.Run); err != nil {
				return nil, err
			}
		}
	}
	s.consumer = consumer
	return consumer, nil
}
