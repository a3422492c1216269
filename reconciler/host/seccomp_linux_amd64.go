package host

import "golang.org/x/sys/unix"

const arch = unix.AUDIT_ARCH_X86_64

// archDenied are the denied calls that only this architecture has, and archForks those among them that start a process.
var (
	archDenied = []uint32{unix.SYS_MKNOD, unix.SYS_IOPL, unix.SYS_IOPERM}
	archForks  = []uint32{unix.SYS_FORK, unix.SYS_VFORK}
)
