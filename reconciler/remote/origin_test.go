package remote

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/mainstay-dev/mainstay/spec"
)

// origin is a real bare repository made with git, and a work tree that a person changes it from.
type origin struct {
	t    testing.TB
	bare string
	work string
}

func newOrigin(t testing.TB) *origin {
	t.Helper()
	dir := t.TempDir()
	o := &origin{t: t, bare: filepath.Join(dir, "remote.git"), work: filepath.Join(dir, "work")}
	o.run(dir, "init", "-q", "--bare", "-b", "main", o.bare)
	for _, kv := range [][2]string{{"receive.autogc", "false"}, {"gc.auto", "0"}} {
		o.run(o.bare, "config", kv[0], kv[1])
	}
	o.run(dir, "init", "-q", "-b", "main", o.work)
	o.git("remote", "add", "origin", o.bare)
	return o
}

// run runs git without anybody's configuration.
func (o *origin) run(dir string, args ...string) string {
	o.t.Helper()
	out, err := o.try(dir, args...)
	if err != nil {
		o.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (o *origin) try(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "HOME="+o.t.TempDir(),
		"GIT_AUTHOR_NAME=Anna", "GIT_AUTHOR_EMAIL=anna@example.org", "GIT_COMMITTER_NAME=Anna", "GIT_COMMITTER_EMAIL=anna@example.org")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (o *origin) git(args ...string) string {
	o.t.Helper()
	return o.run(o.work, args...)
}

func (o *origin) write(files map[string]string) {
	o.t.Helper()
	for name, body := range files {
		path := filepath.Join(o.work, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			o.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			o.t.Fatal(err)
		}
	}
}

// commit adds all files, commits and pushes the current branch, and returns the commit.
func (o *origin) commit(files map[string]string) string {
	o.t.Helper()
	o.write(files)
	o.git("add", "-A")
	o.git("commit", "-q", "--allow-empty", "-m", "a change")
	o.git("push", "-q", "origin", "HEAD")
	return o.git("rev-parse", "HEAD")
}

func (o *origin) hook(name, script string) {
	o.t.Helper()
	if err := os.WriteFile(filepath.Join(o.bare, "hooks", name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		o.t.Fatal(err)
	}
}

func (o *origin) tip(branch string) string {
	o.t.Helper()
	out, err := o.try(o.bare, "rev-parse", "--verify", "-q", "refs/heads/"+branch)
	if err != nil {
		return ""
	}
	return out
}

func (o *origin) open(opts Options) *Remote {
	o.t.Helper()
	if opts.URL == "" {
		opts.URL = o.bare
	}
	return openRemote(o.t, opts)
}

func openRemote(t testing.TB, opts Options) *Remote {
	t.Helper()
	r, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func fetch(t testing.TB, r *Remote) map[string]string {
	t.Helper()
	branches, err := r.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return branches
}

// draft is a commit by Mainstay on one parent.
func draft(parent string, edits ...spec.FileEdit) CommitDraft {
	d := CommitDraft{
		Base: parent, Edits: edits, Message: "remote: a test", AuthorName: "Mainstay", AuthorEmail: "mainstay@example.org",
		When: time.Date(2025, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600)),
	}
	if parent != "" {
		d.Parents = []string{parent}
	}
	return d
}

func file(path, content string) spec.FileEdit { return spec.FileEdit{Path: path, Content: content} }

func write(t testing.TB, r *Remote, d CommitDraft) string {
	t.Helper()
	id, err := r.WriteCommit(d)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func wantIs(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func wantSays(t testing.TB, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Fatalf("got error %v, want one that says %q", err, text)
	}
}

func hashes(h ...plumbing.Hash) []plumbing.Hash { return h }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func touch(t testing.TB, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func removeAll(t testing.TB, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}
