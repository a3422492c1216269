package remote

import (
	"bytes"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// manyEntries is the size from which on two trees are compared as they are written, in bytes: a folder of some hundred files.
const manyEntries = 32 << 10

// unlike returns two trees without entries that both have. Of two large ones, which differ in a few names as a rule, only what
// lies between is decoded: a folder of ten thousand files that gets one more would cost more than all else that is read.
func (r *reader) unlike(a, b plumbing.Hash) (left, right *tree, err error) {
	_, known := r.trees.get(a)
	if _, also := r.trees.get(b); !(known && also) && !a.IsZero() && !b.IsZero() {
		rawA, err := r.rawTree(a)
		if err != nil {
			return nil, nil, err
		}
		rawB, err := r.rawTree(b)
		if err != nil {
			return nil, nil, err
		}
		if min(len(rawA), len(rawB)) >= manyEntries {
			if left, right, ok := apart(rawA, rawB); ok {
				return left, right, nil
			}
		}
	}
	if left, err = r.tree(a); err != nil {
		return nil, nil, err
	}
	right, err = r.tree(b)
	return left, right, err
}

// apart decodes what lies between the entries that two trees begin with and those that they end with. It reports false where
// the trees are not written in Git's order there, so that they have to be decoded as a whole.
func apart(a, b []byte) (left, right *tree, ok bool) {
	begin := commonPrefix(a, b)
	end := commonSuffix(a[begin:], b[begin:])
	at := 0 // where the first entry begins that is not the same
	var last []byte
	for {
		size := entrySize(a[at:])
		if size == 0 || at+size > begin {
			break
		}
		last, at = a[at:at+size], at+size
	}
	var between [2][]byte
	rest := [2][]byte{a[at:], b[at:]}
	cut := func(i int) bool {
		size := entrySize(rest[i])
		if size == 0 {
			return false
		}
		between[i], rest[i] = append(between[i], rest[i][:size]...), rest[i][size:]
		return true
	}
	for len(rest[0]) != len(rest[1]) || len(rest[0]) > end {
		longer := 0
		if len(rest[1]) > len(rest[0]) {
			longer = 1
		}
		both := len(rest[0]) == len(rest[1])
		if !cut(longer) || (both && !cut(1-longer)) {
			return nil, nil, false
		}
	}
	next := rest[0][:entrySize(rest[0])]
	trees := [2]*tree{}
	for i, raw := range between {
		if !inOrder(last, raw, next) {
			return nil, nil, false
		}
		t, err := parseTree(raw)
		if err != nil {
			return nil, nil, false
		}
		trees[i] = t
	}
	return trees[0], trees[1], true
}

// entrySize is how many bytes the first entry takes, or 0 where there is none that is whole.
func entrySize(raw []byte) int {
	nul := bytes.IndexByte(raw, 0)
	if size := nul + 1 + len(plumbing.Hash{}); nul >= 0 && size <= len(raw) {
		return size
	}
	return 0
}

// inOrder reports whether every name comes after the one before it, as Git sorts them.
func inOrder(parts ...[]byte) bool {
	var before []byte
	for _, raw := range parts {
		for len(raw) > 0 {
			size := entrySize(raw)
			mode, name, ok := bytes.Cut(raw[:max(0, size-1-len(plumbing.Hash{}))], []byte(" "))
			if !ok {
				return false
			}
			key := name[:len(name):len(name)]
			if string(mode) == "40000" {
				key = append(key, '/')
			}
			if before != nil && bytes.Compare(before, key) >= 0 {
				return false
			}
			before, raw = key, raw[size:]
		}
	}
	return true
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	const step = 512
	at := 0
	for at+step <= n && bytes.Equal(a[at:at+step], b[at:at+step]) {
		at += step
	}
	for at < n && a[at] == b[at] {
		at++
	}
	return at
}

func commonSuffix(a, b []byte) int {
	n := min(len(a), len(b))
	a, b = a[len(a)-n:], b[len(b)-n:]
	const step = 512
	at := 0
	for at+step <= n && bytes.Equal(a[n-at-step:n-at], b[n-at-step:n-at]) {
		at += step
	}
	for at < n && a[n-at-1] == b[n-at-1] {
		at++
	}
	return at
}

// rawTrees keeps the last few trees as they are written: what a commit is compared with is what the one before it was.
type rawTrees struct {
	mu   sync.Mutex
	last [8]struct {
		id  plumbing.Hash
		raw []byte
	}
	next int
}

func (r *reader) rawTree(h plumbing.Hash) ([]byte, error) {
	r.raw.mu.Lock()
	for _, t := range r.raw.last {
		if t.id == h {
			r.raw.mu.Unlock()
			return t.raw, nil
		}
	}
	r.raw.mu.Unlock()
	b, err := r.objects.need(plumbing.TreeObject, h)
	if err != nil {
		return nil, err
	}
	r.raw.mu.Lock()
	defer r.raw.mu.Unlock()
	at := &r.raw.last[r.raw.next]
	at.id, at.raw = h, b
	r.raw.next = (r.raw.next + 1) % len(r.raw.last)
	return b, nil
}
