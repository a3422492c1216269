package host

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// launch starts a process behind all walls that can be had here.
//
// Landlock and seccomp bind a thread and what it starts, so a thread of its own puts on both, starts the process, and
// waits for it: the parent-death signal fires when that thread ends, not the host. The thread is never used for anything
// else and ends with the process.
func launch(prog program) (*process, error) {
	theirs, ours, err := pipes()
	if err != nil {
		return nil, err
	}
	p := &process{stdout: ours[0], stderr: ours[1], exited: make(chan struct{}), executes: len(prog.exec) > 0}
	started := make(chan error)
	over, reap, reaped := make(chan struct{}), make(chan struct{}), make(chan struct{})
	onOwnThread(func() {
		err := p.start(prog, theirs)
		closeAll(theirs[:]...)
		started <- err
		if p.pid == 0 {
			return
		}
		p.awaitExit()
		close(over)
		<-reap
		p.reap()
		close(reaped)
	})
	err = <-started
	if p.pid == 0 {
		p.group.remove(prog.sleep)
		closeAll(ours[:]...)
		return nil, err
	}
	go func() {
		// The leader is a zombie now, so its number is still its own. The sandboxed thread may not send signals.
		<-over
		p.kill()
		close(reap)
		<-reaped
		if p.signal == "SIGKILL" && p.group.starved() {
			p.blame(fmt.Sprintf("it wanted more memory than the %d MiB that are the most", prog.limits.resident>>20))
		}
		p.group.remove(prog.sleep)
		if os.Getpid() == 1 {
			p.bury(prog)
		}
		close(p.exited)
		p.unblock()
	}()
	if err != nil {
		p.kill()
		<-p.exited
		closeAll(ours[:]...)
		return nil, err
	}
	preferred(p.pid)
	go p.guard(prog)
	return p, nil
}

// onOwnThread runs f on a thread that has started no other process, and that ends with f: it is not fit for other goroutines any more.
// Those that an earlier goroutine of the thread has started would be waited for as if they were f's, and whoever started them would
// never hear how they ended.
func onOwnThread(f func()) {
	var try func(found chan<- struct{})
	try = func(found chan<- struct{}) {
		runtime.LockOSThread()
		if childless() {
			close(found)
			f()
			return // It stays locked.
		}
		next := make(chan struct{})
		go try(next)
		<-next // Kept until then, or the next one might get it again.
		close(found)
		runtime.UnlockOSThread()
	}
	go try(make(chan struct{}))
}

// childless reports whether this thread has no process to wait for. Where the kernel does not tell threads apart, none is waited for
// but the own one.
func childless() bool {
	return unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WNOTHREAD, nil) != nil
}

// start runs on the thread that is given up. Where it fails with a pid, the process is there and has to be ended.
func (p *process) start(prog program, theirs [2]*os.File) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	defer null.Close()
	attr := &syscall.ProcAttr{
		Dir: prog.dir, Env: prog.env,
		Files: []uintptr{null.Fd(), theirs[0].Fd(), theirs[1].Fd()},
		// A session of its own is a process group of its own, without the host's terminal.
		// One that may start others is held before its first instruction, until it is bounded.
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Ptrace: p.executes},
	}
	noGroup := prog.noCgroups
	if prog.without&Cgroup == 0 && prog.cgroups != nil {
		if p.group, noGroup = prog.cgroups.add(prog.limits); noGroup == nil {
			p.isolation |= Cgroup
		}
		defer p.group.leave()
	}
	if prog.uid >= 0 {
		attr.Sys.Credential = &syscall.Credential{Uid: uint32(prog.uid), Gid: uint32(prog.uid), Groups: []uint32{}}
		p.isolation |= UID
	} else if err := dropCapabilities(); err != nil {
		return err
	}
	if err := noNewPrivileges(); err != nil {
		return err
	}
	if prog.without&Landlock == 0 {
		walled, err := restrictFiles(prog)
		if err != nil {
			return err
		}
		if walled {
			p.isolation |= Landlock
		}
	}
	var secret uintptr
	if prog.without&Seccomp == 0 {
		var walled bool
		if secret, walled, err = restrictCalls(p.executes); err != nil {
			return err
		}
		if walled {
			p.isolation |= Seccomp
		}
	}
	if missing := prog.require &^ (p.isolation | Namespaces); missing != 0 {
		e := &MissingError{Required: prog.require, Missing: missing}
		if missing&Cgroup != 0 {
			e.Reason = noGroup
		}
		return e
	}
	if missing := (Landlock | Seccomp) &^ p.isolation; p.executes && missing != 0 {
		return &MissingError{Exec: true, Missing: missing}
	}
	if p.pid, err = p.execute(prog, attr, secret); err != nil {
		return err
	}
	if p.executes {
		if err := p.held(); err != nil {
			return err
		}
	}
	if p.isolation&Cgroup != 0 && !attr.Sys.UseCgroupFD {
		// As with the limits, the program has run for microseconds; behind the filter it cannot have made a process meanwhile.
		if err := p.group.take(p.pid); err != nil && prog.require&Cgroup != 0 {
			return &MissingError{Required: prog.require, Missing: Cgroup, Reason: err}
		} else if err != nil {
			p.isolation &^= Cgroup
			noGroup = err
		}
	}
	if err := limit(int(secret)|p.pid, prog, p.isolation); err != nil || !p.executes {
		return err
	}
	if !p.bounded() {
		return &MissingError{Exec: true, Missing: Cgroup | Namespaces, Reason: noGroup}
	}
	return release(int(secret) | p.pid)
}

