//go:build unix

package tool

import (
	"os/exec"
	"syscall"
)

// terminateGroup asks the server and its children to end. A group that is gone is fine.
func terminateGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
}

// killGroup kills the server and its children. A group that is gone is fine.
func killGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}
