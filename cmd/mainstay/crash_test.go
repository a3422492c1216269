package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// The fleet of these tests: one run that reads once and then proposes a change and a restart in one turn.
var crashFleet = map[string]string{
	"mainstay.yaml": `apiVersion: mainstay.dev/v1alpha1
kind: Fleet
metadata:
  name: shop
spec:
  defaults:
    model: default
`,
	"models/default.yaml": `apiVersion: mainstay.dev/v1alpha1
kind: Model
metadata:
  name: default
spec:
  provider: scripted
  rules:
  - when: turn == 0
    calls:
    - tool: cluster__get_deployment
      arguments: {namespace: shop, name: frontend}
  - when: turn == 1
    calls:
    - tool: repo__propose_change
      arguments:
        title: Write the number down
        files:
        - path: notes/number.txt
          content: "42\n"
    - tool: cluster__restart_deployment
      arguments: {namespace: shop, name: frontend}
  - text: done
`,
	"agents/keeper.md": `---
description: Keeps the shop open.
tools:
- server: cluster
proposals:
  paths: ["notes/**"]
---
Keep the shop open.
`,
	"tools/cluster.yaml": `apiVersion: mainstay.dev/v1alpha1
kind: ToolServer
metadata:
  name: cluster
spec:
  command: [mainstay, demo, tools]
  env:
  - name: CLUSTER_FILE
    from: {env: CLUSTER_FILE}
  tools:
    get_deployment:
      effect: read
    restart_deployment:
      effect: write
      summary: Restart deployment ${ arguments.namespace }/${ arguments.name }
      target: [namespace, name]
      precondition:
        tool: get_deployment
        arguments:
          namespace: ${ arguments.namespace }
          name: ${ arguments.name }
        check: result.ready == result.replicas
`,
	"triggers/always.yaml": `apiVersion: mainstay.dev/v1alpha1
kind: Trigger
metadata:
  name: always
spec:
  agent: keeper
  onRevision:
    paths: ["agents/**"]
  task: Keep the shop open.
`,
}

// world is one remote with one reconciler's state and the cluster its tools change.
type world struct {
	t   *testing.T
	dir string
}

func (w world) path(name string) string { return filepath.Join(w.dir, name) }

