package host_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// prey is what an attacking agent goes for.
type prey struct {
	// Host and Agent are processes: a hardened host that holds a secret, and another agent. Doomed is one that may be killed.
	Host, Agent, Doomed int
	// Secret is a file of the host's user, Folder and Socket are the other agent's, and Open is a folder that anyone may
	// write to.
	Secret, Folder, Socket, Open string
	// Abstract is an abstract unix socket, TCP and UDP are addresses of this machine.
	Abstract, TCP, UDP string
	// Inherited is the number of a file that the host was started with.
	Inherited int
	// Mark is the argument by which a process that is left behind is known.
	Mark string
}

const mib, piece = 1 << 20, 16 << 20

// secret is what the file of the host's user holds.
const secret = "a secret of the host"

// The attacks, as the agent carries them out. Where one returns no error it came through, unless it says what became of it.
var attacks = map[string]func(prey) (string, error){
	"read the host's environment":        func(p prey) (string, error) { return read("/proc/%d/environ", p.Host) },
	"read the host's memory":             func(p prey) (string, error) { return read("/proc/%d/mem", p.Host) },
	"read the host's memory map":         func(p prey) (string, error) { return read("/proc/%d/maps", p.Host) },
	"read another agent's environment":   func(p prey) (string, error) { return read("/proc/%d/environ", p.Agent) },
	"read another agent's memory map":    func(p prey) (string, error) { return read("/proc/%d/maps", p.Agent) },
	"read another agent's memory":        func(p prey) (string, error) { return read("/proc/%d/mem", p.Agent) },
	"look at the host's open files":      func(p prey) (string, error) { return os.Readlink(fmt.Sprintf("/proc/%d/fd/0", p.Host)) },
	"look at another agent's open files": func(p prey) (string, error) { return os.Readlink(fmt.Sprintf("/proc/%d/fd/0", p.Agent)) },
	"read a file of the host":            func(p prey) (string, error) { return read("%s", p.Secret) },
	"list another agent's folder":        func(p prey) (string, error) { _, err := os.ReadDir(p.Folder); return "", err },
	"trace the host":                     func(p prey) (string, error) { return "", seize(p.Host) },
	"trace another agent":                func(p prey) (string, error) { return "", seize(p.Agent) },
	"outlive the host":                   func(prey) (string, error) { return "", unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0) },
	"cut a file of the host":             func(p prey) (string, error) { return "", unix.Truncate(p.Secret, int64(len(secret))) },
	"set the times of a file of the host": func(p prey) (string, error) {
		return "", os.Chtimes(p.Secret, time.Unix(0, 0), time.Unix(0, 0))
	},
	"set the mode of a file of the host": setMode,
	"read a file that the host inherited": func(p prey) (string, error) {
		_, err := unix.Pread(p.Inherited, make([]byte, 1), 0)
		return "", err
	},
	"watch a folder of the host":        watch,
	"process_vm_readv of the host":      func(p prey) (string, error) { return "", peek(p.Host) },
	"process_vm_readv of another agent": func(p prey) (string, error) { return "", peek(p.Agent) },
	"signal the host":                   func(p prey) (string, error) { return "", unix.Kill(p.Host, 0) },
	"signal another agent":              func(p prey) (string, error) { return "", unix.Kill(p.Agent, 0) },
	"signal everyone":                   func(prey) (string, error) { return "", unix.Kill(-1, 0) },
	"signal a thread of the host":       func(p prey) (string, error) { return "", unix.Tgkill(p.Host, p.Host, 0) },
	"have a file signal a process":      setOwner,
	"set the limits of another agent": func(p prey) (string, error) {
		return "", unix.Prlimit(p.Agent, unix.RLIMIT_NOFILE, nil, &unix.Rlimit{})
	},
	"lower the priority of another agent": func(p prey) (string, error) { return "", unix.Setpriority(unix.PRIO_PROCESS, p.Agent, 19) },
	"raise its own limits": func(prey) (string, error) {
		return "", unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 16, Max: 1 << 16})
	},
	"connect to another agent's socket": func(p prey) (string, error) { return dial("unix", p.Socket) },
	"connect to an abstract socket":     func(p prey) (string, error) { return dial("unix", p.Abstract) },
	"connect over TCP":                  func(p prey) (string, error) { return dial("tcp", p.TCP) },
	"send over UDP":                     func(p prey) (string, error) { return dial("udp", p.UDP) },
	"io_uring": func(prey) (string, error) {
		var params [120]byte
		_, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
		return "", asError(errno)
	},
	"leave a grandchild behind": func(p prey) (string, error) {
		_, err := syscall.ForkExec(os.Args[0], []string{os.Args[0], p.Mark}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}})
		return "", err
	},
	"fork bomb":               forkBomb,
	"thread bomb":             threadBomb,
	"hog the processors":      hogProcessors,
	"leave its control group": leaveGroup,
	"memory bomb: the heap": func(prey) (string, error) {
		return bomb(func() ([]byte, error) { return make([]byte, piece), nil })
	},
	"memory bomb: shared memory": func(prey) (string, error) {
		return bomb(func() ([]byte, error) {
			return unix.Mmap(-1, 0, piece, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
		})
	},
	"memory bomb: System V shared memory": func(prey) (string, error) { return bomb(systemV) },
	"memory bomb: pages that are read-only again": func(prey) (string, error) {
		var last []byte
		return bomb(func() ([]byte, error) {
			if last != nil {
				if err := unix.Mprotect(last, unix.PROT_READ); err != nil {
					return nil, err
				}
			}
			var err error
			last, err = unix.Mmap(-1, 0, piece, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
			return last, err
		})
	},
	"memory bomb: memfd": func(prey) (string, error) {
		fd, err := unix.MemfdCreate("x", 0)
		if err != nil {
			return "", err
		}
		return "", unix.Ftruncate(fd, mib)
	},
	"fill the disk: a large file": func(prey) (string, error) {
		return "", os.WriteFile(filepath.Join(os.TempDir(), "x"), make([]byte, mib), 0o600)
	},
	"fill the disk: reserved space": func(prey) (string, error) {
		f, err := os.Create(filepath.Join(os.TempDir(), "y"))
		if err != nil {
			return "", err
		}
		return "", unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, mib)
	},
	"fill the disk: many files": func(prey) (string, error) {
		for i := range 1000 {
			f, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprint(i)), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return "", err
			}
			f.Close()
		}
		return linger()
	},
	"fill the disk: outside its folder": func(p prey) (string, error) {
		f, err := os.OpenFile(filepath.Join(p.Open, fmt.Sprint(time.Now().UnixNano())), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			f.Close()
		}
		return "", err
	},
	"open files without end": func(prey) (string, error) {
		for range 4096 {
			if _, err := unix.Open("/dev/null", unix.O_RDONLY, 0); err != nil {
				return "", err
			}
		}
		return "", nil
	},
	"flood the log": func(prey) (string, error) {
		for range 400 {
			fmt.Fprintln(os.Stderr, strings.Repeat("x", 8<<10))
			fmt.Println(strings.Repeat("x", 8<<10))
		}
		return "contained", nil
	},
	"a message of 100 MB": func(prey) (string, error) { return strings.Repeat("x", 100_000_000), nil },
	"stop itself": func(prey) (string, error) {
		if err := unix.Tgkill(os.Getpid(), syscall.Gettid(), unix.SIGSTOP); err != nil {
			return "", err
		}
		time.Sleep(time.Second) // The signal takes effect as the call returns.
		return "", errors.New("no effect")
	},
	"ignore every signal": func(prey) (string, error) {
		signal.Ignore()
		select {}
	},
}