// bounded says whether all that the process starts goes with it and shares its limits. The number of root's tasks is limited by
// nothing but a control group.
func (p *process) bounded() bool {
	return p.isolation&Cgroup != 0 || p.isolation&Namespaces != 0 && (p.isolation&UID != 0 || os.Geteuid() != 0)
}

// held waits until the process, which this thread traces, has become the program and stands before its first instruction, see
// ptrace(2).
func (p *process) held() error {
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(p.pid, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("hold the process: %w", err)
		case !status.Stopped():
			p.mu.Lock()
			defer p.mu.Unlock()
			p.ended(status)
			return errors.New("hold the process: it ended before it was bounded")
		}
		return nil
	}
}

// release lets a process go on that was held. The upper half of pid is the secret of restrictCalls.
func release(pid int) error {
	if err := unix.PtraceDetach(pid); err != nil {
		return fmt.Errorf("let the process go on: %w", err)
	}
	return nil
}

// execute starts the program in namespaces of its own, where they can be had.
func (p *process) execute(prog program, attr *syscall.ProcAttr, secret uintptr) (pid int, err error) {
	argv := append([]string{prog.path}, prog.args...)
	if p.isolation&Seccomp == 0 {
		p.group.bear(attr.Sys)
	}
	var refused error
	if prog.without&Namespaces == 0 && !noNamespaces.Load() {
		attr.Sys.Cloneflags = secret | namespaces
		if prog.uid < 0 { // Root makes them by its own right, and keeps none for the process.
			attr.Sys.Cloneflags |= unix.CLONE_NEWUSER
		}
		if pid, refused = fork(prog.path, argv, attr); refused == nil {
			p.isolation |= Namespaces
			return pid, nil
		}
	}
	if prog.require&Namespaces != 0 {
		return 0, &MissingError{Required: prog.require, Missing: Namespaces, Reason: refused}
	}
	if p.isolation&Seccomp != 0 {
		if err := install(noSignals()); err != nil {
			return 0, fmt.Errorf("apply seccomp: %w", err)
		}
	}
	attr.Sys.Cloneflags = secret
	if pid, err = fork(prog.path, argv, attr); err != nil {
		if p.executes && err == unix.EPERM {
			return 0, fmt.Errorf("execute %s: %w; one that may execute programs is held with ptrace until it is bounded, which this system must allow", prog.path, err)
		}
		return 0, fmt.Errorf("execute %s: %w", prog.path, err)
	}
	if refused == unix.EPERM || refused == unix.EINVAL || refused == unix.ENOSYS {
		noNamespaces.Store(true) // and not asked for again
	}
	return pid, nil
}

// fork starts a process, which is born in its control group where attr says so and that can be had.
func fork(path string, argv []string, attr *syscall.ProcAttr) (int, error) {
	if attr.Sys.UseCgroupFD {
		if pid, err := syscall.ForkExec(path, argv, attr); err == nil {
			return pid, nil
		}
		attr.Sys.UseCgroupFD = false // The kernel, or a filter, may not know clone3.
	}
	return syscall.ForkExec(path, argv, attr)
}

// namespaces are what a process has of its own, empty: processes, network interfaces and abstract sockets, System V IPC.
const namespaces = unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC

// noNamespaces says that this process may not make them.
var noNamespaces atomic.Bool

// dropCapabilities takes all rights beyond its user id's files from this thread. It matters where the host is root and
// has no other user id to give.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

func noNewPrivileges() error {
	// unix.Prctl is per thread, as is the setting.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return nil
}

// limit sets the limits of a process that has just been started. They cannot be set before, because they are the whole
// process's and not a thread's; the program has run for microseconds. The upper half of pid is the
// secret of restrictCalls.
func limit(pid int, prog program, walls Isolation) error {
	err := setLimits(pid, prog.limits, walls)
	if prog.uid < 0 || !errors.Is(err, unix.EPERM) {
		return err
	}
	// The limits of another user's process take a right that containers do not have. A process of the same real user
	// takes none, so this thread is of that user for a moment: the raw calls change one thread, the package's all.
	become := func(uid, gid int) error {
		const same = ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), same, same); errno != 0 {
			return fmt.Errorf("take the group %d: %w", gid, errno)
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), same, same); errno != 0 {
			return fmt.Errorf("take the user %d: %w", uid, errno)
		}
		return nil
	}
	own, ownGroup := os.Getuid(), os.Getgid()
	if err := become(prog.uid, prog.uid); err != nil {
		return err
	}
	return errors.Join(setLimits(pid, prog.limits, walls), become(own, ownGroup))
}

