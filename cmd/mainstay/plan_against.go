package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/reconciler/source"
	"github.com/mainstay-dev/mainstay/spec"
)

// planner compares what is declared with something else.
type planner struct {
	env      environment
	repo     *repoFlags
	declared *declared
	// notes say what cannot be seen in the plan.
	notes []string
	// secrets are the files of encrypted secrets that differ.
	secrets []string
}

// compare compares what is declared with another fleet, nil for nothing, whose files are known.
func (p *planner) compare(before *spec.Fleet, paths plan.Paths) *plan.Change {
	paths.Secrets = p.secrets
	return plan.Compare(before, p.declared.fleet, paths)
}

func (p *planner) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// against compares with a revision or a folder.
func (p *planner) against(ctx context.Context, other string) (*plan.Change, error) {
	folder := filepath.IsAbs(other) || strings.HasPrefix(other, "."+string(filepath.Separator)) || slices.Contains([]string{".", ".."}, other) ||
		strings.HasPrefix(other, ".."+string(filepath.Separator))
	if folder {
		return p.againstFolder(ctx, other)
	}
	commit, err := p.resolve(spec.Visible(other))
	switch {
	case err == nil && isDir(other):
		return nil, usageError{fmt.Errorf("--against %s is a revision and a folder: write %s for the folder, or %s for the revision", other, "."+string(filepath.Separator)+other, commit[:12])}
	case err != nil && isDir(other):
		return p.againstFolder(ctx, other)
	case err != nil:
		return nil, err
	}
	return p.againstCommit(ctx, other, commit)
}

var (
	// commitRE matches the id of a commit, branchRE what may be the name of a branch.
	commitRE = regexp.MustCompile(`^[0-9a-f]{40}$`)
	branchRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)
)

// resolve returns the commit that a revision names, in the repository that what is declared is in.
func (p *planner) resolve(revision string) (string, error) {
	if p.declared.remote != nil {
		if commit, ok := p.declared.seen.Branches[revision]; ok {
			return commit, nil
		}
		if commitRE.MatchString(revision) {
			return revision, nil
		}
		return "", fmt.Errorf("--against %s: %s has no such branch, and here is no such folder; with --repo, give a branch, a commit's 40 characters, or a folder", revision, p.declared.remote.URL())
	}
	if strings.Contains(revision, ":") {
		return "", usageError{fmt.Errorf("--against %s: give a revision alone, and --path for a folder in it", revision)}
	}
	clone, err := remote.OpenClone(p.declared.dir)
	if err != nil {
		if errors.Is(err, remote.ErrNoClone) {
			return "", fmt.Errorf("--against %s: here is no such folder, and %s is in no Git repository that could have such a revision", revision, p.declared.dir)
		}
		return "", err
	}
	commit, err := clone.Resolve(revision)
	if errors.Is(err, remote.ErrMissing) {
		hint := "; if the clone is a shallow one, fetch the rest"
		if branchRE.MatchString(revision) {
			hint = "; if it is a branch of a remote, run git fetch, and write it as origin/" + strings.TrimPrefix(revision, "origin/")
		}
		return "", fmt.Errorf("--against %s: the repository %s has no such revision, and here is no such folder%s", revision, clone.Top(), hint)
	}
	return commit, err
}

