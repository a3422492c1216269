//go:build !linux

package host

import "os"

// canSwitchUser says that there is no user id for each agent on this system.
func canSwitchUser() bool { return false }

// executable is not asked where agents have no users of their own.
func executesIn(string) bool { return false }

// ours cannot tell on this system: a fresh folder is made instead.
func ours(os.FileInfo) bool { return false }

// keepFiles is for Linux.
func keepFiles() {}
