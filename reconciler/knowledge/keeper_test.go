package knowledge

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/disk"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

func TestSourcesComeAndGo(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	here := r.here(r.commit(map[string]string{"docs/a.md": "# Alpha\n", "src/b.md": "# Beta\n"}))
	docs := filesSource(t, "docs/**")
	src := source(t, "src", spec.KnowledgeSourceSpec{Files: &spec.KnowledgeFiles{Include: []string{"src/**"}}})
	w.keep(here)
	if stats, err := w.keeper.Stats(t.Context()); err != nil || len(stats) != 0 {
		t.Errorf("%v, %v", stats, err)
	}
	w.keep(here, docs, src)
	equal(t, "the reasons", w.told(), "Indexed Indexed")
	w.keep(here, docs, src)
	equal(t, "nothing changed", w.told(), "")
	equal(t, "found", w.found("alpha beta", docs, src), "docs/a.md src/b.md")

	// What is not declared any more is forgotten at once, and not searched for an agent of an older revision.
	w.keep(here, docs)
	if stats, err := w.keeper.Stats(t.Context()); err != nil || len(stats) != 1 {
		t.Errorf("%v, %v", stats, err)
	}
	hits, notes, err := w.keeper.Search(t.Context(), []*spec.KnowledgeSource{docs, src}, kb.Query{Text: "alpha beta", Most: 9})
	if err != nil || len(hits) != 1 || !slices.Equal(notes, []string{"src is not declared any more, and not in this answer"}) {
		t.Errorf("%v, %q, %v", hits, notes, err)
	}
	if _, _, _, err := w.keeper.Document(t.Context(), "src", "src/b.md"); !errors.Is(err, kb.ErrNotFound) {
		t.Error(err)
	}
	w.keep(here)
	if stats, err := w.keeper.Stats(t.Context()); err != nil || len(stats) != 0 {
		t.Errorf("%v, %v", stats, err)
	}
}

func TestSourcesChangeWhileTheyAreRead(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	first := r.here(r.commit(map[string]string{"docs/a.md": "# Alpha\n", "src/b.md": "# Beta\n"}))
	second := r.here(r.commit(map[string]string{"docs/a.md": "# Gamma\n"}))
	docs := filesSource(t, "docs/**")
	other := source(t, "other", spec.KnowledgeSourceSpec{Files: &spec.KnowledgeFiles{Include: []string{"src/**"}}})
	narrow := filesSource(t, "src/**")
	begun, goOn := make(chan struct{}, 9), make(chan struct{})
	w.engine.reading = func(kb.File) {
		begun <- struct{}{}
		<-goOn
	}
	w.keeper.Keep(t.Context(), fleet(docs, other), first)
	<-begun
	if !w.keeper.Busy() {
		t.Error("it is not busy")
	}
	// The next commit comes, of which the loader keeps what is the same, a source goes, and one is declared in another way.
	w.keeper.Keep(t.Context(), fleet(docs), second)
	close(goOn)
	w.keeper.Wait()
	equal(t, "the commit", w.state("docs", Indexed).Commit, second.Commit)
	equal(t, "found", w.found("alpha gamma beta", docs), "docs/a.md")
	equal(t, "the reasons", w.told(), "Indexed")
	stats, err := w.keeper.Stats(t.Context())
	if err != nil || len(stats) != 1 {
		t.Errorf("%v, %v", stats, err)
	}
	w.keep(second, narrow)
	equal(t, "the files", w.files("docs"), "src/b.md")
	if w.keeper.Busy() {
		t.Error("it is busy")
	}
}