// againstFolder compares with the files of a folder as they stand.
func (p *planner) againstFolder(ctx context.Context, dir string) (*plan.Change, error) {
	dir = filepath.Join(dir, p.repo.path)
	if !isDir(dir) {
		return nil, fmt.Errorf("--against: no folder %s", dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("--against: %w", err)
	}
	defer root.Close()
	before, err := p.load(ctx, root.FS(), dir)
	if err != nil {
		return nil, err
	}
	c := p.compare(before, plan.Paths{})
	c.Before.Name = dir
	return c, nil
}

// againstCommit compares with a commit of the repository that what is declared is in.
func (p *planner) againstCommit(ctx context.Context, name, commit string) (*plan.Change, error) {
	files, paths, err := p.at(ctx, commit, "")
	if err != nil {
		return nil, fmt.Errorf("--against %s: %w", name, err)
	}
	before, err := p.load(ctx, files, name)
	if err != nil {
		return nil, err
	}
	c := p.compare(before, paths)
	if c.Before.Name = name; !strings.HasPrefix(commit, name) {
		c.Before.Name += " at " + commit[:7]
	}
	return c, nil
}

// at returns the spec files of a commit in the repository that what is declared is in, and which files of the repository
// differ. folder is the one that holds mainstay.yaml, and "" the same as of what is declared.
func (p *planner) at(ctx context.Context, commit, folder string) (fs.FS, plan.Paths, error) {
	if p.declared.remote != nil {
		seen, err := p.declared.source.At(ctx, spec.NewRevision(p.repo.ref, commit))
		if errors.Is(err, source.ErrNoPath) {
			return nil, p.remotePaths(ctx, commit), nil
		}
		if err != nil {
			return nil, plan.Paths{}, err
		}
		return seen.Tree, p.remotePaths(ctx, commit), nil
	}
	clone, err := remote.OpenClone(p.declared.dir)
	if err != nil {
		return nil, plan.Paths{}, err
	}
	if folder == "" {
		if folder, err = clone.Within(p.declared.dir); err != nil {
			return nil, plan.Paths{}, err
		}
	}
	files, err := folderAt(clone, commit, folder)
	return files, localPaths(ctx, clone.Top(), commit, p.declared.fleet), err
}

// folderAt is a folder as it was at a commit. Where it was not there, it is empty.
func folderAt(clone *remote.Clone, commit, folder string) (fs.FS, error) {
	tree, err := clone.Snapshot(commit)
	if err != nil {
		return nil, err
	}
	files, err := tree.Sub(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return files, err
}

// load loads the side that is compared with. A side that declares nothing gives no fleet.
func (p *planner) load(ctx context.Context, files fs.FS, name string) (*spec.Fleet, error) {
	root := spec.FileOf(spec.Ref{Kind: spec.KindFleet})
	if files == nil || missing(files, root) {
		p.note("%s holds no %s, so that everything is new", name, root)
		return nil, nil
	}
	if overlay := "overlays/" + p.repo.env; p.repo.env != "" && missing(files, overlay) {
		p.note("%s holds no %s, so that everything is new in %s", name, overlay, p.repo.env)
		return nil, nil
	}
	if err := p.unloaded(files); err != nil {
		return nil, err
	}
	fleet, problems := spec.Load(files, spec.LoadOptions{Env: p.repo.env, Jsonnet: evaluator(ctx)})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err := problems.Err(); err != nil {
		return nil, fmt.Errorf("the other side, %s, is not valid:\n%w", name, err)
	}
	return fleet, nil
}

// unloaded compares the files of both sides that are in no fleet: overlays that are not applied, of which it is noted that
// they differ, and encrypted secrets.
func (p *planner) unloaded(before fs.FS) error {
	overlays := map[string]bool{}
	for _, folder := range []string{"overlays", "secrets"} {
		paths, err := differing(before, p.declared.files, folder)
		if err != nil {
			return fmt.Errorf("compare the files in %s/: %w", folder, err)
		}
		if folder == "secrets" {
			p.secrets = paths
			continue
		}
		for _, path := range paths {
			overlays[strings.Split(path, "/")[1]] = true
		}
	}
	delete(overlays, p.repo.env)
	for _, env := range slices.Sorted(maps.Keys(overlays)) {
		p.note("the overlay %s differs too, and is not in this plan: see --env %s", env, env)
	}
	return nil
}

// differing are the files in a folder that differ on two sides, sorted. Loading bounds how many and how long they are.
func differing(before, after fs.FS, folder string) ([]string, error) {
	var sides [2]map[string]spec.Digest
	for i, files := range []fs.FS{before, after} {
		sides[i] = map[string]spec.Digest{}
		if missing(files, folder) {
			continue
		}
		err := fs.WalkDir(files, folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			raw, err := fs.ReadFile(files, path)
			sides[i][path] = spec.DigestBytes(raw)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	differ := map[string]bool{}
	for i, side := range sides {
		for path, digest := range side {
			if sides[1-i][path] != digest {
				differ[path] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(differ)), nil
}

func missing(files fs.FS, name string) bool {
	_, err := fs.Stat(files, name)
	return errors.Is(err, fs.ErrNotExist)
}

// watches reports whether a fleet has triggers that wait for files to change.
func watches(fleet *spec.Fleet) bool {
	return slices.ContainsFunc(fleet.Triggers, func(t *spec.Trigger) bool { return len(t.Paths) > 0 })
}

// remotePaths are the files that differ between a commit, or nothing, and the tip of the branch.
func (p *planner) remotePaths(ctx context.Context, commit string) plan.Paths {
	if !watches(p.declared.fleet) {
		return plan.Paths{}
	}
	tip := p.declared.seen.Revision.Commit()
	changed, err := p.declared.remote.Changed(ctx, commit, tip)
	if err != nil {
		return plan.Paths{}
	}
	all, err := p.declared.remote.Changed(ctx, "", tip)
	return plan.Paths{Known: err == nil, Changed: changed, All: all}
}

// localPaths are the files that differ between a commit, or nothing, and a working tree, without those that git ignores.
// Where git cannot tell them, they are not known.
func localPaths(ctx context.Context, top, commit string, fleet *spec.Fleet) plan.Paths {
	if !watches(fleet) {
		return plan.Paths{}
	}
	list := func(args ...string) ([]string, error) {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", top, "-c", "core.fsmonitor=false"}, args...)...)
		out, err := cmd.Output()
		paths := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		return slices.DeleteFunc(paths, func(path string) bool { return path == "" }), err
	}
	all, allErr := list("ls-files", "-z", "--cached", "--others", "--exclude-standard")
	changed := all // Since nothing.
	var changedErr, newErr error
	if commit != "" {
		var fresh []string
		changed, changedErr = list("diff", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv", "-z", commit, "--")
		fresh, newErr = list("ls-files", "-z", "--others", "--exclude-standard")
		changed = append(changed, fresh...)
	}
	for _, paths := range [][]string{changed, all} {
		slices.Sort(paths)
	}
	return plan.Paths{Known: errors.Join(allErr, changedErr, newErr) == nil, Changed: slices.Compact(changed), All: slices.Compact(all)}
}
