package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cgroups is where a host makes control groups for its processes, beneath its own: of version 2
// (https://docs.kernel.org/admin-guide/cgroup-v2.html), or of version 1 where the controllers are mounted so.
//
// Nothing is weighed: the processes get equal shares of the processors' time, and all of them together one share
// beside the host.
type cgroups struct {
	v2 bool
	// dirs are the host's folders by their controller. In version 2 they are one.
	dirs map[string]string
	// own are the files by which a thread returns to the host's own groups, of version 1.
	own []*os.File
	// made counts the groups, to name them.
	made atomic.Int64
}

// controllers are what must be there for groups to be made. Processes are ended in the groups of the first, which keeps others from
// coming; then the groups of the others are empty, too.
var controllers = []string{"pids", "memory", "cpu"}

// hostLeaf is the name of the group that the host moves to where the kernel demands that it is in none with groups beneath it.
const hostLeaf = "mainstay.host"

// hosts counts the hosts of this process, to name their groups.
var hosts atomic.Int64

// newCgroups finds the host's own groups, and makes one of its own in them. The error says why it cannot.
func newCgroups() (_ *cgroups, err error) {
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("find the host's control group: %w", err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find the control groups: %w", err)
	}
	own := ownGroups(string(self), string(mounts))
	c := &cgroups{dirs: map[string]string{}}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if unified := own[""]; unified != "" && offers(unified) {
		parent, err := delegated(unified)
		if err != nil {
			return nil, err
		}
		c.v2 = true
		own = map[string]string{"cpu": parent, "memory": parent, "pids": parent}
	}
	name, err := hostGroup()
	if err != nil {
		return nil, err
	}
	for _, controller := range controllers {
		if own[controller] == "" {
			return nil, fmt.Errorf("the host is in no control group with the controller %s", controller)
		}
	}
	sweep(own)
	for _, controller := range controllers {
		parent := own[controller]
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) { // for controllers that are mounted together
			return nil, fmt.Errorf("make a control group: %w", err)
		}
		c.dirs[controller] = dir
		if c.v2 {
			continue
		}
		tasks, err := os.OpenFile(filepath.Join(parent, "tasks"), os.O_WRONLY, 0)
		if err != nil {
			return nil, fmt.Errorf("open the host's control group: %w", err)
		}
		c.own = append(c.own, tasks)
	}
	if c.v2 {
		if err := put(c.dirs["cpu"], "cgroup.subtree_control", "+cpu +memory +pids"); err != nil {
			return nil, fmt.Errorf("have a control group bound others: %w", err)
		}
	}
	return c, nil
}

// hostGroup is a name that says which process made the group, so that a later one knows whether it is still there. Numbers
// of processes mean something in their namespace only.
func hostGroup() (string, error) {
	namespace, err := pidNamespace()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("mainstay-%d-%d-%d-%d", namespace, os.Getpid(), processBegan(os.Getpid()), hosts.Add(1)), nil
}

func pidNamespace() (uint64, error) {
	var stat unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &stat); err != nil {
		return 0, fmt.Errorf("find the host's process namespace: %w", err)
	}
	return stat.Ino, nil
}

// sweep ends and removes what killed hosts have left in the host's own groups.
func sweep(own map[string]string) {
	namespace, err := pidNamespace()
	if err != nil {
		return
	}
	for _, controller := range controllers {
		left, _ := filepath.Glob(own[controller] + "/mainstay-*-*-*-*")
		for _, dir := range left {
			var in, began, n uint64
			var pid int
			if _, err := fmt.Sscanf(filepath.Base(dir), "mainstay-%d-%d-%d-%d", &in, &pid, &began, &n); err == nil && in == namespace && processBegan(pid) != began {
				removeHostGroup(dir)
			}
		}
	}
}

// removeHostGroup ends all processes in the groups beneath one, and removes it. What cannot be removed is left to the next start.
func removeHostGroup(dir string) {
	groups, _ := filepath.Glob(filepath.Join(dir, "[0-9]*"))
	for _, group := range groups {
		killAll(group)
		removeGroup(group, sleep)
	}
	_ = unix.Rmdir(dir)
}

// close removes the groups of a host whose processes are gone.
func (c *cgroups) close() {
	if c == nil {
		return
	}
	for _, controller := range controllers {
		if dir := c.dirs[controller]; dir != "" {
			removeHostGroup(dir)
		}
	}
	closeAll(c.own...)
}

// cgroup is the control group of one process and of all that it starts.
type cgroup struct {
	cgroups *cgroups
	name    string
	// procs takes processes in, and dir is its folder; of version 2, until the process is there.
	procs, dir *os.File
	// inside says that the thread that made the group is in it, of version 1.
	inside bool
}

// path is the group's folder that has the files of a controller.
func (g *cgroup) path(controller string) string {
	return filepath.Join(g.cgroups.dirs[controller], g.name)
}

// add makes a group with bounds. In version 1 the calling thread enters it, so that what it starts is born there, and must leave
// it.
func (c *cgroups) add(own limits) (_ *cgroup, err error) {
	g := &cgroup{cgroups: c, name: strconv.FormatInt(c.made.Add(1), 10)}
	defer func() {
		if err != nil {
			g.leave()
			g.remove(sleep)
		}
	}()
	for _, controller := range controllers {
		if err := unix.Mkdir(g.path(controller), 0o755); err != nil && err != unix.EEXIST {
			return nil, fmt.Errorf("make a control group: %w", err)
		}
	}
	for _, bound := range c.bounds(own) {
		err := put(g.path(bound.controller), bound.file, bound.value)
		if err != nil && !slices.Contains(bound.without, errors.Unwrap(err)) {
			return nil, fmt.Errorf("bound a control group: %w", err)
		}
	}
	if c.v2 {
		if g.procs, err = os.OpenFile(filepath.Join(g.path("pids"), "cgroup.procs"), os.O_WRONLY, 0); err == nil {
			g.dir, err = os.Open(g.path("pids"))
		}
		if err != nil {
			return nil, fmt.Errorf("open a control group: %w", err)
		}
		return g, nil
	}
	g.inside = true
	for _, controller := range controllers {
		if err := put(g.path(controller), "tasks", "0"); err != nil { // 0 is the calling thread.
			return nil, fmt.Errorf("enter a control group: %w", err)
		}
	}
	return g, nil
}