func TestWorkThatIsCutOffLeavesNothingHalf(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	docs := filesSource(t, "docs/**")
	first := r.here(r.commit(map[string]string{"docs/a.md": "# Alpha\n", "docs/b.md": "# Beta\n"}))
	w.keep(first, docs)
	second := r.here(r.commit(map[string]string{"docs/a.md": "# Gamma\n", "docs/b.md": "# Delta\n"}))
	ctx, cancel := context.WithCancel(t.Context())
	w.engine.reading = func(f kb.File) {
		if f.Path == "docs/b.md" {
			cancel()
		}
	}
	w.keeper.Keep(ctx, fleet(docs), second)
	w.keeper.Wait()
	equal(t, "still", w.found("alpha gamma", docs), "docs/a.md")
	w.engine.reading = nil
	if hits, _, _ := w.keeper.Search(t.Context(), []*spec.KnowledgeSource{docs}, kb.Query{Text: "gamma", Most: 9}); len(hits) != 0 {
		t.Errorf("half of it is found: %+v", hits)
	}
	w.keep(second, docs)
	equal(t, "at last", w.found("gamma", docs), "docs/a.md")
}

func TestAFullDisk(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	docs := filesSource(t, "docs/**")
	first := r.here(r.commit(map[string]string{"docs/a.md": "# Alpha\n"}))
	w.keep(first, docs)
	w.told()
	w.engine.fail = syscall.ENOSPC
	second := r.here(r.commit(map[string]string{"docs/a.md": "# Beta\n"}))
	w.keep(second, docs)
	says(t, w.state("docs", IndexFailed).Message, "no space left on device")
	equal(t, "what is found is of the former", w.state("docs", IndexFailed).Commit, first.Commit)
	_, notes, err := w.keeper.Search(t.Context(), []*spec.KnowledgeSource{docs}, kb.Query{Text: "alpha", Most: 9})
	if err != nil || !slices.Equal(notes, []string{"docs cannot be read now, and is as it was at " + Short(first.Commit)}) {
		t.Errorf("%q, %v", notes, err)
	}
	// It is tried again, later each time, and told once.
	for range 9 {
		w.keep(second, docs)
	}
	if w.engine.updates != 2 {
		t.Errorf("%d updates were tried", w.engine.updates)
	}
	tries := 0
	for range 100 {
		before := w.engine.updates
		w.later(time.Minute)
		w.keep(second, docs)
		tries += w.engine.updates - before
	}
	if tries < 10 || tries > 17 {
		t.Errorf("it was tried %d times in 100 minutes", tries)
	}
	equal(t, "the reasons", w.told(), "IndexFailed")
	w.engine.fail = nil
	w.later(maxRetry)
	w.keep(second, docs)
	equal(t, "the reasons", w.told(), "Indexed")
	equal(t, "found", w.found("beta", docs), "docs/a.md")
}

func gitSource(t *testing.T, g spec.KnowledgeGit) *spec.KnowledgeSource {
	g.Include = []string{"**"}
	return source(t, "other", spec.KnowledgeSourceSpec{Git: &g})
}

func TestABranchIsFollowed(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	first := r.commit(map[string]string{"a.md": "# Alpha\n"})
	s := gitSource(t, spec.KnowledgeGit{URL: r.dir, Branch: "main"})
	w.keep(Here{}, s)
	equal(t, "the commit", w.state("other", Indexed).Commit, first)
	second := r.commit(map[string]string{"b.md": "# Beta\n"})
	w.keep(Here{}, s)
	equal(t, "too early", w.state("other", Indexed).Commit, first)
	w.later(follow)
	w.engine.reads()
	w.keep(Here{}, s)
	equal(t, "the commit", w.state("other", Indexed).Commit, second)
	equal(t, "read", w.engine.reads(), "b.md")

	pinned := gitSource(t, spec.KnowledgeGit{URL: r.dir, Commit: first})
	w.keep(Here{}, pinned)
	equal(t, "pinned", w.files("other"), "a.md")
	w.keep(Here{}, gitSource(t, spec.KnowledgeGit{URL: r.dir, Commit: strings.Repeat("1", 40)}))
	if message := w.state("other", SourceUnavailable).Message; strings.Count(message, "fetch ") != 1 {
		t.Errorf("what was done is not told once: %s", message)
	}
	says(t, w.state("other", SourceUnavailable).Message, "commit 1111111: fetch file://")
	w.keep(Here{}, gitSource(t, spec.KnowledgeGit{URL: r.dir, Branch: "gone"}))
	says(t, w.state("other", SourceUnavailable).Message, `has no branch "gone": write another one under spec.git.branch of knowledge/other.yaml`)
	equal(t, "what was known stays", w.files("other"), "a.md")
}

