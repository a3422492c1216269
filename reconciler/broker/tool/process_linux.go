package tool

import "syscall"

// ownGroup puts the server into a process group of its own, and lets it die with its host.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