// newWorld seeds a remote with crashFleet, as a stranger would: git, and `mainstay ledger init`.
func newWorld(t *testing.T) world {
	t.Helper()
	w := world{t, t.TempDir()}
	for _, name := range []string{"ada", "reconciler"} {
		if _, err := remote.GenerateSigner(w.path("keys/"+name), name); err != nil {
			t.Fatal(err)
		}
	}
	w.git(".", "init", "-q", "--bare", "-b", "main", w.path("remote.git"))
	ledger := strings.TrimPrefix(w.mainstay(0, "ledger", "init", "--repo", w.path("remote.git")).stdout, "spec:\n")
	ada, err := os.ReadFile(w.path("keys/ada.pub"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range crashFleet {
		if name == "mainstay.yaml" {
			text += "  approvers:\n  - name: Ada\n    key: " + string(ada) + ledger
		}
		path := w.path("repo/" + name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.git("repo", "init", "-q", "-b", "main")
	w.git("repo", "add", ".")
	w.git("repo", "commit", "-q", "-m", "seed")
	w.git("repo", "push", "-q", w.path("remote.git"), "main")
	return w
}

// copyWorld copies a world, so that every crash starts from the same one.
func copyWorld(t *testing.T, from world) world {
	t.Helper()
	w := world{t, t.TempDir()}
	if err := os.CopyFS(w.dir, os.DirFS(from.dir)); err != nil {
		t.Fatal(err)
	}
	// The remote has another place now, and the state folder goes with it.
	if err := os.RemoveAll(w.path("state/repository")); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"ada", "reconciler"} { // CopyFS makes files readable by all, which ssh keys must not be.
		if err := os.Chmod(w.path("keys/"+key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w world) git(dir string, args ...string) string {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = w.path(dir)
	cmd.Env = append(os.Environ(), "HOME="+w.dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

type ended struct {
	stdout, stderr string
	code           int // -1 where it was killed
}

// start runs mainstay with extra variables, and returns how it ended.
func (w world) start(extra []string, args ...string) ended {
	w.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(w.t.Context(), filepath.Join(executables(w.t), "killed", "mainstay"), args...)
	cmd.Env = append(os.Environ(), asMainstay+"=1", "HOME="+w.dir, "XDG_STATE_HOME="+w.path("xdg"), "XDG_CACHE_HOME="+w.path("cache"), "CLUSTER_FILE="+w.path("cluster.json"),
		"MAINSTAY_SIGNING_KEY="+w.path("keys/reconciler"))
	cmd.Env = append(cmd.Env, extra...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // The exit code tells.
	return ended{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// mainstay runs mainstay and expects an exit code.
func (w world) mainstay(code int, args ...string) ended {
	w.t.Helper()
	e := w.start(nil, args...)
	if e.code != code {
		w.t.Fatalf("mainstay %v: exit code %d, want %d\n%s%s", args, e.code, code, e.stdout, e.stderr)
	}
	return e
}

// look runs a command within this process and expects that it succeeds: one that reads, or decides as a person does. What it says
// is not what these tests are about, and dozens of worlds need no process for each look at them.
func (w world) look(args ...string) string {
	w.t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(w.t.Context(), environment{}, args, strings.NewReader(""), &stdout, &stderr); code != 0 {
		w.t.Fatalf("mainstay %v: exit code %d\n%s%s", args, code, stdout.String(), stderr.String())
	}
	return stdout.String()
}

func (w world) once() []string {
	return []string{"run", "--once", "--repo", w.path("remote.git"), "--state", w.path("state")}
}

// approve merges every open proposal as Ada.
func (w world) approve() {
	w.t.Helper()
	w.approveWith("keys/ada")
}

// approveWith merges every open proposal, signed with a key.
func (w world) approveWith(key string) {
	w.t.Helper()
	for _, p := range w.proposals() {
		w.look("proposals", "approve", string(p.Key)+"@"+p.Head, "--repo", w.path("remote.git"), "--key", w.path(key),
			"--name", "Ada", "--email", "ada@example.com")
	}
}

func (w world) proposals() []reconciler.ProposalStatus {
	w.t.Helper()
	var open []reconciler.ProposalStatus
	if err := json.Unmarshal([]byte(w.look("proposals", "list", "--repo", w.path("remote.git"), "-o", "json")), &open); err != nil {
		w.t.Fatal(err)
	}
	return open
}

// restarts counts the effects in the cluster itself.
func (w world) restarts() int {
	w.t.Helper()
	b, err := os.ReadFile(w.path("cluster.json"))
	if os.IsNotExist(err) {
		return 0
	}
	var state struct {
		Journal []json.RawMessage `json:"journal"`
	}
	if err == nil {
		err = json.Unmarshal(b, &state)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return len(state.Journal)
}

// runs reads the runs from the state folder.
func (w world) runs() []spec.RunSummary {
	w.t.Helper()
	var runs []spec.RunSummary
	w.get("runs", &runs)
	return runs
}

// get reads one list from the state folder.
func (w world) get(what string, list any) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.look("get", what, "--state", w.path("state"), "-o", "json")), list); err != nil {
		w.t.Fatal(err)
	}
}

// checkRecord checks that a record asks the model once for each answer: an answered request is never asked again.
func (w world) checkRecord(id spec.RunID) {
	w.t.Helper()
	var entries []spec.Entry
	if err := json.Unmarshal([]byte(w.look("logs", string(id), "--state", w.path("state"), "-o", "json")), &entries); err != nil {
		w.t.Fatal(err)
	}
	answered, model := map[int]bool{}, 0
	for _, entry := range entries {
		switch entry.Type {
		case spec.EntryRequest:
			if answered[entry.N] {
				w.t.Errorf("exchange %d was asked again after its answer", entry.N)
			}
			if entry.Request != nil && entry.Request.Kind == spec.RequestModel && !entry.Restarted {
				model++
			}
		case spec.EntryAnswer:
			if answered[entry.N] {
				w.t.Errorf("exchange %d has two answers", entry.N)
			}
			answered[entry.N] = true
		}
	}
	if model != 3 {
		w.t.Errorf("the model was asked %d different things, want 3", model)
	}
}

// points runs mainstay to its end and returns what it was about to write, in order.
func (w world) points() []string {
	w.t.Helper()
	log := w.path("points.log")
	e := w.start([]string{crashAt + "=0", crashLog + "=" + log}, w.once()...)
	if e.code != 0 {
		w.t.Fatalf("exit code %d\n%s", e.code, e.stderr)
	}
	b, err := os.ReadFile(log)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// Mainstay is killed before every single write on the way to the review, and started again. The run always comes to the
// same two proposals, and after the approval to one effect and one receipt.
func TestKilledBeforeEveryWriteUntilTheReview(t *testing.T) {
	seed := newWorld(t)
	points := copyWorld(t, seed).points()
	for i, point := range sample(points) {
		if point == "" {
			continue
		}
		t.Run(fmt.Sprintf("%03d %s", i+1, point), func(t *testing.T) {
			t.Parallel()
			w := copyWorld(t, seed)
			w.killedAt(i + 1)
			w.mainstay(0, w.once()...)
			if open := w.proposals(); len(open) != 2 {
				t.Fatalf("%d proposals are open, want 2: %+v", len(open), open)
			}
			w.approve()
			w.mainstay(0, w.once()...)
			w.checkDone(t)
		})
	}
}

// Mainstay is killed before every single write and around the effect after the approval. The effect happens at most once:
// either the run finishes with a receipt, or the action is unknown and waits for a person, because only the tool knows.
func TestKilledBeforeEveryWriteAfterTheApproval(t *testing.T) {
	seed := newWorld(t)
	seed.mainstay(0, seed.once()...)
	seed.approve()
	points := copyWorld(t, seed).points()
	var unknown atomic.Int64
	t.Run("before", func(t *testing.T) { // It ends when all have.
		for i, point := range sample(points) {
			if point == "" {
				continue
			}
			t.Run(fmt.Sprintf("%03d %s", i+1, point), func(t *testing.T) {
				t.Parallel()
				w := copyWorld(t, seed)
				w.killedAt(i + 1)
				// Two hours later no claim and no start is within its deadline.
				e := w.start([]string{clockAhead + "=2h"}, w.once()...)
				switch {
				case e.code == 0:
					w.checkDone(t)
				case strings.Contains(e.stderr, "Unknown"):
					unknown.Add(1)
					if n := w.restarts(); n > 1 {
						t.Errorf("the effect happened %d times", n)
					}
					before := w.restarts()
					w.start([]string{clockAhead + "=3h"}, w.once()...)
					if after := w.restarts(); after != before {
						t.Errorf("an unknown action was executed by itself")
					}
				default:
					t.Errorf("exit code %d\n%s", e.code, e.stderr)
				}
			})
		}
	})
	// Between the start and the receipt there is no other honest answer.
	if unknown.Load() == 0 {
		t.Error("no kill left an unknown action; the points between start and receipt were not reached")
	}
}

func (w world) checkDone(t *testing.T) {
	t.Helper()
	if n := w.restarts(); n != 1 {
		t.Errorf("the effect happened %d times, want 1", n)
	}
	runs := w.runs()
	if len(runs) != 1 || runs[0].Phase != spec.PhaseSucceeded {
		t.Fatalf("runs: %+v", runs)
	}
	w.checkRecord(runs[0].Run)
	if open := w.proposals(); len(open) != 0 {
		t.Errorf("proposals are left: %+v", open)
	}
	if merges := strings.Count(w.git("remote.git", "log", "--merges", "--format=%H", "main"), "\n"); merges != 2 {
		t.Errorf("%d merges, want 2", merges)
	}
	files := strings.Fields(w.git("remote.git", "ls-tree", "-r", "--name-only", "mainstay/ledger"))
	if !slices.ContainsFunc(files, func(f string) bool { return strings.HasSuffix(f, "/receipt.json") }) {
		t.Errorf("the ledger has no receipt: %v", files)
	}
}

// killedAt starts mainstay so that it is killed before its nth write. How often the state is published depends on
// timing, so near the end there may be no nth one; then it has converged.
func (w world) killedAt(n int) {
	w.t.Helper()
	if e := w.start([]string{fmt.Sprintf("%s=%d", crashAt, n)}, w.once()...); e.code != -1 && e.code != 0 {
		w.t.Fatalf("it was not killed, and failed with exit code %d\n%s", e.code, e.stderr)
	}
}

// sample keeps every point, or with -short every seventh and the one right before the effect.
func sample(points []string) []string {
	if !testing.Short() {
		return points
	}
	kept := make([]string, len(points))
	for i := range points {
		if i%7 == 0 || strings.HasPrefix(points[i], execute.PointBeforeEffect) {
			kept[i] = points[i]
		}
	}
	return kept
}
