package host

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// deniedCalls answer EPERM. An agent's process talks over the socket that it listens on and computes; it needs none.
var deniedCalls = []uint32{
	// Reaching out, and around the filter.
	unix.SYS_CONNECT, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	// Other processes.
	unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_KCMP, unix.SYS_PIDFD_GETFD,
	unix.SYS_TKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO, unix.SYS_PIDFD_SEND_SIGNAL,
	unix.SYS_SETPRIORITY, unix.SYS_IOPRIO_SET, unix.SYS_SCHED_SETAFFINITY, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_SETSCHEDULER,
	unix.SYS_SCHED_SETATTR, unix.SYS_MIGRATE_PAGES, unix.SYS_MOVE_PAGES, unix.SYS_PROCESS_MADVISE, unix.SYS_PROCESS_MRELEASE,
	// Memory and space that the limits of a process do not count.
	unix.SYS_MEMFD_CREATE, unix.SYS_MEMFD_SECRET, unix.SYS_SHMGET, unix.SYS_SHMAT, unix.SYS_SHMCTL, unix.SYS_MSGGET, unix.SYS_SEMGET,
	unix.SYS_MQ_OPEN, unix.SYS_FALLOCATE, unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_FSETXATTR, unix.SYS_SETXATTRAT,
	// The kernel.
	unix.SYS_BPF, unix.SYS_USERFAULTFD, unix.SYS_PERF_EVENT_OPEN, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
	unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME,
	unix.SYS_ADJTIMEX, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD, unix.SYS_SYSLOG, unix.SYS_PERSONALITY, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
	// Mounts, namespaces and files by other ways than their path.
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_OPEN_TREE,
	unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_MKNODAT, unix.SYS_FANOTIFY_INIT,
	// What Landlock knows nothing of, though the files of the host's user may be this process's own: their owners, times and attributes, and what
	// happens to them. Before version 3 it does not know that files can be cut, either.
	unix.SYS_FCHOWN, unix.SYS_FCHOWNAT, unix.SYS_UTIMENSAT, unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR, unix.SYS_FREMOVEXATTR,
	unix.SYS_REMOVEXATTRAT, unix.SYS_FILE_SETATTR, unix.SYS_INOTIFY_ADD_WATCH, unix.SYS_TRUNCATE,
}

// ignoredCalls do nothing, and answer that they have. Landlock knows nothing of modes either, but runtimes set that of their socket, which
// lies in a folder that lets no one else in.
var ignoredCalls = []uint32{unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2}

// The words of a classic BPF program over struct seccomp_data. All architectures here are little-endian, so the lower
// half of an argument comes first.
const (
	load     = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	ifEqual  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	ifAbove  = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	ifAnyBit = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	mask     = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	answer   = unix.BPF_RET | unix.BPF_K

	atCall  = 0
	atArch  = 4
	atArg0  = 16
	atArg0H = 20
	atArg1  = 24
	atArg1H = 28
	atArg2  = 32
	atArg3  = 40

	fioSetOwn = 0x8901 // FIOSETOWN of asm-generic/sockios.h

	perm   = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	nosys  = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	ignore = unix.SECCOMP_RET_ERRNO // of no error
	allow  = unix.SECCOMP_RET_ALLOW
	murder = unix.SECCOMP_RET_KILL_PROCESS
)

// restrictCalls puts a seccomp filter on this thread, and reports false where there is none for this architecture or
// kernel.
//
// The filter lets a process make threads but no other process, so that nothing can outlive it. The one process that this
// thread has to make itself, and limit, passes by a number that the agent does not know: the upper half of clone's flags and
// of prlimit's process id, which the kernel ignores and the filter sees. Who guesses wrong is ended. The returned secret is
// that half.
//
// One that may execute programs may make processes: without namespaces of their own, and not as the host's children. They
// have this filter, too.
func restrictCalls(executes bool) (secret uintptr, done bool, err error) {
	if arch == 0 {
		return 0, false, nil
	}
	var random [4]byte
	_, _ = rand.Read(random[:]) // it never fails
	half := binary.LittleEndian.Uint32(random[:])&^(1<<31) | 1
	if err := install(filter(half, executes)); err == unix.ENOSYS || err == unix.EINVAL {
		return 0, false, nil
	} else if err != nil {
		return 0, false, fmt.Errorf("apply seccomp: %w", err)
	}
	return uintptr(uint64(half) << 32), true, nil
}

// install adds a filter to those of this thread.
func install(filter []unix.SockFilter) error {
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return errno
	}
	return nil
}

func filter(secret uint32, executes bool) []unix.SockFilter {
	denied := slices.Concat(deniedCalls, archDenied)
	rules := slices.Concat(processRules(secret, executes), callRules(secret))
	if !executes {
		denied = slices.Concat(denied, archForks)
	}
	p := []unix.SockFilter{
		statement(load, atArch), jump(ifEqual, arch, 1, 0), statement(answer, murder),
		statement(load, atCall),
		jump(ifAbove, 0x40000000, 0, 1), statement(answer, murder), // the x32 calls of amd64
	}
	for _, call := range denied {
		p = append(p, jump(ifEqual, call, 0, 1), statement(answer, perm))
	}
	for _, call := range slices.Concat(ignoredCalls, archIgnored) {
		p = append(p, jump(ifEqual, call, 0, 1), statement(answer, ignore))
	}
	// clone3 hides its flags behind a pointer: as if the kernel had none, libraries then use clone.
	p = append(p, jump(ifEqual, unix.SYS_CLONE3, 0, 1), statement(answer, nosys))
	for _, rule := range rules {
		for i, call := range rule.calls {
			yes, no := uint8(len(rule.calls)-1-i), uint8(0)
			if i == len(rule.calls)-1 {
				no = uint8(len(rule.body))
			}
			p = append(p, jump(ifEqual, call, yes, no))
		}
		p = append(p, rule.body...)
	}
	return append(p, statement(answer, allow))
}

