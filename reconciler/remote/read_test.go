package remote

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

func TestSnapshotIsAFileSystem(t *testing.T) {
	stores(t, func(t *testing.T, dir string) {
		o := newOrigin(t)
		id := o.commit(map[string]string{"mainstay.yaml": "kind: Fleet\n", "agents/a.md": "# a", "agents/b/SKILL.md": "x", "z": ""})
		r := o.open(Options{Dir: dir})
		fetch(t, r)
		s, err := r.Snapshot(id)
		if err != nil {
			t.Fatal(err)
		}
		if err := fstest.TestFS(s, "mainstay.yaml", "agents/a.md", "agents/b/SKILL.md", "z"); err != nil {
			t.Fatal(err)
		}
		sub, err := fs.Sub(s, "agents")
		if err != nil {
			t.Fatal(err)
		}
		if err := fstest.TestFS(sub, "a.md", "b/SKILL.md"); err != nil {
			t.Fatal(err)
		}
		info, err := fs.Stat(sub, "a.md")
		if err != nil || info.Sys() != o.git("rev-parse", "HEAD:agents/a.md") {
			t.Fatalf("got %v and %v, want the id of the blob", info, err)
		}
		// A later commit changes nothing in a snapshot.
		o.commit(map[string]string{"agents/a.md": "other"})
		fetch(t, r)
		if b, err := fs.ReadFile(sub, "a.md"); err != nil || string(b) != "# a" {
			t.Fatalf("got %q and %v", b, err)
		}
	})
}

func TestSnapshotNeverFollowsLinks(t *testing.T) {
	o := newOrigin(t)
	o.write(map[string]string{"l\xe4tin/f": "1", "d/f": "secret", "run.sh": "#!/bin/sh", "big": strings.Repeat("x", 101)})
	for name, target := range map[string]string{"passwd": "/etc/passwd", "dir": "d", "up": "../../outside"} {
		if err := os.Symlink(target, filepath.Join(o.work, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(o.work, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	o.git("add", "-A")
	o.git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",module")
	o.git("commit", "-q", "-m", "odd files")
	o.git("push", "-q", "origin", "main")
	r := o.open(Options{MaxFile: 100})
	s, err := r.Snapshot(fetch(t, r)["main"])
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path string
		mode fs.FileMode
		read string // what reading says
	}{
		{"d/f", 0o444, ""},
		{"l\xe4tin/f", 0o444, ""},
		{"run.sh", 0o555, ""},
		{"passwd", fs.ModeSymlink | 0o777, "never followed"},
		{"dir", fs.ModeSymlink | 0o777, "never followed"},
		{"module", fs.ModeIrregular, "submodule"},
		{"d", fs.ModeDir | 0o555, "is a directory"},
		{"big", 0o444, "too large"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			info, err := s.Stat(tt.path)
			if err != nil || info.Mode() != tt.mode {
				t.Fatalf("got %v and %v, want mode %v", info, err, tt.mode)
			}
			_, err = s.ReadFile(tt.path)
			if tt.read == "" && err != nil {
				t.Fatal(err)
			} else if tt.read != "" {
				wantSays(t, err, tt.read)
			}
			f, err := s.Open(tt.path)
			if err == nil {
				_, err = f.Read(make([]byte, 1))
			}
			if (err == nil) != (tt.read == "") {
				t.Fatalf("reading an open file: %v", err)
			}
		})
	}
	for _, path := range []string{"dir/f", "d/f/x", "module/x", "none", "up/x"} {
		_, err := s.ReadFile(path)
		wantIs(t, err, fs.ErrNotExist)
	}
	for _, path := range []string{"", "/d/f", "d/../d/f", "d/", "./d"} {
		_, err := s.ReadFile(path)
		wantIs(t, err, fs.ErrInvalid)
	}
	if target, err := s.ReadLink("up"); err != nil || target != "../../outside" {
		t.Fatalf("got %q and %v", target, err)
	}
	_, err = s.ReadLink("run.sh")
	wantIs(t, err, fs.ErrInvalid)
	_, err = r.Snapshot(strings.Repeat("1", 40))
	wantIs(t, err, ErrMissing)
}

func TestChanged(t *testing.T) {
	o := newOrigin(t)
	r := o.open(Options{})
	fetch(t, r)
	base := write(t, r, draft("", file("a", "1"), file("b/c", "1"), file("b/d", "1"), file("e/f/g", "1")))
	for _, tt := range []struct {
		name  string
		edits []spec.FileEdit
		want  string
	}{
		{"nothing", nil, ""},
		{"a file is added", []spec.FileEdit{file("x/y", "1")}, "x/y"},
		{"a file is changed", []spec.FileEdit{file("b/c", "2")}, "b/c"},
		{"a file is removed", []spec.FileEdit{{Path: "e/f/g", Remove: true}}, "e/f/g"},
		{"all three", []spec.FileEdit{file("b/c", "2"), file("b/new", ""), {Path: "a", Remove: true}}, "a b/c b/new"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			next := write(t, r, draft(base, tt.edits...))
			for _, pair := range [][2]string{{base, next}, {next, base}} {
				got, err := r.Changed(t.Context(), pair[0], pair[1])
				if err != nil || strings.Join(got, " ") != tt.want {
					t.Fatalf("got %v and %v, want %s", got, err, tt.want)
				}
			}
		})
	}
	t.Run("a file becomes a folder", func(t *testing.T) {
		other := write(t, r, draft("", file("a/b", "1")))
		got, err := r.Changed(t.Context(), base, other)
		if err != nil || strings.Join(got, " ") != "a a/b b/c b/d e/f/g" {
			t.Fatalf("got %v and %v", got, err)
		}
	})
	t.Run("from nothing", func(t *testing.T) {
		got, err := r.Changed(t.Context(), "", base)
		if err != nil || strings.Join(got, " ") != "a b/c b/d e/f/g" {
			t.Fatalf("got %v and %v", got, err)
		}
	})
}

