package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// MaxAgents is how many agents one host runs at once.
const MaxAgents = 1024

// ErrNotRunning is returned for an agent that was not started, or is stopped.
var ErrNotRunning = errors.New("the agent is not running")

// Runtime is the executable of a runtime.
type Runtime struct {
	// Path is an executable file. Where it is a script, its interpreter is started and may read it: the one that its first
	// line names, which is `#!/path` or `#!/usr/bin/env NAME`. That one must not be a script itself.
	Path string
	// Args follow the executable's name.
	Args []string
	// Env are `NAME=value` entries. They are the only ones besides those of the handshake and TMPDIR.
	Env []string
	// Read are files and folders that the process reads besides its executable, such as the program that an interpreter
	// runs. Missing ones are ignored.
	Read []string
}

// Options set up a Host.
type Options struct {
	// Dir is where processes have their private folders while they live. It is created with mode 0700. Where its path is
	// too long for a socket, or other users cannot enter it and the host is root, a folder under the system's temporary
	// folder takes its place. One host per Dir: what an earlier one left there is removed.
	Dir string
	// Runtimes tells the executable of a runtime by its name.
	Runtimes func(name string) (Runtime, error)
	// Require are walls without which no process is started.
	Require Isolation
	// Log receives what processes print, at debug, and their restarts.
	Log *slog.Logger
	// LookPath finds the program that a script names behind /usr/bin/env. Default: [exec.LookPath].
	LookPath func(name string) (string, error)
	// Now tells the time, and Sleep waits until a duration is over or ctx ends.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
	// Backoff is the wait before the restart n, counted from 1. Default: 100 ms, doubling to a minute. After a life of
	// ten minutes n is 1 again.
	Backoff func(n int) time.Duration
}

// Host runs agents. Its methods may be called at once.
type Host struct {
	options   Options
	base      *base
	lock      atomic.Pointer[spec.Lock]
	checksums checksums

	mu     sync.Mutex
	agents map[spec.AgentName]*agent
	slots  [MaxAgents]bool
	closed bool
}

// New returns a host without agents. It touches nothing before the first start.
func New(o Options) *Host {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LookPath == nil {
		o.LookPath = exec.LookPath
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Backoff == nil {
		o.Backoff = func(n int) time.Duration { return min(100*time.Millisecond<<min(n-1, 10), time.Minute) }
	}
	return &Host{options: o, base: newBase(o.Dir, o.LookPath), agents: map[spec.AgentName]*agent{}}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Start starts an agent's process and returns when it answers. From then on the process is restarted whenever it ends,
// until Stop. Where the first start fails no process is left and nothing is tried again. To start what already runs, with
// the same digest and runtime, does nothing; with others it is an error: stop it first.
func (h *Host) Start(ctx context.Context, name spec.AgentName, digest spec.Digest, runtime string) error {
	h.mu.Lock()
	a, err := h.add(name, digest, runtime)
	h.mu.Unlock()
	if a == nil {
		return err
	}
	if err := a.begin(ctx); err != nil {
		h.remove(a)
		return fmt.Errorf("start the agent %s: %w", name, err)
	}
	return nil
}

// add returns nil where there is nothing to start.
func (h *Host) add(name spec.AgentName, digest spec.Digest, runtime string) (*agent, error) {
	if h.closed {
		return nil, fmt.Errorf("start the agent %s: the host is closed", name)
	}
	if old := h.agents[name]; old != nil {
		if old.digest == digest && old.runtime == runtime {
			return nil, nil
		}
		return nil, fmt.Errorf("start the agent %s: it runs already with the digest %s: stop it first", name, old.digest.Short())
	}
	for slot, taken := range h.slots {
		if !taken {
			h.slots[slot] = true
			a := newAgent(h, name, digest, runtime, slot)
			h.agents[name] = a
			return a, nil
		}
	}
	return nil, fmt.Errorf("start the agent %s: %d agents run already, which is the most", name, MaxAgents)
}

func (h *Host) remove(a *agent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.agents[a.name] == a {
		delete(h.agents, a.name)
		h.slots[a.slot] = false
	}
}

func (h *Host) agent(name spec.AgentName) *agent {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.agents[name]
}

// Stop ends an agent and returns when its process is gone, also where that takes force; ctx only bounds how long the
// process is asked nicely. Its sessions end with an [*ExitError]. To stop what does not run does nothing.
func (h *Host) Stop(ctx context.Context, name spec.AgentName) error {
	a := h.agent(name)
	if a == nil {
		return nil
	}
	a.end(ctx)
	h.remove(a)
	return nil
}

// Agents returns the status of all agents.
func (h *Host) Agents() map[spec.AgentName]Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make(map[spec.AgentName]Status, len(h.agents))
	for name, a := range h.agents {
		all[name] = a.current()
	}
	return all
}

// Close stops all agents and returns when no process is left; ctx only bounds how long they are asked nicely. Nothing can
// be started afterwards.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	var names []spec.AgentName
	for name := range h.agents {
		names = append(names, name)
	}
	h.mu.Unlock()
	var stopping sync.WaitGroup
	for _, name := range names {
		stopping.Go(func() { _ = h.Stop(ctx, name) })
	}
	stopping.Wait()
	return h.base.remove()
}
