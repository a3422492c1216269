package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// process is one process of this machine. A pid alone may be given to another one later.
type process struct {
	pid, parent int
	started     string // in clock ticks since the machine started
	name        string
}

// processes reads /proc. Where there is none, as on macOS, nothing is known and the list is empty.
func processes() map[int]process {
	found := map[int]process{}
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // It has ended meanwhile.
		}
		// The name is in parentheses and may hold any character; what follows it does not.
		before, after, _ := strings.Cut(string(line), "(")
		end := strings.LastIndex(after, ")")
		if end < 0 {
			continue
		}
		rest := strings.Fields(after[end+1:])
		if len(rest) < 20 || rest[0] == "Z" {
			continue
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(before))
		parent, _ := strconv.Atoi(rest[1])
		found[pid] = process{pid: pid, parent: parent, started: rest[19], name: after[:end]}
	}
	return found
}

// family returns a process and all that descend from it.
func family(pid int) []process {
	all := processes()
	var found []process
	for _, p := range all {
		for at := p; ; at = all[at.parent] {
			if at.pid == pid {
				found = append(found, p)
			}
			if at.pid == pid || at.parent == 0 {
				break
			}
		}
	}
	return found
}

// left is where a story keeps the processes that must be gone.
type left struct{ processes []process }

type leftKey struct{}

// terminate [KILL] sends SIGTERM, or SIGKILL, to the programs in the background, and remembers them and their children for
// `gone`.
func terminate(ts *testscript.TestScript, neg bool, args []string) {
	signal := syscall.SIGTERM
	if len(args) == 1 && args[0] == "KILL" {
		signal, args = syscall.SIGKILL, nil
	}
	usage(ts, !neg && len(args) == 0, "terminate [KILL]")
	l := ts.Value(leftKey{}).(*left)
	l.processes = nil
	for _, cmd := range ts.BackgroundCmds() {
		l.processes = append(l.processes, family(cmd.Process.Pid)...)
		ts.Check(cmd.Process.Signal(signal))
	}
}

// gone checks that no process is left of those that `terminate` has ended. What the kernel ends takes a moment.
func gone(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 0, "gone")
	deadline := time.Now().Add(2 * time.Second)
	for _, p := range ts.Value(leftKey{}).(*left).processes {
		for now, ok := processes()[p.pid]; ok && now.started == p.started; now, ok = processes()[p.pid] {
			if time.Now().After(deadline) {
				ts.Fatalf("process %d (%s) is still there", p.pid, p.name)
			}
			time.Sleep(10 * time.Millisecond) // Polling; the deadline decides.
		}
	}
}
