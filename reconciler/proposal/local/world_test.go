package local_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/proposal/local"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

var (
	ctx     = context.Background()
	runA    = spec.RunID("01jd00000000000000000000aa")
	runB    = spec.RunID("01jd00000000000000000000bb")
	keyA    = spec.ProposalKey("aaaaaaaaaaaaaaaa")
	branchA = "mainstay/triage/aaaaaaaaaaaaaaaa"
	now     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// memory is a ledger that several drivers share. The real one is package execute's; its tests use this driver.
type memory struct {
	mu    sync.Mutex
	files map[string][]byte
}

func (m *memory) Entries(_ context.Context, folder string) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string][]byte{}
	for name, b := range m.files {
		if strings.HasPrefix(name, folder+"/") {
			out[name] = b
		}
	}
	return out, nil
}

func (m *memory) Append(_ context.Context, path string, content []byte, _, _, _ string, _ *remote.Signer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.files[path]; taken {
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	m.files[path] = content
	return nil
}

type world struct {
	*testing.T
	dir                           string
	robot, second, ada, eve       *remote.Signer
	ledger                        *memory
	path                          string
	byAda, byEve, byRobot, nobody local.Reviewer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: filepath.Join(t.TempDir(), "remote.git"), ledger: &memory{files: map[string][]byte{}}}
	w.git("", "init", "-q", "--bare", "-b", "main", w.dir)
	keys := t.TempDir()
	for name, into := range map[string]**remote.Signer{"robot": &w.robot, "second": &w.second, "ada": &w.ada, "eve": &w.eve} {
		key, err := remote.GenerateSigner(filepath.Join(keys, name), name)
		w.ok(err)
		*into = key
	}
	w.byAda = local.Reviewer{Name: "Ada", Email: "ada@example.com", Signer: w.ada}
	w.byEve = local.Reviewer{Name: "Eve", Email: "eve@example.com", Signer: w.eve}
	w.byRobot = local.Reviewer{Name: "robot", Email: "robot@example.com", Signer: w.robot}
	w.commit("main", "Begin", map[string]string{
		"mainstay.yaml": w.fleetFile(w.ada), "app.yaml": "image: nginx:1.26\n", "other.yaml": "x: 1\n",
	}, nil)
	return w
}

type fleetFile struct {
	Spec spec.FleetSpec `json:"spec"`
}

func (w *world) fleetFile(approvers ...*remote.Signer) string {
	var f fleetFile
	for _, a := range approvers {
		f.Spec.Approvers = append(f.Spec.Approvers, spec.Signer{Name: "approver", Key: a.AuthorizedKey()})
	}
	f.Spec.Ledger = &spec.LedgerSpec{Signers: []spec.Signer{{Name: "robot", Key: w.robot.AuthorizedKey()}, {Name: "second", Key: w.second.AuthorizedKey()}}}
	b, err := yaml.Marshal(f)
	w.ok(err)
	return string(b)
}

func (w *world) fleetAt(r *remote.Remote, commit string) (*spec.Fleet, error) {
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
	fleet := &spec.Fleet{Ledger: &spec.Ledger{}}
	for _, list := range []struct {
		from []spec.Signer
		to   *[]spec.Key
	}{{f.Spec.Approvers, &fleet.Approvers}, {f.Spec.Ledger.Signers, &fleet.Ledger.Signers}} {
		for _, s := range list.from {
			k, err := spec.ParseKey(s.Name, s.Key)
			if err != nil {
				return nil, err
			}
			*list.to = append(*list.to, k)
		}
	}
	return fleet, nil
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

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

func (w *world) tip(branch string) string { w.Helper(); return w.git(w.dir, "rev-parse", branch) }

func (w *world) branches() string {
	w.Helper()
	return strings.ReplaceAll(w.git(w.dir, "for-each-ref", "--format=%(refname:short)", "refs/heads"), "\n", " ")
}

func (w *world) clone() *remote.Remote {
	w.Helper()
	r, err := remote.Open(ctx, remote.Options{URL: w.dir})
	w.ok(err)
	w.Cleanup(func() { w.ok(r.Close()) })
	_, err = r.Fetch(ctx)
	w.ok(err)
	return r
}

// commit pushes a commit on top of a branch. A file of "" is removed.
func (w *world) commit(branch, message string, files map[string]string, signer *remote.Signer) string {
	w.Helper()
	r := w.clone()
	tips, err := r.Tips(ctx)
	w.ok(err)
	d := remote.CommitDraft{Message: message, AuthorName: "Someone", AuthorEmail: "someone@example.com", When: now, Signer: signer}
	if tip := tips[branch]; tip != "" {
		d.Base, d.Parents = tip, []string{tip}
	}
	for name, content := range files {
		d.Edits = append(d.Edits, spec.FileEdit{Path: name, Content: content, Remove: content == ""})
	}
	id, err := r.WriteCommit(d)
	w.ok(err)
	w.ok(r.Push(ctx, branch, tips[branch], id))
	return id
}

func (w *world) driver(signer *remote.Signer) *local.Driver {
	w.Helper()
	r := w.clone()
	return local.New(local.Options{
		Remote: r, Branch: "main", Path: w.path, Name: "robot", Email: "robot@example.com", Signer: signer, Ledger: w.ledger,
		FleetAt: func(c string) (*spec.Fleet, error) { return w.fleetAt(r, c) }, Now: func() time.Time { return now },
	})
}

// change proposes another image, at main as it is now.
func (w *world) change(run spec.RunID, image string) spec.Proposal {
	w.Helper()
	return spec.Proposal{
		Key: keyA, Kind: spec.ProposalChange, Agent: "triage", Run: run, Exchange: 1, Base: spec.NewRevision("main", w.tip("main")),
		Title: "Use " + image, Body: "Because of an advisory.", At: now, Files: []spec.FileEdit{{Path: "app.yaml", Content: "image: " + image + "\n"}},
	}
}

func (w *world) action(run spec.RunID, name string) spec.Proposal {
	w.Helper()
	p := w.change(run, "")
	p.Kind, p.Title, p.Action = spec.ProposalAction, "Restart "+name, spec.ActionID("triage-"+string(run)+"-1")
	b, err := yaml.Marshal(map[string]any{"spec": spec.ActionSpec{
		Summary: "Restart " + name, Server: "cluster", Tool: "restart", Arguments: map[string]any{"name": name},
		Expires: now.Add(time.Hour).Format(time.RFC3339),
	}})
	w.ok(err)
	p.Files = []spec.FileEdit{{Path: proposal.ActionPath(w.path, p.Action), Content: string(b)}}
	return p
}

func (w *world) status(d *local.Driver, p spec.Proposal) proposal.Status {
	w.Helper()
	s, err := d.Status(ctx, p)
	w.ok(err)
	return s
}

func (w *world) wantsInvalid(err error, text string) {
	w.Helper()
	w.wantsError(err, text)
	if _, ok := errors.AsType[*proposal.InvalidError](err); !ok {
		w.Fatalf("%v could be tried again", err)
	}
}

func (w *world) wantsError(err error, text string) {
	w.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		w.Fatalf("got the error %v, want %q", err, text)
	}
}
