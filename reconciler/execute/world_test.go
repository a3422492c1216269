package execute_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/proposal/local"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

const run = spec.RunID("01jd00000000000000000000ab")

// clock only moves when somebody waits or a test moves it.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func (c *clock) after(d time.Duration) <-chan time.Time {
	c.pass(d)
	fired := make(chan time.Time, 1)
	fired <- c.now()
	return fired
}

// world is a bare Git remote with a fleet, a person and a reconciler.
type world struct {
	testing.TB
	dir      string // of the bare repository
	clock    *clock
	reviewer *remote.Signer
	robot    *remote.Signer
	second   *remote.Signer // another reconciler's
	genesis  string
	effects  *effects
	options  func(*execute.Options)
	stages   *stages
	as       string // who commits are by; Someone if empty

	// prepared is an Action that is not where it belongs any more, trusted the commit whose approvers count.
	prepared execute.Work
	trusted  string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{
		TB: t, dir: filepath.Join(t.TempDir(), "remote.git"), effects: &effects{count: map[string]int{}},
		clock: &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, options: func(*execute.Options) {},
	}
	w.git("", "init", "-q", "--bare", "-b", "main", w.dir)
	// Nothing here has to outlive the machine, or to be tidied up.
	w.ok(appendTo(filepath.Join(w.dir, "config"), "[core]\n\tfsync = none\n[receive]\n\tautogc = false\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"))
	w.ok(os.RemoveAll(filepath.Join(w.dir, "hooks")))
	w.ok(os.Mkdir(filepath.Join(w.dir, "hooks"), 0o755))
	keys := t.TempDir()
	for name, into := range map[string]**remote.Signer{"reviewer": &w.reviewer, "robot": &w.robot, "second": &w.second} {
		key, err := remote.GenerateSigner(filepath.Join(keys, name), name)
		w.ok(err)
		*into = key
	}
	r := w.clone()
	var err error
	w.genesis, err = execute.InitLedger(context.Background(), r, w.robot, "robot", "robot@example.com", w.clock.now())
	w.ok(err)
	w.commit("Begin", map[string]string{"mainstay.yaml": w.fleetFile(w.reviewer), "app.yaml": "replicas: 1\n"}, nil)
	return w
}

func appendTo(name, text string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, text...), 0o644)
}

// fleetFile is mainstay.yaml with approvers.
func (w *world) fleetFile(approvers ...*remote.Signer) string {
	var f fleetFile
	for i, a := range approvers {
		f.Spec.Approvers = append(f.Spec.Approvers, spec.Signer{Name: fmt.Sprintf("approver-%d", i), Key: a.AuthorizedKey()})
	}
	f.Spec.Ledger = &spec.LedgerSpec{Genesis: w.genesis, Signers: []spec.Signer{
		{Name: "robot", Key: w.robot.AuthorizedKey()}, {Name: "second", Key: w.second.AuthorizedKey()},
	}}
	b, err := yaml.Marshal(f)
	w.ok(err)
	return string(b)
}

type fleetFile struct {
	Spec spec.FleetSpec `json:"spec"`
}

// fleetAt reads mainstay.yaml, as the real one does with more checks.
func fleetAt(r *remote.Remote, commit string) (*spec.Fleet, error) {
	tree, err := r.Snapshot(commit)
	if err != nil {
		return nil, err
	}
	b, err := tree.ReadFile("mainstay.yaml")
	if err != nil {
		return nil, err
	}
	var f fleetFile
	if err := yaml.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	fleet := &spec.Fleet{}
	if fleet.Approvers, err = keysOf(f.Spec.Approvers); err != nil || f.Spec.Ledger == nil {
		return fleet, err
	}
	fleet.Ledger = &spec.Ledger{Genesis: f.Spec.Ledger.Genesis}
	fleet.Ledger.Signers, err = keysOf(f.Spec.Ledger.Signers)
	server := &spec.ToolServer{Timeout: 30 * time.Second}
	server.Name, server.Place.File = "cluster", "tools/cluster.yaml"
	server.Spec.Tools = map[string]spec.ToolSpec{
		"restart": {Effect: spec.EffectWrite}, "scale": {Effect: spec.EffectWrite, Idempotent: true},
		"get": {Effect: spec.EffectRead}, "wipe": {Effect: spec.EffectDenied},
	}
	fleet.Servers = map[string]*spec.ToolServer{"cluster": server}
	return fleet, err
}

