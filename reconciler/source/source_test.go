package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// origin is a real bare repository, and a remote of its own that plays the people who push to it.
type origin struct {
	t      testing.TB
	bare   string
	people *remote.Remote
}

func newOrigin(t testing.TB) *origin {
	t.Helper()
	o := &origin{t: t, bare: filepath.Join(t.TempDir(), "remote.git")}
	for _, args := range [][]string{
		{"init", "-q", "--bare", "-b", "main", o.bare},
		{"-C", o.bare, "config", "receive.autogc", "false"},
		{"-C", o.bare, "config", "receive.denyDeleteCurrent", "ignore"},
	} {
		cmd := exec.Command("git", args...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "HOME="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v %s", args, err, out)
		}
	}
	o.people = o.open()
	return o
}

func (o *origin) open() *remote.Remote {
	o.t.Helper()
	r, err := remote.Open(o.t.Context(), remote.Options{URL: o.bare})
	if err != nil {
		o.t.Fatal(err)
	}
	return r
}

func (o *origin) watch(path string) *Source {
	o.t.Helper()
	s, err := New(Options{Remote: o.open(), Branch: "main", Path: path})
	if err != nil {
		o.t.Fatal(err)
	}
	return s
}

// push commits files on top of old and moves the branch there.
func (o *origin) push(branch, old string, files ...spec.FileEdit) spec.Revision {
	o.t.Helper()
	id := o.commit(old, files...)
	if err := o.people.Push(o.t.Context(), branch, old, id); err != nil {
		o.t.Fatal(err)
	}
	return spec.NewRevision(branch, id)
}