// Random histories, also with clocks that go wrong, against the plain definition.
func TestHistoryAnswersAsDefined(t *testing.T) {
	o := newOrigin(t)
	r := o.open(Options{})
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 15 {
		var ids []string
		reach := map[string]map[string]bool{}
		for i := range 12 {
			d := draft("", file("f", fmt.Sprint(round, i)))
			d.Base = ""
			d.When = d.When.Add(time.Duration(i+rng.IntN(6)-3) * time.Second)
			for _, p := range rng.Perm(i)[:min(i, rng.IntN(3))] {
				d.Parents = append(d.Parents, ids[p])
			}
			id := write(t, r, d)
			reach[id] = map[string]bool{id: true}
			for _, p := range d.Parents {
				for a := range reach[p] {
					reach[id][a] = true
				}
			}
			ids = append(ids, id)
		}
		for _, a := range ids {
			for _, b := range ids {
				if got, err := r.IsAncestor(a, b); err != nil || got != reach[b][a] {
					t.Fatalf("IsAncestor: got %v and %v, want %v", got, err, reach[b][a])
				}
				checkMergeBase(t, r, reach, a, b)
				checkMissing(t, r, reach, a, b)
			}
		}
	}
}

func checkMergeBase(t *testing.T, r *Remote, reach map[string]map[string]bool, a, b string) {
	t.Helper()
	var best []string
	for c := range reach[a] {
		covered := false
		for d := range reach[a] {
			covered = covered || (c != d && reach[b][d] && reach[d][c])
		}
		if reach[b][c] && !covered {
			best = append(best, c)
		}
	}
	got, err := r.MergeBase(a, b)
	switch {
	case len(best) > 1:
		wantSays(t, err, "merge them with git")
	case err != nil || (len(best) == 0) != (got == "") || (got != "" && got != best[0]):
		t.Fatalf("MergeBase: got %q and %v, want %v", got, err, best)
	}
}

