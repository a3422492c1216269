package host

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// The states of an agent.
const (
	StateStarting = "starting"
	StateReady    = "ready"
	StateBackoff  = "backoff" // its process ended, and it waits before the next start
	StateStopped  = "stopped"
)

// Status is what can be told of an agent.
type Status struct {
	Digest  spec.Digest
	Runtime string
	// PID is 0 while there is no process.
	PID int
	// Isolation names the walls around the current or latest process, see [Isolation.String].
	Isolation string
	State     string
	// Restarts counts starts after the first one.
	Restarts int
	// LastExit says how the latest process ended, or why it did not start; LastStderr what it printed last.
	LastExit   string
	LastStderr string
	// Since is when State began.
	Since time.Time
}

// healthyLife is how long a process must live for its next restart to count as the first.
const healthyLife = 10 * time.Minute

// agent keeps one process alive.
type agent struct {
	host    *Host
	name    spec.AgentName
	digest  spec.Digest
	runtime string
	slot    int

	// ctx ends when the agent is to stop; done is closed when it has.
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	status Status
	live   *instance
	// changed is closed, and replaced, at each change of state.
	changed  chan struct{}
	sessions int
}

func newAgent(h *Host, name spec.AgentName, digest spec.Digest, runtime string, slot int) *agent {
	a := &agent{host: h, name: name, digest: digest, runtime: runtime, slot: slot, done: make(chan struct{}), changed: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.status = Status{Digest: digest, Runtime: runtime, State: StateStarting, Since: h.options.Now()}
	return a
}

func (a *agent) current() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status
}

func (a *agent) set(state string, live *instance, edit func(*Status)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.live = live
	a.status.State, a.status.Since, a.status.PID = state, a.host.options.Now(), 0
	if live != nil {
		a.status.PID, a.status.Isolation = live.proc.pid, live.proc.isolation.String()
	}
	if edit != nil {
		edit(&a.status)
	}
	close(a.changed)
	a.changed = make(chan struct{})
}

// begin makes the first start, and keeps the agent up if it succeeds.
func (a *agent) begin(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(a.ctx, func() { cancel(ErrNotRunning) })()
	first, err := a.launch(ctx)
	if err != nil {
		a.cancel()
		a.set(StateStopped, nil, nil)
		close(a.done)
		return err
	}
	a.set(StateReady, first, nil)
	go a.keep(first)
	return nil
}

// keep restarts the process until the agent is to stop.
func (a *agent) keep(live *instance) {
	defer close(a.done)
	log := a.host.options.Log.With("agent", a.name)
	born := a.host.options.Now()
	for n := 1; ; n++ {
		if live != nil {
			select {
			case <-live.proc.exited:
			case <-a.ctx.Done():
			}
			live.close()
			if a.host.options.Now().Sub(born) >= healthyLife {
				n = 1
			}
		}
		if a.ctx.Err() != nil {
			a.set(StateStopped, nil, nil)
			a.tidy()
			return
		}
		wait := a.host.options.Backoff(n)
		a.set(StateBackoff, nil, func(s *Status) {
			if live != nil {
				s.LastExit, s.LastStderr = live.proc.ending(), live.out.words()
			}
		})
		log.Warn("the agent's process ended and will be started again", "exit", a.current().LastExit, "in", wait)
		if a.host.options.Sleep(a.ctx, wait) != nil {
			live = nil
			continue
		}
		a.set(StateStarting, nil, func(s *Status) { s.Restarts++ })
		born = a.host.options.Now()
		next, err := a.launch(a.ctx)
		live = next
		if err != nil {
			a.set(StateBackoff, nil, func(s *Status) { s.LastExit, s.LastStderr = err.Error(), "" })
			continue
		}
		a.set(StateReady, live, nil)
	}
}

// launch starts a process.
func (a *agent) launch(ctx context.Context) (*instance, error) {
	runtime, err := a.host.options.Runtimes(a.runtime)
	if err != nil {
		return nil, fmt.Errorf("runtime %s: %w", a.runtime, err)
	}
	prog, err := a.host.base.prepare(a.slot, runtime)
	if err != nil {
		return nil, fmt.Errorf("runtime %s: %w", a.runtime, err)
	}
	if err := a.host.verify(a.runtime, cmp.Or(prog.script, prog.path)); err != nil {
		a.tidy()
		return nil, err
	}
	log := a.host.options.Log.With("agent", a.name)
	out := &output{
		log:   func(line string) { log.Debug("the agent's process printed", "line", line) },
		sleep: a.host.options.Sleep,
	}
	live, err := startInstance(ctx, prog, a.host.options.Require, out)
	if err != nil {
		a.tidy()
		return nil, fmt.Errorf("runtime %s: %w", a.runtime, err)
	}
	return live, nil
}

func (a *agent) tidy() { _ = os.RemoveAll(a.host.base.private(a.slot)) }

// end stops the agent and returns when its process is gone.
func (a *agent) end(ctx context.Context) {
	a.cancel()
	defer context.AfterFunc(ctx, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.live != nil {
			a.live.proc.kill()
		}
	})()
	<-a.done
}

// ready returns the live process, waiting for it while there is none.
func (a *agent) ready(ctx context.Context) (*instance, error) {
	for {
		a.mu.Lock()
		live, state, changed, last := a.live, a.status.State, a.changed, a.status.LastExit
		a.mu.Unlock()
		switch {
		case state == StateStopped || a.ctx.Err() != nil:
			return nil, ErrNotRunning
		case live != nil:
			return live, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("it is not ready (%s; %s): %w", state, last, context.Cause(ctx))
		}
	}
}
