package remote

import (
	"container/heap"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// FirstParents yields a commit and then always the first parent of the last one, so the newest comes first. It ends with
// the first commit of the history or the first error.
func (r *Remote) FirstParents(from string) iter.Seq2[Commit, error] {
	return firstParents(r.Commit, from)
}

func firstParents(read func(id string) (Commit, error), from string) iter.Seq2[Commit, error] {
	return func(yield func(Commit, error) bool) {
		for id := from; ; {
			c, err := read(id)
			if !yield(c, err) || err != nil || len(c.Parents) == 0 {
				return
			}
			id = c.Parents[0]
		}
	}
}

// IsAncestor reports whether a is b or in the history of b. Both must be in the store.
func (r *Remote) IsAncestor(a, b string) (bool, error) {
	for _, id := range []string{a, b} {
		if _, err := r.Commit(id); err != nil {
			return false, err
		}
	}
	want, found := plumbing.NewHash(a), false
	err := r.walk(plumbing.NewHash(b), func(h plumbing.Hash) step {
		if found = h == want; found {
			return stop
		}
		return onward
	})
	return found, err
}

// MergeBase returns the commit that the histories of a and b have in common last, or "" if they have none. Where there is
// more than one, because the histories crossed, it returns an error.
func (r *Remote) MergeBase(a, b string) (string, error) {
	for _, id := range []string{a, b} {
		if _, err := r.Commit(id); err != nil {
			return "", err
		}
	}
	of := map[plumbing.Hash]bool{}
	err := r.walk(plumbing.NewHash(a), func(h plumbing.Hash) step {
		of[h] = true
		return onward
	})
	if err != nil {
		return "", err
	}
	var common []plumbing.Hash
	err = r.walk(plumbing.NewHash(b), func(h plumbing.Hash) step {
		if !of[h] {
			return onward
		}
		common = append(common, h)
		return aside
	})
	if err != nil || len(common) == 0 {
		return "", err
	}
	best, err := r.newest(common)
	if err != nil {
		return "", err
	}
	if len(best) > 1 {
		return "", fmt.Errorf("%s and %s have merged each other's history before: merge them with git", a, b)
	}
	return best[0].String(), nil
}

// newest returns those of a few commits that no other of them descends from.
func (r *Remote) newest(commits []plumbing.Hash) ([]plumbing.Hash, error) {
	var best []plumbing.Hash
	for _, h := range commits {
		reached := false
		for _, other := range commits {
			if h == other || reached {
				continue
			}
			var err error
			if reached, err = r.IsAncestor(h.String(), other.String()); err != nil {
				return nil, err
			}
		}
		if !reached {
			best = append(best, h)
		}
	}
	return best, nil
}

// step says how a walk goes on.
type step int

const (
	onward step = iota // to the parents
	aside              // not to the parents of this one
	stop
)

// walk shows tip and the commits of its history, each once, the newest first by the committers' clocks. It does not
// depend on the clocks: they only decide the order.
func (r *Remote) walk(tip plumbing.Hash, show func(plumbing.Hash) step) error {
	var queue byTime
	seen := map[plumbing.Hash]bool{}
	next := []plumbing.Hash{tip}
	for {
		for _, h := range next {
			if seen[h] {
				continue
			}
			seen[h] = true
			p, err := r.parentsOf(h)
			if err != nil {
				return err
			}
			heap.Push(&queue, dated{hash: h, lineage: p})
		}
		next = nil
		if queue.Len() == 0 {
			return nil
		}
		c := heap.Pop(&queue).(dated)
		switch show(c.hash) {
		case stop:
			return nil
		case onward:
			next = c.parents
		}
	}
}

// Between returns the commits in the history of to, and to itself, that are not in the history of from; "" is no history.
// Both must be in the store.
func (r *Remote) Between(from, to string) ([]string, error) {
	var have []plumbing.Hash
	for _, id := range []string{from, to} {
		if id == "" {
			continue
		}
		if _, err := r.Commit(id); err != nil {
			return nil, err
		}
	}
	if from != "" {
		have = append(have, plumbing.NewHash(from))
	}
	found, err := r.missing(plumbing.NewHash(to), have)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(found))
	for i, h := range found {
		ids[i] = h.String()
	}
	return ids, nil
}

// missing returns the commits in the history of tip that are not in the history of any of have. Commits of have that the
// store lacks are passed over. It walks only what lies between; wrong clocks can make the answer longer, never shorter.
func (r *Remote) missing(tip plumbing.Hash, have []plumbing.Hash) ([]plumbing.Hash, error) {
	type state struct{ known, queued bool }
	states := map[plumbing.Hash]state{}
	var queue byTime
	open := 0 // queued commits that are not known to be in the history of have
	add := func(h plumbing.Hash, known bool) error {
		old, seen := states[h]
		if seen && (old.known || !known) {
			return nil
		}
		states[h] = state{known: known, queued: true}
		if old.queued {
			open--
			return nil
		}
		p, err := r.parentsOf(h)
		if err != nil {
			return err
		}
		if !known {
			open++
		}
		heap.Push(&queue, dated{hash: h, lineage: p})
		return nil
	}
	for _, h := range have {
		if r.store.has(h) {
			if err := add(h, true); err != nil {
				return nil, err
			}
		}
	}
	if err := add(tip, false); err != nil {
		return nil, err
	}
	var out []plumbing.Hash
	for open > 0 {
		c := heap.Pop(&queue).(dated)
		known := states[c.hash].known
		states[c.hash] = state{known: known}
		if !known {
			open--
			out = append(out, c.hash)
		}
		for _, parent := range c.parents {
			if err := add(parent, known); err != nil {
				return nil, err
			}
		}
	}
	return slices.DeleteFunc(out, func(h plumbing.Hash) bool { return states[h].known }), nil
}

// lineage is what a walk needs of a commit.
type lineage struct {
	parents []plumbing.Hash
	when    int64 // seconds since 1970
}

type dated struct {
	hash plumbing.Hash
	lineage
}

// byTime is a heap with the newest commit on top.
type byTime []dated

func (q byTime) Len() int           { return len(q) }
func (q byTime) Less(i, j int) bool { return q[i].when > q[j].when }
func (q byTime) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *byTime) Push(x any)        { *q = append(*q, x.(dated)) }
func (q *byTime) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}

// maxLineages bounds the commits whose parents are kept in memory, to about 100 MB.
const maxLineages = 1_000_000

// parentCache keeps the parents of commits, because every walk asks for the same ones.
type parentCache struct {
	mu   sync.Mutex
	seen map[plumbing.Hash]lineage
}

func newParentCache() *parentCache { return &parentCache{seen: map[plumbing.Hash]lineage{}} }

func (r *Remote) parentsOf(h plumbing.Hash) (lineage, error) {
	r.parents.mu.Lock()
	l, ok := r.parents.seen[h]
	r.parents.mu.Unlock()
	if ok {
		return l, nil
	}
	b, err := r.store.need(plumbing.CommitObject, h)
	if err != nil {
		return lineage{}, err
	}
	c, err := parseCommit(b)
	if err != nil {
		return lineage{}, fmt.Errorf("commit %s: %w", h, err)
	}
	l.when = c.When.Unix()
	for _, id := range c.Parents {
		l.parents = append(l.parents, plumbing.NewHash(id))
	}
	r.parents.mu.Lock()
	defer r.parents.mu.Unlock()
	if len(r.parents.seen) >= maxLineages {
		clear(r.parents.seen)
	}
	r.parents.seen[h] = l
	return l, nil
}
