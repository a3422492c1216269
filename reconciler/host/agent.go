package host

import (
	"cmp"
	"os"
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// The states of an agent.
const (
	StateIdle     = "idle"     // it has no process, and a run starts one
	StateStarting = "starting" // its first process is being started
	StateReady    = "ready"    // it has processes that answer
	StateBackoff  = "backoff"  // its process ended or did not start, and it waits before the next start
	StateStopped  = "stopped"  // it is not declared
)

// Agent is what a host knows of an agent.
type Agent struct {
	Name   spec.AgentName
	Digest spec.Digest
	// Runtime names the runtime, see [Options.Runtimes].
	Runtime string
	Scale   Scale
	// Require are walls without which no process of the agent is started.
	Require Isolation
	// Exec are the programs that its processes may execute: absolute paths, or names that [Options.LookPath] finds. Where there
	// are any, no process is started that is not shut in by landlock and seccomp, and with all that it starts by cgroup or
	// namespaces; and each run has a process of its own, as with [Scale.IsolateRuns].
	Exec []string
}

// Scale says how many processes an agent has. The zero value has the defaults of [spec.Scale].
type Scale struct {
	// Warm is how many processes with room for a run are kept ready.
	Warm int
	// Idle is how long a process without runs is kept. Default: 5 minutes.
	Idle time.Duration
	// Concurrency is how many runs a process does at once. Default: 8.
	Concurrency int
	// IsolateRuns gives each run a process of its own that ends with it.
	IsolateRuns bool
}

// AgentOf is what a host needs to know of an agent that is declared. The error says that a wall that it requires is unknown.
func AgentOf(a *spec.Agent) (Agent, error) {
	require, err := Required(a)
	if err != nil {
		return Agent{}, err
	}
	hosted := Agent{Name: a.Name, Digest: a.Digest, Runtime: a.Runtime, Require: require}
	if a.Isolation != nil {
		hosted.Exec = a.Isolation.Exec
	}
	if s := a.Scale; s != nil {
		hosted.Scale = Scale{Warm: s.Warm, Idle: time.Duration(s.Idle), Concurrency: s.Concurrency, IsolateRuns: s.IsolateRuns}
	}
	return hosted, nil
}

func (s Scale) idle() time.Duration { return cmp.Or(s.Idle, 5*time.Minute) }

// Status is what can be told of an agent.
type Status struct {
	Digest  spec.Digest
	Runtime string
	State   string
	// Since is when the agent was declared, or its newest process got ready or ended.
	Since time.Time
	// Processes are those that answer, the oldest first.
	Processes []Process
	// Runs are under way, and Waiting are those that wait for a process.
	Runs, Waiting int
	// Isolation names the walls around its latest process, or around one of its runtime that was checked, see
	// [Isolation.String]. It is empty where there was none.
	Isolation string
	// Restarts counts starts after a process ended by itself or did not start.
	Restarts int
	// LastExit says how the latest process ended by itself, or why it did not start; LastStderr what it printed last.
	LastExit   string
	LastStderr string
	// Broken says that the latest process never got ready, so that nobody knows whether the next one will.
	Broken bool
	// Until is when the next start may be tried, in StateBackoff.
	Until time.Time
}

// Process is one process of an agent.
type Process struct {
	PID   int
	Runs  int
	Since time.Time
	// Leaving says that it takes no new runs and ends with those it has.
	Leaving bool
	// Memory is what it took when last measured, in bytes, not counting what it shares; 0 before that, and on systems that
	// do not tell.
	Memory int64
}

// PIDs are the numbers of the processes.
func (s Status) PIDs() []int {
	var pids []int
	for _, p := range s.Processes {
		pids = append(pids, p.PID)
	}
	return pids
}

// status tells of a pool. The caller holds the host's lock.
func (p *pool) status(now time.Time) Status {
	s := Status{Digest: p.Digest, Runtime: p.Runtime, State: StateIdle, Since: p.since, Waiting: p.waiting.Len(), Isolation: p.build.check.isolation,
		Restarts: p.restarts, LastExit: p.lastExit, LastStderr: p.lastStderr, Broken: p.broken}
	starting := false
	for _, w := range p.workers {
		s.Runs += w.runs
		switch w.state {
		case workerStarting:
			starting = true
		case workerReady:
			s.Processes = append(s.Processes, Process{PID: w.live.proc.pid, Runs: w.runs, Since: w.born, Leaving: !w.usable(), Memory: w.memory})
		}
	}
	slices.SortStableFunc(s.Processes, func(a, b Process) int { return a.Since.Compare(b.Since) })
	switch {
	case len(s.Processes) > 0:
		s.State = StateReady
	case starting:
		s.State = StateStarting
	case p.broken || now.Before(p.until):
		s.State, s.Until = StateBackoff, p.until
	}
	return s
}

func (h *Host) tidy(slot int) {
	_ = os.RemoveAll(h.base.private(slot))
	_ = os.RemoveAll(h.base.bin(slot))
}
