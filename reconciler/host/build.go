package host

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/mainstay-dev/mainstay/spec"
)

// build is what an agent's processes are started from.
type build struct {
	name string
	Runtime
	// pin is what the lock says of the executable, "" where nothing pins it.
	pin spec.Digest
	// require are the walls without which nothing is executed.
	require Isolation
	// exec are the programs that may be executed.
	exec []executable
	// info is of the executable.
	info  os.FileInfo
	check *check
}

func (b *build) same(other *build) bool {
	return b.name == other.name && b.pin == other.pin && b.require == other.require && b.Path == other.Path && slices.Equal(b.Args, other.Args) &&
		slices.Equal(b.exec, other.exec) && slices.Equal(b.Env, other.Env) && slices.Equal(b.Read, other.Read)
}

// build finds what an agent's processes are started from, and checks that it is there and what the lock pins.
func (h *Host) build(a Agent) (*build, error) {
	r, err := h.options.Runtimes(a.Runtime)
	if err != nil {
		return nil, fmt.Errorf("runtime %s: %w", a.Runtime, err)
	}
	info, err := os.Stat(r.Path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("runtime %s: find the executable: %w", a.Runtime, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("runtime %s: %s is not an executable file", a.Runtime, r.Path)
	}
	if err := h.verify(a.Runtime, r.Path); err != nil {
		return nil, err
	}
	exec, err := executables(a.Exec, h.options.LookPath)
	if err != nil {
		return nil, err
	}
	b := &build{name: a.Runtime, Runtime: r, require: h.options.Require | a.Require, exec: exec, info: info}
	if lock := h.lock.Load(); lock != nil {
		b.pin = lock.Runtime(a.Runtime)[Platform]
	}
	return b, nil
}

// maxChecks is how many runtimes are checked at once. Their processes come on top of [Options.MaxProcesses].
const maxChecks = 16

// check is the one start of a build that shows whether it can work, and what was learnt of it.
type check struct {
	mu sync.Mutex // held while it is made
	ok bool
	// isolation names the walls that the latest process of it had. It is read and written under the host's lock.
	isolation string
}

// checked returns the check of a build, made or not. The caller holds the lock.
func (h *Host) checked(b *build) *check {
	key := fmt.Sprintf("%q %q %d %q %q %q %q %q %d %d", b.name, b.pin, b.require, b.exec, b.Path, b.Args, b.Env, b.Read, b.info.Size(), b.info.ModTime().UnixNano())
	if h.checks[key] == nil {
		h.checks[key] = &check{}
	}
	return h.checks[key]
}

// Check starts a process of an agent's runtime and ends it once it answers, so that a runtime that cannot work is known
// before a run needs it. It need not be started. What was found good is not tried again before it changes. Where a wall that
// is required cannot be had nothing is executed, and the error wraps a [*MissingError].
func (h *Host) Check(ctx context.Context, a Agent) error {
	if err := h.check(ctx, a); err != nil {
		return fmt.Errorf("check the agent %s: %w", a.Name, err)
	}
	return nil
}

func (h *Host) check(ctx context.Context, a Agent) error {
	b, err := h.build(a)
	if err != nil {
		return err
	}
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return errClosed
	}
	h.tasks.Add(1)
	defer h.tasks.Done()
	c := h.checked(b)
	h.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ok {
		return nil
	}
	select {
	case h.checking <- struct{}{}:
		defer func() { <-h.checking }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	h.mu.Lock()
	slot := h.schedule.take()
	h.mu.Unlock()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.ctx, func() { cancel(errClosed) })()
	live, err := h.launch(ctx, string(a.Name), b, slot)
	if err == nil {
		live.close()
	}
	h.tidy(slot)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.schedule.free = append(h.schedule.free, slot)
	if err == nil {
		c.ok, c.isolation = true, live.proc.isolation.String()
	}
	return err
}
