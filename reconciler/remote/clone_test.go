package remote_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
)

// gitIn runs git in a folder, by nobody's configuration.
func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "protocol.file.allow=always"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestACloneIsReadFromItsObjects(t *testing.T) {
	base := t.TempDir()
	origin, clone, linked, borrowed := filepath.Join(base, "origin"), filepath.Join(base, "clone"), filepath.Join(base, "linked"), filepath.Join(base, "borrowed")
	file := filepath.Join(origin, "fleet", "a.txt")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		gitIn(t, origin, "add", "-A")
		gitIn(t, origin, "commit", "-q", "-m", text)
	}
	gitIn(t, base, "init", "-q", "-b", "main", origin)
	write("one")
	gitIn(t, origin, "tag", "-a", "-m", "first", "v1")
	write("two")
	gitIn(t, origin, "gc", "-q")
	write("three")
	gitIn(t, base, "clone", "-q", origin, clone)
	gitIn(t, clone, "worktree", "add", "-q", "-b", "side", linked, "HEAD~1")
	gitIn(t, base, "clone", "-q", "--shared", origin, borrowed)

	for _, tt := range []struct{ dir, revision, want string }{
		{filepath.Join(clone, "fleet"), "origin/main", "three"},
		{clone, "HEAD~1", "two"},
		{clone, "v1", "one"},
		{clone, gitIn(t, clone, "rev-parse", "HEAD~2"), "one"},
		{clone, gitIn(t, clone, "rev-parse", "--short", "HEAD"), "three"},
		{linked, "HEAD", "two"},
		{linked, "origin/main", "three"},
		{borrowed, "HEAD", "three"},
	} {
		c, err := remote.OpenClone(tt.dir)
		if err != nil {
			t.Fatal(err)
		}
		id, err := c.Resolve(tt.revision)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Snapshot(id)
		if err != nil {
			t.Fatalf("%s of %s: %v", tt.revision, tt.dir, err)
		}
		if got, err := fs.ReadFile(s, "fleet/a.txt"); err != nil || string(got) != tt.want {
			t.Errorf("%s of %s holds %q, %v; want %q", tt.revision, tt.dir, got, err, tt.want)
		}
	}

	// The store of a remote is read while it is open elsewhere.
	store := filepath.Join(base, "store")
	r, err := remote.Open(t.Context(), remote.Options{URL: origin, Dir: store})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	branches, err := r.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stored, err := remote.OpenStore(store)
	if err != nil {
		t.Fatal(err)
	}
	s, err := stored.Snapshot(branches["main"])
	if err != nil {
		t.Fatal(err)
	}
	if got, err := fs.ReadFile(s, "fleet/a.txt"); err != nil || string(got) != "three" {
		t.Errorf("the store holds %q, %v", got, err)
	}
	if _, err := remote.OpenStore(base); !errors.Is(err, remote.ErrNoClone) {
		t.Errorf("a folder that is no store: %v", err)
	}

	c, err := remote.OpenClone(filepath.Join(clone, "fleet"))
	if err != nil {
		t.Fatal(err)
	}
	if within, err := c.Within(filepath.Join(clone, "fleet")); within != "fleet" || err != nil {
		t.Errorf("the folder is at %q, %v", within, err)
	}
	if _, err := c.Within(base); err == nil {
		t.Error("a folder outside is said to be within")
	}
	if _, err := c.Resolve("nobody"); !errors.Is(err, remote.ErrMissing) {
		t.Errorf("an unknown revision: %v", err)
	}
	if _, err := c.Snapshot(strings.Repeat("0", 40)); !errors.Is(err, remote.ErrMissing) {
		t.Errorf("an unknown commit: %v", err)
	}
	if _, err := remote.OpenClone(base); !errors.Is(err, remote.ErrNoClone) {
		t.Errorf("a folder that is in no clone: %v", err)
	}
}

