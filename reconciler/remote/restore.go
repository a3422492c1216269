package remote

import (
	"fmt"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/storage/memory"
)

// RestoreCommit makes a commit like [Remote.WriteCommit], in which each of the paths is as it is in the commit from: a file
// or a folder, with all beneath it and their modes; or gone, where it is not there. Edits are not made. It returns the id of
// the base where nothing differs.
func (r *Remote) RestoreCommit(d CommitDraft, from string, paths []string) (string, error) {
	base, err := r.treeOf(d.Base)
	if err != nil {
		return "", err
	}
	source, err := r.treeOf(from)
	if err != nil {
		return "", err
	}
	top := &change{beneath: map[string]*change{}}
	for _, name := range paths {
		if err := checkPath(name); err != nil {
			return "", err
		}
		old, err := r.entryAt(source, name)
		if err != nil {
			return "", fmt.Errorf("restore %s: %w", name, err)
		}
		at := top
		for part := range strings.SplitSeq(name, "/") {
			if at.beneath[part] == nil {
				at.beneath[part] = &change{beneath: map[string]*change{}}
			}
			at = at.beneath[part]
		}
		at.restored = &old
	}
	w := &writing{r: r, objects: memory.NewStorage()}
	root, err := w.folder("", base, top)
	if err != nil {
		return "", err
	}
	if root == base {
		return d.Base, nil
	}
	if root.IsZero() {
		if root, err = w.put(plumbing.TreeObject, nil); err != nil {
			return "", err
		}
	}
	return w.commit(root, d)
}

// ObjectAt tells the file or folder at a path in a commit from every other one: its mode and object id; "" where there is none.
func (r *Remote) ObjectAt(commit, name string) (string, error) {
	root, err := r.treeOf(commit)
	if err != nil {
		return "", err
	}
	e, err := r.entryAt(root, path.Clean(name))
	if err != nil || e.hash.IsZero() {
		return "", err
	}
	return e.mode.String() + " " + e.hash.String(), nil
}

// entryAt returns the entry at a path beneath a tree, or one without a hash.
func (r *Remote) entryAt(root plumbing.Hash, name string) (entry, error) {
	t, err := r.reader.tree(root)
	if err != nil {
		return entry{}, err
	}
	folder, file := path.Split(name)
	for part := range strings.SplitSeq(strings.TrimSuffix(folder, "/"), "/") {
		if part == "" {
			break
		}
		e, found := t.find(part)
		if !found || !e.isTree() {
			return entry{}, nil
		}
		if t, err = r.reader.tree(e.hash); err != nil {
			return entry{}, err
		}
	}
	e, _ := t.find(file)
	return e, nil
}
