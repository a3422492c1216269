package remote

import (
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// needed collects the objects of a push, each once.
type needed struct {
	r      *Remote
	seen   map[plumbing.Hash]bool
	hashes []plumbing.Hash
	size   int64
}

func newNeeded(r *Remote) *needed { return &needed{r: r, seen: map[plumbing.Hash]bool{}} }

func (n *needed) add(h plumbing.Hash) error {
	if n.seen[h] {
		return nil
	}
	size, err := n.r.store.sizeOf(h)
	if err != nil {
		return err
	}
	if n.size += size; n.size > maxPush {
		return fmt.Errorf("%w: more than %d bytes in one push", ErrTooLarge, maxPush)
	}
	n.seen[h] = true
	n.hashes = append(n.hashes, h)
	return nil
}

// commit adds a commit whose parents the server has or gets.
func (n *needed) commit(h plumbing.Hash) error {
	c, err := n.r.Commit(h.String())
	if err != nil {
		return err
	}
	if err := n.add(h); err != nil {
		return err
	}
	var known []plumbing.Hash
	for _, id := range c.Parents {
		t, err := n.r.treeOf(id)
		if err != nil {
			return err
		}
		known = append(known, t)
	}
	return n.folder(plumbing.NewHash(c.Tree), known, 0)
}

// folder adds a tree and what lies beneath it, but nothing that lies in the same place in a known tree.
func (n *needed) folder(h plumbing.Hash, known []plumbing.Hash, depth int) error {
	for _, k := range known {
		if k == h {
			return nil
		}
	}
	if n.seen[h] {
		return nil
	}
	if depth > maxDepth {
		return fmt.Errorf("%w: folders nest deeper than %d", ErrTooLarge, maxDepth)
	}
	t, err := n.r.reader.tree(h)
	if err != nil {
		return err
	}
	var beside []*tree
	for _, k := range known {
		t, err := n.r.reader.tree(k)
		if err != nil {
			return err
		}
		beside = append(beside, t)
	}
	if err := n.add(h); err != nil {
		return err
	}
	for _, e := range t.entries {
		if err := n.entry(e, beside, depth); err != nil {
			return err
		}
	}
	return nil
}

func (n *needed) entry(e entry, beside []*tree, depth int) error {
	var below []plumbing.Hash
	for _, t := range beside {
		k, ok := t.find(e.name)
		if ok && k.hash == e.hash {
			return nil
		}
		if ok && k.isTree() {
			below = append(below, k.hash)
		}
	}
	switch {
	case e.isTree():
		return n.folder(e.hash, below, depth+1)
	case e.mode == filemode.Submodule: // Its commit lies in another repository.
		return nil
	}
	return n.add(e.hash)
}