// A revision is what git takes it for, whatever its branches are called.
func TestARevisionIsNamedAsGitNamesIt(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "clone")
	gitIn(t, base, "init", "-q", "-b", "main", dir)
	gitIn(t, dir, "commit", "-q", "--allow-empty", "-m", "one")
	one := gitIn(t, dir, "rev-parse", "HEAD")
	gitIn(t, dir, "commit", "-q", "--allow-empty", "-m", "two")
	gitIn(t, dir, "branch", one[:7])
	gitIn(t, dir, "branch", "a@b")
	gitIn(t, dir, "branch", "dep/@types/node-1", "HEAD~1")
	gitIn(t, dir, "tag", "-a", "-m", "x", "v1@x", "HEAD~1")
	gitIn(t, dir, "tag", "both", "HEAD~1")
	gitIn(t, dir, "branch", "both")
	gitIn(t, dir, "update-ref", "refs/remotes/origin/c@d", "HEAD")
	gitIn(t, dir, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/c@d")
	gitIn(t, dir, "pack-refs", "--all")
	if err := os.Mkdir(filepath.Join(dir, "fleet"), 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(base, "link")
	if err := os.Symlink(filepath.Join(dir, "fleet"), link); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{dir, link} {
		c, err := remote.OpenClone(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, revision := range []string{
			one, one[:7], one[:9], "HEAD", "HEAD~1", "HEAD^", "main", "main~1", "a@b", "a@b~1", "a@b^", "refs/heads/a@b", "dep/@types/node-1", "v1@x",
			"both", "heads/both", "origin/c@d", "origin",
		} {
			want := gitIn(t, dir, "rev-parse", "-q", "--verify", revision+"^{commit}")
			if got, err := c.Resolve(revision); got != want || err != nil {
				t.Errorf("%s is %s, %v; want %s", revision, got, err, want)
			}
		}
		for _, revision := range []string{"", "config", "../config", "a@c", "refs/heads/../../config", "refs", "refs/heads", "main...HEAD"} {
			if got, err := c.Resolve(revision); !errors.Is(err, remote.ErrMissing) {
				t.Errorf("%q is %s, %v", revision, got, err)
			}
		}
	}
}

// Somebody who hands over a clone can write into its objects without changing their names.
func TestAnObjectThatIsNotWhatItsNameSaysIsNotRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "clone")
	gitIn(t, t.TempDir(), "init", "-q", "-b", "main", dir)
	object := func(text string) string {
		if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		gitIn(t, dir, "add", "-A")
		gitIn(t, dir, "commit", "-q", "-m", text)
		id := gitIn(t, dir, "rev-parse", "HEAD:a.txt")
		return filepath.Join(dir, ".git", "objects", id[:2], id[2:])
	}
	approved, other := object("approved"), object("anything")
	first := gitIn(t, dir, "rev-parse", "HEAD~1")
	if err := errors.Join(os.Remove(approved), os.Link(other, approved)); err != nil {
		t.Fatal(err)
	}
	c, err := remote.OpenClone(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Snapshot(first)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.ReadFile("a.txt"); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("it is read as %q, %v", got, err)
	}
}

func TestAHistoryIsWalkedInAClone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "clone")
	gitIn(t, t.TempDir(), "init", "-q", "-b", "main", dir)
	step := func(message string, files ...string) {
		for _, name := range files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(message), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		gitIn(t, dir, "add", "-A")
		gitIn(t, dir, "commit", "-q", "-m", message)
	}
	step("one", "a/gone", "a/kept", "b")
	gitIn(t, dir, "rm", "-q", "a/gone")
	step("two", "a/new", "b")
	c, err := remote.OpenClone(dir)
	if err != nil {
		t.Fatal(err)
	}
	var subjects []string
	var trees []*remote.Snapshot
	for commit, err := range c.FirstParents(gitIn(t, dir, "rev-parse", "HEAD")) {
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Snapshot(commit.ID)
		if err != nil {
			t.Fatal(err)
		}
		subjects, trees = append(subjects, commit.Subject()), append(trees, s)
	}
	if got := strings.Join(subjects, " "); got != "two one" {
		t.Fatalf("the commits are %s", got)
	}
	differences := func(from, to *remote.Snapshot) string {
		found, err := remote.Differences(t.Context(), from, to)
		if err != nil {
			t.Fatal(err)
		}
		var text []string
		for _, d := range found {
			for i, id := range []string{d.Before, d.After} {
				at := trees[1-i]
				if from == nil {
					at = trees[1]
				}
				if info, err := at.Lstat(d.Path); id != "" && (err != nil || info.Sys() != id) {
					t.Errorf("%s is %v, %v, and not %s", d.Path, info, err, id)
				}
			}
			text = append(text, fmt.Sprintf("%s %t %t", d.Path, d.Before != "", d.After != ""))
		}
		return strings.Join(text, "; ")
	}
	if got := differences(trees[1], trees[0]); got != "a/gone true false; a/new false true; b true true" {
		t.Errorf("it differs in %s", got)
	}
	if got := differences(nil, trees[1]); got != "a/gone false true; a/kept false true; b false true" {
		t.Errorf("it differs from nothing in %s", got)
	}
}