func TestARepositoryThatIsAway(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	r.commit(map[string]string{"a.md": "# Alpha\n"})
	s := gitSource(t, spec.KnowledgeGit{URL: r.dir, Branch: "main"})
	w.keep(Here{}, s)
	w.told()
	dir := r.dir
	r.git("branch", "-m", "hidden")
	w.later(follow)
	for range 20 {
		w.keep(Here{}, s)
		w.later(time.Minute)
	}
	says(t, w.state("other", SourceUnavailable).Message, "has no branch")
	equal(t, "told once", w.told(), "SourceUnavailable")
	equal(t, "what was known stays", w.found("alpha", s), "a.md")
	r.dir = dir
	r.git("branch", "-m", "main")
	w.later(maxRetry)
	w.keep(Here{}, s)
	equal(t, "back", w.told(), "Indexed")
}

func TestACredentialIsOnlyUsedForItsSource(t *testing.T) {
	r := newRepository(t)
	r.commit(map[string]string{"a.md": "# Alpha\n"})
	var opened []string
	w := newWorld(t, func(o *Options) {
		o.Repository = func(ctx context.Context, url string, credential *spec.SecretRef) (*remote.Remote, error) {
			name := "none"
			if credential != nil {
				name = credential.String()
			}
			opened = append(opened, name)
			return remote.Open(ctx, remote.Options{URL: url})
		}
	})
	one := gitSource(t, spec.KnowledgeGit{URL: r.dir, Branch: "main", Credential: &spec.SecretRef{Env: "ONE"}})
	two := source(t, "two", spec.KnowledgeSourceSpec{Git: &spec.KnowledgeGit{URL: r.dir, Branch: "main", KnowledgeFiles: spec.KnowledgeFiles{Include: []string{"**"}}}})
	three := source(t, "three", spec.KnowledgeSourceSpec{Git: &spec.KnowledgeGit{URL: r.dir, Branch: "main", Credential: &spec.SecretRef{Env: "ONE"}, KnowledgeFiles: spec.KnowledgeFiles{Include: []string{"*.md"}}}})
	w.keep(Here{}, one, two, three)
	slices.Sort(opened)
	equal(t, "opened", strings.Join(opened, ", "), "none, the variable ONE")
}

