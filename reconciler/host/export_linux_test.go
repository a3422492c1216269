package host

import "golang.org/x/sys/unix"

// GuardPause is how often it is looked at what a process takes.
const GuardPause = guardPause

// OwnGroups reads the control groups of a process.
var OwnGroups = ownGroups

// LandlockABI is the version of Landlock that the kernel has, or 0.
func LandlockABI() int {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(version)
}

// Children are what a process has started.
var Children = children
