package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/knowledge"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// pastIn reads the runs that a state folder keeps, through its daemon where one runs. A folder that is not there has none.
func pastIn(state string) func(ctx context.Context) (knowledge.Past, func(), error) {
	return func(ctx context.Context) (knowledge.Past, func(), error) {
		if !keepsRuns(state) {
			return nil, func() {}, nil
		}
		r, err := openReader(ctx, state)
		if err != nil {
			return nil, nil, err
		}
		return pastRuns{r}, r.close, nil
	}
}

// keepsRuns reports whether runs were ever kept in a state folder.
func keepsRuns(state string) bool {
	_, err := os.Stat(filepath.Join(state, "store"))
	return err == nil
}

// pastRuns shows a reader to package knowledge.
type pastRuns struct{ *reader }

// Runs returns the summaries of all runs.
func (p pastRuns) Runs(ctx context.Context) ([]spec.RunSummary, error) {
	list, err := p.runs(ctx, reconciler.RunFilter{})
	return list.Runs, err
}

// Record returns the entries of a run.
func (p pastRuns) Record(ctx context.Context, run spec.RunID) ([]spec.Entry, uint64, error) {
	entries, err := p.record(ctx, run)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	return entries, uint64(len(entries)), err
}

// pastState is the state folder whose runs are found: the one that was given, or that of the repository. Where that keeps no runs and a
// source is about them, a person is told.
func (f *kbFlags) pastState(of string, d *declared) (string, error) {
	state, err := f.stateOf(of, d)
	if err != nil || keepsRuns(state) {
		return state, err
	}
	for _, name := range slices.Sorted(maps.Keys(d.fleet.Knowledge)) {
		if d.fleet.Knowledge[name].Spec.History != nil {
			f.repo.note(fmt.Sprintf("note: %s finds no run: none is kept in %s; `mainstay run` keeps those of this repository there, or in the folder that --state names", name, state))
		}
	}
	return state, nil
}

func (f *kbFlags) stateOf(of string, d *declared) (string, error) {
	if f.state != "" {
		return findState(f.state)
	}
	if d.remote != nil {
		return defaultState(f.repo.repo, f.repo.ref, f.repo.path)
	}
	repo, folder, err := workingTree(of, d)
	if err != nil {
		return "", err
	}
	if folder == "." {
		folder = ""
	}
	return defaultState(repo, f.repo.ref, folder)
}

// workingTree is what a folder's mainstay.yaml is taken for: the origin of its repository, for which it stands as everywhere, and where it
// is in that.
func workingTree(of string, d *declared) (repo, folder string, err error) {
	clone, err := remote.OpenClone(d.dir)
	if err != nil {
		return "", "", err
	}
	folder, err = clone.Within(d.dir)
	return cmp.Or(origin(of), of), folder, err
}
