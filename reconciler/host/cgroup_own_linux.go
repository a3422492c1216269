package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ownGroups returns the folders of the groups that a process is in, by their controllers; "" is that of version 2. It reads what
// /proc/PID/cgroup and /proc/PID/mountinfo hold, see cgroups(7) and proc_pid_mountinfo(5).
func ownGroups(cgroup, mountinfo string) map[string]string {
	paths := map[string]string{}
	for line := range strings.Lines(cgroup) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) < 3 {
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			paths[controller] = fields[2]
		}
	}
	own := map[string]string{}
	for line := range strings.Lines(mountinfo) {
		mount, system, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		of, what := strings.Fields(mount), strings.Fields(system)
		if len(of) < 5 || len(what) < 3 {
			continue
		}
		var holds []string
		switch what[0] {
		case "cgroup2":
			holds = []string{""}
		case "cgroup":
			holds = controllers
		}
		for _, controller := range holds {
			path, known := paths[controller]
			if !known || own[controller] != "" || controller != "" && !slices.Contains(strings.Split(what[2], ","), controller) {
				continue
			}
			beneath, err := filepath.Rel(unescape(of[3]), path)
			// Else it lies outside of what is mounted there, or of the control group namespace.
			if err == nil && filepath.IsLocal(beneath) && path == filepath.Clean(path) {
				own[controller] = filepath.Join(unescape(of[4]), beneath)
			}
		}
	}
	return own
}

// unescape undoes the octal escapes of mountinfo.
func unescape(path string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(path, `\`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		path = after
		if len(after) >= 3 {
			if code, err := strconv.ParseUint(after[:3], 8, 8); err == nil {
				b.WriteByte(byte(code))
				path = after[3:]
				continue
			}
		}
		b.WriteByte('\\')
	}
}

// offers says whether a group of version 2 has the controllers.
func offers(dir string) bool {
	text, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	has := strings.Fields(string(text))
	return !slices.ContainsFunc(controllers, func(c string) bool { return !slices.Contains(has, c) })
}

// delegated has the host's own group of version 2 bound groups beneath it, and returns it. A group that does so must have no
// process itself, so the host, and what it has started, move into a group beneath.
func delegated(own string) (string, error) {
	if filepath.Base(own) == hostLeaf {
		own = filepath.Dir(own)
	}
	enable := func() error { return put(own, "cgroup.subtree_control", "+cpu +memory +pids") }
	err := enable()
	if errors.Is(err, unix.EBUSY) {
		if err = moveDown(own); err == nil {
			err = enable()
		}
	}
	if err != nil {
		return "", fmt.Errorf("have the host's control group bound others: %w", err)
	}
	return own, nil
}

// moveDown moves the host and what it has started from their group to one beneath. With others there it moves no one.
func moveDown(own string) error {
	leaf := filepath.Join(own, hostLeaf)
	for range 10 { // while what is started meanwhile is there again
		pids := processesIn(own)
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if !startedBy(pid, os.Getpid()) {
				return fmt.Errorf("%s has other processes than this (%d): run mainstay as a service with Delegate=yes, or in a container of its own", own, pid)
			}
		}
		if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		for _, pid := range pids {
			if err := put(leaf, "cgroup.procs", strconv.Itoa(pid)); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}

// startedBy says whether a process is another one or a descendant of it, or is gone.
func startedBy(pid, ancestor int) bool {
	for pid > 1 {
		if pid == ancestor {
			return true
		}
		fields := processStat(pid)
		if fields == nil {
			return true
		}
		pid, _ = strconv.Atoi(fields[1])
	}
	return pid == ancestor
}

// processBegan is when a process began, in ticks since the machine did, or 0 where there is none.
func processBegan(pid int) uint64 {
	fields := processStat(pid)
	if fields == nil {
		return 0
	}
	began, _ := strconv.ParseUint(fields[19], 10, 64)
	return began
}

// processStat are the fields of /proc/PID/stat that follow the program's name, see proc_pid_stat(5); nil where there is none.
func processStat(pid int) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	end := strings.LastIndexByte(string(text), ')')
	if end < 0 {
		return nil
	}
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 20 {
		return nil
	}
	return fields
}
