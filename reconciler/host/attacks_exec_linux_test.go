package host_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// withExec begins the names of attacks by an agent that may execute one program, which is the test binary.
const withExec = "with isolation.exec: "

// What the test binary does as a program that an agent starts.
const (
	exit42      = "mainstay-test-exit-42"
	leaveBehind = "mainstay-test-leave-behind"
	eatMemory   = "mainstay-test-eat"
	attackAs    = "mainstay-test-attack"
)

// started by an agent, the test binary does one thing.
func program(args []string) bool {
	if len(args) < 2 {
		return false
	}
	switch args[1] {
	case exit42:
		os.Exit(42)
	case leaveBehind: // Its parent is gone when the other begins.
		_, err := syscall.ForkExec(args[0], []string{args[0], args[2]}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}})
		if err != nil {
			os.Exit(1)
		}
	case eatMemory:
		for range 4 { // Each by itself is within the limits.
			b, err := unix.Mmap(-1, 0, piece, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
			if err != nil {
				os.Exit(1)
			}
			for i := 0; i < len(b); i += 4 << 10 {
				b[i] = 1
			}
			if unix.Mprotect(b, unix.PROT_READ) != nil {
				os.Exit(1)
			}
		}
		time.Sleep(3 * time.Second)
	case attackAs:
		came := map[string]string{}
		for _, name := range args[3:] {
			outcome, err := attack(name + "|" + args[2])
			if err != nil {
				outcome = err.Error()
			}
			came[name] = outcome
		}
		_ = json.NewEncoder(os.Stdout).Encode(came) // The agent misses it where it cannot be written.
	default:
		return false
	}
	return true
}

// starter executes a program. It returns an error where that was refused, and else that it came to an end as it should.
type starter func(path string, args ...string) error

// become is for an agent that makes no processes.
func become(path string, args ...string) error { return syscall.Exec(path, args, nil) }

// spawn is for one that may.
func spawn(path string, args ...string) error {
	pid, err := syscall.ForkExec(path, args, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
	if err != nil {
		return err
	}
	status, err := await(pid)
	if err == nil && status.ExitStatus() != 42 {
		return fmt.Errorf("it was not permitted to begin, and ended with %d", status.ExitStatus())
	}
	return err
}

func await(pid int) (status syscall.WaitStatus, err error) {
	for {
		if _, err = syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			return status, err
		}
	}
}

// The ways to execute what may not be, by what they are called in the table.
var ways = map[string]func(starter) error{
	"another program": func(s starter) error { return s("/bin/sh", "sh", "-c", "exit 42") },
	"another program, through the loader": func(s starter) error {
		for _, loader := range []string{"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-aarch64.so.1"} {
			if _, err := os.Stat(loader); err == nil {
				return s(loader, loader, "/bin/sh", "-c", "exit 42")
			}
		}
		return unix.ENOSYS
	},
	"a memory file": func(s starter) error {
		fd, err := unix.MemfdCreate("x", 0)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), "x")
		defer f.Close()
		if err := copyItself(f); err != nil {
			return err
		}
		return s(fmt.Sprintf("/proc/self/fd/%d", fd), "x", exit42)
	},
	"a script in its folder": func(s starter) error {
		path := filepath.Join(os.TempDir(), "script")
		if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 42\n"), 0o700); err != nil {
			return err
		}
		return s(path, path)
	},
	"a copy in its folder": func(s starter) error {
		path := filepath.Join(os.TempDir(), "copy")
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o700)
		if err != nil {
			return err
		}
		if err := errors.Join(copyItself(f), f.Close()); err != nil {
			return err
		}
		return s(path, path, exit42)
	},
}

func copyItself(to io.Writer) error {
	self, err := os.Open(os.Args[0])
	if err != nil {
		return err
	}
	defer self.Close()
	_, err = io.Copy(to, self)
	return err
}

func init() {
	for what, way := range ways {
		attacks["become "+what] = func(prey) (string, error) { return "", way(become) }
		lasting["become "+what] = true
		attacks[withExec+"execute "+what] = func(prey) (string, error) { return "", way(spawn) }
	}
	attacks["have itself traced"] = traceItself
	lasting["have itself traced"] = true
	attacks[withExec+"have itself traced"] = traceItself
	attacks[withExec+"fork bomb"] = forkBomb
	attacks[withExec+"leave a grandchild behind"] = func(p prey) (string, error) {
		_, err := syscall.ForkExec(os.Args[0], []string{os.Args[0], leaveBehind, p.Mark}, nil)
		if err == nil {
			time.Sleep(200 * time.Millisecond) // so that it is there when the run ends
		}
		return "", err
	}
	attacks[withExec+"memory bomb: many processes"] = func(prey) (string, error) {
		var pids []int
		for range 4 { // which have few threads, so that these are not too many
			pid, err := syscall.ForkExec(os.Args[0], []string{os.Args[0], eatMemory}, &syscall.ProcAttr{Env: []string{"GOMAXPROCS=1"}})
			if err != nil {
				return "", err
			}
			pids = append(pids, pid)
		}
		for _, pid := range pids {
			status, err := await(pid)
			if err == nil && status.Signal() == unix.SIGKILL {
				return contained, nil
			}
			if err != nil || status.ExitStatus() != 0 {
				return "", fmt.Errorf("it ended with %d: %v", status.ExitStatus(), err)
			}
		}
		return "", nil
	}
	attacks[withExec+"make namespaces"] = func(prey) (string, error) {
		_, err := syscall.ForkExec(os.Args[0], []string{os.Args[0], exit42}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}})
		return "", err
	}
	attacks[withExec+"make a child of the host"] = func(prey) (string, error) {
		_, err := syscall.ForkExec(os.Args[0], []string{os.Args[0], exit42}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Cloneflags: unix.CLONE_PARENT}})
		return "", err
	}
	attacks["guess the number that opens the filter"] = func(prey) (string, error) {
		_, _, errno := unix.RawSyscall6(unix.SYS_PRLIMIT64, 12345<<32, unix.RLIMIT_NOFILE, 0, 0, 0, 0)
		return "", asError(errno)
	}
	lasting["guess the number that opens the filter"] = true
}

// traceItself makes the host the tracer of some threads, of which half stop at once.
func traceItself(prey) (string, error) {
	traced := make(chan error)
	for i := range 8 {
		go func() {
			runtime.LockOSThread()
			_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0, 0, 0, 0)
			traced <- asError(errno)
			if i%2 == 0 {
				time.Sleep(50 * time.Millisecond)
				_ = unix.Tgkill(os.Getpid(), syscall.Gettid(), unix.SIGURG)
			}
			select {}
		}()
		if err := <-traced; err != nil {
			return "", err
		}
	}
	return linger()
}

// execute runs a program that the agent finds in its PATH, with the environment that it has: none.
func execute(name string, args ...string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	cmd := exec.Command(path, args...)
	cmd.Env = []string{}
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return string(out), err
}
