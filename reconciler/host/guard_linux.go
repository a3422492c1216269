package host

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// guardPause is how often a process is looked at, where there are no more than guardMany. The more there are the less often,
	// since a look takes a tenth of a millisecond: all of them take a twentieth of a processor at most. One that has no control group and
	// has started hundreds takes more, half of a processor: memory that hundreds take is soon gone, so that they are looked at as often.
	guardPause = 250 * time.Millisecond
	guardMany  = 100
	// maxEntries is how many files and folders it may have in its private folder.
	maxEntries = 64
)

// guarded counts the processes that are looked at.
var guarded atomic.Int64

// guard ends the process when it takes more than the kernel's limits of a process can express.
func (p *process) guard(prog program) {
	guarded.Add(1)
	defer guarded.Add(-1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-p.exited
		cancel()
	}()
	for prog.sleep(ctx, guardPause*time.Duration(1+guarded.Load()/guardMany)) == nil {
		if used := p.resident(prog.limits.resident); used > prog.limits.resident {
			p.end(fmt.Sprintf("it held %d MiB of memory, and %d MiB is the most", used>>20, prog.limits.resident>>20))
		} else if entries(prog.dir) > maxEntries {
			p.end(fmt.Sprintf("it made more than %d files in its folder", maxEntries))
		}
	}
}

// resident is how many bytes of memory and swap the process takes. One that starts others and has no control group takes
// what they take, too. What they share counts once, which takes longer to find out: only where it might be more than most.
func (p *process) resident(most int) int {
	if !p.executes || p.isolation&Cgroup != 0 {
		return resident(p.pid)
	}
	all, sum, share := descendants(p.pid), 0, 0
	for _, pid := range all {
		sum += resident(pid)
	}
	if sum <= most || len(all) == 1 {
		return sum
	}
	for _, pid := range all {
		share += proportional(pid)
	}
	return share
}

// proportional is how many bytes of memory and swap a process takes, where each of those that share some takes its part; where that
// cannot be told, as if it shared nothing.
func proportional(pid int) int {
	parts := kibibytes(pid, "smaps_rollup", "Pss", "SwapPss")
	if parts == 0 {
		return resident(pid)
	}
	return parts + kibibytes(pid, "status", "VmPTE")
}

// resident is how many bytes of memory and swap a process takes, or 0 where that cannot be told.
func resident(pid int) int { return kibibytes(pid, "status", "VmRSS", "VmPTE", "VmSwap") }

// kibibytes adds up what a file of /proc says of a process in kB, and returns bytes.
func kibibytes(pid int, file string, names ...string) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0
	}
	sum := 0
	for line := range bytes.Lines(text) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if slices.Contains(names, string(name)) {
			kib, _ := strconv.Atoi(string(bytes.TrimSuffix(bytes.TrimSpace(value), []byte(" kB"))))
			sum += kib << 10
		}
	}
	return sum
}

// entries counts what is in the folder, up to a little more than is allowed.
func entries(dir string) int {
	n := -1 // the folder itself
	_ = filepath.WalkDir(dir, func(_ string, _ fs.DirEntry, err error) error {
		if n++; n > maxEntries || err != nil {
			return fs.SkipAll
		}
		return nil
	})
	return n
}

// preferred makes the process the first that the kernel ends when memory is short, so that it is not the host. An error
// means that the process is gone or that the system does not let us.
func preferred(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("1000"), 0)
}
