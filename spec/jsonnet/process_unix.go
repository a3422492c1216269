//go:build unix

package jsonnet

import (
	"os"
	"os/exec"
	"syscall"
)

// killGroup kills the child and what it may have started, before it is waited for: later its number may be another's.
func killGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}

// killed reports whether a process was killed, as the system does where it used up its processor time or the memory of
// the machine.
func killed(state *os.ProcessState) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && (status.Signal() == syscall.SIGXCPU || status.Signal() == syscall.SIGKILL)
}
