//go:build unix && !linux

package tool_test

import "syscall"

// alive reports whether the process runs.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
