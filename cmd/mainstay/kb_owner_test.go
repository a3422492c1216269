package main

import (
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/knowledge"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
)

// past is a history, the newest commit first.
type past []string

func (past) Snapshot(string) (*remote.Snapshot, error) { panic("nothing is read of it") }

func (p past) FirstParents(string) iter.Seq2[remote.Commit, error] {
	return func(yield func(remote.Commit, error) bool) {
		for _, id := range p {
			if !yield(remote.Commit{ID: id}, nil) {
				return
			}
		}
	}
}

// The reconcilers of one fleet are one owner of a shared index, whatever they call its repository, and those of two are two.
func TestAnIndexIsOfOneFleet(t *testing.T) {
	here := knowledge.Here{Commit: "c3", History: past{"c3", "c2", "c1"}}
	owner := func(repo, ref, folder, env string) string {
		t.Helper()
		owner, err := indexOwner(repo, ref, folder, env, here)
		if err != nil {
			t.Fatal(err)
		}
		return owner
	}
	const shop = "branch main of github.com/acme/shop"
	for _, repo := range []string{"https://github.com/acme/shop", "https://github.com/acme/shop.git/", "https://ada:hunter2@GitHub.com:443/acme/shop.git",
		"git@github.com:acme/shop.git", "ssh://git@github.com/acme/shop", "ssh://git@github.com:22/acme/shop", "github.com:/acme/shop"} {
		if got := owner(repo, "main", "", ""); got != shop {
			t.Errorf("%s: %s", repo, got)
		}
	}
	if got := owner("https://ada:hunter%2@github.com/acme/shop", "main", "", ""); strings.Contains(got, "hunter") {
		t.Errorf("a URL that cannot be read tells its password: %s", got)
	}
	if got := owner("git@github.com:acme/shop.git", "main", "./fleets/a/", "prod"); got != shop+", folder fleets/a, environment prod" {
		t.Error(got)
	}
	seen := map[string]string{shop: "the first one"}
	dir := t.TempDir()
	linked := filepath.Join(dir, "link")
	real := filepath.Join(dir, "real")
	if err := os.Mkdir(real, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, linked); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	for name, other := range map[string]string{
		"a fork":                        owner("https://github.com/ada/shop", "main", "", ""),
		"another host":                  owner("https://git.example.com/acme/shop", "main", "", ""),
		"a server at another port":      owner("http://127.0.0.1:3000/acme/shop", "main", "", ""),
		"one more":                      owner("http://127.0.0.1:3001/acme/shop", "main", "", ""),
		"another branch":                owner("https://github.com/acme/shop", "staging", "", ""),
		"another folder":                owner("https://github.com/acme/shop", "main", "fleets/a", ""),
		"another environment":           owner("https://github.com/acme/shop", "main", "", "prod"),
		"a folder of a machine":         owner(real, "main", "", ""),
		"a folder that is not there":    owner("/repo", "main", "", ""),
		"one with a colon in its name":  owner("/a:b/repo", "main", "", ""),
		"a relative one with some dots": owner("../a:b", "main", "", ""),
	} {
		if was, ok := seen[other]; ok {
			t.Errorf("%s is %s: %s", name, was, other)
		}
		seen[other] = name
	}
	for _, same := range []string{linked, "file://" + real, real + "/"} {
		if got := owner(same, "main", "", ""); seen[got] != "a folder of a machine" {
			t.Errorf("%s: %s", same, got)
		}
	}
	// The same path on another machine, or in another container, leads to another repository.
	before := owner("/repo", "main", "", "")
	here.History = past{"d2", "d1"}
	if after := owner("/repo", "main", "", ""); after == before {
		t.Errorf("both are %s", after)
	}
}
