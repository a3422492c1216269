package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mainstay-dev/mainstay/spec"
)

// folder is a folder of this machine. It cannot be left, through a symbolic link or otherwise. Its files have ids, by which a
// [spec.Cache] knows them again when the folder is loaded once more for another environment.
type folder struct {
	rootFS
	root *os.Root
}

// rootFS is what [os.Root.FS] returns.
type rootFS interface {
	fs.ReadDirFS
	fs.ReadFileFS
	fs.StatFS
	fs.ReadLinkFS
}

// openFolder opens a folder. Close its root.
func openFolder(dir string) (*folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("no folder %s", dir)
		}
		return nil, err
	}
	files, ok := root.FS().(rootFS)
	if !ok {
		return nil, errors.Join(fmt.Errorf("open %s: its files cannot be read", dir), root.Close())
	}
	return &folder{files, root}, nil
}

// ReadDir reads a folder. A file has an id that is another one when it is written.
func (f *folder) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := f.rootFS.ReadDir(name)
	for i, e := range entries {
		if e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				entries[i] = fileEntry{e, fmt.Sprintf("%d bytes of %d", info.Size(), info.ModTime().UnixNano())}
			}
		}
	}
	return entries, err
}

type fileEntry struct {
	fs.DirEntry
	id string
}

func (e fileEntry) ID() string { return e.id }

// loading loads one folder or revision in its environments, and reads no file twice that has an id.
type loading struct {
	files fs.FS
	cache spec.Cache
}

// load loads what is declared in an environment, "" for none. The error is only that ctx has ended: what a program was told
// then is no problem of the files.
func (l *loading) load(ctx context.Context, env string) (*spec.Fleet, spec.Problems, error) {
	fleet, problems := spec.Load(l.files, spec.LoadOptions{Env: env, Jsonnet: evaluator(ctx), Cache: &l.cache})
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	return fleet, problems, nil
}

// environments are those that have an overlay, sorted.
func (l *loading) environments() []string {
	entries, _ := fs.ReadDir(l.files, "overlays") // That it cannot be read is a problem that loading tells.
	var envs []string
	for _, e := range entries {
		if e.IsDir() && spec.CheckName(e.Name()) == nil {
			envs = append(envs, e.Name())
		}
	}
	return envs
}
