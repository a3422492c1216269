package host

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// program is what a process executes.
type program struct {
	// path is absolute and has no symbolic links. args do not repeat it.
	path string
	args []string
	env  []string
	// dir is the private folder: the working directory, and the place of its socket.
	dir string
	// read are other files and folders it may read.
	read []string
	// exec are the programs that it may execute, without symbolic links, and bin is the folder that names them; "" where there are none.
	exec []string
	bin  string
	// script is what path, an interpreter, executes. It is among args and read, and empty where path is the runtime itself.
	script string
	// uid is the user and group to run as, or -1 for the host's own.
	uid int
	// require are walls without which it is not executed.
	require Isolation
	limits  limits
	// cgroups make the process's control group; nil where noCgroups says why there are none.
	cgroups   *cgroups
	noCgroups error
	// sleep waits between two looks at what it takes.
	sleep func(ctx context.Context, d time.Duration) error
	// without are walls that are left out, for tests that show what each of them is good for.
	without Isolation
}

// The limits of a process, as setrlimit(2) knows them.
const (
	maxFiles = 256     // open files
	maxStack = 8 << 20 // bytes of the first thread's stack
)

// limits are what tests make smaller, to be quick.
type limits struct {
	// data is how many bytes of private memory that it can write a process may have, as setrlimit(2) knows it, and tasks how
	// many threads, where it has a user id or a user namespace of its own.
	data, tasks uint64
	// resident is how many bytes of memory it may hold, with what data does not count: memory that it shares, or does not write any more, the
	// stack, and page tables.
	resident int
	// cpu is how much of the processors' time it may have in each tenth of a second, in microseconds; where it has a
	// control group.
	cpu int
}

var usual = limits{data: 512 << 20, tasks: 512, resident: 768 << 20, cpu: 100_000}

// process is one operating system process, from its start until it and all that it started are gone.
type process struct {
	pid       int
	isolation Isolation
	// group is its control group, or nil.
	group *cgroup
	// executes says that it may start other processes, so that it is looked at with all of them.
	executes bool
	// stdout and stderr are the reading ends.
	stdout, stderr *os.File
	// exited is closed when the process is gone; code and signal are set before.
	exited chan struct{}
	code   int
	signal string

	mu     sync.Mutex
	reaped bool
	// why the host ended it, where it was for what the process did.
	why string
}

// end is kill, with a reason for people.
func (p *process) end(why string) {
	p.mu.Lock()
	if !p.reaped {
		p.why = cmp.Or(p.why, why)
	}
	p.mu.Unlock()
	p.kill()
}

// blame notes why the kernel ended the process.
func (p *process) blame(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.why = cmp.Or(p.why, why)
}

// kill ends the process, its process group and its control group at once. It may be called at any time and any number of times: once the process is
// reaped its number may belong to another, so nothing is sent.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		killGroup(p.pid)
		p.group.kill()
	}
}

// unblock ends the reading of the pipes shortly after the process is gone, even where a descendant that escaped a host
// without seccomp holds the other ends.
func (p *process) unblock() {
	deadline := time.Now().Add(250 * time.Millisecond)
	_ = p.stdout.SetReadDeadline(deadline)
	_ = p.stderr.SetReadDeadline(deadline)
}

// memory is what the process takes and does not share, with all that it has started, in bytes; 0 where that cannot be told.
func (p *process) memory() int64 {
	if !p.executes {
		return processMemory(p.pid)
	}
	if held := p.group.private(); held > 0 {
		return held
	}
	var sum int64
	for _, pid := range descendants(p.pid) {
		sum += processMemory(pid)
	}
	return sum
}

// reason is why the host ended the process, where it was for what the process did.
func (p *process) reason() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.why
}

// ending says how the process ended, for people.
func (p *process) ending() string {
	if why := p.reason(); why != "" {
		return "ended by the host: " + why
	}
	if p.signal != "" {
		return "killed by the signal " + p.signal
	}
	return fmt.Sprintf("exited with status %d", p.code)
}

// pipes makes the pipes of a process: its ends and ours.
func pipes() (theirs, ours [2]*os.File, err error) {
	for i := range ours {
		if ours[i], theirs[i], err = os.Pipe(); err != nil {
			closeAll(ours[:]...)
			closeAll(theirs[:]...)
			return theirs, ours, fmt.Errorf("make a pipe: %w", err)
		}
	}
	return theirs, ours, nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
