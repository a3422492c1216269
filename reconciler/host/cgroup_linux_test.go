package host_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/host"
)

func TestOwnGroupsAreFound(t *testing.T) {
	const mounts = `30 22 0:27 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
34 30 0:31 /docker/c1 /sys/fs/cgroup/with\040space rw,relatime - cgroup cgroup rw,memory
38 30 0:35 /elsewhere /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
39 30 0:36 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
40 30 0:37 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
`
	for _, test := range []struct {
		name, cgroup string
		want         map[string]string
	}{
		{"version 2", "0::/system.slice/mainstay.service\n", map[string]string{"": "/sys/fs/cgroup/unified/system.slice/mainstay.service"}},
		{"the root", "0::/\n", map[string]string{"": "/sys/fs/cgroup/unified"}},
		{"both versions", "9:name=systemd:/a\n4:memory:/docker/c1/b\n1:cpu,cpuacct:/\n0::/\n", map[string]string{
			"": "/sys/fs/cgroup/unified", "memory": "/sys/fs/cgroup/with space/b", "cpu": "/sys/fs/cgroup/cpu,cpuacct"}},
		{"outside of what is mounted", "8:pids:/\n4:memory:/docker/c12\n0::/../x\n", map[string]string{}},
		{"a colon in its name", "1:cpu:/a:b\n", map[string]string{"cpu": "/sys/fs/cgroup/cpu,cpuacct/a:b"}},
		{"nonsense", "x\n\n::\n1:cpu\n", map[string]string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := host.OwnGroups(test.cgroup, mounts); !maps.Equal(got, test.want) {
				t.Errorf("found %v, want %v", got, test.want)
			}
		})
	}
}

func FuzzOwnGroups(f *testing.F) {
	f.Add("0::/a\n1:cpu,cpuacct:/\n", "40 30 0:37 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n31 30 0:28 / /x\\040y rw - cgroup cgroup rw,cpu\n")
	f.Fuzz(func(t *testing.T, cgroup, mounts string) {
		for controller, dir := range host.OwnGroups(cgroup, mounts) {
			if !slices.Contains([]string{"", "cpu", "memory", "pids"}, controller) || dir != filepath.Clean(dir) {
				t.Errorf("the group of %q is %q", controller, dir)
			}
		}
	})
}

// grouped returns a host whose processes are shut in by their control groups, and where that cannot be had skips the test.
func grouped(t *testing.T, edit func(*host.Options)) *host.Host {
	t.Helper()
	h := newHost(t, edit, "honest")
	a := agentA
	a.Require = host.Cgroup
	err := h.Check(t.Context(), a)
	if _, ok := errors.AsType[*host.MissingError](err); ok && os.Getenv(mustGroup) == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	start(t, h, a)
	return h
}

