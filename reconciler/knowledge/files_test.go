package knowledge

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/spec"
)

func TestOnlyWhatDiffersIsRead(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	s := filesSource(t, "docs/**")
	first := r.commit(map[string]string{"docs/a.md": "# Alpha\n", "docs/b/c.md": "# Gamma\n", "docs/d.md": "# Delta\n", "src/a.go": "package a\n"})
	state := w.bring(s, r.here(first), Indexed)
	equal(t, "the commit", state.Commit, first)
	equal(t, "first", w.engine.reads(), "docs/a.md docs/b/c.md docs/d.md")
	w.bring(s, r.here(first), Indexed)
	equal(t, "again", w.engine.reads(), "")

	second := r.commit(map[string]string{"docs/a.md": "# Beta\n", "docs/d.md": "", "src/a.go": "package b\n", "docs/e.md": "# Epsilon\n"})
	w.bring(s, r.here(second), Indexed)
	equal(t, "differences", w.engine.reads(), "docs/a.md docs/e.md")
	equal(t, "the files", w.files("docs"), "docs/a.md docs/b/c.md docs/e.md")
	equal(t, "what is gone", w.found("delta alpha", s), "")

	// A commit that touches nothing of the source, and one that moves a file.
	third := r.commit(map[string]string{"src/a.go": "package c\n"})
	equal(t, "the commit", w.bring(s, r.here(third), Indexed).Commit, third)
	fourth := r.commit(map[string]string{"docs/b/c.md": "", "docs/moved/c.md": "# Gamma\n"})
	w.bring(s, r.here(fourth), Indexed)
	equal(t, "a file that moved", w.engine.reads(), "")
	equal(t, "the files", w.files("docs"), "docs/a.md docs/e.md docs/moved/c.md")

	// Back, as after a force-push, also where the former commit is gone.
	w.bring(s, r.here(first), Indexed)
	equal(t, "the files", w.files("docs"), "docs/a.md docs/b/c.md docs/d.md")
	r.git("checkout", "-q", "--orphan", "other")
	other := r.commit(map[string]string{"docs/a.md": "# Alpha\n", "docs/d.md": "", "docs/b": "", "docs/moved": "", "docs/e.md": ""})
	bare := t.TempDir()
	r.git("clone", "-q", "--single-branch", "-b", "other", "file://"+r.dir, bare)
	w.engine.reads()
	gone := &repository{t: t, dir: bare}
	w.bring(s, gone.here(other), Indexed)
	equal(t, "what a force-push has left", w.files("docs"), "docs/a.md")
	equal(t, "what of it is read", w.engine.reads(), "")
}

