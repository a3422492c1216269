package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/spec"
)

func scaled(s host.Scale) host.Agent {
	a := agentA
	a.Scale = s
	return a
}

func TestADeclaredAgentHasNoProcess(t *testing.T) {
	h := newHost(t, nil, "honest")
	before := runtime.NumGoroutine()
	for i := range 200 {
		start(t, h, host.Agent{Name: spec.AgentName(fmt.Sprint("a", i)), Digest: "d", Runtime: "r"})
	}
	if n := runtime.NumGoroutine() - before; n > 0 || len(children(t)) > 0 {
		t.Errorf("200 agents have %d goroutines and the processes %v", n, children(t))
	}
	if status := h.Agents()["a7"]; status.State != host.StateIdle || status.Isolation != "" {
		t.Errorf("status %+v", status)
	}
	if err := h.Check(t.Context(), host.Agent{Name: "a7", Runtime: "r"}); err != nil {
		t.Fatal(err)
	}
	if status := h.Agents()["a8"]; status.State != host.StateIdle || status.Isolation == "" {
		t.Errorf("status %+v after a check of its runtime", status)
	}
}

func TestAMissingRuntimeIsToldAtOnce(t *testing.T) {
	h := newHost(t, func(o *host.Options) {
		o.Runtimes = func(name string) (host.Runtime, error) {
			return host.Runtime{Path: filepath.Join(t.TempDir(), "nothing")}, nil
		}
	})
	if err := h.Start(agentA); err == nil || !strings.Contains(err.Error(), "find the executable") || len(h.Agents()) != 0 {
		t.Errorf("start: %v, agents %v", err, h.Agents())
	}
}

func TestRunsShareProcessesUpToTheirConcurrency(t *testing.T) {
	h := newHost(t, nil, "honest")
	start(t, h, scaled(host.Scale{Concurrency: 2}))
	runs := map[int]int{}
	for range 5 {
		runs[open(t, h, "hang").PID()]++
	}
	if len(runs) != 3 || len(h.Agents()["a"].Processes) != 3 || h.Agents()["a"].Runs != 5 {
		t.Errorf("5 runs are on the processes %v: %+v", runs, h.Agents()["a"])
	}
}

func TestAnIdleProcessEnds(t *testing.T) {
	h := newHost(t, func(o *host.Options) { o.Alive = 100 * time.Millisecond }, "honest")
	start(t, h, scaled(host.Scale{Idle: 50 * time.Millisecond}))
	do(t, h, "say x")
	eventually(t, "no process is left", func() bool { return len(children(t)) == 0 })
	if status := h.Agents()["a"]; status.State != host.StateIdle || status.Restarts != 0 || status.LastExit != "" {
		t.Errorf("status %+v", status)
	}
	do(t, h, "say x")
	if status := h.Agents()["a"]; status.Restarts != 0 {
		t.Errorf("status %+v: a start after an idle time is no restart", status)
	}
}

func TestAnIsolatedRunHasItsProcessForItself(t *testing.T) {
	h := newHost(t, nil, "honest")
	start(t, h, scaled(host.Scale{IsolateRuns: true, Warm: 1}))
	a, b := open(t, h, "hang"), open(t, h, "hang")
	if a.PID() == b.PID() {
		t.Error("two runs share a process")
	}
	a.Close()
	eventually(t, "the process of a closed run is gone", func() bool { return !alive(a.PID()) })
	eventually(t, "another one is ready", func() bool { return len(h.Agents()["a"].Processes) == 2 })
}

func TestAChangedAgentKeepsItsProcessAndAChangedRuntimeDrains(t *testing.T) {
	args := "honest"
	h := newHost(t, func(o *host.Options) {
		o.Drain = 3 * time.Second
		o.Alive = 100 * time.Millisecond
		o.Runtimes = func(name string) (host.Runtime, error) { return runtimes(args, name)(name) }
	})
	start(t, h, agentA)
	s := open(t, h, "ask anything")
	changed := agentA
	changed.Digest = "sha256:2"
	start(t, h, changed)
	if other := open(t, h, "hang"); other.PID() != s.PID() || h.Agents()["a"].Digest != "sha256:2" {
		t.Error("a change of words replaced the process")
	} else {
		other.Close()
	}
	changed.Runtime = "other"
	start(t, h, changed)
	if output, _ := do(t, h, "say new"); output != "new" || len(h.Agents()["a"].Processes) != 2 {
		t.Errorf("said %q, processes %+v", output, h.Agents()["a"].Processes)
	}
	// The run on the old process goes on, and its process ends with it.
	m, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Answer(m.ID, m.Request.Kind, spec.Answer{Body: []byte(`{"text":"done"}`)}); err != nil {
		t.Fatal(err)
	}
	if m, err = s.Recv(); err != nil || m.Result == nil {
		t.Fatal(m, err)
	}
	s.Close()
	eventually(t, "the old process is gone", func() bool { return !alive(s.PID()) })

	// One that takes too long is told that it was stopped.
	s = open(t, h, "hang")
	changed.Runtime = "third"
	start(t, h, changed)
	_, err = s.Recv()
	if exit, ok := errors.AsType[*host.ExitError](err); !ok || !exit.OnPurpose() {
		t.Errorf("the run that took too long ended with %v", err)
	}
}