// groups are the folders of the control groups that a host has made: one in each hierarchy, with one beneath for each process.
func groups(t *testing.T, host int) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && strings.Contains(path, fmt.Sprintf("-%d-", host)) && strings.Contains(path, "/mainstay-") {
			all = append(all, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestControlGroupsGoWithTheirProcesses(t *testing.T) {
	h := grouped(t, nil)
	before := groups(t, os.Getpid())
	s := open(t, h, "hang")
	own, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	made := slices.DeleteFunc(groups(t, os.Getpid()), func(dir string) bool { return slices.Contains(before, dir) })
	if len(made) == 0 {
		t.Fatalf("no group was made for a process in\n%s", own)
	}
	host, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(host), "mainstay-") {
		t.Errorf("the host is in a group of its processes:\n%s", host)
	}
	for _, dir := range made {
		processes, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil || string(processes) != fmt.Sprintln(s.PID()) {
			t.Errorf("%s holds %q, want %d, %v", dir, processes, s.PID(), err)
		}
	}
	s.Close()
	if err := h.Stop(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if after := groups(t, os.Getpid()); !slices.Equal(after, before) {
		t.Errorf("groups left behind: %v became %v", before, after)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := groups(t, os.Getpid()); len(after) > 0 {
		t.Errorf("the host left the groups %v", after)
	}
}

// The host, which looks at its processes a few times a second, does not look here.
func TestTheKernelEndsAProcessThatWantsMoreMemoryThanItsControlGroupMayHave(t *testing.T) {
	if raced {
		t.Skip("SKIPPED: the race detector takes more memory than the process may")
	}
	h := grouped(t, func(o *host.Options) {
		o.Sleep = func(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return ctx.Err() }
	})
	host.LittleRoom(h)
	host.WithoutWalls(h, host.Seccomp) // which has no such memory
	s := open(t, h, "attack memory bomb: shared memory|{}")
	if m, err := s.Recv(); err == nil {
		t.Errorf("the agent lives, and its run ended with %+v", m)
	}
	want := "ended by the host: it wanted more memory than the 192 MiB that are the most"
	eventually(t, "it is told", func() bool { return h.Agents()["a"].LastExit == want })
}

func TestWhatAKilledHostLeavesInItsControlGroupIsEnded(t *testing.T) {
	h := grouped(t, nil)
	mark := fmt.Sprintf("%s-left-%d", grandchild, os.Getpid())
	doomed := exec.Command(os.Args[0], "doomed-host", temporary(t), mark)
	doomed.Env = append(os.Environ(), "TMPDIR="+temporary(t))
	out, err := doomed.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := doomed.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	var agent int
	if n, _ := fmt.Sscan(line, &agent); n == 0 {
		t.Errorf("the doomed host said %q", line)
	}
	_ = doomed.Process.Kill()
	_ = doomed.Wait()
	left := marked(t, mark)
	if len(left) != 1 || len(groups(t, doomed.Process.Pid)) == 0 {
		t.Errorf("the doomed host left the processes %v and the groups %v", left, groups(t, doomed.Process.Pid))
	}
	if len(groups(t, os.Getpid())) == 0 {
		t.Error("this host has no groups")
	}
	// Another host cleans up, and leaves the groups of this one alone.
	other := newHost(t, nil, "honest")
	if err := other.Check(t.Context(), agentA); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was left is gone", func() bool {
		return len(marked(t, mark)) == 0 && len(groups(t, doomed.Process.Pid)) == 0
	})
	if output, failure := do(t, h, "say still here"); output != "still here" {
		t.Errorf("said %q, %s", output, failure)
	}
}

// mustGroup makes it an error that there are no control groups.
const mustGroup = "MAINSTAY_TEST_MUST_GROUP"

// As under systemd with Delegate=yes, the host begins in a group of version 2 that is its own, with processes of its own in it.
func TestADelegatedControlGroupIsEnough(t *testing.T) {
	const root = "/sys/fs/cgroup"
	enabled, _ := os.ReadFile(root + "/cgroup.subtree_control")
	for _, controller := range []string{"cpu", "memory", "pids"} {
		if !slices.Contains(strings.Fields(string(enabled)), controller) {
			t.Skipf("SKIPPED: the machine has no control groups of version 2 with the controller %s", controller)
		}
	}
	own := filepath.Join(root, fmt.Sprint("delegated-to-tests-", os.Getpid()))
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		_ = os.Remove(filepath.Join(own, "mainstay.host"))
		if err := os.Remove(own); err != nil {
			t.Error(err)
		}
	})
	dir, err := os.Open(own)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	// A shell starts the tests, so that there are two processes: one that the host has not started, and then not any more.
	for _, test := range []struct {
		name, script string
		fails        bool
	}{
		{"together with another process", `"$0" "$@"; exit $?`, true},
		{"alone", `exec "$0" "$@"`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", test.script, os.Args[0], "-test.run=^(TestControlGroupsGo|TestTheKernelEnds|TestWhatAKilledHost|TestAttacks)/^cgroup$", "-test.v")
			cmd.Env = append(os.Environ(), mustGroup+"=yes")
			cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
			out, err := cmd.CombinedOutput()
			switch {
			case test.fails && (err == nil || !bytes.Contains(out, []byte("the isolation cgroup is required and cgroup cannot be had here")) || !bytes.Contains(out, []byte("Delegate=yes"))):
				t.Errorf("%v\n%s", err, out)
			case !test.fails && err != nil:
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// marked are the processes whose last argument is the mark.
func marked(t *testing.T, mark string) (pids []int) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		line, _ := os.ReadFile(path)
		var pid int
		if bytes.HasSuffix(line, []byte("\x00"+mark+"\x00")) {
			_, _ = fmt.Sscanf(path, "/proc/%d/", &pid)
			pids = append(pids, pid)
		}
	}
	return pids
}