// callRule says what is answered to calls by their arguments.
type callRule struct {
	calls []uint32
	body  []unix.SockFilter
}

// unlessSecret allows a call with the secret in one half of an argument. Of any other, test looks at what lies at a place and goes on
// to EPERM or jumps over it. The half is else 0, or of a negative number.
func unlessSecret(secret, half, at uint32, test unix.SockFilter) []unix.SockFilter {
	return []unix.SockFilter{
		statement(load, half), jump(ifEqual, secret, 6, 0), jump(ifEqual, 0, 2, 0), jump(ifEqual, ^uint32(0), 1, 0), statement(answer, murder),
		statement(load, at), test, statement(answer, perm), statement(answer, allow),
	}
}

// apart are the flags of clone by which a process would not be one like the others: in namespaces of its own, or as a child of
// the host.
const apart = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID |
	unix.CLONE_NEWNET | unix.CLONE_PARENT

// processRules are about other processes.
func processRules(secret uint32, executes bool) []callRule {
	if executes {
		return []callRule{
			{[]uint32{unix.SYS_CLONE}, unlessSecret(secret, atArg0H, atArg0, jump(ifAnyBit, apart, 0, 1))},
			// This thread traces the process that it starts, which asks for that. Whoever asks later is traced by one who may do no
			// more about it, and harms itself.
			{[]uint32{unix.SYS_PTRACE}, unlessSecret(secret, atArg1H, atArg0, jump(ifEqual, unix.PTRACE_TRACEME, 1, 0))},
			// Signals are only allowed in a process namespace of its own: see [noSignals].
		}
	}
	return []callRule{
		// Threads, and the one process with the secret.
		{[]uint32{unix.SYS_CLONE}, unlessSecret(secret, atArg0H, atArg0, jump(ifAnyBit, unix.CLONE_THREAD, 1, 0))},
		{[]uint32{unix.SYS_PTRACE}, []unix.SockFilter{statement(answer, perm)}},
		// Nothing signals a process, but the first process of a namespace itself: see [noSignals].
		{[]uint32{unix.SYS_KILL}, []unix.SockFilter{
			statement(load, atArg0), jump(ifEqual, 1, 1, 0), statement(answer, perm), statement(answer, allow),
		}},
	}
}

// callRules are about anything else.
func callRules(secret uint32) []callRule {
	return []callRule{
		// Unix streams.
		{[]uint32{unix.SYS_SOCKET, unix.SYS_SOCKETPAIR}, []unix.SockFilter{
			statement(load, atArg0), jump(ifEqual, unix.AF_UNIX, 1, 0), statement(answer, perm),
			statement(load, atArg1), statement(mask, 0xf), jump(ifEqual, unix.SOCK_STREAM, 1, 0), statement(answer, perm),
			statement(answer, allow),
		}},
		// Go moves its goroutines with SIGURG, which does nothing to others. Which process a thread belongs to is not known yet.
		{[]uint32{unix.SYS_TGKILL}, []unix.SockFilter{
			statement(load, atArg2), jump(ifEqual, uint32(unix.SIGURG), 1, 0), statement(answer, perm), statement(answer, allow),
		}},
		// A file that signals whoever it is told to.
		{[]uint32{unix.SYS_FCNTL}, []unix.SockFilter{
			statement(load, atArg1), jump(ifEqual, unix.F_SETOWN, 2, 0), jump(ifEqual, unix.F_SETOWN_EX, 1, 0), jump(ifEqual, unix.F_SETSIG, 0, 1),
			statement(answer, perm), statement(answer, allow),
		}},
		{[]uint32{unix.SYS_IOCTL}, []unix.SockFilter{
			statement(load, atArg1), jump(ifEqual, fioSetOwn, 1, 0), jump(ifEqual, unix.SIOCSPGRP, 0, 1),
			statement(answer, perm), statement(answer, allow),
		}},
		// It ends with the host, and cannot choose not to.
		{[]uint32{unix.SYS_PRCTL}, []unix.SockFilter{
			statement(load, atArg0), jump(ifEqual, unix.PR_SET_PDEATHSIG, 0, 3),
			statement(load, atArg1), jump(ifEqual, uint32(unix.SIGKILL), 1, 0), statement(answer, perm), statement(answer, allow),
		}},
		// Its own limits, which cannot grow, and with the secret those that this thread sets.
		{[]uint32{unix.SYS_PRLIMIT64}, unlessSecret(secret, atArg0H, atArg0, jump(ifEqual, 0, 1, 0))},
		// No memory that is shared and in no file: no limit counts it.
		{[]uint32{unix.SYS_MMAP}, []unix.SockFilter{
			statement(load, atArg3), jump(ifAnyBit, unix.MAP_ANONYMOUS, 0, 2), jump(ifAnyBit, unix.MAP_SHARED, 0, 1),
			statement(answer, perm), statement(answer, allow),
		}},
	}
}

// noSignals is the further filter for a process that has no process namespace of its own. Go's runtime has a new process whose
// parent is out of its sight kill itself (the kernel does not let it), so the filter above must allow that call.
func noSignals() []unix.SockFilter {
	return []unix.SockFilter{
		statement(load, atCall), jump(ifEqual, unix.SYS_KILL, 0, 1), statement(answer, perm), statement(answer, allow),
	}
}

func statement(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }

func jump(code uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: code, Jt: yes, Jf: no, K: k}
}
