package remote

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/spec"
)

func TestWriteCommitMakesWhatGitWouldMake(t *testing.T) {
	o := newOrigin(t)
	o.write(map[string]string{"run.sh": "1", "a.txt": "1", "a/b": "1", "a-b": "1", "d/e/f": "1"})
	if err := os.Chmod(filepath.Join(o.work, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	first := o.commit(nil)
	r := o.open(Options{})
	fetch(t, r)
	id := write(t, r, draft(first, file("run.sh", "2"), file("a/c", "new"), spec.FileEdit{Path: "d/e/f", Remove: true}, file("ü/ß", "x")))
	if id != write(t, r, draft(first, file("run.sh", "2"), file("a/c", "new"), spec.FileEdit{Path: "d/e/f", Remove: true}, file("ü/ß", "x"))) {
		t.Fatal("the same draft makes another commit")
	}
	if err := r.Push(t.Context(), "by-mainstay", "", id); err != nil {
		t.Fatal(err)
	}
	o.write(map[string]string{"run.sh": "2", "a/c": "new", "ü/ß": "x"})
	if err := os.RemoveAll(filepath.Join(o.work, "d")); err != nil {
		t.Fatal(err)
	}
	o.commit(nil)
	if ours, gits := o.run(o.bare, "rev-parse", "by-mainstay^{tree}"), o.git("rev-parse", "HEAD^{tree}"); ours != gits {
		t.Fatalf("our tree %s is not git's %s:\n%s", ours, gits, o.run(o.bare, "ls-tree", "-r", "by-mainstay"))
	}
	if got := o.run(o.bare, "log", "-1", "--format=%an <%ae> %aI %s", "by-mainstay"); got != "Mainstay <mainstay@example.org> 2025-03-01T12:00:00+01:00 remote: a test" {
		t.Fatalf("got %s", got)
	}
	o.run(o.bare, "fsck", "--strict", "--full")
	empty := write(t, r, draft(first, slices.Collect(func(yield func(spec.FileEdit) bool) {
		for _, p := range []string{"run.sh", "a.txt", "a/b", "a-b", "d/e/f"} {
			yield(spec.FileEdit{Path: p, Remove: true})
		}
	})...))
	if err := r.Push(t.Context(), "empty", "", empty); err != nil {
		t.Fatal(err)
	}
}

func TestWriteCommitRefuses(t *testing.T) {
	o := newOrigin(t)
	o.write(map[string]string{"a": "1", "d/e": "1"})
	if err := os.Symlink("/etc", filepath.Join(o.work, "link")); err != nil {
		t.Fatal(err)
	}
	o.git("add", "-A")
	o.git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",module")
	o.git("commit", "-q", "-m", "odd files")
	o.git("push", "-q", "origin", "main")
	r := o.open(Options{})
	base := fetch(t, r)["main"]
	for _, tt := range []struct {
		name  string
		edits []spec.FileEdit
		want  string
	}{
		{"an absolute path", []spec.FileEdit{file("/etc/passwd", "")}, "clean relative path"},
		{"a path upwards", []spec.FileEdit{file("../x", "")}, "clean relative path"},
		{"a path upwards within", []spec.FileEdit{file("d/../../x", "")}, "clean relative path"},
		{"an empty path", []spec.FileEdit{file("", "")}, "clean relative path"},
		{"the root", []spec.FileEdit{file(".", "")}, "clean relative path"},
		{"a path that is not UTF-8", []spec.FileEdit{file("\xff", "")}, "clean relative path"},
		{"a backslash", []spec.FileEdit{file(`a\b`, "")}, "backslash"},
		{"a line break", []spec.FileEdit{file("a\nb", "")}, "control character"},
		{"git's folder", []spec.FileEdit{file(".git/config", "")}, "Git's own folder"},
		{"git's folder within", []spec.FileEdit{file("d/.GIT/hooks/x", "")}, "Git's own folder"},
		{"git's folder with dots", []spec.FileEdit{file(".git. ./x", "")}, "Git's own folder"},
		{"git's folder with invisible characters", []spec.FileEdit{file(".g\u200cit/x", "")}, "Git's own folder"},
		{"git's short name", []spec.FileEdit{file("GIT~1/x", "")}, "Git's own folder"},
		{"git's folder as a stream", []spec.FileEdit{file(".git::$INDEX_ALLOCATION/x", "")}, "Git's own folder"},
		{"a path through a link", []spec.FileEdit{file("link/passwd", "")}, "symbolic link"},
		{"a link itself", []spec.FileEdit{file("link", "")}, "symbolic link"},
		{"a path through a submodule", []spec.FileEdit{file("module/x", "")}, "submodule"},
		{"a path through a file", []spec.FileEdit{file("a/b", "")}, "it is a file"},
		{"a folder", []spec.FileEdit{file("d", "")}, "it is a folder"},
		{"to remove what is not there", []spec.FileEdit{{Path: "d/x", Remove: true}}, "no such file"},
		{"a file twice", []spec.FileEdit{file("x", "1"), file("x", "2")}, "edited twice"},
		{"a file and beneath it", []spec.FileEdit{file("x", "1"), file("x/y", "2")}, "as a file as well"},
		{"beneath a file and it", []spec.FileEdit{file("x/y", "1"), file("x", "2")}, "beneath it"},
		{"too much", []spec.FileEdit{file("x", strings.Repeat("x", maxEditBytes+1))}, "too large"},
		{"too many", make([]spec.FileEdit, maxEdits+1), "too large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := r.WriteCommit(draft(base, tt.edits...))
			wantSays(t, err, tt.want)
			if _, ok := errors.AsType[*EditError](err); !ok {
				t.Errorf("%v could be tried again", err)
			}
		})
	}
	d := draft(base, file("a", "2"))
	d.AuthorName = "x\ngpgsig y"
	_, err := r.WriteCommit(d)
	wantSays(t, err, "cannot be an author")
	d = draft(strings.Repeat("1", 40), file("a", "2"))
	_, err = r.WriteCommit(d)
	wantIs(t, err, ErrMissing)
}

