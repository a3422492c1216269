package jsonnet

import "syscall"

// ownGroup puts the child into a process group of its own, and lets it end with its parent.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