func checkMissing(t *testing.T, r *Remote, reach map[string]map[string]bool, tip, have string) {
	t.Helper()
	h, _ := parseID(tip)
	k, _ := parseID(have)
	got, err := r.missing(h, hashes(k))
	if err != nil {
		t.Fatal(err)
	}
	for c := range reach[tip] {
		id, _ := parseID(c)
		if !reach[have][c] && !slices.Contains(got, id) {
			t.Fatalf("missing leaves out %s", c)
		}
	}
}

func TestFirstParents(t *testing.T) {
	o := newOrigin(t)
	first := o.commit(map[string]string{"a": "1"})
	o.git("switch", "-q", "-c", "side")
	o.commit(map[string]string{"b": "1"})
	o.git("switch", "-q", "main")
	o.git("merge", "-q", "--no-ff", "-m", "bring the side", "side")
	o.git("push", "-q", "origin", "main")
	r := o.open(Options{})
	var got []string
	for c, err := range r.FirstParents(fetch(t, r)["main"]) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, c.Subject())
	}
	if strings.Join(got, ", ") != "bring the side, a change" {
		t.Fatalf("got %v", got)
	}
	for _, err := range r.FirstParents(strings.Repeat("1", 40)) {
		wantIs(t, err, ErrMissing)
	}
	c, err := r.Commit(first)
	if err != nil || c.Author != "Anna <anna@example.org>" || c.When.IsZero() || c.Message != "a change\n" || len(c.Parents) != 0 {
		t.Fatalf("got %+v and %v", c, err)
	}
}

func FuzzParseTree(f *testing.F) {
	f.Add([]byte("100644 a\x0001234567890123456789"))
	f.Add([]byte("40000 a\x0001234567890123456789120000 b\x0001234567890123456789"))
	f.Add([]byte("100644 ..\x0001234567890123456789"))
	f.Add([]byte("40000 \xff\x0001234567890123456789"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tr, err := parseTree(b)
		if err != nil {
			return
		}
		again, err := parseTree(encodeTree(tr.entries))
		if err != nil || !slices.EqualFunc(tr.entries, again.entries, func(a, b entry) bool { return a == b }) {
			t.Fatalf("%q comes back as %v and %v", b, again, err)
		}
		for _, e := range tr.entries {
			if !fs.ValidPath(strings.ToValidUTF8(e.name, "?")) || strings.Contains(e.name, "/") {
				t.Fatalf("%q is in a tree", e.name)
			}
		}
	})
}

func FuzzParseCommit(f *testing.F) {
	id := strings.Repeat("1", 40)
	f.Add([]byte("tree " + id + "\nparent " + id + "\nauthor A <a> 1 +0000\ncommitter B <b> 1 +0000\ngpgsig -----BEGIN\n x\n\nhello\n"))
	f.Add([]byte("tree " + id + "\nauthor A <a> 1 +0000\ncommitter B <b> 1 +0000\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseCommit(b)
		if err != nil || c.Signature == nil {
			return
		}
		// What is signed says the same as what is read.
		unsigned, err := parseCommit(c.Payload)
		if err != nil || unsigned.Tree != c.Tree || !slices.Equal(unsigned.Parents, c.Parents) || unsigned.Message != c.Message || unsigned.Signature != nil {
			t.Fatalf("%q signs %q, read as %+v and %v", b, c.Payload, unsigned, err)
		}
	})
}

func FuzzParseAddress(f *testing.F) {
	f.Add("https://user:s3cretpass@example.org/x.git")
	f.Add("git@example.org:x.git")
	f.Add("/srv/x.git")
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := parseAddress(raw, Auth{})
		if err == nil && a.url == "" {
			t.Fatal("no URL")
		}
		const secret = "s3cretpass"
		if strings.Contains(raw, "https://user:"+secret+"@") && err != nil && strings.Contains(err.Error(), secret) {
			t.Fatalf("%v shows the password", err)
		}
	})
}