func TestMerge(t *testing.T) {
	o := newOrigin(t)
	r := o.open(Options{})
	base := write(t, r, draft("", file("a", "1"), file("b/c", "1"), file("b/d", "1"), file("e/f", "1")))
	remove := func(p string) spec.FileEdit { return spec.FileEdit{Path: p, Remove: true} }
	for _, tt := range []struct {
		name         string
		ours, theirs []spec.FileEdit
		want         string // the paths that differ from ours, or the conflict
	}{
		{"both sides change other files", []spec.FileEdit{file("a", "2")}, []spec.FileEdit{file("b/c", "2")}, "b/c"},
		{"both sides change one folder", []spec.FileEdit{file("b/d", "2")}, []spec.FileEdit{file("b/c", "2"), file("b/x", "")}, "b/c b/x"},
		{"both sides make the same change", []spec.FileEdit{file("a", "2")}, []spec.FileEdit{file("a", "2"), file("x", "1")}, "x"},
		{"theirs removes", []spec.FileEdit{file("a", "2")}, []spec.FileEdit{remove("e/f")}, "e/f"},
		{"both remove", []spec.FileEdit{remove("e/f")}, []spec.FileEdit{remove("e/f"), remove("a")}, "a"},
		{"both change a file", []spec.FileEdit{file("a", "2")}, []spec.FileEdit{file("a", "3")}, "both sides changed a"},
		{"one removes what the other changes", []spec.FileEdit{remove("b/c")}, []spec.FileEdit{file("b/c", "3")}, "both sides changed b/c"},
		{"both add a file", []spec.FileEdit{file("x/y", "1")}, []spec.FileEdit{file("x/y", "2")}, "both sides changed x/y"},
		{"a file against a folder", []spec.FileEdit{file("x", "1")}, []spec.FileEdit{file("x/y", "2")}, "both sides changed x"},
		{"a folder against a change in it", []spec.FileEdit{remove("b/c"), remove("b/d")}, []spec.FileEdit{file("b/c", "2")}, "both sides changed b/c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := MergeDraft{Message: "merge", AuthorName: "Anna", AuthorEmail: "anna@example.org", When: draft("").When}
			d.Ours, d.Theirs = write(t, r, draft(base, tt.ours...)), write(t, r, draft(base, tt.theirs...))
			id, err := r.Merge(d)
			if strings.HasPrefix(tt.want, "both") {
				if _, ok := errors.AsType[*ConflictError](err); !ok {
					t.Fatalf("got %v and %v, want a conflict", id, err)
				}
				wantSays(t, err, tt.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.Changed(t.Context(), d.Ours, id)
			if err != nil || strings.Join(got, " ") != tt.want {
				t.Fatalf("got %v and %v, want %s", got, err, tt.want)
			}
			if c, err := r.Commit(id); err != nil || !slices.Equal(c.Parents, []string{d.Ours, d.Theirs}) {
				t.Fatalf("got %v and %v", c, err)
			}
			_, err = r.Merge(MergeDraft{Ours: id, Theirs: d.Theirs, Message: "again", AuthorName: "Anna"})
			wantIs(t, err, ErrMerged)
		})
	}
	_, err := r.Merge(MergeDraft{Ours: base, Theirs: write(t, r, draft("", file("z", ""))), Message: "x", AuthorName: "Anna"})
	wantSays(t, err, "no history in common")
}
