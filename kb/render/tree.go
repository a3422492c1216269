package render

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Tree is the files of a commit. Links are no files: nothing is read through them.
//
// What ReadDir lists may have a method ID() string, which identifies a file by its content, and a folder by all that is in it. Without, files
// are read to tell.
type Tree interface {
	ReadDir(name string) ([]fs.DirEntry, error)
	ReadFile(name string) ([]byte, error)
}

// Finder finds units. It remembers which folders have none, so that of the next commit only what differs is looked at. It is safe for
// concurrent use.
type Finder struct {
	// heads are the paths of heads beneath folders, by the ids of these.
	heads *lru.Cache[string, []string]
	// written are kustomizations, by the ids of their files.
	written *lru.Cache[string, kustomization]
}

// NewFinder returns a Finder.
func NewFinder() *Finder {
	heads, err := lru.New[string, []string](100_000)
	written, other := lru.New[string, kustomization](10_000)
	if err = errors.Join(err, other); err != nil {
		panic(err) // The sizes are wrong, which are constants.
	}
	return &Finder{heads, written}
}

// tree is one that remembers what it has listed, as long as units are looked for.
type tree struct {
	*Finder
	ctx    context.Context
	is     Tree
	listed map[string]map[string]fs.DirEntry
	// readable reports whether a file may be read.
	readable func(string) bool
}

// list lists a folder; it is empty where there is none.
func (t *tree) list(dir string) (map[string]fs.DirEntry, error) {
	if l, ok := t.listed[dir]; ok {
		return l, nil
	}
	entries, err := t.is.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !isNoFolder(err) {
		return nil, err
	}
	l := make(map[string]fs.DirEntry, len(entries))
	for _, e := range entries {
		l[e.Name()] = e
	}
	t.listed[dir] = l
	return l, nil
}

// isNoFolder reports whether an error is about the path and nothing else: something on the way is a file.
func isNoFolder(err error) bool {
	var at *fs.PathError
	return errors.As(err, &at) && at.Err.Error() == "not a directory"
}

// at is the entry at a path; nil where there is none. Each folder on the way is one, and no link.
func (t *tree) at(name string) (fs.DirEntry, error) {
	if name == "." {
		return nil, nil
	}
	dir := path.Dir(name)
	if dir != "." {
		if e, err := t.at(dir); err != nil || e == nil || !e.IsDir() {
			return nil, err
		}
	}
	l, err := t.list(dir)
	return l[path.Base(name)], err
}

// file is the id of a file that may be read; "" where there is none.
func (t *tree) file(name string) (string, error) {
	e, err := t.at(name)
	if err != nil || e == nil || !e.Type().IsRegular() || !t.readable(name) {
		return "", err
	}
	return t.id(name, e)
}

func (t *tree) id(name string, e fs.DirEntry) (string, error) {
	if named, ok := e.(interface{ ID() string }); ok {
		return named.ID(), nil
	}
	content, err := t.is.ReadFile(name)
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), err
}

// isHead reports whether a file is a Chart.yaml or a kustomization by its name.
func isHead(name string) bool { return name == "Chart.yaml" || slices.Contains(kustomizations, name) }

// headsIn are the heads in a folder and beneath it, relative to it, sorted.
func (t *tree) headsIn(dir string, e fs.DirEntry) ([]string, error) {
	if t.ctx.Err() != nil {
		return nil, context.Cause(t.ctx)
	}
	id := ""
	if named, ok := e.(interface{ ID() string }); ok {
		id = named.ID()
		if found, ok := t.heads.Get(id); ok {
			return found, nil
		}
	}
	entries, err := t.is.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		switch {
		case e.IsDir() && e.Name() != ".git":
			beneath, err := t.headsIn(path.Join(dir, e.Name()), e)
			if err != nil {
				return nil, err
			}
			for _, b := range beneath {
				found = append(found, path.Join(e.Name(), b))
			}
		case e.Type().IsRegular() && isHead(e.Name()):
			found = append(found, e.Name())
		}
		if len(found) > 2*maxUnits {
			return nil, fmt.Errorf("%s holds more than %d charts and kustomizations: let the source include less", cmp.Or(dir, "."), 2*maxUnits)
		}
	}
	slices.Sort(found)
	if id != "" {
		t.heads.Add(id, found)
	}
	return found, nil
}
