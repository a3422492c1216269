package host

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"syscall"

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
	p := &process{stdout: ours[0], stderr: ours[1], exited: make(chan struct{})}
	started := make(chan error)
	over, reap := make(chan struct{}), make(chan struct{})
	go func() {
		runtime.LockOSThread() // and never unlock: the thread is not fit for other goroutines any more
		err := p.start(prog, theirs)
		closeAll(theirs[:]...)
		started <- err
		if p.pid == 0 {
			return
		}
		awaitExit(p.pid)
		close(over)
		<-reap
		p.reap()
		close(p.exited)
	}()
	err = <-started
	if p.pid == 0 {
		closeAll(ours[:]...)
		return nil, err
	}
	go func() {
		// The leader is a zombie now, so its number is still its own. The sandboxed thread may not send signals.
		<-over
		p.kill()
		close(reap)
		<-p.exited
		p.unblock()
	}()
	if err != nil {
		p.kill()
		<-p.exited
		closeAll(ours[:]...)
		return nil, err
	}
	return p, nil
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
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
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
	walled, err := restrictFiles(prog)
	if err != nil {
		return err
	}
	if walled {
		p.isolation |= Landlock
	}
	cookie, walled, err := restrictCalls()
	if err != nil {
		return err
	}
	if walled {
		p.isolation |= Seccomp
		attr.Sys.Cloneflags = cookie
	}
	pid, err := syscall.ForkExec(prog.path, append([]string{prog.path}, prog.args...), attr)
	if err != nil {
		return fmt.Errorf("execute %s: %w", prog.path, err)
	}
	p.pid = pid
	return limit(pid, prog.uid)
}

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
// process's and not a thread's; the program has run for microseconds.
func limit(pid, uid int) error {
	if uid < 0 {
		return setLimits(pid, false)
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
	if err := become(uid, uid); err != nil {
		return err
	}
	return errors.Join(setLimits(pid, true), become(own, ownGroup))
}

func setLimits(pid int, ownUID bool) error {
	limits := []struct {
		resource int
		value    uint64
	}{{unix.RLIMIT_NOFILE, maxFiles}, {unix.RLIMIT_DATA, maxData}, {unix.RLIMIT_FSIZE, maxFileSize}, {unix.RLIMIT_CORE, 0}}
	if ownUID {
		limits = append(limits, struct {
			resource int
			value    uint64
		}{unix.RLIMIT_NPROC, maxTasks})
	}
	for _, l := range limits {
		var old unix.Rlimit
		err := unix.Prlimit(pid, l.resource, nil, &old)
		if err == nil {
			value := min(l.value, old.Max, math.MaxInt64)
			err = unix.Prlimit(pid, l.resource, &unix.Rlimit{Cur: value, Max: value}, nil)
		}
		if err != nil && err != unix.ESRCH {
			return fmt.Errorf("limit resource %d of process %d: %w", l.resource, pid, err)
		}
	}
	return nil
}

// awaitExit returns when the process has ended, and leaves it unreaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

func (p *process) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(p.pid, &status, 0, nil); err != syscall.EINTR {
			break
		}
	}
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
