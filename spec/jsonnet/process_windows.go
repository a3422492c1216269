package jsonnet

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup keeps a Ctrl-C in the console from the child.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

func killGroup(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
}

// killed reports nothing: no limit of the system holds for the child.
func killed(*os.ProcessState) bool { return false }