// bound is a setting of a group. It is done without where the system answers so.
type bound struct {
	controller, file, value string
	without                 []error
}

// cpuPeriod is the time in which a process may use up its [limits.cpu], in microseconds. It is what the kernel begins with.
const cpuPeriod = 100_000

func (c *cgroups) bounds(own limits) []bound {
	memory := strconv.Itoa(own.resident)
	tasks := strconv.FormatUint(own.tasks, 10)
	if c.v2 {
		return []bound{
			{"cpu", "cpu.max", fmt.Sprintf("%d %d", own.cpu, cpuPeriod), nil},
			{"memory", "memory.max", memory, nil},
			{"memory", "memory.swap.max", "0", []error{unix.ENOENT}},
			{"memory", "memory.oom.group", "1", []error{unix.ENOENT}},
			{"pids", "pids.max", tasks, nil},
		}
	}
	return []bound{
		// EINVAL: all processes together may have less than that.
		{"cpu", "cpu.cfs_quota_us", strconv.Itoa(own.cpu), []error{unix.EINVAL}},
		{"memory", "memory.limit_in_bytes", memory, nil},
		{"memory", "memory.memsw.limit_in_bytes", memory, []error{unix.ENOENT, unix.EOPNOTSUPP}},
		{"pids", "pids.max", tasks, nil},
	}
}

// leave is called once the process is in the group: it takes the calling thread out, and closes what is open.
func (g *cgroup) leave() {
	if g == nil {
		return
	}
	if g.inside {
		for _, own := range g.cgroups.own {
			_, _ = own.WriteString("0")
		}
	}
	closeAll(g.procs, g.dir)
}

// bear has the process that attr describes be born in a group of version 2. It takes the call clone3, which does not pass a
// thread's filter.
func (g *cgroup) bear(attr *syscall.SysProcAttr) {
	if g != nil && g.dir != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(g.dir.Fd())
	}
}

// take takes the process into a group of version 2 where it was not born there.
func (g *cgroup) take(pid int) error {
	if g == nil || g.procs == nil {
		return nil
	}
	if _, err := g.procs.WriteString(strconv.Itoa(pid)); err != nil && !errors.Is(err, unix.ESRCH) { // ESRCH: it has ended
		return fmt.Errorf("put the process into its control group: %w", err)
	}
	return nil
}

// kill ends all processes in the group at once.
func (g *cgroup) kill() {
	if g != nil {
		killAll(g.path("pids"))
	}
}

// killAll ends all processes in a group. No process can be made there from then on.
func killAll(dir string) {
	if put(dir, "cgroup.kill", "1") == nil { // Linux 5.14, of version 2
		return
	}
	if put(dir, "pids.max", "0") != nil {
		return
	}
	files := map[int]int{}
	for _, pid := range processesIn(dir) {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil && pid != os.Getpid() {
			files[pid] = fd
		}
	}
	// A number that is still there is that of the process that was opened, since no other can have come.
	still := processesIn(dir)
	for pid, fd := range files {
		if slices.Contains(still, pid) {
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
		_ = unix.Close(fd)
	}
}

// processesIn are the numbers of the processes in a group, 0 for one that this namespace does not know.
func processesIn(dir string) []int {
	text, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	var pids []int
	for line := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(line); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// starved says whether the kernel has ended a process of the group because it wanted more memory than it may have.
func (g *cgroup) starved() bool {
	if g == nil {
		return false
	}
	file := "memory.oom_control"
	if g.cgroups.v2 {
		file = "memory.events"
	}
	text, _ := os.ReadFile(filepath.Join(g.path("memory"), file))
	for line := range strings.Lines(string(text)) {
		if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strings.TrimSpace(count) != "0"
		}
	}
	return false
}

// private is how many bytes of memory that no file backs the processes of the group hold; 0 where that cannot be told.
func (g *cgroup) private() int64 {
	if g == nil {
		return 0
	}
	name := "rss "
	if g.cgroups.v2 {
		name = "anon "
	}
	text, _ := os.ReadFile(filepath.Join(g.path("memory"), "memory.stat"))
	for line := range strings.Lines(string(text)) {
		if bytes, ok := strings.CutPrefix(line, name); ok {
			held, _ := strconv.ParseInt(strings.TrimSpace(bytes), 10, 64)
			return held
		}
	}
	return 0
}

// remove ends what is left in the group and removes it.
func (g *cgroup) remove(sleep func(context.Context, time.Duration) error) {
	if g == nil {
		return
	}
	for _, controller := range controllers {
		removeGroup(g.path(controller), sleep)
	}
}

// removeGroup removes a group once its last process, which was killed, is gone. One that does not go is left to the end of the host.
func removeGroup(dir string, sleep func(context.Context, time.Duration) error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for unix.Rmdir(dir) == unix.EBUSY && sleep(ctx, time.Millisecond) == nil {
		killAll(dir)
	}
}

// put writes a value to a file of a group. The error wraps that of the system directly.
func put(dir, file, value string) error {
	path := filepath.Join(dir, file)
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(value)); err != nil {
		return &os.PathError{Op: "write to", Path: path, Err: err}
	}
	return nil
}
