package execute

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// Declarations reads what commits of the branch declare, but for their Actions, which say nothing about who may do what. It
// keeps what it has read last, since most commits change Actions alone. It is safe for concurrent use.
type Declarations struct {
	History History
	// Path is the folder of the repository that holds mainstay.yaml; "" is the root.
	Path    string
	Jsonnet spec.Evaluator
	// Env is the environment whose overlay is applied; "" is none. Every is for whoever does not know it: without an overlay,
	// and with each.
	Env   string
	Every bool

	mu    sync.Mutex
	cache spec.Cache
	key   string
	last  []Declared
}

// At returns what a commit declares, in each environment in which that is not broken. An error says that the commit could not
// be read.
func (d *Declarations) At(commit string) ([]Declared, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	tree, err := d.History.Snapshot(commit)
	if err != nil {
		return nil, err
	}
	if d.Path != "" && d.Path != "." {
		sub, err := tree.Sub(d.Path)
		if errors.Is(err, remote.ErrMissing) {
			return nil, err
		} else if err != nil {
			return nil, nil //nolint:nilerr // There is no such folder, and so nothing is declared.
		}
		tree = sub.(*remote.Snapshot)
	}
	files := &withoutActions{Snapshot: tree}
	key, err := files.key()
	if err != nil {
		return nil, err
	}
	if key != d.key || d.last == nil {
		last, err := d.load(files)
		if err != nil {
			return nil, err
		}
		d.key, d.last = key, last
	}
	at := make([]Declared, len(d.last))
	for i, declared := range d.last {
		declared.Commit = commit
		at[i] = declared
	}
	return at, nil
}

// maxBroken bounds the commits in a row that declare nothing because they are broken.
const maxBroken = 1000

// InForce returns what a commit declares or, where it is broken and so never ran, what the last one before it declares that is
// not. It is empty where there is none. DeclaredAt is as [Declarations.At]; an error says that a commit could not be read.
func InForce(h History, declaredAt func(commit string) ([]Declared, error), commit string) ([]Declared, error) {
	n := 0
	for c, err := range h.FirstParents(commit) {
		if err != nil {
			return nil, err
		}
		if declared, err := declaredAt(c.ID); err != nil || len(declared) > 0 {
			return declared, err
		}
		if n++; n == maxBroken {
			break
		}
	}
	return nil, nil
}

func (d *Declarations) load(files *withoutActions) ([]Declared, error) {
	envs := []string{d.Env}
	if d.Every {
		envs = []string{""}
		entries, _ := files.ReadDir("overlays") // Where there is none there are no more.
		for _, e := range entries {
			if e.IsDir() && spec.CheckName(e.Name()) == nil {
				envs = append(envs, e.Name())
			}
		}
	}
	plain := func() (*spec.Fleet, error) { return d.fleet(files, "") }
	all := []Declared{}
	for _, env := range envs {
		if fleet, err := d.fleet(files, env); err == nil {
			all = append(all, Declared{Env: env, Fleet: fleet, Plain: plain})
		}
		if files.missing != nil {
			return nil, files.missing
		}
	}
	return all, nil
}

func (d *Declarations) fleet(files *withoutActions, env string) (*spec.Fleet, error) {
	fleet, problems := spec.Load(files, spec.LoadOptions{Env: env, Jsonnet: d.Jsonnet, IgnoreLock: true, Cache: &d.cache})
	if problems.HasErrors() {
		return nil, problems.Err()
	}
	return fleet, nil
}

// withoutActions is a folder in which the Actions are not found. It remembers what could not be read, which is no problem of
// the files.
type withoutActions struct {
	*remote.Snapshot
	missing error
}

func (w *withoutActions) note(err error) error {
	if errors.Is(err, remote.ErrMissing) {
		w.missing = err
	}
	return err
}

func (w *withoutActions) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := w.Snapshot.ReadDir(name)
	if name != "." {
		return entries, w.note(err)
	}
	var others []fs.DirEntry
	for _, e := range entries {
		if e.Name() != "actions" {
			others = append(others, e)
		}
	}
	return others, w.note(err)
}

func (w *withoutActions) Open(name string) (fs.File, error) {
	f, err := w.Snapshot.Open(name)
	return f, w.note(err)
}

// key tells two folders apart.
func (w *withoutActions) key() (string, error) {
	entries, err := w.ReadDir(".")
	if err != nil {
		return "", err
	}
	var key strings.Builder
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return "", err
		}
		fmt.Fprintln(&key, e.Type(), info.Sys(), e.Name())
	}
	return key.String(), nil
}