func TestASearchWaitsOnceForAllItsSources(t *testing.T) {
	r := newRepository(t)
	here := r.here(r.commit(map[string]string{"docs/a.md": "# Alpha\n"}))
	waited := make(chan time.Time)
	var waits []time.Duration
	w := newWorld(t, func(o *Options) {
		o.After = func(d time.Duration) <-chan time.Time {
			waits = append(waits, d)
			return waited
		}
	})
	var all []*spec.KnowledgeSource
	for _, name := range []string{"a", "b", "c"} {
		all = append(all, source(t, name, spec.KnowledgeSourceSpec{Files: &spec.KnowledgeFiles{Include: []string{"docs/**"}}}))
	}
	begun, goOn := make(chan struct{}, 9), make(chan struct{})
	w.engine.reading = func(kb.File) {
		begun <- struct{}{}
		<-goOn
	}
	w.keeper.Keep(t.Context(), fleet(all...), here)
	<-begun
	go func() { waited <- time.Time{} }()
	hits, notes, err := w.keeper.Search(t.Context(), all, kb.Query{Text: "alpha", Most: 9})
	if err != nil || len(hits) != 0 || len(notes) != 3 || !slices.Equal(waits, []time.Duration{firstTime}) {
		t.Errorf("%v, %q, %v, after %v", hits, notes, err, waits)
	}
	says(t, notes[0], "a is still being read, and not in this answer")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := w.keeper.Search(ctx, all, kb.Query{Text: "alpha", Most: 9}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(goOn)
	hits, notes, err = w.keeper.Search(t.Context(), all, kb.Query{Text: "alpha", Most: 9})
	if err != nil || len(hits) != 3 || len(notes) != 0 {
		t.Errorf("%v, %q, %v", hits, notes, err)
	}
}

func TestModelsThatCannotBeAsked(t *testing.T) {
	r := newRepository(t)
	here := r.here(r.commit(map[string]string{"docs/a.md": "# Alpha\n"}))
	asked, down := 0, true
	var other *spec.LockMismatch
	w := newWorld(t, func(o *Options) {
		o.Embed = func(_ context.Context, m *spec.Model, texts []string) ([][]float32, error) {
			asked++
			if other != nil {
				return nil, other
			}
			if down {
				return nil, errors.New("connection refused")
			}
			return slices.Repeat([][]float32{{1, 2, 3}}, len(texts)), nil
		}
	})
	declare := func(name, model string) *spec.KnowledgeSource {
		s := source(t, name, spec.KnowledgeSourceSpec{Files: &spec.KnowledgeFiles{Include: []string{"docs/**"}}, Embed: "small", Labels: map[string]string{"model": model}})
		s.Embed = &spec.Model{}
		s.Embed.Name, s.Embed.Digest = "small", spec.DigestBytes([]byte(model))
		return s
	}
	a, b := declare("a", "one"), declare("b", "one")
	w.keep(here, a, b)
	says(t, w.state("a", SourceUnavailable).Message, "connection refused")
	equal(t, "its words", w.files("a"), "docs/a.md")
	hits, notes, err := w.keeper.Search(t.Context(), []*spec.KnowledgeSource{a}, kb.Query{Text: "alpha", Most: 9, WordsOnly: true})
	if err != nil || len(hits) != 1 {
		t.Errorf("%v, %v", hits, err)
	}
	equal(t, "the notes", strings.Join(notes, "\n"), "a is found by its words alone, until its model answers")
	w.engine.reads()
	down = false
	w.later(retry)
	w.keep(here, a, b)
	w.state("a", Indexed)
	equal(t, "no file is read for vectors", w.engine.reads(), "")
	down, asked = true, 0
	hits, notes, err = w.keeper.Search(t.Context(), []*spec.KnowledgeSource{a, b}, kb.Query{Text: "alpha", Most: 9})
	if err != nil || len(hits) != 2 || asked != 1 {
		t.Errorf("%v, %v, asked %d times", hits, err, asked)
	}
	equal(t, "the notes", strings.Join(notes, "\n"), "the model small cannot be asked, so a is searched without it\nthe model small cannot be asked, so b is searched without it")

	// What is there under its name is not what is pinned.
	other = &spec.LockMismatch{File: spec.LockFile}
	_, notes, err = w.keeper.Search(t.Context(), []*spec.KnowledgeSource{a}, kb.Query{Text: "alpha", Most: 9})
	if err != nil {
		t.Error(err)
	}
	equal(t, "the notes", strings.Join(notes, "\n"), "the model small is not what mainstay.lock pins, so a is searched without it")
	c := declare("c", "one")
	w.keep(here, a, b, c)
	says(t, w.state("c", SourceUnavailable).Message, "it is found by its words alone, for its model is not asked", "is not what mainstay.lock pins, and is refused until you run `mainstay lock`")
	other = nil

	// Another model: its vectors are made before those of the former are gone, and both can be asked meanwhile.
	w.keep(here, declare("a", "two"), b)
	w.state("a", SourceUnavailable)
	down = false
	hits, _, err = w.keeper.Search(t.Context(), []*spec.KnowledgeSource{declare("a", "two"), b}, kb.Query{Text: "alpha", Most: 9})
	if err != nil || len(hits) != 2 {
		t.Errorf("%v, %v", hits, err)
	}
	w.engine.reads()
	w.later(retry)
	w.keep(here, declare("a", "two"), b)
	w.state("a", Indexed)
	equal(t, "no file is read for another model", w.engine.reads(), "")
}

func TestCloseWaitsForWork(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	here := r.here(r.commit(map[string]string{"docs/a.md": "# Alpha\n", "docs/b.md": "# Beta\n"}))
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{})
	w.engine.reading = func(kb.File) {
		select {
		case <-begun:
		default:
			close(begun)
			<-ctx.Done()
		}
	}
	w.keeper.Keep(ctx, fleet(filesSource(t, "docs/**")), here)
	<-begun
	cancel()
	if err := w.keeper.Close(); err != nil {
		t.Error(err)
	}
	if w.keeper.Busy() {
		t.Error("it is busy")
	}
	equal(t, "nothing is told", w.told(), "")
}

