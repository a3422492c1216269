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
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_KCMP, unix.SYS_PIDFD_GETFD,
	unix.SYS_KILL, unix.SYS_TKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO, unix.SYS_PIDFD_SEND_SIGNAL,
	// The kernel.
	unix.SYS_BPF, unix.SYS_USERFAULTFD, unix.SYS_PERF_EVENT_OPEN, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
	unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME,
	unix.SYS_ADJTIMEX, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_SYSLOG, unix.SYS_PERSONALITY, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
	// Mounts, namespaces and files by other ways than their path.
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_OPEN_TREE,
	unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_MKNODAT, unix.SYS_FANOTIFY_INIT,
}

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

	perm   = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	nosys  = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	allow  = unix.SECCOMP_RET_ALLOW
	murder = unix.SECCOMP_RET_KILL_PROCESS
)

// restrictCalls puts a seccomp filter on this thread, and reports false where there is none for this architecture or
// kernel.
//
// The filter lets a process make threads but no other process, so that nothing can outlive it. The one process that this
// thread has to make itself passes by a number that the agent does not know: the upper half of clone's flags, which the
// kernel ignores and the filter sees. The returned flags carry it.
func restrictCalls() (cloneFlags uintptr, done bool, err error) {
	if arch == 0 {
		return 0, false, nil
	}
	var random [4]byte
	_, _ = rand.Read(random[:]) // it never fails
	secret := binary.LittleEndian.Uint32(random[:]) | 1
	filter := filter(secret)
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	switch errno {
	case 0:
		return uintptr(uint64(secret) << 32), true, nil
	case unix.ENOSYS, unix.EINVAL:
		return 0, false, nil
	}
	return 0, false, fmt.Errorf("apply seccomp: %w", errno)
}

func filter(secret uint32) []unix.SockFilter {
	statement := func(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }
	jump := func(code uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: code, Jt: yes, Jf: no, K: k}
	}
	p := []unix.SockFilter{
		statement(load, atArch), jump(ifEqual, arch, 1, 0), statement(answer, murder),
		statement(load, atCall),
		jump(ifAbove, 0x40000000, 0, 1), statement(answer, murder), // the x32 calls of amd64
	}
	for _, call := range slices.Concat(deniedCalls, archDenied) {
		p = append(p, jump(ifEqual, call, 0, 1), statement(answer, perm))
	}
	return append(p,
		// clone3 hides its flags behind a pointer: as if the kernel had none, libraries then use clone.
		jump(ifEqual, unix.SYS_CLONE3, 0, 1), statement(answer, nosys),
		// clone: threads, and the one process with the secret.
		jump(ifEqual, unix.SYS_CLONE, 0, 6),
		statement(load, atArg0H), jump(ifEqual, secret, 3, 0),
		statement(load, atArg0), jump(ifAnyBit, unix.CLONE_THREAD, 1, 0), statement(answer, perm), statement(answer, allow),
		// socket and socketpair: unix streams.
		jump(ifEqual, unix.SYS_SOCKET, 1, 0), jump(ifEqual, unix.SYS_SOCKETPAIR, 0, 7),
		statement(load, atArg0), jump(ifEqual, unix.AF_UNIX, 1, 0), statement(answer, perm),
		statement(load, atArg1), statement(mask, 0xf), jump(ifEqual, unix.SOCK_STREAM, 1, 0), statement(answer, perm),
		statement(answer, allow),
	)
}
