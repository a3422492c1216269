package tool

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps a Ctrl-C in the host's console from the server.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// terminateGroup does nothing: Windows has no signal that asks a process to end, and its input has ended already.
func terminateGroup(*exec.Cmd) {}

// killGroup kills the server. Its children see the end of their pipes.
func killGroup(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
}
