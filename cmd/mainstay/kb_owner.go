package main

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler/knowledge"
)

// indexOwner says whose an index is that several may share: a branch of a repository, the folder of it that holds mainstay.yaml, and an
// environment. That is what all reconcilers of one fleet reconcile, on whatever machine and from whatever clone, and the people beside
// them look at; two fleets differ in one of them, though their names are the same.
//
// A URL is the same with ssh, https and whoever logs in. A path may lead to something else on another machine, or in another container, so
// that the first commit stands beside it.
func indexOwner(repo, ref, folder, env string, here knowledge.Here) (string, error) {
	owner := "branch " + ref + " of "
	if name, ok := repositoryName(repo); ok {
		owner += name
	} else {
		if real, err := filepath.EvalSymlinks(name); err == nil {
			name = real
		}
		first := here.Commit
		for c, err := range here.History.FirstParents(here.Commit) {
			if err != nil {
				return "", fmt.Errorf("look for the first commit of %s, by which it is known: %w", repo, err)
			}
			first = c.ID
		}
		owner += fmt.Sprintf("%s (first commit %.12s)", name, first)
	}
	if folder = path.Clean(filepath.ToSlash(folder)); folder != "." {
		owner += ", folder " + folder
	}
	if env != "" {
		owner += ", environment " + env
	}
	return owner, nil
}

// repositoryName is host and path of a repository that is reached by a network. Of another one it is the folder, and false.
func repositoryName(repo string) (string, bool) {
	host, at := "", ""
	if strings.Contains(repo, "://") {
		u, err := url.Parse(repo)
		if err != nil {
			return withoutCredentials(repo), false // The owner is kept, and told.
		}
		if u.Scheme == "file" {
			return strings.TrimSuffix(u.Path, "/"), false
		}
		usual := map[string]string{"ssh": "22", "https": "443", "http": "80", "git": "9418"}
		if host, at = u.Host, u.Path; u.Port() == usual[u.Scheme] {
			host = u.Hostname()
		}
	} else {
		before, after, ok := strings.Cut(repo, ":")
		if !ok || filepath.IsAbs(repo) || strings.ContainsAny(before, `/\`) {
			return strings.TrimSuffix(repo, "/"), false
		}
		host, at = before[strings.LastIndex(before, "@")+1:], after
	}
	return strings.ToLower(host) + "/" + strings.TrimSuffix(strings.Trim(at, "/"), ".git"), true
}

// ownerOf says whose the index is that a folder's mainstay.yaml declares, or that at the tip of a branch. A working tree is of the branch that
// --ref names, whatever is checked out: that is what people change it for.
func (f *kbFlags) ownerOf(d *declared, of string) func(knowledge.Here) (string, error) {
	return func(here knowledge.Here) (string, error) {
		if d.remote != nil {
			return indexOwner(of, f.repo.ref, f.repo.path, f.repo.env, here)
		}
		repo, folder, err := workingTree(of, d)
		if err != nil {
			return "", err
		}
		return indexOwner(repo, f.repo.ref, folder, f.repo.env, here)
	}
}
