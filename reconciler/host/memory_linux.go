package host

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// machineMemory is what this machine, or the control group that this process is in, has, in bytes.
func machineMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return defaultMemory
	}
	all := int64(info.Totalram) * int64(info.Unit)
	// Where control groups are a namespace, as in a container, the own one is at the root.
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if b, err := os.ReadFile(file); err == nil {
			if limit, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64); err == nil && limit > 0 {
				all = min(all, limit)
			}
		}
	}
	return all
}

// maxDescendants is how many processes are looked at together with the one that started them.
const maxDescendants = 1024

// descendants are a process and those that it has started, and those that these have, see proc_tid_children(5). One whose
// parent has ended is among them where the process is the first of a namespace.
func descendants(pid int) []int {
	all := []int{pid}
	for i := 0; i < len(all) && len(all) < maxDescendants; i++ {
		all = append(all, children(all[i])...)
	}
	return all
}

// children are what a process has started, and in the first process of a namespace those whose parents have ended.
func children(pid int) (all []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for field := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// processMemory is what a process takes and does not share, in bytes; 0 where it is gone.
func processMemory(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, resident, shared int64
	if _, err := fmt.Sscan(string(b), &size, &resident, &shared); err != nil {
		return 0
	}
	return (resident - shared) * int64(os.Getpagesize())
}
