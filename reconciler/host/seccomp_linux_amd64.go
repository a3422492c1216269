package host

import "golang.org/x/sys/unix"

const arch = unix.AUDIT_ARCH_X86_64

// archDenied are the denied calls that only this architecture has, archIgnored the ignored ones, and archForks those that start a process.
var (
	archDenied = []uint32{unix.SYS_MKNOD, unix.SYS_IOPL, unix.SYS_IOPERM,
		unix.SYS_CHOWN, unix.SYS_LCHOWN, unix.SYS_UTIME, unix.SYS_UTIMES, unix.SYS_FUTIMESAT}
	archIgnored = []uint32{unix.SYS_CHMOD}
	archForks   = []uint32{unix.SYS_FORK, unix.SYS_VFORK}
)
