package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mainstay-dev/mainstay/examples/langgraph"
	platformteam "github.com/mainstay-dev/mainstay/examples/platform-team"
	"github.com/mainstay-dev/mainstay/examples/quickstart"
	"github.com/mainstay-dev/mainstay/kb/postgres/postgrestest"
	"github.com/mainstay-dev/mainstay/plugins/langgraph/langgraphtest"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model/ollamatest"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
)

// built are the executables that the stories run, as a release would hold them.
var built struct {
	once sync.Once
	dir  string
	temp bool // dir goes when the tests end
	err  error
}

// keepVariable names a folder that keeps the executables. Where they are there already, tests take them as they are: .ci/run runs
// the tests as two users, and the second one need not build anything.
const keepVariable = "MAINSTAY_TEST_EXECUTABLES"

// executables builds what the stories run, once, and returns the folder: mainstay and mainstay-loop as a release holds
// them, and the tool server vault. In its folder hostile/ is the same mainstay beside a runtime that misbehaves when told, and a
// runtime that does not pass; in its folder killed/ is this test binary as mainstay, beside mainstay-loop.
func executables(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir = os.Getenv(keepVariable); built.dir != "" {
			built.err = buildOnce(built.dir)
			return
		}
		built.temp = true
		built.dir, built.err = os.MkdirTemp("", "mainstay-bin-")
		if built.err == nil {
			built.err = build(built.dir)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

// buildOnce builds into a folder that is there only when all of it is.
func buildOnce(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "mainstay-bin-")
	if err != nil {
		return err
	}
	if err := build(temp); err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	return os.Rename(temp, dir)
}

func build(dir string) error {
	hostile, killed := filepath.Join(dir, "hostile"), filepath.Join(dir, "killed")
	self, err := os.Executable()
	if err = errors.Join(err, os.Chmod(dir, 0o755), os.Mkdir(hostile, 0o755), os.Mkdir(killed, 0o755)); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"-o", dir + string(filepath.Separator), ".", "../../plugins/loop/mainstay-loop", "./testdata/vault"},
		{"-o", filepath.Join(hostile, "mainstay-loop"), "./testdata/hostile"},
		{"-o", filepath.Join(hostile, "faulty"), "../../plugins/plugintest/testdata/runtime"},
	} {
		out, err := exec.Command("go", append([]string{"build", "-ldflags=-s -w"}, args...)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	return errors.Join(os.Link(filepath.Join(dir, "mainstay"), filepath.Join(hostile, "mainstay")),
		os.Link(filepath.Join(dir, "mainstay-loop"), filepath.Join(killed, "mainstay-loop")), copyExecutable(self, filepath.Join(killed, "mainstay")))
}

// copyExecutable copies a file, or gives it a second name where both are on one disk.
func copyExecutable(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

// TestStories runs testdata/script: real git, the real binary, real agent processes. Each story has a bare remote, a state
// folder, and the keys of Ada, who approves, of Mallory, whom nobody has listed, and of the reconciler.
func TestStories(t *testing.T) {
	bin := executables(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Values[leftKey{}], env.Values[gateKey{}] = new(left), new(gate)
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOSTILEBIN", filepath.Join(bin, "hostile"))
			self, err := os.Executable()
			if err != nil {
				return err
			}
			env.Setenv("MAINSTAY_WITH_CLOCK", self) // With asMainstay and clockAhead it is mainstay at another time.
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "xdg"))
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, "cache"))
			env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			env.Setenv("REMOTE", filepath.Join(env.WorkDir, "remote.git"))
			env.Setenv("STATE", filepath.Join(env.WorkDir, "state"))
			env.Setenv("CLUSTER_FILE", filepath.Join(env.WorkDir, "cluster.json"))
			config := "[user]\n\tname = Ada\n\temail = ada@example.com\n[init]\n\tdefaultBranch = main\n[commit]\n\tgpgSign = false\n" +
				"[receive]\n\tautoGC = false\n[maintenance]\n\tauto = false\n" // There is never enough to collect.
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
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Geteuid() == 0, nil
			case "langgraph": // Runtimes in TypeScript can be built here.
				_, err := incidentGraph()
				if errors.Is(err, langgraphtest.ErrCannot) {
					t.Logf("SKIPPED: %v", err)
					return false, nil
				}
				return err == nil, err
			case "ollama":
				if os.Getenv(ollamatest.Variable) == "" {
					t.Logf("SKIPPED: %s is not set; .ci/run builds a real Ollama server and sets it", ollamatest.Variable)
					return false, nil
				}
				return true, nil
			case "postgres":
				if !postgrestest.There() {
					t.Log(postgrestest.ErrNone)
				}
				return postgrestest.There(), nil
			case "readable:/proc/kmsg": // A regular file that does not end. It is for root, on Linux.
			default:
				return false, fmt.Errorf("unknown condition %q", name)
			}
			f, err := os.Open("/proc/kmsg")
			if err == nil {
				err = f.Close()
			}
			return err == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"postgres": startPostgres, "gate": moveGate,
			"quickstart": writeQuickstart, "langgraph": writeLangGraph, "platformteam": writePlatformTeam, "seed": seed, "commit": commit,
			"eventually": eventually, "exits": exits, "pick": pick, "grepcount": grepCount, "nowhere": nowhere,
			"sops": sopsFile, "kubesecret": kubeSecret, "replace": replace, "mode": mode, "terminate": terminate, "gone": gone, "reads": reads,
			"damage": damage, "site": site, "webhook": webhook, "seer": seer, "picture": picture, "ollama": func(ts *testscript.TestScript, neg bool, args []string) { startOllama(t, ts, neg, args) },
		},
	})
}