func keysOf(signers []spec.Signer) ([]spec.Key, error) {
	var keys []spec.Key
	for _, s := range signers {
		k, err := spec.ParseKey(s.Name, s.Key)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// git runs the git binary without anybody's configuration. The signing key is the reviewer's.
func (w *world) git(dir string, args ...string) string {
	w.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Someone", "GIT_AUTHOR_EMAIL=someone@example.com",
		"GIT_COMMITTER_NAME=Someone", "GIT_COMMITTER_EMAIL=someone@example.com",
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *world) clone() *remote.Remote {
	w.Helper()
	r, err := remote.Open(context.Background(), remote.Options{URL: w.dir})
	w.ok(err)
	w.Cleanup(func() { w.ok(r.Close()) })
	_, err = r.Fetch(context.Background())
	w.ok(err)
	return r
}

// commit pushes a commit directly to main. A file of "" is removed.
func (w *world) commit(message string, files map[string]string, signer *remote.Signer) string {
	w.Helper()
	return w.push("main", remote.CommitDraft{Message: message, Signer: signer}, files)
}

func (w *world) push(branch string, d remote.CommitDraft, files map[string]string) string {
	w.Helper()
	r := w.clone()
	tips, err := r.Tips(context.Background())
	w.ok(err)
	tip := tips[branch]
	if tip != "" && d.Parents == nil {
		d.Base, d.Parents = tip, []string{tip}
	}
	for name, content := range files {
		d.Edits = append(d.Edits, spec.FileEdit{Path: name, Content: content, Remove: content == ""})
	}
	d.AuthorName, d.AuthorEmail, d.When = cmp.Or(w.as, "Someone"), "someone@example.com", w.clock.now()
	id, err := r.WriteCommit(d)
	w.ok(err)
	w.ok(r.Push(context.Background(), branch, tip, id))
	return id
}

// action writes the file of an Action.
func (w *world) action(n int, change func(*spec.ActionSpec)) (spec.ActionID, string) {
	w.Helper()
	id := spec.ActionID(fmt.Sprintf("triage-%s-%d", run, n))
	a := spec.ActionSpec{
		Summary: "Restart deployment shop", Server: "cluster", Tool: "restart", Arguments: map[string]any{"name": "shop"},
		Evidence: spec.Evidence{Agent: "triage", Run: run, Exchange: n, Revision: "main@sha1:" + spec.Revision(w.tip("main")), Key: key(n)},
		Expires:  w.clock.now().Add(72 * time.Hour).Format(time.RFC3339),
	}
	if change != nil {
		change(&a)
	}
	b, err := yaml.Marshal(map[string]any{
		"apiVersion": spec.APIVersion, "kind": "Action", "metadata": map[string]any{"name": string(id)}, "spec": a,
	})
	w.ok(err)
	return id, string(b)
}

func key(n int) spec.ProposalKey { return spec.ProposalKey(fmt.Sprintf("%016x", n)) }

func (w *world) tip(branch string) string {
	if b, err := os.ReadFile(filepath.Join(w.dir, "refs", "heads", branch)); err == nil {
		return strings.TrimSpace(string(b))
	}
	return w.git(w.dir, "rev-parse", branch)
}

// driver is the proposal driver as the reconciler has it.
func (w *world) driver(r *remote.Remote) *local.Driver {
	return local.New(local.Options{
		Remote: r, Branch: "main", Name: "robot", Email: "robot@example.com", Signer: w.robot, Ledger: w.ledger(r),
		FleetAt: func(c string) (*spec.Fleet, error) { return fleetAt(r, c) }, Now: w.clock.now,
	})
}

func (w *world) ledger(r *remote.Remote) *execute.Ledger { return w.ledgerFrom(r, "") }

func (w *world) ledgerFrom(r *remote.Remote, last string) *execute.Ledger {
	return execute.OpenLedger(execute.LedgerOptions{
		Remote: r, LastTip: last, Name: "robot", Email: "robot@example.com", Now: w.clock.now,
		Fleet: func() (*spec.Fleet, error) {
			tips, err := r.Tips(context.Background())
			if err != nil {
				return nil, err
			}
			return fleetAt(r, tips["main"])
		},
	})
}

// propose opens the proposal of an Action.
func (w *world) propose(n int, change func(*spec.ActionSpec)) spec.ActionID {
	w.Helper()
	id, file := w.action(n, change)
	w.ok(w.driver(w.clone()).Open(context.Background(), spec.Proposal{
		Key: key(n), Kind: spec.ProposalAction, Agent: "triage", Run: run, Exchange: n, Action: id,
		Base: spec.NewRevision("main", w.tip("main")), Title: "Restart deployment shop", At: w.clock.now(),
		Files: []spec.FileEdit{{Path: proposal.ActionPath("", id), Content: file}},
	}))
	return id
}

func (w *world) approve(n int) {
	w.Helper()
	_, err := w.driver(w.clone()).Approve(context.Background(), local.Approval{
		Key: key(n), By: local.Reviewer{Name: "Ada", Email: "ada@example.com", Signer: w.reviewer},
	})
	w.ok(err)
}

// approved proposes and approves an Action.
func (w *world) approved(n int, change func(*spec.ActionSpec)) spec.ActionID {
	w.Helper()
	id := w.propose(n, change)
	w.approve(n)
	return id
}

// executor is one process with a store of its own.
type executor struct {
	*execute.Executor
	w      *world
	remote *remote.Remote
	ledger *execute.Ledger
}

func (w *world) executor(name string, signer *remote.Signer) executor {
	w.Helper()
	r := w.clone()
	l := w.ledger(r)
	opts := execute.Options{
		Remote: r, Ledger: l, Signer: signer, Branch: "main", Name: name, Tools: w.effects,
		FleetAt: func(c string) (*spec.Fleet, error) { return fleetAt(r, c) },
		DeclaredAt: func(c string) ([]execute.Declared, error) {
			fleet, err := fleetAt(r, c)
			return []execute.Declared{{Fleet: fleet}}, err
		},
		Now: w.clock.now, After: w.clock.after, Random: rand.Reader,
	}
	w.options(&opts)
	return executor{Executor: execute.New(opts), w: w, remote: r, ledger: l}
}

// work loads an Action from main as it is now.
func (e executor) work(id spec.ActionID) execute.Work {
	e.w.Helper()
	branches, err := e.remote.Fetch(context.Background())
	e.w.ok(err)
	fleet, err := fleetAt(e.remote, branches["main"])
	e.w.ok(err)
	tree, err := e.remote.Snapshot(branches["main"])
	e.w.ok(err)
	b, err := tree.ReadFile("actions/" + string(id) + ".yaml")
	e.w.ok(err)
	var f struct {
		Spec spec.ActionSpec `json:"spec"`
	}
	e.w.ok(yaml.Unmarshal(b, &f))
	a := &spec.Action{ID: id, Spec: f.Spec}
	a.Digest = spec.DigestBytes(b)
	a.Expires, err = time.Parse(time.RFC3339, f.Spec.Expires)
	e.w.ok(err)
	return execute.Work{Action: a, Revision: spec.NewRevision("main", branches["main"]), Fleet: fleet}
}

func (e executor) run(id spec.ActionID) execute.State {
	e.w.Helper()
	s, err := e.Execute(context.Background(), e.work(id))
	e.w.ok(err)
	return s
}

// effects counts what was called, by idempotency key; read tools answer with a value.
type effects struct {
	mu    sync.Mutex
	count map[string]int
	calls int
	value any
	err   error
	lost  error // instead of the answer, although it happened
	hook  func()
}

func (f *effects) Call(ctx context.Context, server *spec.ToolServer, tool string, args map[string]any, key string) (execute.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if server.Spec.Tools[tool].Effect == spec.EffectRead {
		return execute.Result{Structured: f.value}, f.err
	}
	f.calls++
	if f.hook != nil {
		f.hook()
	}
	if err := ctx.Err(); err != nil {
		return execute.Result{}, err
	}
	if f.err != nil {
		return execute.Result{}, f.err
	}
	f.count[key]++
	if f.lost != nil {
		return execute.Result{}, f.lost
	}
	return execute.Result{Structured: map[string]any{"restarted": args["name"]}}, nil
}

func (f *effects) of(id spec.ActionID) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[string(id)]
}

// hook installs a hook of the bare repository.
func (w *world) hook(name, script string) {
	w.Helper()
	w.ok(os.WriteFile(filepath.Join(w.dir, "hooks", name), []byte("#!/bin/sh\n"+script), 0o755))
}

func (w *world) wants(s execute.State, phase execute.Phase, message string) {
	w.Helper()
	if s.State != phase || !strings.Contains(s.Message, message) {
		w.Fatalf("it is %s (%s), want %s with %q", s.State, s.Message, phase, message)
	}
}

func (w *world) wantsError(err, kind error) {
	w.Helper()
	if !errors.Is(err, kind) {
		w.Fatalf("got the error %v, want %v", err, kind)
	}
}
