package host

import "golang.org/x/sys/unix"

const arch = unix.AUDIT_ARCH_AARCH64

// archDenied are the denied calls that only this architecture has, and archForks those among them that start a process.
var archDenied, archForks []uint32