// writeQuickstart is `quickstart DIR`: it writes examples/quickstart into DIR, with its cluster in $CLUSTER_FILE.
func writeQuickstart(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "quickstart DIR")
	ts.Check(os.CopyFS(ts.MkAbs(args[0]), quickstart.Files()))
	replace(ts, false, []string{
		"  # env:\n  #   - name: CLUSTER_FILE\n  #     from: {env: CLUSTER_FILE}\n",
		"  env:\n    - name: CLUSTER_FILE\n      from: {env: CLUSTER_FILE}\n",
		filepath.Join(args[0], "tools", "cluster.yaml"),
	})
}

// startOllama is `ollama DIR`: it starts a real Ollama server with a model that can call no tools, talker, and one in a registry on
// loopback, $PULLED, which it does not have. Into DIR it writes the file of a third, made.gguf, and its Modelfile. All of them
// say what they are.
func startOllama(t *testing.T, ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "ollama DIR")
	server := ollamatest.Start(t)
	server.Create("talker", ollamatest.Script{Turns: [][]string{{"I am talker."}}})
	server.Create("pulled", ollamatest.Script{Tools: true, Turns: [][]string{{"I am pulled."}}})
	registry := ollamatest.NewRegistry(t, server)
	server.Forget("pulled")
	ts.Setenv("OLLAMA_HOST", server.URL)
	ts.Setenv("PULLED", registry.Name("pulled"))
	ts.Check(os.MkdirAll(ts.MkAbs(args[0]), 0o755))
	ts.Check(ollamatest.Write(ts.MkAbs(args[0]), "made", ollamatest.Script{Tools: true, Turns: [][]string{{"I am made."}}}))
}

// writePlatformTeam is `platformteam DIR`: it writes examples/platform-team into DIR, without its approvers, so that seed can
// put Ada in their place.
func writePlatformTeam(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "platformteam DIR")
	ts.Check(os.CopyFS(ts.MkAbs(args[0]), platformteam.Files()))
	path := filepath.Join(args[0], "mainstay.yaml")
	root, approvers, _ := strings.Cut(ts.ReadFile(path), "  # Who may approve.")
	if approvers == "" {
		ts.Fatalf("%s does not end with its approvers", path)
	}
	ts.Check(os.WriteFile(ts.MkAbs(path), []byte(root), 0o644))
}

// incidentGraph builds the runtime of examples/langgraph.
func incidentGraph() (string, error) {
	return langgraphtest.Build(langgraphtest.Example, "src/incident.ts", "mainstay-incident")
}

// writeLangGraph is `langgraph DIR BIN`: it writes examples/langgraph into DIR, with its cluster in $CLUSTER_FILE, and mainstay
// beside the runtime of the example into BIN.
func writeLangGraph(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "langgraph DIR BIN")
	ts.Check(os.CopyFS(ts.MkAbs(args[0]), langgraph.Files()))
	replace(ts, false, []string{
		"  timeout: 10s\n", "  env:\n    - name: CLUSTER_FILE\n      from: {env: CLUSTER_FILE}\n  timeout: 10s\n", filepath.Join(args[0], "tools", "cluster.yaml"),
	})
	bin := ts.MkAbs(args[1])
	ts.Check(os.Mkdir(bin, 0o755))
	graph, err := incidentGraph()
	ts.Check(err)
	for _, from := range []string{graph, filepath.Join(built.dir, "mainstay")} {
		content, err := os.ReadFile(from)
		ts.Check(err)
		ts.Check(os.WriteFile(filepath.Join(bin, filepath.Base(from)), content, 0o755))
	}
}

