package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/models"
	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// whatRuns is how the name begins of the side that runs.
const whatRuns = "what runs"

// running compares with what runs: the revision that was applied, for what changes, and the processes, for the steps.
func (p *planner) running(ctx context.Context, state string) (*plan.Change, error) {
	dir, s, live, err := statusIn(ctx, p.repo, state)
	if err != nil {
		return nil, err
	}
	c, err := p.applied(ctx, dir, s)
	if err != nil {
		return nil, err
	}
	p.notePruned(s)
	c.Steps = append(c.Steps, plan.Diff(reconciler.Observed(s, live), p.declared.fleet)...)
	return c, nil
}

// notePruned tells of models that would be deleted from their servers.
func (p *planner) notePruned(s reconciler.Status) {
	for _, m := range s.Models {
		if m.Made && models.Prunes(p.declared.fleet, m.Model) {
			p.note("%s, which Mainstay got for Model/%s, will be deleted from its server once no run may ask it: spec.prune is true, and no Model names it", spec.Visible(m.Model), m.Name)
		}
	}
}

// applied compares with the revision that was applied.
func (p *planner) applied(ctx context.Context, state string, s reconciler.Status) (*plan.Change, error) {
	if s.Applied == "" {
		var paths plan.Paths
		if p.declared.remote != nil {
			paths = p.remotePaths(ctx, "")
		} else if clone, err := remote.OpenClone(p.declared.dir); err == nil {
			paths = p.localPaths(ctx, clone, "")
		}
		c := p.compare(nil, paths)
		c.Before.Name = whatRuns + ", which is nothing"
		return c, nil
	}
	before, paths, err := p.loadApplied(ctx, state, s)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		p.note("the files of %s, which runs, cannot be had, so that only digests are compared: %v", s.Applied.Short(), err)
		var resources []spec.Resource
		for _, r := range s.Resources {
			resources = append(resources, r.Resource)
		}
		c := plan.CompareDigests(resources, p.declared.fleet)
		c.Before.Name = whatRuns + ", " + s.Applied.Short() + ", of which only digests are known"
		return c, nil
	}
	p.noteOverlays()
	c := p.compare(before, paths)
	c.Before.Name = whatRuns + ", " + s.Applied.Short()
	return c, nil
}

// loadApplied loads the revision that was applied: out of the repository that what is declared is in, or else out of the
// reconciler's own store.
func (p *planner) loadApplied(ctx context.Context, state string, s reconciler.Status) (*spec.Fleet, plan.Paths, error) {
	commit, folder := s.Applied.Commit(), watchedFolder(state)
	files, paths, err := p.at(ctx, commit, folder)
	if err != nil {
		stored, storeErr := remote.OpenStore(filepath.Join(state, "git"))
		if storeErr != nil {
			return nil, plan.Paths{}, err
		}
		if files, err = folderAt(stored, commit, folder); err != nil {
			return nil, plan.Paths{}, err
		}
		paths = plan.Paths{}
	}
	fleet, err := p.loadRevision(ctx, files)
	if err != nil {
		return nil, plan.Paths{}, err
	}
	for _, r := range s.Revisions {
		if r.Revision == s.Applied && r.Digest != "" && r.Digest != fleet.Digest {
			return nil, plan.Paths{}, fmt.Errorf("they were loaded with another --env, or by another version of mainstay: they have the digest %s now, and had %s", fleet.Digest.Short(), r.Digest.Short())
		}
	}
	return fleet, paths, nil
}

// loadRevision loads what was loaded before.
func (p *planner) loadRevision(ctx context.Context, files fs.FS) (*spec.Fleet, error) {
	if files == nil {
		return nil, fs.ErrNotExist
	}
	applied := &loading{files: files}
	fleet, problems, err := applied.load(ctx, p.repo.env)
	if err := errors.Join(err, problems.Err()); err != nil {
		return nil, err
	}
	return fleet, p.unloaded(applied)
}

// watchedFolder is the folder of the repository that the reconciler of a state folder watches.
func watchedFolder(state string) string {
	raw, err := os.ReadFile(filepath.Join(state, "repository"))
	lines := strings.Split(string(raw), "\n")
	if err != nil || len(lines) < 3 {
		return "."
	}
	return lines[2]
}

// statusIn reads what runs: from the state folder given, or from the repository's own where there is one. It returns the
// folder too, and whether a daemon is live; without a folder nothing runs.
func statusIn(ctx context.Context, repo *repoFlags, state string) (dir string, s reconciler.Status, live bool, err error) {
	if state == "" && repo.repo != "" {
		dir, err := defaultState(repo.repo, repo.ref, repo.path)
		if err != nil {
			return "", s, false, err
		}
		if _, err := os.Stat(dir); err == nil {
			state = dir
		}
	}
	if state == "" {
		return "", s, false, nil
	}
	if dir, err = findState(state); err != nil {
		return "", s, false, err
	}
	r, err := openReader(ctx, dir)
	if err != nil {
		return "", s, false, err
	}
	defer r.close()
	s, err = r.status(ctx)
	return dir, s, r.live, err
}
