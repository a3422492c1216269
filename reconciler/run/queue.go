package run

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// Lease is the right to work on a run for a while.
type Lease interface {
	Run() spec.RunID
	// Extend keeps the lease. It is called every [ExtendTime].
	Extend() error
	// Done ends it: there is no more work for now.
	Done() error
	// Retry ends it, and gives the run out again after a delay.
	Retry(delay time.Duration) error
}

// ExtendTime is the time between two extensions of a lease.
const ExtendTime = 10 * time.Second

// maxTakes is how often in a row taking from the queue may fail.
const maxTakes = 5

// QueueOptions are what a queue works with.
type QueueOptions struct {
	Engine *Engine
	// Dequeue waits for a run that has work to do. It returns ctx's error when that ends.
	Dequeue func(ctx context.Context) (Lease, error)
	// Workers is how many runs are worked on at once, at least one.
	Workers int
	// Failed is told of errors that no run shows, such as a lease that could not be ended. May be nil.
	Failed func(error)
}

// Queue works on runs as they come.
type Queue struct{ opts QueueOptions }

// NewQueue makes a queue.
func NewQueue(opts QueueOptions) *Queue {
	opts.Workers = max(opts.Workers, 1)
	if opts.Failed == nil {
		opts.Failed = func(error) {}
	}
	return &Queue{opts}
}

// Run works until ctx ends, and then brings every run to a point where it can be resumed. It returns nil then, and an
// error where the queue cannot be read.
func (q *Queue) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, q.opts.Workers)
	var workers sync.WaitGroup
	for i := range errs {
		workers.Go(func() {
			if errs[i] = q.work(ctx); errs[i] != nil {
				cancel()
			}
		})
	}
	workers.Wait()
	return errors.Join(errs...)
}

func (q *Queue) work(ctx context.Context) error {
	failures := 0
	for ctx.Err() == nil {
		lease, err := q.opts.Dequeue(ctx)
		switch {
		case ctx.Err() != nil && err != nil:
			return nil
		case err != nil:
			if failures++; failures >= maxTakes {
				return fmt.Errorf("take a run from the queue: %w", err)
			}
			q.opts.Failed(err)
			select {
			case <-q.opts.Engine.opts.After(q.opts.Engine.opts.Backoff(failures)):
			case <-ctx.Done():
			}
		default:
			failures = 0
			if err := q.one(ctx, lease); err != nil {
				q.opts.Failed(err)
			}
		}
	}
	return nil
}

// one works on one run and ends its lease.
func (q *Queue) one(ctx context.Context, lease Lease) error {
	var extending sync.WaitGroup
	stop := make(chan struct{})
	extending.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-q.opts.Engine.opts.After(ExtendTime):
				// A lease that lapses gives the run to another worker; the record then has one writer all the same.
				if err := lease.Extend(); err != nil {
					q.opts.Failed(err)
				}
			}
		}
	})
	_, err := q.opts.Engine.Execute(ctx, lease.Run())
	close(stop)
	extending.Wait()
	var retry *RetryAfter
	switch {
	case err == nil:
		return lease.Done()
	case errors.As(err, &retry):
		return lease.Retry(retry.Delay)
	case errors.Is(err, ErrNoRecord):
		return errors.Join(err, lease.Done())
	case ctx.Err() != nil:
		return lease.Retry(0)
	}
	return errors.Join(err, lease.Retry(q.opts.Engine.opts.Backoff(q.opts.Engine.fail(lease.Run(), false))))
}