func TestAFleetMovesItsIndex(t *testing.T) {
	r := newRepository(t)
	here := r.here(r.commit(map[string]string{"docs/a.md": "# Alpha\n"}))
	var opened []string
	other := &engine{}
	w := newWorld(t, func(o *Options) {
		own := o.Engine
		o.Engine = func(ctx context.Context, in *spec.Postgres, here Here) (kb.Engine, error) {
			if in == nil {
				opened = append(opened, "")
				return own(ctx, in, here)
			}
			opened = append(opened, in.Schema)
			var err error
			other.Engine, err = disk.Open(filepath.Join(t.TempDir(), "other"))
			return other, err
		}
	})
	s := filesSource(t, "docs/**")
	declared := fleet(s)
	w.keeper.Keep(t.Context(), declared, here)
	w.keeper.Wait()
	w.state(s.Name, Indexed)

	declared.KnowledgeIn = &spec.Postgres{Schema: "there"}
	w.keeper.Keep(t.Context(), declared, here)
	w.keeper.Wait()
	w.state(s.Name, Indexed)
	all, err := other.Files(t.Context(), s.Name)
	if err != nil || len(all) != 1 {
		t.Errorf("the other index has %v, %v", all, err)
	}
	declared.KnowledgeIn = nil
	w.keeper.Keep(t.Context(), declared, here)
	w.keeper.Wait()
	w.state(s.Name, Indexed)
	if want := []string{"", "there"}; !slices.Equal(opened, want) {
		t.Errorf("opened %q, want %q", opened, want)
	}
	if got := w.files(s.Name); got != "docs/a.md" {
		t.Errorf("the first index has %q", got)
	}
}