func (o *origin) commit(old string, files ...spec.FileEdit) string {
	o.t.Helper()
	if _, err := o.people.Fetch(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
	d := remote.CommitDraft{Base: old, Edits: files, Message: "a change", AuthorName: "Anna", When: time.Unix(1, 0)}
	if old != "" {
		d.Parents = []string{old}
	}
	id, err := o.people.WriteCommit(d)
	if err != nil {
		o.t.Fatal(err)
	}
	return id
}

// force moves main to a commit that does not descend from where it is.
func (o *origin) force(old, id string) {
	o.t.Helper()
	if err := o.people.Delete(o.t.Context(), "main", old); err != nil {
		o.t.Fatal(err)
	}
	if err := o.people.Push(o.t.Context(), "main", "", id); err != nil {
		o.t.Fatal(err)
	}
}

func file(path, content string) spec.FileEdit { return spec.FileEdit{Path: path, Content: content} }

func observe(t testing.TB, s *Source) Observation {
	t.Helper()
	o, err := s.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func wantFile(t testing.TB, tree fs.FS, path, want string) {
	t.Helper()
	if b, err := fs.ReadFile(tree, path); err != nil || string(b) != want {
		t.Fatalf("%s: got %q and %v, want %q", path, b, err, want)
	}
}

func TestObserveFollowsTheBranch(t *testing.T) {
	o := newOrigin(t)
	s := o.watch("fleet")
	one := o.push("main", "", file("fleet/mainstay.yaml", "1"), file("README.md", "hello"))
	first := observe(t, s)
	if first.Revision != one || first.Branches["main"] != one.Commit() || first.Commit.Message != "a change\n" {
		t.Fatalf("got %+v, want %s", first, one)
	}
	wantFile(t, first.Tree, "mainstay.yaml", "1")
	wantFile(t, first.Root, "README.md", "hello")

	two := o.push("main", one.Commit(), file("fleet/mainstay.yaml", "2"), file("fleet/agents/a.md", "a"), file("README.md", "x"))
	second := observe(t, s)
	if second.Revision != two || s.Last().Revision != two {
		t.Fatalf("got %s, want %s", second.Revision, two)
	}
	wantFile(t, second.Tree, "mainstay.yaml", "2")
	wantFile(t, first.Tree, "mainstay.yaml", "1")

	changed, err := s.Changed(t.Context(), one, two)
	if err != nil || strings.Join(changed, " ") != "README.md fleet/agents/a.md fleet/mainstay.yaml" {
		t.Fatalf("got %v and %v", changed, err)
	}
	old, err := s.At(t.Context(), one)
	if err != nil || old.Revision != one {
		t.Fatalf("got %v and %v", old, err)
	}
	wantFile(t, old.Tree, "mainstay.yaml", "1")
}

func TestForcePushIsJustAnotherRevision(t *testing.T) {
	o := newOrigin(t)
	s := o.watch("")
	one := o.push("main", "", file("mainstay.yaml", "1"))
	observe(t, s)
	other := o.commit("", file("mainstay.yaml", "other"))
	o.force(one.Commit(), other)
	if got := observe(t, s); got.Revision.Commit() != other {
		t.Fatalf("got %s, want %s", got.Revision, other)
	}
	// What runs are pinned to is still in this store, and not in a fresh one.
	old, err := s.At(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, old.Tree, "mainstay.yaml", "1")
	_, err = o.watch("").At(t.Context(), one)
	if !errors.Is(err, remote.ErrMissing) {
		t.Fatalf("got %v, want %v", err, remote.ErrMissing)
	}
	if _, err := s.Changed(t.Context(), one, spec.NewRevision("main", other)); err != nil {
		t.Fatal(err)
	}
}

func TestObserveKeepsTheLastRevision(t *testing.T) {
	o := newOrigin(t)
	s := o.watch("fleet")
	fails := func(want error, last spec.Revision) {
		t.Helper()
		got, err := s.Observe(t.Context())
		if !errors.Is(err, want) {
			t.Fatalf("got error %v, want %v", err, want)
		}
		if got.Revision != last {
			t.Fatalf("got %q, want the last one, %q", got.Revision, last)
		}
	}
	fails(ErrEmpty, "")
	side := o.push("side", "", file("x", "1"))
	fails(ErrNoBranch, "")
	main := o.push("main", "", file("fleet/mainstay.yaml", "1"))
	observe(t, s)
	away := o.bare + ".away"
	if err := os.Rename(o.bare, away); err != nil {
		t.Fatal(err)
	}
	fails(remote.ErrUnreachable, main)
	if err := os.Rename(away, o.bare); err != nil {
		t.Fatal(err)
	}
	observe(t, s)
	moved := o.push("main", main.Commit(), spec.FileEdit{Path: "fleet/mainstay.yaml", Remove: true}, file("other/mainstay.yaml", "1"))
	fails(ErrNoPath, main)
	asFile := o.push("main", moved.Commit(), file("fleet", "a file"))
	fails(ErrNoPath, main)
	if err := o.people.Delete(t.Context(), "main", asFile.Commit()); err != nil {
		t.Fatal(err)
	}
	fails(ErrNoBranch, main)
	if err := o.people.Delete(t.Context(), "side", side.Commit()); err != nil {
		t.Fatal(err)
	}
	fails(ErrEmpty, main)
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []Options{{Branch: "main", Path: "../x"}, {Branch: "main", Path: "/x"}, {Path: "x"}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	for path, want := range map[string]string{"": ".", ".": ".", "./a/": "a", "a//b": "a/b"} {
		if s, err := New(Options{Branch: "main", Path: path}); err != nil || s.path != want {
			t.Errorf("%q: got %v and %v, want %q", path, s, err, want)
		}
	}
}

// BenchmarkObserve is one commit that changes one file: fetched, and what changed found out. It should take about as long
// in a large repository as in a small one.
func BenchmarkObserve(b *testing.B) {
	for _, files := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("files=%d", files), func(b *testing.B) {
			o := newOrigin(b)
			tip := o.push("main", "", file("f", ""))
			for at := 0; at < files; at += 1_000 {
				edits := make([]spec.FileEdit, 1_000)
				for i := range edits {
					edits[i] = file(fmt.Sprintf("d%d/e%d/f%d", (at+i)%100, (at+i)/100, at+i), fmt.Sprint(at+i))
				}
				tip = o.push("main", tip.Commit(), edits...)
			}
			s := o.watch("")
			last := observe(b, s).Revision
			n := 0
			for b.Loop() {
				b.StopTimer()
				n++
				o.push("main", last.Commit(), file("d1/e1/f101", fmt.Sprint("changed ", n)))
				b.StartTimer()
				next := observe(b, s).Revision
				if changed, err := s.Changed(b.Context(), last, next); err != nil || len(changed) != 1 {
					b.Fatalf("got %v and %v", changed, err)
				}
				last = next
			}
		})
	}
}
