//go:build unix && !linux

package tool

import "syscall"

// ownGroup puts the server into a process group of its own. Where the host is killed, the end of its input tells the
// server to end.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