// A process's first thread is the one that is told of the host's end. An undying one would rather not know.
func init() {
	if len(os.Args) > 1 && os.Args[1] == "undying" {
		_ = unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0)
	}
}

// attack carries out `<attack>|<prey as JSON>`.
func attack(task string) (string, error) {
	name, text, _ := strings.Cut(task, "|")
	var p prey
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return "", err
	}
	return attacks[name](p)
}

func asError(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// setMode lets others read a file of the host.
func setMode(p prey) (string, error) {
	before, err := os.Stat(p.Secret)
	if err != nil {
		return "", err
	}
	if err := os.Chmod(p.Secret, before.Mode()^0o044); err != nil {
		return "", err
	}
	if after, err := os.Stat(p.Secret); err == nil && after.Mode() == before.Mode() {
		return contained, nil
	}
	return "", nil
}

// watch is told the names of what is made in a folder that it may not list.
func watch(p prey) (string, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	_, err = unix.InotifyAddWatch(fd, p.Open, unix.IN_CREATE)
	return "", err
}

func read(format string, what any) (string, error) {
	f, err := os.Open(fmt.Sprintf(format, what))
	if err != nil {
		return "", err
	}
	defer f.Close()
	_, err = f.Read(make([]byte, 16))
	if errors.Is(err, unix.EIO) { // Nothing is mapped at the start of memory, which could have been read.
		err = nil
	}
	return "", err
}

// seize traces a process without stopping it, until the thread that did so ends.
func seize(pid int) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0, 0, 0)
		done <- asError(errno)
	}()
	return <-done
}

