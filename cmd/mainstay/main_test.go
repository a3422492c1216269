package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mainstay-dev/mainstay/plugins/loop"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
)

// These make the test binary be mainstay. asMainstay switches it on; crashAt is the durable write or effect before which
// the process ends itself with SIGKILL, counted from 1; crashLog names a file that gets a line for each; and clockAhead
// moves the clock.
const (
	asMainstay = "MAINSTAY_TEST_MAIN"
	crashAt    = "MAINSTAY_TEST_CRASH_AT"
	crashLog   = "MAINSTAY_TEST_CRASH_LOG"
	clockAhead = "MAINSTAY_TEST_CLOCK_AHEAD"
)

func TestMain(m *testing.M) {
	// The test binary is also the agent's process, the example's tool server, and a mainstay that can be killed anywhere.
	args := os.Args[1:]
	switch {
	case len(args) == 1 && args[0] == runtimeArg:
		loop.Serve()
		return
	case len(args) == 2 && args[0] == "demo" && args[1] == "tools", os.Getenv(asMainstay) != "":
		env := environment{barrier: crashBarrier()}
		if ahead, err := time.ParseDuration(os.Getenv(clockAhead)); err == nil {
			env.now = func() time.Time { return time.Now().Add(ahead) }
		}
		os.Exit(run(context.Background(), env, args, os.Stdin, os.Stdout, os.Stderr))
	}
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// crashBarrier counts what this process is about to write and kills it at the chosen one. A kill right after a write is
// a kill right before the next one, so only the points before count.
func crashBarrier() func(string) {
	at, err := strconv.Atoi(os.Getenv(crashAt))
	if err != nil {
		return nil
	}
	var mu sync.Mutex
	n := 0
	return func(point string) {
		if !strings.Contains(point, "before") {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		if path := os.Getenv(crashLog); path != "" {
			if f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
				fmt.Fprintln(f, point)
				f.Close()
			}
		}
		if n == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // The signal is on its way; nothing more may happen.
		}
	}
}

// built are the executables that the stories run, as a release would hold them.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// executables builds mainstay and mainstay-loop into one folder, once.
func executables(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		built.dir, built.err = os.MkdirTemp("", "mainstay-bin-")
		if built.err != nil {
			return
		}
		built.err = os.Chmod(built.dir, 0o755)
		out, err := exec.Command("go", "build", "-o", built.dir+string(filepath.Separator), ".", "../../plugins/loop/mainstay-loop").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

func TestStories(t *testing.T) {
	bin := executables(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "xdg"))
			env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			env.Setenv("REMOTE", filepath.Join(env.WorkDir, "remote.git"))
			env.Setenv("STATE", filepath.Join(env.WorkDir, "state"))
			env.Setenv("CLUSTER_FILE", filepath.Join(env.WorkDir, "cluster.json"))
			config := "[user]\n\tname = Ada\n\temail = ada@example.com\n[init]\n\tdefaultBranch = main\n[commit]\n\tgpgSign = false\n"
			if err := os.WriteFile(filepath.Join(env.WorkDir, ".gitconfig"), []byte(config), 0o600); err != nil {
				return err
			}
			for _, name := range []string{"ada", "mallory", "reconciler"} {
				if _, err := remote.GenerateSigner(filepath.Join(env.WorkDir, "keys", name), name); err != nil {
					return err
				}
			}
			env.Setenv("MAINSTAY_SIGNING_KEY", filepath.Join(env.WorkDir, "keys", "reconciler"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"seed": seed, "eventually": eventually, "grepcount": grepCount, "replace": replace,
		},
	})
}

// seed DIR makes the remote from a folder: Ada approves, and the reconciler's ledger is pinned. DIR becomes a clone.
func seed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: seed DIR")
	}
	dir := ts.MkAbs(args[0])
	git := func(where string, args ...string) {
		ts.Check(ts.Exec("git", append([]string{"-C", where}, args...)...))
	}
	ts.Check(ts.Exec("git", "init", "-q", "--bare", ts.Getenv("REMOTE")))
	ts.Check(ts.Exec("mainstay", "ledger", "init", "--repo", ts.Getenv("REMOTE")))
	ledger := strings.TrimPrefix(ts.ReadFile("stdout"), "spec:\n")
	ada := ts.ReadFile(filepath.Join("keys", "ada.pub"))
	path := filepath.Join(dir, "mainstay.yaml")
	root := ts.ReadFile(path) + "  approvers:\n  - name: Ada\n    key: " + strings.TrimSpace(ada) + "\n" + ledger
	ts.Check(os.WriteFile(path, []byte(root), 0o644))
	git(dir, "init", "-q")
	git(dir, "add", ".")
	git(dir, "commit", "-q", "-m", "seed")
	git(dir, "remote", "add", "origin", ts.Getenv("REMOTE"))
	git(dir, "push", "-q", "-u", "origin", "main")
}

// eventually COMMAND... runs a command until it succeeds, or with ! until it fails, for at most half a minute.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := ts.Exec(args[0], args[1:]...)
		if (err != nil) == neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%v: still %v", args, err)
		}
		time.Sleep(50 * time.Millisecond) // Polling another process; the deadline decides, not the pause.
	}
}

// grepcount N PATTERN FILE checks how many lines hold a text.
func grepCount(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: grepcount N TEXT FILE")
	}
	n := strings.Count(ts.ReadFile(args[2]), args[1])
	if strconv.Itoa(n) != args[0] {
		ts.Fatalf("%s holds %q %d times, not %s", args[2], args[1], n, args[0])
	}
}

// replace OLD NEW FILE replaces a text that is there.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace OLD NEW FILE")
	}
	text := ts.ReadFile(args[2])
	if !strings.Contains(text, args[0]) {
		ts.Fatalf("%s does not hold %q", args[2], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.ReplaceAll(text, args[0], args[1])), 0o644))
}
