//go:build unix && !linux

package jsonnet

import "syscall"

// ownGroup puts the child into a process group of its own. Where the parent ends, so does the child's input.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
