package host

import (
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// canSwitchUser says whether this process may start others as other users, and own their files.
func canSwitchUser() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if os.Geteuid() != 0 || unix.Capget(&header, &data[0]) != nil {
		return false
	}
	const needed = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_KILL
	return data[0].Effective&needed == needed
}

// executesIn says whether files in the folder may be executed.
func executesIn(path string) bool {
	var stat unix.Statfs_t
	return unix.Statfs(path, &stat) == nil && stat.Flags&unix.ST_NOEXEC == 0
}

// ours says whether the folder is this user's, so that no one else can have prepared it.
func ours(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.IsDir() && int(stat.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
}

// keepFiles keeps the files that this process was started with, such as the socket of a service, from those that it starts: the ones that
// it opens itself are kept from them anyway.
func keepFiles() {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}