func TestWhatASourceHolds(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	s := source(t, "docs", spec.KnowledgeSourceSpec{Files: &spec.KnowledgeFiles{Include: []string{"docs/**", "*.md", "docs/*.md"}, Exclude: []string{"**/drafts/**", "docs/secret*"}}})
	r.commit(map[string]string{"README.md": "# Read\n", "docs/a.md": "# A\n", "docs/drafts/b.md": "# B\n", "docs/secret.md": "# C\n", "docs/logo.png": "\x89PNG\x00\x00\x00\x00",
		"docs/we ird [x]*.md": "# D\n", "docs/empty/.gitkeep": " \n", "other/x.md": "# X\n"})
	for name, target := range map[string]string{"passwd.md": "../../away.txt", "up.md": "../../other/x.md", "folder": "../other"} {
		if err := os.Symlink(target, filepath.Join(r.dir, "docs", name)); err != nil {
			t.Fatal(err)
		}
	}
	r.git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",docs/module")
	r.git("add", "docs/passwd.md", "docs/up.md", "docs/folder")
	r.git("commit", "-q", "-m", "links and a module")
	w.bring(s, r.here(r.git("rev-parse", "HEAD")), Indexed)
	equal(t, "the files", w.files("docs"), "README.md docs/a.md docs/empty/.gitkeep docs/we ird [x]*.md")

	// A file becomes a folder, a link a file, a file a link.
	for _, name := range []string{"up.md", "a.md"} {
		if err := os.Remove(filepath.Join(r.dir, "docs", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../other/x.md", filepath.Join(r.dir, "docs", "a.md")); err != nil {
		t.Fatal(err)
	}
	r.commit(map[string]string{"README.md": "", "docs/README.md": ""})
	next := r.commit(map[string]string{"README.md/deep.md": "# Deep\n", "docs/README.md/x.md": "# Y\n", "docs/up.md": "# Up\n"})
	w.bring(s, r.here(next), Indexed)
	equal(t, "the files", w.files("docs"), "docs/README.md/x.md docs/empty/.gitkeep docs/up.md docs/we ird [x]*.md")
	back := r.commit(map[string]string{"README.md": "# Read\n", "docs/README.md": "# Z\n", "docs/a.md": "# A\n"})
	w.bring(s, r.here(back), Indexed)
	equal(t, "the files", w.files("docs"), "README.md docs/README.md docs/a.md docs/empty/.gitkeep docs/up.md docs/we ird [x]*.md")
}

func TestTheSameBytesUnderAnotherName(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	s := filesSource(t, "**")
	text := "# Heading\n\nWords of it.\n"
	w.bring(s, r.here(r.commit(map[string]string{"a.md": text, "b.txt": text, "c/a.md": text, "broken/one.yaml": "a: [", "broken/two.yaml": "a: ["})), Indexed)
	for name, kind := range map[string]kb.Kind{"a.md": kb.KindMarkdown, "b.txt": kb.KindText, "c/a.md": kb.KindMarkdown} {
		_, d, _, err := w.keeper.Document(t.Context(), "docs", name)
		if err != nil || d.Kind != kind {
			t.Errorf("%s is %q (%v), want %q", name, d.Kind, err, kind)
		}
	}
	state, _ := w.keeper.State("docs")
	if len(state.Problems) != 2 || state.Problems[1].Path != "broken/two.yaml" || strings.Contains(state.Problems[1].Text, "one.yaml") {
		t.Errorf("the problems are %+v", state.Problems)
	}
	w.bring(s, r.here(r.commit(map[string]string{"b.txt": "", "b.md": text})), Indexed)
	if _, d, _, err := w.keeper.Document(t.Context(), "docs", "b.md"); err != nil || d.Kind != kb.KindMarkdown {
		t.Errorf("what was renamed is %q (%v)", d.Kind, err)
	}
}

func TestABrokenDocumentIsToldAndMended(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	s := filesSource(t, "**")
	state := w.bring(s, r.here(r.commit(map[string]string{"a.md": "# A\n", "b.yaml": "kind: [Deployment\n"})), Indexed)
	if state.Documents != 1 || state.Unread != 1 {
		t.Errorf("%+v", state)
	}
	says(t, state.Message, "1 could not be read, such as b.yaml: line 1: ")
	state = w.bring(s, r.here(r.commit(map[string]string{"b.yaml": "kind: Deployment\n"})), Indexed)
	if state.Documents != 2 || state.Unread != 0 {
		t.Errorf("%+v", state)
	}
}

func TestAnotherDeclarationReadsNoMoreThanItNeeds(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	commit := r.commit(map[string]string{"docs/a.md": "# A\n", "docs/b.md": "# B\n", "src/c.md": "# C\n"})
	here := r.here(commit)
	files := &spec.KnowledgeFiles{Include: []string{"docs/**"}}
	w.bring(source(t, "docs", spec.KnowledgeSourceSpec{Files: files}), here, Indexed)
	w.engine.reads()

	labelled := source(t, "docs", spec.KnowledgeSourceSpec{Files: files, Labels: map[string]string{"team": "shop"}})
	w.bring(labelled, here, Indexed)
	equal(t, "labels", w.engine.reads(), "")
	hits, _, err := w.keeper.Search(t.Context(), []*spec.KnowledgeSource{labelled}, kb.Query{Text: "a b", Most: 9, Filter: kb.Filter{Labels: map[string]string{"team": "shop"}}})
	if err != nil || len(hits) == 0 {
		t.Errorf("found %v, %v", hits, err)
	}
	w.bring(source(t, "docs", spec.KnowledgeSourceSpec{Files: &spec.KnowledgeFiles{Include: []string{"docs/a*", "src/**"}}}), here, Indexed)
	equal(t, "globs", w.engine.reads(), "src/c.md")
	equal(t, "the files", w.files("docs"), "docs/a.md src/c.md")
	w.bring(source(t, "docs", spec.KnowledgeSourceSpec{Files: files, Chunk: &spec.Chunk{Size: 200}}), here, Indexed)
	equal(t, "the size of chunks", w.engine.reads(), "docs/a.md docs/b.md")
}

func TestAnotherVersionReadsAllAgain(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	s := filesSource(t, "docs/**")
	here := r.here(r.commit(map[string]string{"docs/a.md": "# Alpha\n"}))
	w.bring(s, here, Indexed)
	w.engine.reads()
	// As an earlier version has left it: of this commit and declaration, and read in another way.
	err := w.engine.Engine.Update(t.Context(), kb.Update{Source: "docs", To: here.Commit + " " + string(s.Digest) + " earlier", Format: "earlier",
		Put: []kb.File{{Path: "docs/a.md", Blob: "x"}}, Read: func(context.Context, kb.File) (kb.Document, error) { return kb.Document{}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	w.bring(s, here, Indexed)
	equal(t, "what another version has read", w.engine.reads(), "docs/a.md")
	equal(t, "what is found", w.found("alpha", s), "docs/a.md")
}

func (w *world) times() string {
	w.t.Helper()
	all, err := w.engine.Files(w.t.Context(), "docs")
	if err != nil {
		w.t.Fatal(err)
	}
	var times []string
	for _, f := range all {
		day := "-"
		if !f.Time.IsZero() {
			day = f.Time.Format(time.DateOnly)
		}
		times = append(times, f.Path+"="+day)
	}
	return strings.Join(times, " ")
}

func TestWhenFilesWereChanged(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	s := filesSource(t, "*.md")
	r.commit(map[string]string{"a.md": "1", "b.md": "1", "c.md": "1"})
	second := r.commit(map[string]string{"b.md": "2"})
	w.bring(s, r.here(second), Indexed)
	equal(t, "times", w.times(), "a.md=2026-01-01 b.md=2026-01-02 c.md=2026-01-01")
	// What a merge brings is of the day on which it came.
	r.git("checkout", "-q", "-b", "side")
	r.commit(map[string]string{"c.md": "side"})
	r.git("checkout", "-q", "main")
	r.commit(map[string]string{"d.md": "1"})
	r.git("merge", "-q", "--no-ff", "-m", "merge", "side")
	merged := r.git("rev-parse", "HEAD")
	want := "a.md=2026-01-01 b.md=2026-01-02 c.md=2026-01-05 d.md=2026-01-04"
	w.bring(s, r.here(merged), Indexed)
	equal(t, "times", w.times(), want)
	anew := newWorld(t)
	anew.bring(s, r.here(merged), Indexed)
	equal(t, "times, all at once", anew.times(), want)
	// Another declaration keeps the times that are known.
	labelled := source(t, "docs", spec.KnowledgeSourceSpec{Files: s.Spec.Files, Labels: map[string]string{"x": "y"}})
	anew.bring(labelled, r.here(merged), Indexed)
	equal(t, "times, declared anew", anew.times(), want)

	// A shallow clone, as CI makes it, does not know when what is below was changed, and says nothing of it.
	dir := t.TempDir()
	r.git("clone", "-q", "--depth", "2", "file://"+r.dir, dir)
	shallow, other := newWorld(t), &repository{t: t, dir: dir}
	shallow.bring(s, other.here(merged), Indexed)
	equal(t, "times in a shallow clone", shallow.times(), "a.md=- b.md=- c.md=2026-01-05 d.md=-")
}

func TestOneOfManyFiles(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	files := map[string]string{}
	for i := range 1000 {
		files[fmt.Sprintf("docs/%d/%d/f.md", i/100, i)] = fmt.Sprintf("# Service %d\n\nIt runs on node %d.\n", i, i*7)
	}
	s := filesSource(t, "docs/**/*.md")
	if state := w.bring(s, r.here(r.commit(files)), Indexed); state.Documents != len(files) {
		t.Errorf("%+v", state)
	}
	w.engine.reads()
	w.bring(s, r.here(r.commit(map[string]string{"docs/0/1/f.md": "# Other\n"})), Indexed)
	equal(t, "one file", w.engine.reads(), "docs/0/1/f.md")
}

func TestGlobsThatMatchNothingAreKnown(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	here := r.here(r.commit(map[string]string{"docs/a.md": "# A\n", "docs/b.txt": "b\n", "images/a.png": "no image\n"}))
	unmatched := func(s *spec.KnowledgeSource) string {
		t.Helper()
		globs, err := w.keeper.Unmatched(s)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(globs, " ")
	}
	files := source(t, "docs", spec.KnowledgeSourceSpec{Files: &spec.KnowledgeFiles{Include: []string{"docs/*.md", "doc/**", "images/**", "**/*.txt"}, Exclude: []string{"**/*.txt"}}})
	equal(t, "before it is read", unmatched(files), "")
	w.bring(files, here, Indexed)
	equal(t, "of this repository", unmatched(files), "doc/** images/** **/*.txt")
	git := source(t, "other", spec.KnowledgeSourceSpec{Git: &spec.KnowledgeGit{URL: r.dir, Branch: "main", KnowledgeFiles: spec.KnowledgeFiles{Include: []string{"docs/**", "runbooks/**"}}}})
	w.bring(git, here, Indexed)
	equal(t, "of another one", unmatched(git), "runbooks/**")
}

func TestAFileThatIsTooLargeIsToldWithTheLimit(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	state := w.bring(filesSource(t, "**"), r.here(r.commit(map[string]string{"large.md": strings.Repeat("a line\n", 16<<20/7+1)})), Indexed)
	equal(t, "the problems", fmt.Sprint(state.Problems), "[{large.md it is too large: 16777222 bytes, and the limit is 16777216 (split it, or leave it out with exclude)}]")
}
