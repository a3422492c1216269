//go:build unix

package plugintest

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the process the leader of a group: what it starts can be ended with it, and Ctrl-C is ours to handle.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup ends the process and what it has started.
func killGroup(cmd *exec.Cmd) {
	// An error means that there is no one left to kill.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Process.Kill()
}
