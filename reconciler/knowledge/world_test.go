package knowledge

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/disk"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// repository is a Git repository with a work tree.
type repository struct {
	t   *testing.T
	dir string
	n   int
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	r := &repository{t: t, dir: t.TempDir()}
	r.git("init", "-q", "-b", "main")
	return r
}

// began is when the first commit is made. Each further one is a day later.
var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (r *repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", r.dir}, args...)...)
	day := began.AddDate(0, 0, r.n).Format(time.RFC3339)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com", "GIT_AUTHOR_DATE="+day, "GIT_COMMITTER_DATE="+day)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes files, removes those without content, and returns the commit.
func (r *repository) commit(files map[string]string) string {
	r.t.Helper()
	root, err := os.OpenRoot(r.dir) // No link leads out of it.
	if err != nil {
		r.t.Fatal(err)
	}
	defer root.Close()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if info, err := root.Lstat(name); files[name] == "" || err == nil && !info.Mode().IsRegular() {
			if err := root.RemoveAll(name); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	for name, content := range files {
		if content == "" {
			continue
		}
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := root.WriteFile(name, []byte(content), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", "change")
	r.n++
	return r.git("rev-parse", "HEAD")
}

// here is the repository at a commit, as `mainstay kb` sees it.
func (r *repository) here(commit string) Here {
	r.t.Helper()
	clone, err := remote.OpenClone(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	return Here{Commit: commit, History: clone}
}

// engine is that of package disk, which counts what it reads and fails when it is told to.
type engine struct {
	kb.Engine
	mu      sync.Mutex
	read    []string
	updates int
	fail    error
	// reading is called before each file is read.
	reading func(kb.File)
}

func (e *engine) Update(ctx context.Context, u kb.Update) error {
	e.mu.Lock()
	fail, reading := e.fail, e.reading
	e.updates++
	e.mu.Unlock()
	if fail != nil {
		return fail
	}
	read := u.Read
	u.Read = func(ctx context.Context, f kb.File) (kb.Document, error) {
		if reading != nil {
			reading(f)
		}
		e.mu.Lock()
		e.read = append(e.read, f.Path)
		e.mu.Unlock()
		return read(ctx, f)
	}
	return e.Engine.Update(ctx, u)
}

// reads are the files that were read since it was asked last, sorted.
func (e *engine) reads() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	slices.Sort(e.read)
	all := strings.Join(e.read, " ")
	e.read = nil
	return all
}

// world is a keeper with a real engine.
type world struct {
	t      *testing.T
	engine *engine
	opts   Options
	keeper *Keeper

	mu      sync.Mutex
	now     time.Time
	changes []State
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	opened, err := disk.Open(filepath.Join(t.TempDir(), "index"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, engine: &engine{Engine: opened}, now: began}
	w.opts = Options{
		Engine: func(context.Context, *spec.Postgres, Here) (kb.Engine, error) { return w.engine, nil },
		Embed: func(context.Context, *spec.Model, []string) ([][]float32, error) {
			t.Error("a model is asked")
			return nil, nil
		},
		Repository: func(ctx context.Context, url string, _ *spec.SecretRef) (*remote.Remote, error) {
			return remote.Open(ctx, remote.Options{URL: url})
		},
		Client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Now: func() time.Time {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.now
		},
		Changed: func(_ spec.Ref, s State) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.changes = append(w.changes, s)
		},
	}
	for _, c := range change {
		c(&w.opts)
	}
	w.keeper = New(w.opts)
	t.Cleanup(func() {
		if err := w.keeper.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// later lets time pass.
func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// told are the reasons of the changes since it was asked last, but for how far it is.
func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, s := range w.changes {
		if s.Reason != Indexing {
			all = append(all, s.Reason)
		}
	}
	w.changes = nil
	return strings.Join(all, " ")
}

// source declares one. Its digest is another one wherever its spec is.
func source(t *testing.T, name string, s spec.KnowledgeSourceSpec) *spec.KnowledgeSource {
	t.Helper()
	written, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	source := &spec.KnowledgeSource{Spec: s}
	source.Ref, source.Digest = spec.Ref{Kind: spec.KindKnowledgeSource, Name: name}, spec.DigestBytes(written)
	source.Place.File = "knowledge/" + name + ".yaml"
	return source
}

func filesSource(t *testing.T, include ...string) *spec.KnowledgeSource {
	return source(t, "docs", spec.KnowledgeSourceSpec{Files: &spec.KnowledgeFiles{Include: include}})
}

func fleet(sources ...*spec.KnowledgeSource) *spec.Fleet {
	f := &spec.Fleet{Knowledge: map[string]*spec.KnowledgeSource{}}
	for _, s := range sources {
		f.Knowledge[s.Name] = s
	}
	return f
}

// bring brings a source to a state, which has to have this reason.
func (w *world) bring(s *spec.KnowledgeSource, here Here, reason string) State {
	w.t.Helper()
	state := w.keeper.Bring(w.t.Context(), s, here, func(State) {})
	if state.Reason != reason {
		w.t.Fatalf("the source is %s: %s; want %s", state.Reason, state.Message, reason)
	}
	return state
}

// keep has the keeper look at sources, and waits until it has.
func (w *world) keep(here Here, sources ...*spec.KnowledgeSource) {
	w.t.Helper()
	w.keeper.Keep(w.t.Context(), fleet(sources...), here)
	w.keeper.Wait()
}

// state is that of a source, which has to have this reason.
func (w *world) state(name, reason string) State {
	w.t.Helper()
	s, ok := w.keeper.State(name)
	if !ok || s.Reason != reason {
		w.t.Fatalf("%s is %s: %s (%v); want %s", name, s.Reason, s.Message, ok, reason)
	}
	return s
}

// files are the paths that the engine has of a source, sorted.
func (w *world) files(name string) string {
	w.t.Helper()
	all, err := w.engine.Files(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	var paths []string
	for _, f := range all {
		paths = append(paths, f.Path)
	}
	return strings.Join(paths, " ")
}

// found are the paths that a question finds, sorted.
func (w *world) found(question string, sources ...*spec.KnowledgeSource) string {
	w.t.Helper()
	hits, _, err := w.keeper.Search(w.t.Context(), sources, kb.Query{Text: question, Most: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	paths := map[string]bool{}
	for _, h := range hits {
		paths[h.File.Path] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(paths)), " ")
}

func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q does not say %q", text, word)
		}
	}
}
