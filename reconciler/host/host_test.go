package host_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/spec"
)

const allWalls = host.Landlock | host.Seccomp | host.UID | host.Namespaces | host.Cgroup

func newHost(t testing.TB, edit func(*host.Options), args ...string) *host.Host {
	t.Helper()
	o := host.Options{
		Dir:      t.TempDir(),
		Runtimes: runtimes(args...),
		Backoff:  func(int) time.Duration { return time.Millisecond },
	}
	if edit != nil {
		edit(&o)
	}
	h := host.New(o)
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h
}

func started(t testing.TB, args ...string) *host.Host {
	t.Helper()
	if len(args) == 0 {
		args = []string{"honest"}
	}
	h := newHost(t, nil, args...)
	start(t, h, agentA)
	if args[0] == "honest" { // Its isolation is known from here on.
		if err := h.Check(t.Context(), agentA); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

var agentA = host.Agent{Name: "a", Digest: "sha256:1", Runtime: "r"}

func start(t testing.TB, h *host.Host, a host.Agent) {
	t.Helper()
	if err := h.Start(a); err != nil {
		t.Fatal(err)
	}
}

// pid is the only process of the agent a.
func pid(t testing.TB, h *host.Host) int {
	t.Helper()
	pids := h.Agents()["a"].PIDs()
	if len(pids) != 1 {
		t.Fatalf("processes %v, want one", pids)
	}
	return pids[0]
}

// eventually waits for something that other goroutines bring about.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func open(t testing.TB, h *host.Host, task string) *host.Session {
	t.Helper()
	s, err := h.Open(t.Context(), "a", host.Start{Run: "run", Task: task})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// do runs a task that asks for nothing.
func do(t testing.TB, h *host.Host, task string) (output, failure string) {
	t.Helper()
	s := open(t, h, task)
	defer s.Close()
	m, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != io.EOF {
		t.Errorf("after the end of the run: %v, want io.EOF", err)
	}
	if m.Failure != nil {
		return "", m.Failure.Message
	}
	return m.Result.Output, ""
}

// temporary is a temporary folder for a host that is killed and cannot clean up.
func temporary(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func alive(pid int) bool {
	return pid != 0 && syscall.Kill(pid, 0) == nil
}

func within(t testing.TB, limit time.Duration, what string, f func()) {
	t.Helper()
	begin := time.Now()
	f()
	if took := time.Since(begin); took > limit {
		t.Errorf("%s took %s, more than %s", what, took, limit)
	}
}

func TestAgentAsksAndIsAnswered(t *testing.T) {
	h := started(t)
	s := open(t, h, "ask what is the weather?")
	m, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"messages":[{"role":"user","text":"what is the weather?"}]}`
	if string(m.Request.Body) != want || m.Request.Kind != spec.RequestModel || m.Request.Lane != spec.MainLane {
		t.Errorf("asked %+v with the body %s, want %s", m.Request, m.Request.Body, want)
	}
	if err := s.Answer(m.ID, spec.RequestTool, spec.Answer{}); err == nil {
		t.Error("an answer of another kind was taken")
	}
	if err := s.Answer(m.ID, m.Request.Kind, spec.Answer{Body: []byte(`{"text":"rain"}`)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Answer(m.ID, m.Request.Kind, spec.Answer{Body: []byte(`{"text":"sun"}`)}); err == nil {
		t.Error("a second answer was taken")
	}
	if m, err = s.Recv(); err != nil || m.Result == nil || m.Result.Output != "rain" {
		t.Errorf("the run ended with %+v, %v, want rain", m, err)
	}
	status := h.Agents()["a"]
	if len(status.Processes) != 1 || status.Processes[0].PID != s.PID() || status.Isolation != s.Isolation() || status.State != host.StateReady {
		t.Errorf("status %+v, session %d %s", status, s.PID(), s.Isolation())
	}
	t.Logf("isolation %s", status.Isolation)
}

func TestRefusalReachesTheAgent(t *testing.T) {
	s := open(t, started(t), "ask anything")
	m, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Answer(m.ID, m.Request.Kind, spec.Answer{Error: "the budget is spent"}); err != nil {
		t.Fatal(err)
	}
	if m, err = s.Recv(); err != nil || m.Failure == nil || !strings.Contains(m.Failure.Message, "the budget is spent") {
		t.Errorf("the run ended with %+v, %v", m, err)
	}
}

func TestAnAgentIsStartedOnceAndStoppedForGood(t *testing.T) {
	h := started(t)
	do(t, h, "say x")
	was := pid(t, h)
	start(t, h, agentA)
	if now := pid(t, h); now != was {
		t.Errorf("the process changed from %d to %d", was, now)
	}
	if err := h.Stop(t.Context(), "a"); err != nil || alive(was) {
		t.Errorf("stop: %v, alive %v", err, alive(was))
	}
	if err := h.Stop(t.Context(), "a"); err != nil {
		t.Errorf("the second stop: %v", err)
	}
	if _, err := h.Open(t.Context(), "a", host.Start{}); !errors.Is(err, host.ErrNotRunning) {
		t.Errorf("open on a stopped agent: %v", err)
	}
}

func TestCheckFailsWithTheReasonAndLeavesNothing(t *testing.T) {
	neighbour := filepath.Join(t.TempDir(), "s")
	listenUnix(t, neighbour)
	tests := map[string]struct {
		args []string
		want string
	}{
		"garbage instead of a handshake":    {[]string{"garbage"}, "web server"},
		"an endless line":                   {[]string{"endless line"}, "xxx"},
		"an exit":                           {[]string{"dies"}, "it exited with status 7 before the handshake; its last words: no licence found"},
		"an address on the network":         {[]string{"elsewhere", "tcp", "127.0.0.1:1"}, "must listen on a unix socket"},
		"a socket of someone else":          {[]string{"elsewhere", "unix", neighbour}, "must listen in the folder"},
		"a link to a socket of someone":     {[]string{"impostor", neighbour}, "its last words"},
		"silence until the caller gives up": {[]string{"silent"}, "deadline"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, nil, test.args...)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			err := h.Check(ctx, agentA)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("check: %v, want %q in it", err, test.want)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b\x07") {
				t.Errorf("the error could move a terminal's cursor: %q", err)
			}
			if h.Check(ctx, agentA) == nil {
				t.Error("the second check found it good")
			}
			if len(h.Agents()) != 0 {
				t.Errorf("agents %v, want none", h.Agents())
			}
		})
	}
}

func TestRequiredIsolationThatCannotBeHadIsAnError(t *testing.T) {
	h := newHost(t, func(o *host.Options) { o.Require = 1 << 7 }, "honest")
	if err := h.Check(t.Context(), agentA); err == nil || !strings.Contains(err.Error(), "required") {
		t.Errorf("check: %v", err)
	}
}

func TestAgentThatExitsMidRunIsRestarted(t *testing.T) {
	h := started(t)
	s := open(t, h, "exit")
	_, err := s.Recv()
	exit, ok := errors.AsType[*host.ExitError](err)
	if !ok || exit.Code != 3 || exit.PID != s.PID() || !strings.Contains(exit.Stderr, "out of luck") {
		t.Fatalf("received %v", err)
	}
	if output, _ := do(t, h, "say again"); output != "again" {
		t.Errorf("after the restart it said %q", output)
	}
	status := h.Agents()["a"]
	if status.Restarts != 1 || pid(t, h) == s.PID() || !strings.Contains(status.LastExit, "status 3") ||
		!strings.Contains(status.LastStderr, "out of luck") {
		t.Errorf("status %+v", status)
	}
}

func TestRestartsBackOff(t *testing.T) {
	waits := make(chan time.Duration, 100)
	h := newHost(t, func(o *host.Options) {
		o.Backoff = nil
		o.Sleep = func(ctx context.Context, d time.Duration) error {
			if d == time.Second || d == 250*time.Millisecond { // between two looks at all processes, or at what one takes
				<-ctx.Done()
			} else {
				waits <- d
			}
			return ctx.Err()
		}
		began := time.Now()
		var asked atomic.Int64
		o.Now = func() time.Time { return began.Add(time.Duration(asked.Add(1)) * time.Second) }
	}, "honest")
	start(t, h, agentA)
	for _, want := range []time.Duration{100, 200, 400} {
		s := open(t, h, "exit")
		if _, err := s.Recv(); err == nil {
			t.Fatal("the agent did not exit")
		}
		if wait := <-waits; wait != want*time.Millisecond {
			t.Errorf("waited %s, want %d ms", wait, want)
		}
	}
}

func TestStopEndsWhatDoesNotWantToEnd(t *testing.T) {
	for name, test := range map[string]struct{ mode, task string }{
		"an agent that never answers":             {"honest", "hang"},
		"an agent that is stopped":                {"honest", "stop"},
		"a process that does not leave when told": {"stubborn", "hang"},
	} {
		t.Run(name, func(t *testing.T) {
			h := started(t, test.mode)
			s := open(t, h, test.task)
			if test.task == "stop" {
				pause(t, s.PID())
			}
			ended := make(chan error, 1)
			go func() {
				_, err := s.Recv()
				ended <- err
			}()
			within(t, 6*time.Second, "stop", func() { _ = h.Stop(t.Context(), "a") })
			if alive(s.PID()) {
				t.Error("the process is still there")
			}
			if exit, ok := errors.AsType[*host.ExitError](<-ended); !ok || !exit.Stopped {
				t.Errorf("the session ended with %v", exit)
			}
		})
	}
}

// pause stops a process, which behind its walls cannot do so itself.
func pause(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(procState(t, pid), "T"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the process does not stop")
		}
	}
}

func TestProcessThatIsStoppedIsReplaced(t *testing.T) {
	h := newHost(t, func(o *host.Options) { o.Alive = 200 * time.Millisecond }, "honest")
	start(t, h, agentA)
	s := open(t, h, "hang")
	pause(t, s.PID())
	_, err := s.Recv()
	if exit, ok := errors.AsType[*host.ExitError](err); !ok || exit.Stopped || !strings.Contains(err.Error(), "did not answer for 200ms") {
		t.Errorf("the run ended with %v", err)
	}
	if output, _ := do(t, h, "say again"); output != "again" {
		t.Errorf("said %q", output)
	}
	if status := h.Agents()["a"]; pid(t, h) == s.PID() || !strings.Contains(status.LastExit, "did not answer") {
		t.Errorf("the stopped process was %d: %+v", s.PID(), status)
	}
}

func TestCloseEndsASessionWhoseAgentIgnoresItsCancellation(t *testing.T) {
	s := open(t, started(t), "hang")
	if err := s.Cancel("it takes too long"); err != nil {
		t.Fatal(err)
	}
	// The SDK ends the run in the agent's stead.
	m, err := s.Recv()
	if err != nil || m.Failure == nil || !strings.Contains(m.Failure.Message, "it takes too long") {
		t.Errorf("the run ended with %+v, %v", m, err)
	}
	s.Close()
	s.Close()
	if _, err := s.Recv(); err == nil {
		t.Error("a closed session received")
	}
}

func TestAgentThatBreaksTheProtocolLosesItsRunOnly(t *testing.T) {
	h := started(t, "bare")
	for task, test := range map[string]struct {
		want  string
		flood bool
		takes int
	}{
		"requests":    {"more than 64 requests", true, plugins.MaxOutstanding},
		"logs":        {"of no use", true, 0},
		"nothing":     {"of no use", true, 0},
		"bad lanes":   {"break the protocol", true, 0},
		"5 MiB":       {"larger than max", true, 0},
		"the same id": {"not unique", false, 1},
		"no id":       {"not unique", false, 0},
		"two results": {"after the end", false, 1},
		"silence":     {"without a result", false, 0},
	} {
		t.Run(task, func(t *testing.T) {
			s := open(t, h, task)
			var err error
			taken := -1
			for err == nil {
				taken++
				_, err = s.Recv()
			}
			if errors.Is(err, host.ErrFlood) != test.flood || !strings.Contains(err.Error(), test.want) || taken != test.takes {
				t.Errorf("after %d messages: %v, want %d and %q in it", taken, err, test.takes, test.want)
			}
		})
	}
	if output, failure := do(t, h, "an unknown request"); output != plugins.RefusedUnsupported {
		t.Errorf("an unknown request was answered with %q, %q", output, failure)
	}
	if restarts := h.Agents()["a"].Restarts; restarts != 0 {
		t.Errorf("the process was restarted %d times", restarts)
	}
}

func TestProcessThatFloodsItsOutputIsSlowedDown(t *testing.T) {
	h := started(t)
	s := open(t, h, "flood")
	time.Sleep(300 * time.Millisecond)
	s.Close()
	if output, _ := do(t, h, "say still here"); output != "still here" {
		t.Errorf("said %q", output)
	}
	within(t, 6*time.Second, "stop", func() { _ = h.Stop(t.Context(), "a") })
}

func TestMessagesHaveALargestSize(t *testing.T) {
	h := started(t)
	if output, failure := do(t, h, "large 3145728"); len(output) != 3<<20 {
		t.Errorf("3 MiB came as %d bytes, %s", len(output), failure)
	}
	if output, failure := do(t, h, "large 5242880"); failure == "" {
		t.Errorf("5 MiB came as %d bytes", len(output))
	}
}

func TestPanicFailsOneRunAndNotTheProcess(t *testing.T) {
	h := started(t)
	do(t, h, "say x")
	was := pid(t, h)
	if _, failure := do(t, h, "panic"); !strings.Contains(failure, "oops") {
		t.Errorf("failure %q", failure)
	}
	if output, _ := do(t, h, "say fine"); output != "fine" || pid(t, h) != was {
		t.Errorf("said %q in the process %d, was %d", output, pid(t, h), was)
	}
}

func TestClosedHostStartsNothing(t *testing.T) {
	h := started(t)
	do(t, h, "say x")
	was := pid(t, h)
	if err := h.Close(t.Context()); err != nil || alive(was) {
		t.Errorf("close: %v, alive %v", err, alive(was))
	}
	if h.Start(agentA) == nil || h.Check(t.Context(), agentA) == nil {
		t.Error("a closed host started an agent")
	}
}

func TestAgentsDieWithTheirHost(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a process with its parent")
	}
	cmd := exec.Command(os.Args[0], "doomed-host", t.TempDir())
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary(t))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	var pid int
	if _, err := fmt.Sscan(line, &pid); err != nil || !alive(pid) {
		t.Fatalf("the host said %q", line)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for deadline := time.Now().Add(5 * time.Second); alive(pid) && !strings.Contains(procState(t, pid), "Z"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the agent outlived its host")
		}
	}
}

// settle counts goroutines and open files once they are down to what is wanted, or do not go down any more.
func settle(goroutines, files int) (int, int) {
	for n := 0; ; n++ {
		entries, _ := os.ReadDir("/proc/self/fd")
		if n == 100 || runtime.NumGoroutine() <= goroutines && len(entries) <= files {
			return runtime.NumGoroutine(), len(entries)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func procState(t testing.TB, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "Z"
	}
	_, after, _ := strings.Cut(string(b), ") ")
	return after[:1]
}