// After a fleet's index has moved, nothing is answered that the index which is its own now has from long ago, and a fleet that goes back finds
// what is declared by then.
func TestWhatAnIndexHasFromLongAgoIsNoAnswer(t *testing.T) {
	r := newRepository(t)
	there := &engine{}
	over := make(chan time.Time)
	close(over)
	w := newWorld(t, func(o *Options) {
		own := o.Engine
		o.Engine = func(ctx context.Context, in *spec.Postgres, here Here) (kb.Engine, error) {
			if in == nil {
				return own(ctx, in, here)
			}
			var err error
			there.Engine, err = disk.Open(filepath.Join(t.TempDir(), "there"))
			return there, err
		}
		o.After = func(time.Duration) <-chan time.Time { return over }
	})
	docs, later := filesSource(t, "docs/**"), source(t, "later", spec.KnowledgeSourceSpec{Files: &spec.KnowledgeFiles{Include: []string{"later/**"}}})
	keep := func(in *spec.Postgres, here Here, sources ...*spec.KnowledgeSource) {
		f := fleet(sources...)
		f.KnowledgeIn = in
		w.keeper.Keep(t.Context(), f, here)
	}
	postgres := &spec.Postgres{Schema: "there"}
	keep(nil, r.here(r.commit(map[string]string{"docs/a.md": "# Alpha one\n", "docs/gone.md": "# Alpha\n", "later/b.md": "# Alpha before\n"})), docs, later)
	w.keeper.Wait()
	keep(postgres, r.here(r.commit(map[string]string{"docs/a.md": "# Alpha two\n", "docs/gone.md": "", "later/b.md": ""})), docs)
	w.keeper.Wait()
	equal(t, "moved", w.found("alpha", docs), "docs/a.md")
	for i, in := range []*spec.Postgres{nil, postgres, nil} {
		e := w.engine
		if in != nil {
			e = there
		}
		begun, goOn := make(chan struct{}, 9), make(chan struct{})
		e.reading = func(kb.File) {
			begun <- struct{}{}
			<-goOn
		}
		text := strings.Repeat("again ", i+1)
		here := r.here(r.commit(map[string]string{"docs/a.md": "# Alpha " + text + "\n", "later/b.md": "# Alpha " + text + "\n"}))
		keep(in, here, docs, later)
		<-begun
		both := []*spec.KnowledgeSource{docs, later}
		hits, notes, err := w.keeper.Search(t.Context(), both, kb.Query{Text: "alpha", Most: 9})
		if err != nil || len(hits) > 0 {
			t.Errorf("found %+v: %v", hits, err)
		}
		equal(t, "the notes", strings.Join(notes, "\n"), "docs is still being read, and not in this answer\nlater is still being read, and not in this answer")
		if _, d, _, err := w.keeper.Document(t.Context(), "docs", "docs/a.md"); err == nil {
			t.Errorf("a document of long ago is read: %+v", d)
		}
		close(goOn)
		w.keeper.Wait()
		hits, notes, err = w.keeper.Search(t.Context(), both, kb.Query{Text: "alpha", Most: 9})
		if err != nil || len(hits) != 2 || len(notes) > 0 {
			t.Errorf("found %+v, %q: %v", hits, notes, err)
		}
		for _, h := range hits {
			if !strings.HasPrefix(h.Text, "# Alpha "+strings.TrimSpace(text)) || h.State != here.Commit {
				t.Errorf("found %+v", h)
			}
		}
	}
	if err := there.Close(); err != nil {
		t.Error(err)
	}
}

// A database that cannot be reached is told with where it is declared, no search passes for one that finds nothing, and once it can be reached
// it is used, without anybody's help.
func TestADatabaseThatIsAway(t *testing.T) {
	r := newRepository(t)
	here := r.here(r.commit(map[string]string{"docs/a.md": "# Alpha\n"}))
	away := true
	w := newWorld(t, func(o *Options) {
		own := o.Engine
		o.Engine = func(ctx context.Context, in *spec.Postgres, at Here) (kb.Engine, error) {
			if at.Commit != here.Commit {
				t.Errorf("it is opened at %q", at.Commit)
			}
			if away {
				return nil, errors.New("nothing listens")
			}
			return own(ctx, in, at)
		}
	})
	s := filesSource(t, "docs/**")
	declared := fleet(s)
	declared.KnowledgeIn = &spec.Postgres{Schema: "there"}
	keep := func() {
		w.later(follow)
		w.keeper.Keep(t.Context(), declared, here)
		w.keeper.Wait()
	}
	const where = "spec.knowledge.postgres in mainstay.yaml: "
	keep()
	says(t, w.state(s.Name, IndexFailed).Message, where+"nothing listens")
	if _, _, err := w.keeper.Search(t.Context(), []*spec.KnowledgeSource{s}, kb.Query{Text: "alpha", Most: 9}); err == nil {
		t.Error("a search finds nothing")
	} else {
		says(t, err.Error(), where)
	}
	away = false
	w.engine.fail = errors.New("the connection broke")
	keep()
	says(t, w.state(s.Name, IndexFailed).Message, where+"the connection broke")
	w.engine.fail = nil
	keep()
	w.state(s.Name, Indexed)
	equal(t, "found", w.found("alpha", s), "docs/a.md")
}

