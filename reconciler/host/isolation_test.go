package host_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/spec"
)

func TestIsolationIsWrittenAndRead(t *testing.T) {
	for isolation, text := range map[host.Isolation]string{
		0: "process", host.Landlock | host.Seccomp: "landlock+seccomp", host.Landlock | host.Seccomp | host.UID: "landlock+seccomp+uid",
	} {
		read, err := host.ParseIsolation(text)
		if isolation.String() != text || read != isolation || err != nil {
			t.Errorf("%d is written %s, and %s is read %d, %v", isolation, isolation, text, read, err)
		}
	}
	if _, err := host.ParseIsolation("moat"); err == nil {
		t.Error("a wall that does not exist was read")
	}
}

func listenUnix(t testing.TB, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
}

// What an agent's process may not do besides the attacks of the table, with the wall that keeps it from it.
func TestAgentCannot(t *testing.T) {
	dir := t.TempDir()
	// The agent's user could reach all of this but for the walls.
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	secret, socket, datagram := filepath.Join(dir, "secret"), filepath.Join(dir, "s"), filepath.Join(dir, "d")
	if err := os.WriteFile(secret, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	listenUnix(t, socket)
	d, err := net.ListenPacket("unixgram", datagram)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, path := range []string{socket, datagram} {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	h := started(t)
	reached, err := host.ParseIsolation(h.Agents()["a"].Isolation)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		what, task string
		wall       host.Isolation
	}{
		{"read the password hashes", "read /etc/shadow", host.Landlock},
		{"read a file that everyone can read", "read " + secret, host.Landlock},
		{"list the folder its host works in", "list " + cwd, host.Landlock},
		{"list the root", "list /", host.Landlock},
		{"list the folder of all agents", "list ..", host.Landlock},
		{"read its own process", "read /proc/self/status", host.Landlock},
		{"write beside its folder", "write ../x", host.Landlock},
		{"write to the temporary folder", "write " + filepath.Join(dir, "x"), host.Landlock},
		{"connect to a unix socket", "dial unix " + socket, host.Seccomp},
		{"send a datagram to a unix socket", "datagram " + datagram, host.Seccomp},
	} {
		t.Run(test.what, func(t *testing.T) {
			if reached&test.wall == 0 {
				t.Skipf("%s cannot be had here", test.wall)
			}
			if output, failure := do(t, h, test.task); failure == "" {
				t.Errorf("the agent could: %.200s", output)
			} else if !strings.Contains(failure, "permi") && !strings.Contains(failure, "denied") {
				t.Errorf("something else kept it from it: %s", failure)
			}
		})
	}
}

func TestAgentHasAPrivateFolderAndAnEmptyEnvironment(t *testing.T) {
	t.Setenv("MAINSTAY_TEST_SECRET", "x")
	h := started(t)
	environment, _ := do(t, h, "environment")
	for line := range strings.SplitSeq(environment, "\n") {
		name, _, _ := strings.Cut(line, "=")
		if name != "TMPDIR" && name != "MAINSTAY_RUNTIME" && line != "GOMAXPROCS=1" && !strings.HasPrefix(name, "PLUGIN_") {
			t.Errorf("the environment holds %s", line)
		}
	}
	dir, failure := do(t, h, "private")
	if failure != "" {
		t.Fatal(failure)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the private folder: %v, %v", info, err)
	}
	if err := h.Stop(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the private folder is left behind: %v", err)
	}
}

func TestEachAgentHasAUserOfItsOwnWhereTheHostIsRoot(t *testing.T) {
	h := started(t)
	if !strings.Contains(h.Agents()["a"].Isolation, "uid") {
		t.Skipf("the host cannot give users of their own: %s", h.Agents()["a"].Isolation)
	}
	start(t, h, host.Agent{Name: "b", Digest: "d", Runtime: "r"})
	users := map[string]bool{"0": true}
	for _, name := range []spec.AgentName{"a", "b"} {
		s, err := h.Open(t.Context(), name, host.Start{Run: "run", Task: "hang"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(status), "\nUid:\t")
		user, _, _ := strings.Cut(after, "\t")
		if users[user] {
			t.Errorf("the agent %s has the user %s, which is taken", name, user)
		}
		users[user] = true
	}
}

func TestMemoryBombEndsTheAgentAndNotTheHost(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the limit is set on Linux")
	}
	h := started(t)
	s := open(t, h, "eat")
	if _, err := s.Recv(); err == nil {
		t.Error("the agent lives")
	}
	if output, _ := do(t, h, "say still here"); output != "still here" {
		t.Errorf("said %q", output)
	}
}

func TestHardenedHostWorksAndShowsNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "hardened-host", t.TempDir())
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary(t))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		t.Errorf("the hardened host said %q", line)
	}
	_, err = os.ReadFile(fmt.Sprintf("/proc/%d/environ", cmd.Process.Pid))
	if os.Getuid() != 0 && err == nil {
		t.Error("the environment of the hardened host can be read by its own user")
	}
	cancel()
	_ = cmd.Wait()
}
