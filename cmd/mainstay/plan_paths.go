package main

import (
	"context"
	"crypto/sha1" //nolint:gosec // By it Git names what a file holds.
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

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

// localPaths are the files that differ between a commit, or nothing, and the working tree. Git tells them, or else, of those
// that a trigger waits for, a comparison with what the commit holds, which counts files too that git ignores.
func (p *planner) localPaths(ctx context.Context, clone *remote.Clone, commit string) plan.Paths {
	if !watches(p.declared.fleet) {
		return plan.Paths{}
	}
	paths, err := gitPaths(ctx, clone.Top(), commit)
	if err == nil || ctx.Err() != nil {
		return paths
	}
	paths, compareErr := comparedPaths(ctx, clone, commit, p.declared.fleet)
	switch {
	case compareErr != nil:
		p.note("which files differ is not known: %v; %v", err, compareErr)
	case len(paths.Changed) > 0:
		p.note("git cannot tell which files differ, so that those count too that it ignores: %v", err)
	}
	return paths
}

// localToOne are the variables by which git finds one repository, whichever folder it is told. `git rev-parse
// --local-env-vars` lists them.
var localToOne = []string{
	"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE",
	"GIT_GRAFT_FILE", "GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE",
}

// gitPaths asks git which files differ, without those that it ignores.
func gitPaths(ctx context.Context, top, commit string) (plan.Paths, error) {
	list := func(args ...string) ([]string, error) {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", top, "-c", "core.fsmonitor=false"}, args...)...)
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
			name, _, _ := strings.Cut(v, "=")
			return slices.Contains(localToOne, name)
		})
		cmd.Env = append(cmd.Env, "GIT_OPTIONAL_LOCKS=0")
		out, err := cmd.Output()
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			said, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
			err = fmt.Errorf("git %s: %w: %s", args[0], err, said)
		}
		paths := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		return slices.DeleteFunc(paths, func(path string) bool { return path == "" }), err
	}
	all, err := list("ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return plan.Paths{}, err
	}
	changed := slices.Clone(all) // Since nothing.
	if commit != "" {
		if changed, err = list("diff", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty", "-z", commit, "--"); err != nil {
			return plan.Paths{}, err
		}
		fresh, err := list("ls-files", "-z", "--others", "--exclude-standard")
		if err != nil {
			return plan.Paths{}, err
		}
		changed = append(changed, fresh...)
	}
	for _, paths := range [][]string{changed, all} {
		slices.Sort(paths)
	}
	return plan.Paths{Known: true, Changed: slices.Compact(changed), All: slices.Compact(all)}, nil
}

// maxWalked bounds how many files and folders comparedPaths looks at.
const maxWalked = 1_000_000

// comparedPaths compares the working tree with a commit, or nothing, file by file, where a trigger waits for them.
func comparedPaths(ctx context.Context, clone *remote.Clone, commit string, fleet *spec.Fleet) (plan.Paths, error) {
	root, err := os.OpenRoot(clone.Top())
	if err != nil {
		return plan.Paths{}, err
	}
	defer root.Close()
	var was *remote.Snapshot
	if commit != "" {
		if was, err = clone.Snapshot(commit); err != nil {
			return plan.Paths{}, err
		}
	}
	walked := 0
	walk := func(files fs.FS, found func(name string, d fs.DirEntry) error) error {
		return fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
			if walked++; walked > maxWalked {
				return fmt.Errorf("%s holds more than %d files", clone.Top(), maxWalked)
			}
			switch err := errors.Join(err, ctx.Err()); {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == ".git" || name != "." && isRepository(files, name)):
				return fs.SkipDir
			case d.Name() == ".git" || !d.Type().IsRegular() && d.Type() != fs.ModeSymlink || !waitedFor(fleet, name):
				return nil
			}
			return found(name, d)
		})
	}
	paths := plan.Paths{Known: true}
	err = walk(root.FS(), func(name string, d fs.DirEntry) error {
		paths.All = append(paths.All, name)
		same, err := holds(was, root, name, d)
		if !same {
			paths.Changed = append(paths.Changed, name)
		}
		return err
	})
	if err == nil && was != nil {
		err = walk(was, func(name string, _ fs.DirEntry) error {
			if _, found := slices.BinarySearch(paths.All, name); !found {
				paths.Changed = append(paths.Changed, name)
			}
			return nil
		})
	}
	if err != nil {
		return plan.Paths{}, err
	}
	slices.Sort(paths.Changed)
	return paths, nil
}

// isRepository reports whether a folder is another repository, such as a submodule.
func isRepository(files fs.FS, folder string) bool {
	_, err := fs.Lstat(files, path.Join(folder, ".git"))
	return err == nil
}

// waitedFor reports whether a trigger waits for a file to change.
func waitedFor(fleet *spec.Fleet, name string) bool {
	return slices.ContainsFunc(fleet.Triggers, func(t *spec.Trigger) bool {
		return slices.ContainsFunc(t.Paths, func(glob string) bool {
			ok, _ := doublestar.Match(glob, name) // Loading has checked the pattern.
			return ok
		})
	})
}

// holds reports whether a commit, nil for nothing, holds a file or link as it is in the working tree.
func holds(was *remote.Snapshot, root *os.Root, name string, d fs.DirEntry) (bool, error) {
	if was == nil {
		return false, nil
	}
	info, err := was.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || info.Mode().Type() != d.Type() {
		return false, err
	}
	var content io.Reader
	size := int64(0)
	if d.Type() == fs.ModeSymlink {
		target, err := root.Readlink(name)
		if err != nil {
			return false, err
		}
		content, size = strings.NewReader(target), int64(len(target))
	} else {
		file, err := root.Open(name)
		if err != nil {
			return false, err
		}
		defer file.Close()
		is, err := file.Stat()
		if err != nil || is.Size() != info.Size() {
			return false, err
		}
		content, size = file, is.Size()
	}
	sum := sha1.New() //nolint:gosec // As above.
	fmt.Fprintf(sum, "blob %d\x00", size)
	if _, err := io.Copy(sum, content); err != nil {
		return false, err
	}
	return info.Sys() == hex.EncodeToString(sum.Sum(nil)), nil
}
