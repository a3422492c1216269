package remote

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxPaths bounds the answer of Changed. A repository can name billions of paths with a few trees.
const maxPaths = 1_000_000

// Changed returns the paths of files, links and submodules that differ between two commits, sorted. An empty from stands
// for an empty tree, so that every path of to is returned. It costs as much as there are changes, not files.
func (r *Remote) Changed(ctx context.Context, from, to string) ([]string, error) {
	a, err := r.treeOf(from)
	if err != nil {
		return nil, err
	}
	b, err := r.treeOf(to)
	if err != nil {
		return nil, err
	}
	var paths []string
	walk := &difference{r: &r.reader, ctx: ctx, found: func(p string, _, _ entry) error {
		if len(paths) == maxPaths {
			return fmt.Errorf("%w: more than %d paths changed", ErrTooLarge, maxPaths)
		}
		paths = append(paths, p)
		return nil
	}}
	if err := walk.trees("", a, b, 0); err != nil {
		return nil, fmt.Errorf("compare %q with %s: %w", from, to, err)
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// Difference is a file, link or submodule that two snapshots do not have in common.
type Difference struct {
	Path string
	// Before and After are the ids of the Git objects; "" where there is none. They are the same where only the mode differs.
	Before, After string

	after entry
}

// Differences returns what differs between two snapshots of one repository, sorted by path. A nil from stands for an empty
// folder. It costs as much as there are changes, not files.
func Differences(ctx context.Context, from, to *Snapshot) ([]Difference, error) {
	var (
		found []Difference
		root  plumbing.Hash
	)
	if from != nil {
		root = from.root
	}
	walk := &difference{r: to.r, ctx: ctx, found: func(p string, a, b entry) error {
		if len(found) == maxPaths {
			return fmt.Errorf("%w: more than %d paths changed", ErrTooLarge, maxPaths)
		}
		found = append(found, Difference{Path: p, Before: a.id(), After: b.id(), after: b})
		return nil
	}}
	if err := walk.trees("", root, to.root, 0); err != nil {
		return nil, fmt.Errorf("compare %s with %s: %w", root, to.root, err)
	}
	slices.SortStableFunc(found, func(a, b Difference) int { return strings.Compare(a.Path, b.Path) })
	return found, nil
}

// ReadAfter returns the content of the file that a difference from another snapshot has led to, as [Snapshot.ReadFile] would.
func (s *Snapshot) ReadAfter(d Difference) ([]byte, error) {
	if d.After == "" {
		return nil, &fs.PathError{Op: "read", Path: d.Path, Err: fs.ErrNotExist}
	}
	return s.read("read", d.Path, d.after)
}

// treeOf returns the root tree of a commit, and the zero hash for "".
func (r *Remote) treeOf(commit string) (plumbing.Hash, error) {
	if commit == "" {
		return plumbing.ZeroHash, nil
	}
	c, err := r.Commit(commit)
	return plumbing.NewHash(c.Tree), err
}

// difference compares two trees, going down only where their hashes differ.
type difference struct {
	r   *reader
	ctx context.Context //nolint:containedctx // It lives for one call.
	// found is called for each differing path that is no folder on either side; an entry is zero where there is none.
	found func(path string, a, b entry) error
}

func (d *difference) trees(at string, a, b plumbing.Hash, depth int) error {
	if a == b {
		return nil
	}
	if depth > maxDepth {
		return fmt.Errorf("%w: folders nest deeper than %d at %s", ErrTooLarge, maxDepth, at)
	}
	if err := d.ctx.Err(); err != nil {
		return err
	}
	left, right, err := d.r.unlike(a, b)
	if err != nil {
		return err
	}
	for name, pair := range pairs(left, right) {
		if err := d.entries(path.Join(at, name), pair[0], pair[1], depth); err != nil {
			return err
		}
	}
	return nil
}

func (d *difference) entries(at string, a, b entry, depth int) error {
	if a.same(b) {
		return nil
	}
	var below, beside [2]entry
	for i, e := range [2]entry{a, b} {
		if e.isTree() {
			below[i] = e
		} else {
			beside[i] = e
		}
	}
	if beside != [2]entry{} {
		if err := d.found(at, beside[0], beside[1]); err != nil {
			return err
		}
	}
	return d.trees(at, below[0].hash, below[1].hash, depth+1)
}

// pairs merges two sorted lists of entries: every name once, with the zero entry where a side lacks it.
func pairs(a, b *tree) func(yield func(string, [2]entry) bool) {
	return func(yield func(string, [2]entry) bool) {
		i, j := 0, 0
		for i < len(a.entries) || j < len(b.entries) {
			var pair [2]entry
			var name string
			switch {
			case j == len(b.entries) || (i < len(a.entries) && a.entries[i].name < b.entries[j].name):
				pair[0], name = a.entries[i], a.entries[i].name
				i++
			case i == len(a.entries) || b.entries[j].name < a.entries[i].name:
				pair[1], name = b.entries[j], b.entries[j].name
				j++
			default:
				pair, name = [2]entry{a.entries[i], b.entries[j]}, a.entries[i].name
				i++
				j++
			}
			if !yield(name, pair) {
				return
			}
		}
	}
}