// seed DIR makes the remote from a folder: Ada approves, and the reconciler's ledger is pinned. DIR becomes a clone.
func seed(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "seed DIR")
	dir := ts.MkAbs(args[0])
	ts.Check(ts.Exec("git", "init", "-q", "--bare", ts.Getenv("REMOTE")))
	ts.Check(ts.Exec("mainstay", "ledger", "init", "--repo", ts.Getenv("REMOTE")))
	ledger := strings.TrimPrefix(ts.ReadFile("stdout"), "spec:\n")
	ada := ts.ReadFile(filepath.Join("keys", "ada.pub"))
	path := filepath.Join(dir, "mainstay.yaml")
	root := ts.ReadFile(path) + "  approvers:\n  - name: Ada\n    key: " + strings.TrimSpace(ada) + "\n" + ledger
	ts.Check(os.WriteFile(path, []byte(root), 0o644))
	ts.Check(ts.Exec("git", "-C", dir, "init", "-q"))
	ts.Check(ts.Exec("git", "-C", dir, "remote", "add", "origin", ts.Getenv("REMOTE")))
	commit(ts, false, []string{args[0], "seed"})
}

// commit DIR MESSAGE commits everything in a clone and pushes it to main.
func commit(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "commit DIR MESSAGE")
	dir := ts.MkAbs(args[0])
	ts.Check(ts.Exec("git", "-C", dir, "add", "-A"))
	ts.Check(ts.Exec("git", "-C", dir, "commit", "-q", "-m", args[1]))
	ts.Check(ts.Exec("git", "-C", dir, "push", "-q", "origin", "HEAD:main"))
}

// patience is how long a story waits for something that must happen.
const patience = time.Minute

// eventually PATTERN COMMAND... runs a command until it succeeds with an output that matches.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2, "eventually PATTERN COMMAND...")
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for deadline := time.Now().Add(patience); ; {
		begin := time.Now()
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")+ts.ReadFile("stderr")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%v: no %q after %v: %v", args[1:], args[0], patience, err)
		}
		// Polling another process; the deadline decides, not the pause. Looking takes no more than a quarter of the time, because
		// on a busy machine it would slow down what it waits for.
		time.Sleep(min(max(50*time.Millisecond, 3*time.Since(begin)), 2*time.Second))
	}
}

// exits CODE COMMAND... runs a command that must end with that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2, "exits CODE COMMAND...")
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v: %v", args[1:], err)
		}
		code = exit.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%v exited with %d, not %s", args[1:], code, args[0])
	}
}

// pick NAME PATTERN FILE sets a variable to what the pattern's group matches in a file, or in stdout or stderr.
func pick(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3, "pick NAME PATTERN FILE")
	pattern, err := regexp.Compile("(?ms)" + args[1])
	ts.Check(err)
	found := pattern.FindStringSubmatch(ts.ReadFile(args[2]))
	if len(found) != 2 {
		ts.Fatalf("%s has no %q", args[2], args[1])
	}
	ts.Setenv(args[0], found[1])
}

// grepCount is `grepcount N TEXT FILE`: it checks how many times a file holds a text.
func grepCount(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3, "grepcount N TEXT FILE")
	n := strings.Count(ts.ReadFile(args[2]), args[1])
	if strconv.Itoa(n) != args[0] {
		ts.Fatalf("%s holds %q %d times, not %s", args[2], args[1], n, args[0])
	}
}

// nowhere TEXT DIR... checks that no file in the folders holds a text.
func nowhere(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2, "nowhere TEXT DIR...")
	for _, dir := range args[1:] {
		files := 0
		ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			files++
			content, err := os.ReadFile(path)
			if err == nil && strings.Contains(string(content), args[0]) {
				return fmt.Errorf("%s holds %q", path, args[0])
			}
			return err
		}))
		if files == 0 {
			ts.Fatalf("%s holds no file", dir)
		}
	}
}

// replace OLD NEW FILE replaces a text that is there. In NEW, \n begins a new line.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3, "replace OLD NEW FILE")
	text := ts.ReadFile(args[2])
	if !strings.Contains(text, args[0]) {
		ts.Fatalf("%s does not hold %q", args[2], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.ReplaceAll(text, args[0], strings.ReplaceAll(args[1], `\n`, "\n"))), 0o644))
}

// mode PERM GLOB... checks the permissions of the files that match, of which there must be one.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2, "mode PERM GLOB...")
	found := 0
	for _, glob := range args[1:] {
		paths, err := filepath.Glob(ts.MkAbs(glob))
		ts.Check(err)
		for _, path := range paths {
			info, err := os.Lstat(path)
			ts.Check(err)
			if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
				ts.Fatalf("%s has mode %s, not %s", path, got, args[0])
			}
			found++
		}
	}
	if found == 0 {
		ts.Fatalf("no file matches %v", args[1:])
	}
}

func usage(ts *testscript.TestScript, ok bool, text string) {
	if !ok {
		ts.Fatalf("usage: %s", text)
	}
}
