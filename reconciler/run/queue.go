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
	// Agent tells whose run it is, so that agents can take turns. Where it is nil, or does not know, all such runs count as
	// one agent's.
	Agent func(ctx context.Context, run spec.RunID) spec.AgentName
	// Workers is how many runs are worked on at once, at least one. A single agent gets at most half of them, see [Queue].
	Workers int
	// Failed is told of errors that no run shows, such as a lease that could not be ended. May be nil.
	Failed func(error)
}

// Queue works on runs as they come. It takes all that are queued and has them wait in the order in which they came, each
// agent's by themselves. An agent whose turn it is may have one more under way while it has fewer than there are workers
// left: so one with thousands of runs leaves room for whoever comes next, and several share the workers alike.
type Queue struct {
	opts QueueOptions

	mu sync.Mutex
	// waiting are the leases of each agent that has any, and turns those agents, who came first being first.
	waiting map[spec.AgentName][]Lease
	turns   []spec.AgentName
	running map[spec.AgentName]int
	total   int
}

// NewQueue makes a queue.
func NewQueue(opts QueueOptions) *Queue {
	opts.Workers = max(opts.Workers, 1)
	if opts.Failed == nil {
		opts.Failed = func(error) {}
	}
	if opts.Agent == nil {
		opts.Agent = func(context.Context, spec.RunID) spec.AgentName { return "" }
	}
	return &Queue{opts: opts, waiting: map[spec.AgentName][]Lease{}, running: map[spec.AgentName]int{}}
}

// Run works until ctx ends, and then brings every run to a point where it can be resumed. It returns nil then, and an
// error where the queue cannot be read.
func (q *Queue) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var workers, extending sync.WaitGroup
	extending.Go(func() { q.extend(ctx) })
	err := q.take(ctx, &workers)
	cancel()
	extending.Wait()
	q.giveBack()
	workers.Wait()
	return err
}

// take takes runs from the queue and has them worked on.
func (q *Queue) take(ctx context.Context, workers *sync.WaitGroup) error {
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
			q.add(q.opts.Agent(ctx, lease.Run()), lease)
			q.dispatch(ctx, workers)
		}
	}
	return nil
}

func (q *Queue) add(agent spec.AgentName, lease Lease) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting[agent]) == 0 {
		q.turns = append(q.turns, agent)
	}
	q.waiting[agent] = append(q.waiting[agent], lease)
}

// dispatch has all runs worked on that there is room for.
func (q *Queue) dispatch(ctx context.Context, workers *sync.WaitGroup) {
	for {
		agent, lease := q.next()
		if lease == nil {
			return
		}
		workers.Go(func() {
			if err := q.one(ctx, lease); err != nil {
				q.opts.Failed(err)
			}
			q.ended(agent)
			if ctx.Err() == nil {
				q.dispatch(ctx, workers)
			}
		})
	}
}

// next is the run to work on next, or nil where there is none or no room: of the agents that may have one more under way,
// the first of those with the fewest.
func (q *Queue) next() (spec.AgentName, Lease) {
	q.mu.Lock()
	defer q.mu.Unlock()
	best, left := -1, q.opts.Workers-q.total
	for i, agent := range q.turns {
		if q.running[agent] < left && (best < 0 || q.running[agent] < q.running[q.turns[best]]) {
			best = i
		}
	}
	if best < 0 {
		return "", nil
	}
	agent := q.turns[best]
	q.turns = append(q.turns[:best], q.turns[best+1:]...)
	lease := q.waiting[agent][0]
	if q.waiting[agent] = q.waiting[agent][1:]; len(q.waiting[agent]) > 0 {
		q.turns = append(q.turns, agent)
	} else {
		delete(q.waiting, agent)
	}
	q.running[agent]++
	q.total++
	return agent, lease
}

func (q *Queue) ended(agent spec.AgentName) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.total--
	if q.running[agent]--; q.running[agent] == 0 {
		delete(q.running, agent)
	}
}

// extend keeps the leases of the runs that wait.
func (q *Queue) extend(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.opts.Engine.opts.After(ExtendTime):
		}
		q.mu.Lock()
		for _, leases := range q.waiting {
			for _, lease := range leases {
				if err := lease.Extend(); err != nil {
					q.opts.Failed(err)
				}
			}
		}
		q.mu.Unlock()
	}
}

// giveBack gives back the runs that nobody has begun to work on.
func (q *Queue) giveBack() {
	q.mu.Lock()
	waiting := q.waiting
	q.waiting, q.turns = map[spec.AgentName][]Lease{}, nil
	q.mu.Unlock()
	for _, leases := range waiting {
		for _, lease := range leases {
			if err := lease.Retry(0); err != nil {
				q.opts.Failed(err)
			}
		}
	}
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