// setLimits leaves processor time alone: RLIMIT_CPU counts all the time of a process, and an agent's may live for months.
func setLimits(pid int, own limits, walls Isolation) error {
	type limit struct {
		resource int
		value    uint64
	}
	all := []limit{
		{unix.RLIMIT_NOFILE, maxFiles}, {unix.RLIMIT_DATA, own.data}, {unix.RLIMIT_STACK, maxStack},
		{unix.RLIMIT_FSIZE, 0}, {unix.RLIMIT_CORE, 0}, {unix.RLIMIT_MSGQUEUE, 0},
	}
	if walls&(UID|Namespaces) != 0 { // Else it would count the host's threads, and those of all that its user runs.
		all = append(all, limit{unix.RLIMIT_NPROC, own.tasks})
	}
	for _, l := range all {
		var old unix.Rlimit
		err := unix.Prlimit(pid, l.resource, nil, &old)
		if err == nil {
			value := min(l.value, old.Max, math.MaxInt64)
			err = unix.Prlimit(pid, l.resource, &unix.Rlimit{Cur: value, Max: value}, nil)
		}
		if err != nil && err != unix.ESRCH {
			return fmt.Errorf("limit resource %d of the process: %w", l.resource, err)
		}
	}
	return nil
}

// awaitExit returns when the process has ended, and leaves it unreaped. Besides, its threads can have themselves traced by this
// one, where they may: the kernel then keeps each that ends until it is waited for, and all of them with it, and stops those that get a
// signal, which ends the process.
func (p *process) awaitExit() {
	kind, id, options := unix.P_ALL, 0, unix.WEXITED|unix.WNOWAIT|unix.WNOTHREAD
	for {
		// As siginfo_t begins, see sigaction(2).
		var info struct {
			signo, errno, code int32
			_                  [unsafe.Sizeof(uintptr(0)) / 8]int32
			pid                int32
			_                  [128]byte
		}
		err := unix.Waitid(kind, id, (*unix.Siginfo)(unsafe.Pointer(&info)), options, nil)
		ended := info.code == cldExited || info.code == cldKilled || info.code == cldDumped
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EINVAL && kind == unix.P_ALL: // Before Linux 4.7 there is no such wait, nor a wall that would need it.
			kind, id, options = unix.P_PID, p.pid, unix.WEXITED|unix.WNOWAIT
			continue
		case err != nil || ended && int(info.pid) == p.pid:
			return
		case !ended:
			go p.end("it had itself traced, and was stopped") // This thread may send no signal.
		}
		// It is one of its threads: this one has started nothing else. An error means that someone else was told first, and there is no
		// one else.
		_, _ = syscall.Wait4(int(info.pid), nil, unix.WNOTHREAD|unix.WNOHANG, nil)
	}
}

// How a child has changed, see sigaction(2): else it was stopped.
const (
	cldExited = 1
	cldKilled = 2
	cldDumped = 3
)

func (p *process) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(p.pid, &status, 0, nil); err != syscall.EINTR {
			break
		}
	}
	if !p.reaped { // as one that was never let go on
		p.ended(status)
	}
}

// bury reaps what the process has started and left. Where the host is the first process of a container, and that of an agent has no
// namespace, these are the host's children, and no one else waits for them. They are known by the user that they share with no one.
func (p *process) bury(prog program) {
	if !p.executes || p.isolation&UID == 0 || p.isolation&Namespaces != 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for left := true; left; left = left && prog.sleep(ctx, time.Millisecond) == nil {
		left = false
		for _, pid := range children(os.Getpid()) {
			var stat unix.Stat_t
			if unix.Stat(fmt.Sprintf("/proc/%d", pid), &stat) == nil && int(stat.Uid) == prog.uid {
				reaped, _ := syscall.Wait4(pid, nil, unix.WNOHANG, nil)
				left = left || reaped != pid
			}
		}
	}
}

// ended notes how the process ended, and that there is none of its number any more. The caller holds the lock.
func (p *process) ended(status syscall.WaitStatus) {
	p.reaped = true
	p.code = status.ExitStatus()
	if status.Signaled() {
		p.signal = unix.SignalName(status.Signal())
	}
}

func killGroup(pid int) {
	// An error means that there is no one left to kill.
	_ = unix.Kill(-pid, unix.SIGKILL)
	_ = unix.Kill(pid, unix.SIGKILL)
}

// Harden keeps other processes of the same user, agents among them, from reading this process's environment and memory.
// The program calls it once, before it reads a secret. Core dumps end with it.
func Harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("make this process private: %w", err)
	}
	return nil
}
