package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// ErrNotRunning is returned for an agent that was not started, or is stopped.
var ErrNotRunning = errors.New("the agent is not running")

var errClosed = errors.New("the host is closed")

// Runtime is the executable of a runtime.
type Runtime struct {
	// Path is an executable file. Where it is a script, its interpreter is started and may read it: the one that its first
	// line names, which is `#!/path` or `#!/usr/bin/env NAME`. That one must not be a script itself.
	Path string
	// Args follow the executable's name.
	Args []string
	// Env are `NAME=value` entries. They are the only ones besides those of the handshake, TMPDIR and GOMAXPROCS.
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
	// LookPath finds the program that a script names behind /usr/bin/env, and those of [Agent.Exec]. Default: [exec.LookPath].
	LookPath func(name string) (string, error)
	// Require are walls without which no process is started, whatever its agent requires.
	Require Isolation
	// MaxProcesses is how many processes there are at once, of all agents together. Default: 64 for each CPU, and at least
	// 256. At most 1000.
	MaxProcesses int
	// MaxMemory is what all processes together may take, in bytes: none is started, and idle ones are ended, where that
	// would be more. What a process takes is measured every second; busy ones grow up to a limit of their own. Default:
	// half of what the machine, or the control group, has.
	MaxMemory int64
	// Drain is how long a process that is replaced, or makes room for another agent, may go on with the runs it has.
	// Default: 10 minutes.
	Drain time.Duration
	// Alive is how long a process with runs may take to show that it answers before it is killed. It is asked as often.
	// Default: 10 seconds.
	Alive time.Duration
	// Log receives what processes print, at debug, and how they end.
	Log *slog.Logger
	// Now tells the time, and Sleep waits until a duration is over or ctx ends.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
	// Backoff is the wait before the next start after n processes in a row that did not start, or ended by themselves.
	// Default: 100 ms, doubling to a minute. A process that ends when it is told to, or has lived for ten minutes, ends the
	// row.
	Backoff func(n int) time.Duration
}

// Host runs agents. Its methods may be called at once.
type Host struct {
	options   Options
	base      *base
	lock      atomic.Pointer[spec.Lock]
	checksums checksums
	checking  chan struct{}

	// ctx ends with the host; tasks are all goroutines.
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu       sync.Mutex
	checks   map[string]*check
	schedule schedule
	watching bool
	closed   bool
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
	if o.MaxProcesses <= 0 {
		o.MaxProcesses = max(64*runtime.NumCPU(), 256)
	}
	if o.MaxMemory <= 0 {
		o.MaxMemory = machineMemory() / 2
	}
	if o.Drain <= 0 {
		o.Drain = 10 * time.Minute
	}
	if o.Alive <= 0 {
		o.Alive = 10 * time.Second
	}
	h := &Host{options: o, base: newBase(o.Dir, o.LookPath), checking: make(chan struct{}, maxChecks), checks: map[string]*check{}}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.schedule = schedule{
		maxProcesses: min(o.MaxProcesses, maxSlots-maxChecks), maxMemory: o.MaxMemory, maxStarting: max(8, 4*runtime.NumCPU()),
		drain: o.Drain, start: h.start, end: func(w *worker) { w.cancel() }, pools: map[spec.AgentName]*pool{},
	}
	for slot := range maxSlots {
		h.schedule.free = append(h.schedule.free, slot)
	}
	return h
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

// Start makes an agent one that runs can be opened on, until Stop. It starts no process but those that are kept warm, and
// does not wait for them. The error says that the runtime is not there, or not what the lock pins; whether it works, only
// [Host.Check] tells.
//
// An agent that is there already is from then on as given. Where its runtime and the lock's pin are the same, its
// processes stay; others take no new runs, go on with those they have for [Options.Drain] at most, and end.
func (h *Host) Start(a Agent) error {
	b, err := h.build(a)
	if err != nil {
		return fmt.Errorf("start the agent %s: %w", a.Name, err)
	}
	if a.Scale.Concurrency <= 0 {
		a.Scale.Concurrency = 8
	}
	a.Scale.IsolateRuns = a.Scale.IsolateRuns || len(a.Exec) > 0
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return fmt.Errorf("start the agent %s: %w", a.Name, errClosed)
	}
	b.check = h.checked(b)
	s, now := &h.schedule, h.options.Now()
	p := s.pools[a.Name]
	if p == nil {
		p = &pool{build: b, since: now}
		s.pools[a.Name] = p
	} else if !p.build.same(b) {
		p.build, p.failures, p.until, p.broken, p.memory = b, 0, time.Time{}, false, 0
	}
	p.Agent = a
	s.keepWarm(p)
	for _, w := range slices.Clone(p.workers) {
		if !w.usable() {
			s.retire(w, now)
		}
	}
	s.step(now)
	return nil
}

// Stop ends an agent and returns when its processes are gone, also where that takes force; ctx only bounds how long they
// are asked nicely. Its sessions end with an [*ExitError]. To stop what does not run does nothing.
func (h *Host) Stop(ctx context.Context, name spec.AgentName) error {
	h.mu.Lock()
	p := h.schedule.pools[name]
	if p == nil {
		h.mu.Unlock()
		return nil
	}
	over := h.drop(p)
	h.schedule.step(h.options.Now())
	h.mu.Unlock()
	h.await(ctx, over)
	return nil
}

// drop takes an agent out, and returns its processes, which are being ended. The caller holds the lock.
func (h *Host) drop(p *pool) []*worker {
	s := &h.schedule
	delete(s.pools, p.Name)
	p.Scale.Warm = 0
	s.keepWarm(p)
	s.refuse(p, ErrNotRunning)
	workers := slices.Clone(p.workers)
	for _, w := range workers {
		s.stop(w)
	}
	return workers
}

// await returns when processes are over. Once ctx ends they are killed.
func (h *Host) await(ctx context.Context, workers []*worker) {
	defer context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, w := range workers {
			if w.live != nil {
				w.live.proc.kill()
			}
		}
	})()
	for _, w := range workers {
		<-w.over
	}
}

// Agents returns the status of all agents.
func (h *Host) Agents() map[spec.AgentName]Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.options.Now()
	all := make(map[spec.AgentName]Status, len(h.schedule.pools))
	for name, p := range h.schedule.pools {
		all[name] = p.status(now)
	}
	return all
}

// Close stops all agents and returns when no process is left; ctx only bounds how long they are asked nicely. Nothing can
// be started afterwards.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	var over []*worker
	for _, p := range h.schedule.pools {
		over = append(over, h.drop(p)...)
	}
	h.mu.Unlock()
	h.cancel()
	h.await(ctx, over)
	h.tasks.Wait()
	return h.base.remove()
}