func peek(pid int) error {
	var b [1]byte
	local := []unix.Iovec{{Base: &b[0], Len: 1}}
	_, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: 1, Len: 1}}, 0)
	if err == unix.EFAULT { // It could have read, but there is nothing.
		err = nil
	}
	return err
}

func dial(network, address string) (string, error) {
	conn, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_, err = conn.Write([]byte("x"))
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) { // It was connected, and that was all.
		err = nil
	}
	return "", err
}

// setOwner has the kernel send SIGKILL whenever something is written to a socket.
func setOwner(p prey) (string, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return "", err
	}
	for _, set := range [][2]int{{unix.F_SETOWN, p.Doomed}, {unix.F_SETSIG, int(unix.SIGKILL)}, {unix.F_SETFL, unix.O_ASYNC}} {
		if _, err := unix.FcntlInt(uintptr(fds[0]), set[0], set[1]); err != nil {
			return "", err
		}
	}
	_, err = unix.Write(fds[1], []byte("x"))
	return "", err
}

// forkBomb makes more processes than an agent may have, but no more: it runs on other people's machines.
func forkBomb(prey) (string, error) {
	for range 100 {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			return "", errno
		}
		if pid == 0 {
			for {
				unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
			}
		}
	}
	return "", nil
}

func threadBomb(prey) (string, error) {
	started := make(chan bool)
	for range 100 {
		go func() {
			runtime.LockOSThread()
			started <- true
			select {}
		}()
		<-started
	}
	return "", nil
}

// hogProcessors keeps every processor busy, and looks how far it came: to less than the time of one where it is bounded.
func hogProcessors(prey) (string, error) {
	before, err := processorTime()
	if err != nil {
		return "", err
	}
	began := time.Now()
	until := began.Add(500 * time.Millisecond)
	var busy sync.WaitGroup
	for range 2 * runtime.NumCPU() {
		busy.Go(func() {
			for time.Now().Before(until) {
			}
		})
	}
	busy.Wait()
	after, err := processorTime()
	if err == nil && after-before < time.Since(began)*6/10 {
		return contained, nil
	}
	return "", err
}

// processorTime is what this process has used.
func processorTime() (time.Duration, error) {
	var usage unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), err
}

// leaveGroup has this process enter the group above its own.
func leaveGroup(prey) (string, error) {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(groups)) {
		_, path, _ := strings.Cut(strings.TrimSpace(line), ":")
		controller, path, _ := strings.Cut(path, ":")
		if !strings.Contains(path, "mainstay-") {
			continue
		}
		procs := filepath.Join("/sys/fs/cgroup", controller, filepath.Dir(path), "../cgroup.procs")
		if controller == "" { // No process may be where groups are bounded: that of the host is beside them.
			procs = filepath.Join("/sys/fs/cgroup", filepath.Dir(path), "../mainstay.host/cgroup.procs")
		}
		if err = os.WriteFile(procs, []byte("0"), 0); err != nil {
			return "", err
		}
	}
	return "", err
}

func systemV() ([]byte, error) {
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, piece, 0o600)
	if err != nil {
		return nil, err
	}
	b, err := unix.SysvShmAttach(id, 0, 0)
	_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) // It goes with the process.
	return b, err
}

var eaten [][]byte

// bomb takes 320 MiB, more than it may have here, writes to all of it, and waits for what comes.
func bomb(take func() ([]byte, error)) (string, error) {
	for range 20 {
		piece, err := take()
		if err != nil {
			return "", err
		}
		for i := 0; i < len(piece); i += 4 << 10 {
			piece[i] = 1
		}
		eaten = append(eaten, piece)
	}
	return linger()
}

// linger gives whoever watches time to act.
func linger() (string, error) {
	time.Sleep(20 * time.Second)
	return "", nil
}
