package host

import "golang.org/x/sys/unix"

const arch = unix.AUDIT_ARCH_AARCH64

// archDenied are the denied calls that only this architecture has, archIgnored the ignored ones, and archForks those that start a process.
var archDenied, archIgnored, archForks []uint32