func TestARunDuringBackoffWaits(t *testing.T) {
	h := newHost(t, func(o *host.Options) { o.Backoff = func(int) time.Duration { return 200 * time.Millisecond } }, "honest")
	start(t, h, agentA)
	s := open(t, h, "exit")
	if _, err := s.Recv(); err == nil {
		t.Fatal("the agent did not exit")
	}
	if status := h.Agents()["a"]; status.State != host.StateBackoff || status.Until.IsZero() {
		t.Errorf("status %+v", status)
	}
	begin := time.Now()
	if output, _ := do(t, h, "say again"); output != "again" || time.Since(begin) < 100*time.Millisecond {
		t.Errorf("said %q after %s", output, time.Since(begin))
	}
}

func TestAStartThatFailsIsToldToWhoeverWaits(t *testing.T) {
	h := newHost(t, nil, "dies")
	start(t, h, agentA)
	_, err := h.Open(t.Context(), "a", host.Start{})
	if err == nil || !strings.Contains(err.Error(), "no licence found") {
		t.Errorf("open: %v", err)
	}
	status := h.Agents()["a"]
	if status.State != host.StateBackoff || !status.Broken || !strings.Contains(status.LastExit, "no licence found") {
		t.Errorf("status %+v", status)
	}
}

func TestProcessesAreBoundedAndNobodyIsLeftWaiting(t *testing.T) {
	h := newHost(t, func(o *host.Options) { o.MaxProcesses = 2 }, "honest")
	for _, name := range []spec.AgentName{"a", "b", "c", "d"} {
		start(t, h, host.Agent{Name: name, Digest: "d", Runtime: "r", Scale: host.Scale{Concurrency: 1}})
	}
	held := []*host.Session{open(t, h, "hang"), open(t, h, "hang")}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := h.Open(ctx, "b", host.Start{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a third process: %v", err)
	}
	var others sync.WaitGroup
	for _, name := range []spec.AgentName{"b", "c", "d"} {
		others.Go(func() {
			s, err := h.Open(t.Context(), name, host.Start{Run: "run", Task: "say x"})
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = s.Recv()
			if n := len(children(t)); n > 2 {
				t.Errorf("%d processes of at most 2", n)
			}
			s.Close()
		})
	}
	eventually(t, "three wait", func() bool {
		all := h.Agents()
		return all["b"].Waiting+all["c"].Waiting+all["d"].Waiting == 3
	})
	held[0].Close()
	others.Wait()
}

func TestStopTellsWhoeverWaits(t *testing.T) {
	h := newHost(t, func(o *host.Options) { o.MaxProcesses = 1 }, "honest")
	start(t, h, agentA)
	start(t, h, host.Agent{Name: "b", Digest: "d", Runtime: "r"})
	open(t, h, "hang")
	refused := make(chan error, 1)
	go func() {
		_, err := h.Open(t.Context(), "b", host.Start{})
		refused <- err
	}()
	eventually(t, "it waits", func() bool { return h.Agents()["b"].Waiting == 1 })
	if err := h.Stop(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; !errors.Is(err, host.ErrNotRunning) {
		t.Errorf("open on an agent that is stopped meanwhile: %v", err)
	}
}

// A thousand processes leave nothing behind, whether they end well, by themselves or are told to: no process, no
// goroutine, no file, no folder.
func TestAThousandStartsLeakNothing(t *testing.T) {
	starts := 1000
	if testing.Short() || underRace() {
		starts = 100
	}
	h := newHost(t, nil, "honest")
	start(t, h, scaled(host.Scale{IsolateRuns: true}))
	dir, failure := do(t, h, "private")
	if failure != "" {
		t.Fatal(failure)
	}
	folders := filepath.Dir(dir)
	run := func(n int) {
		s, err := h.Open(t.Context(), "a", host.Start{Run: "run", Task: []string{"say x", "say x", "say x", "hang", "exit"}[n%5]})
		if err != nil {
			t.Error(err)
			return
		}
		if n%5 != 3 {
			_, _ = s.Recv()
		}
		s.Close()
	}
	for n := range 5 {
		run(n)
	}
	quiet := func() bool { return len(children(t)) == 0 }
	eventually(t, "the first processes are gone", quiet)
	goroutines, files := settle(0, 0)
	threads := count(t, "/proc/self/task")
	numbers := make(chan int)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for n := range numbers {
				run(n)
			}
		})
	}
	for n := range starts {
		numbers <- n
	}
	close(numbers)
	workers.Wait()
	eventually(t, "no process is left", quiet)
	after, filesAfter := settle(goroutines, files)
	if after > goroutines || filesAfter > files {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines and %d files became %d and %d\n%s", goroutines, files, after, filesAfter, buf[:runtime.Stack(buf, true)])
	}
	if n := count(t, "/proc/self/task"); n > threads+32 {
		t.Errorf("%d threads became %d", threads, n)
	}
	left, err := filepath.Glob(folders + "/a*")
	if err != nil || len(left) > 0 {
		t.Errorf("folders left behind: %v, %v", left, err)
	}
}

func underRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-race" && s.Value == "true" })
}

func count(t testing.TB, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && runtime.GOOS == "linux" {
		t.Fatal(err)
	}
	return len(entries)
}

// children are the processes that this one has started and that are still there.
func children(t testing.TB) []string {
	t.Helper()
	var all []string
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, file := range tasks {
		f, err := os.Open(file)
		if err != nil {
			continue // The thread is gone.
		}
		b, _ := io.ReadAll(f)
		_ = f.Close()
		all = append(all, strings.Fields(string(b))...)
	}
	return all
}
