package remote

import (
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/storage/memory"
)

// MergeDraft is a merge commit to be made: Theirs into Ours.
type MergeDraft struct {
	Ours, Theirs string
	// The rest is as in a CommitDraft.
	Message     string
	AuthorName  string
	AuthorEmail string
	When        time.Time
	Signer      *Signer
}

// Merge makes the merge commit with the parents Ours and Theirs in the store and returns its id. It merges whole files: a
// path that both sides changed since they parted, in different ways, is a [*ConflictError]. The error has [ErrMerged] if
// Ours holds Theirs already.
func (r *Remote) Merge(d MergeDraft) (string, error) {
	base, err := r.MergeBase(d.Ours, d.Theirs)
	if err != nil {
		return "", err
	}
	switch base {
	case "":
		return "", fmt.Errorf("merge %s into %s: they have no history in common", d.Theirs, d.Ours)
	case d.Theirs:
		return "", fmt.Errorf("merge %s into %s: %w", d.Theirs, d.Ours, ErrMerged)
	}
	var roots [3]plumbing.Hash
	for i, id := range []string{base, d.Ours, d.Theirs} {
		if roots[i], err = r.treeOf(id); err != nil {
			return "", err
		}
	}
	m := &merging{w: &writing{r: r, objects: memory.NewStorage()}}
	root, err := m.folder("", roots[0], roots[1], roots[2], 0)
	if err != nil {
		return "", fmt.Errorf("merge %s into %s: %w", d.Theirs, d.Ours, err)
	}
	if len(m.conflicts) > 0 {
		slices.Sort(m.conflicts)
		return "", fmt.Errorf("merge %s into %s: %w", d.Theirs, d.Ours, &ConflictError{Paths: m.conflicts})
	}
	if root.IsZero() {
		if root, err = m.w.put(plumbing.TreeObject, nil); err != nil {
			return "", err
		}
	}
	return m.w.commit(root, CommitDraft{
		Parents: []string{d.Ours, d.Theirs}, Message: d.Message,
		AuthorName: d.AuthorName, AuthorEmail: d.AuthorEmail, When: d.When, Signer: d.Signer,
	})
}

// merging merges two trees that come from a third.
type merging struct {
	w         *writing
	conflicts []string
}

// folder goes down only where both sides differ from the base and from each other.
func (m *merging) folder(at string, base, ours, theirs plumbing.Hash, depth int) (plumbing.Hash, error) {
	if depth > maxDepth {
		return ours, fmt.Errorf("%w: folders nest deeper than %d at %s", ErrTooLarge, maxDepth, at)
	}
	var trees [3]*tree
	names := map[string]bool{}
	for i, h := range []plumbing.Hash{base, ours, theirs} {
		t, err := m.w.r.reader.tree(h)
		if err != nil {
			return ours, err
		}
		trees[i] = t
		for _, e := range t.entries {
			names[e.name] = true
		}
	}
	merged := map[string]entry{}
	for _, name := range sortedKeys(names) {
		var e [3]entry
		for i, t := range trees {
			e[i], _ = t.find(name)
		}
		kept, err := m.entry(path.Join(at, name), e[0], e[1], e[2], depth)
		if err != nil {
			return ours, err
		}
		if !kept.hash.IsZero() {
			kept.name = name
			merged[name] = kept
		}
	}
	return m.w.putTree(merged)
}

// entry returns what a path becomes; an entry without a hash stands for none.
func (m *merging) entry(at string, base, ours, theirs entry, depth int) (entry, error) {
	switch {
	case ours.same(theirs) || theirs.same(base):
		return ours, nil
	case ours.same(base):
		return theirs, nil
	case folderOrNone(base) && folderOrNone(ours) && folderOrNone(theirs):
		h, err := m.folder(at, base.hash, ours.hash, theirs.hash, depth+1)
		return entry{mode: filemode.Dir, hash: h}, err
	}
	m.conflicts = append(m.conflicts, at)
	return ours, nil
}

func folderOrNone(e entry) bool { return e.isTree() || e.hash.IsZero() }