// A search that is the first to reach a database again does not answer without what could not be read: that is looked at now.
func TestASearchReachesADatabaseFirst(t *testing.T) {
	r := newRepository(t)
	here := r.here(r.commit(map[string]string{"docs/a.md": "# Alpha\n"}))
	away, looked := true, make(chan struct{}, 9)
	w := newWorld(t, func(o *Options) {
		own := o.Engine
		o.Engine = func(ctx context.Context, in *spec.Postgres, at Here) (kb.Engine, error) {
			if away {
				return nil, errors.New("nothing listens")
			}
			return own(ctx, in, at)
		}
		o.After = func(time.Duration) <-chan time.Time { return nil }
		o.Changed = func(_ spec.Ref, s State) {
			if s.Reason == Indexing {
				looked <- struct{}{}
			}
		}
	})
	s := filesSource(t, "docs/**")
	declared := fleet(s)
	declared.KnowledgeIn = &spec.Postgres{Schema: "there"}
	w.keeper.Keep(t.Context(), declared, here)
	w.keeper.Wait()
	w.state(s.Name, IndexFailed)
	away = false
	found := make(chan string)
	go func() { found <- w.found("alpha", s) }()
	<-looked
	w.keeper.Keep(t.Context(), declared, here) // It is not time yet by itself.
	equal(t, "found", <-found, "docs/a.md")
	w.keeper.Wait()
	w.state(s.Name, Indexed)
}

func TestASearchSaysThatASourceIsBeingRead(t *testing.T) {
	r := newRepository(t)
	w := newWorld(t, func(o *Options) {
		o.After = func(time.Duration) <-chan time.Time {
			over := make(chan time.Time)
			close(over)
			return over
		}
	})
	s := filesSource(t, "docs/**")
	first := r.here(r.commit(map[string]string{"docs/a.md": "# Alpha\n"}))
	w.keep(first, s)
	w.state(s.Name, Indexed)
	begun, goOn := make(chan struct{}), make(chan struct{})
	w.engine.reading = func(kb.File) {
		close(begun)
		<-goOn
	}
	w.keeper.Keep(t.Context(), fleet(s), r.here(r.commit(map[string]string{"docs/a.md": "# Beta\n"})))
	<-begun
	hits, notes, err := w.keeper.Search(t.Context(), []*spec.KnowledgeSource{s}, kb.Query{Text: "alpha", Most: 9})
	if err != nil || len(hits) != 1 {
		t.Errorf("found %+v, %v", hits, err)
	}
	equal(t, "the notes", strings.Join(notes, "\n"), "docs is being read, and is as it was at "+Short(first.Commit))
	close(goOn)
	w.keeper.Wait()
}

// Whatever others have put into a shared index in the place of a source, or removed from it, is mended soon, though the source stays as it is.
func TestASharedIndexIsWhatIsDeclaredHere(t *testing.T) {
	w := newWorld(t)
	r := newRepository(t)
	here := r.here(r.commit(map[string]string{"docs/a.md": "# Ours\n\nA rollback.\n"}))
	s := filesSource(t, "docs/**")
	f := fleet(s)
	f.KnowledgeIn = &spec.Postgres{Schema: "shared"}
	keep := func() {
		w.keeper.Keep(t.Context(), f, here)
		w.keeper.Wait()
	}
	keep()
	w.state("docs", Indexed)
	for what, change := range map[string]func() error{
		"removed": func() error { return w.engine.Forget(t.Context(), "docs") },
		"replaced": func() error {
			other := newRepository(t)
			k := New(w.opts)
			there := other.here(other.commit(map[string]string{"docs/b.md": "# Theirs\n\nA rollback.\n"}))
			if s := k.Bring(t.Context(), s, there, func(State) {}); s.Reason != Indexed {
				t.Errorf("it is %+v", s)
			}
			return nil // To close it is to close the engine.
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		w.later(follow)
		keep()
		equal(t, what, w.found("rollback", s), "docs/a.md")
	}
	updates := w.engine.updates
	for range 3 {
		w.later(follow)
		keep()
	}
	if w.engine.updates != updates {
		t.Errorf("%d updates of what is as it was", w.engine.updates-updates)
	}
}
