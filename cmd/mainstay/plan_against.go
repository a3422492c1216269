package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
	// secrets are the files of encrypted secrets that differ, and overlays the environments whose files do.
	secrets  []string
	overlays map[string]bool
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
	branchRE = regexp.MustCompile(`^[A-Za-z0-9@][A-Za-z0-9._/@-]*$`)
)

// resolve returns the commit that a revision names, in the repository that what is declared is in.
func (p *planner) resolve(revision string) (string, error) {
	if one, _, two := strings.Cut(revision, ".."); two && one != "" {
		return "", usageError{fmt.Errorf("--against %s: what is declared is compared with one revision, as both are; name that one, such as %s", revision, one)}
	}
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
	files, err := openFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("--against: %w", err)
	}
	defer files.root.Close()
	return p.compareFiles(ctx, files, dir, plan.Paths{})
}

// againstCommit compares with a commit of the repository that what is declared is in.
func (p *planner) againstCommit(ctx context.Context, name, commit string) (*plan.Change, error) {
	files, paths, err := p.at(ctx, commit, "")
	if err != nil {
		return nil, fmt.Errorf("--against %s: %w", name, err)
	}
	c, err := p.compareFiles(ctx, files, name, paths)
	if err == nil && !strings.HasPrefix(commit, name) {
		c.Before.Name += " at " + commit[:7]
	}
	return c, err
}

// compareFiles compares with the files of a folder or revision, which is called name.
func (p *planner) compareFiles(ctx context.Context, files fs.FS, name string, paths plan.Paths) (*plan.Change, error) {
	other := &loading{files: files}
	before, err := p.load(ctx, other, name)
	if err != nil {
		return nil, err
	}
	c := p.compare(before, paths)
	c.Before.Name = name
	if p.repo.env != "" {
		p.noteOverlays()
		return c, nil
	}
	return c, p.environments(ctx, c, other, before, paths)
}

// environments adds to a change what is widened in single environments. What an environment is compared with is what the
// other side, which declares before, is in it, or else before itself.
func (p *planner) environments(ctx context.Context, c *plan.Change, other *loading, before *spec.Fleet, paths plan.Paths) error {
	were := []string{}
	if before != nil {
		were = other.environments()
	}
	for _, env := range p.declared.environments() {
		differs := p.overlays[env] || before == nil
		if !differs && before.Digest == p.declared.fleet.Digest {
			continue
		}
		after, problems, err := p.declared.load(ctx, env)
		if err != nil {
			return err
		}
		if problems.HasErrors() {
			p.note("with the overlay %s, %s is not valid, so that it is not in this plan: %s", env, p.declared.name, summed(problems))
			continue
		}
		was := before
		if slices.Contains(were, env) {
			if was, problems, err = other.load(ctx, env); err != nil {
				return err
			}
			if problems.HasErrors() {
				p.note("with the overlay %s, %s is not valid, so that everything is new in %s: %s", env, c.Before.Name, env, summed(problems))
			}
		}
		with := plan.Compare(was, after, paths)
		c.AddEnvironment(env, with)
		if differs && before != nil && !with.Empty() {
			p.note("the overlay %s differs too: with it, there are %s; --env %s shows them", env, headline(with), env)
		}
	}
	return nil
}

// summed is the first error among problems, of which there is one, and how many more there are.
func summed(problems spec.Problems) string {
	errs := slices.DeleteFunc(slices.Clone(problems), func(one spec.Problem) bool { return one.Severity != spec.SeverityError })
	if len(errs) == 1 {
		return errs[0].String()
	}
	return fmt.Sprintf("%s, and %s", errs[0], count(len(errs)-1, "more problem"))
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
	return files, p.localPaths(ctx, clone, commit), err
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

// load loads the side that is compared with. A side that declares nothing gives no fleet, and neither does one that is not
// valid: whoever repairs it can still see what that makes of it.
func (p *planner) load(ctx context.Context, other *loading, name string) (*spec.Fleet, error) {
	root := spec.FileOf(spec.Ref{Kind: spec.KindFleet})
	if other.files == nil || missing(other.files, root) {
		p.note("%s holds no %s, so that everything is new", name, root)
		return nil, nil
	}
	if overlay := "overlays/" + p.repo.env; p.repo.env != "" && missing(other.files, overlay) {
		p.note("%s holds no %s, so that everything is new in %s", name, overlay, p.repo.env)
		return nil, nil
	}
	if err := p.unloaded(other); err != nil {
		return nil, err
	}
	fleet, problems, err := other.load(ctx, p.repo.env)
	if err == nil && problems.HasErrors() {
		p.note("%s is not valid, so that everything is new: %s", name, summed(problems))
	}
	return fleet, err
}

// unloaded compares the files of both sides that are in no fleet: overlays that are not applied, and encrypted secrets.
// What is in no plan is noted.
func (p *planner) unloaded(other *loading) error {
	p.overlays = map[string]bool{}
	for _, folder := range []string{"overlays", "secrets"} {
		paths, err := differing(other.files, p.declared.files, folder)
		if err != nil {
			return fmt.Errorf("compare the files in %s/: %w", folder, err)
		}
		if folder == "secrets" {
			p.secrets = paths
			continue
		}
		for _, path := range paths {
			if parts := strings.Split(path, "/"); len(parts) > 2 {
				p.overlays[parts[1]] = true
			}
		}
	}
	delete(p.overlays, p.repo.env)
	declared := p.declared.environments()
	for _, env := range slices.Sorted(maps.Keys(p.overlays)) {
		if !slices.Contains(declared, env) {
			p.note("the overlay %s was removed: nothing can run with --env %s", env, env)
			delete(p.overlays, env)
		}
	}
	return nil
}

// noteOverlays notes which overlays differ that are not in the plan.
func (p *planner) noteOverlays() {
	for _, env := range slices.Sorted(maps.Keys(p.overlays)) {
		p.note("the overlay %s differs too, and is not in this plan: see --env %s", env, env)
	}
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
