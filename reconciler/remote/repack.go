package remote

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

const (
	// maxPacks is how many packs may pile up before the small ones become one. Every fetch and commit adds one.
	maxPacks = 50
	// keepPacks is how many of the largest packs are left alone then, so that each object is rewritten seldom.
	keepPacks = 10
	// maxRepack bounds the packs that are rewritten at once, in bytes.
	maxRepack = 256 << 20
	// maxDeltas is up to how many objects are compressed against each other, which takes time.
	maxDeltas = 20_000
)

// tidy repacks unless a fetch is running, which repacks afterwards itself.
func (r *Remote) tidy() error {
	select {
	case r.fetching <- struct{}{}:
		defer func() { <-r.fetching }()
		return r.store.repack()
	default:
		return nil
	}
}

// repack makes one pack of the small ones when there are too many. Readers go on meanwhile. A crash at any point leaves
// objects in two packs at worst. One call may run at a time.
func (s *store) repack() error {
	old, hashes, err := s.small()
	if err != nil || len(old) < 2 {
		return err
	}
	w, err := s.newPackWriter()
	if err != nil {
		return fmt.Errorf("repack the store: %w", err)
	}
	window := uint(10)
	if len(hashes) > maxDeltas {
		window = 0
	}
	name, err := packfile.NewEncoder(w, adapter{s: s}, false).Encode(hashes, window)
	if err != nil {
		return fmt.Errorf("repack the store: %w", errors.Join(err, w.discard()))
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("repack the store: %w", err)
	}
	old = slices.DeleteFunc(old, func(p *pack) bool { return p.name == name.String() })
	return s.remove(old)
}

// small returns the packs that should become one, and their objects.
func (s *store) small() ([]*pack, []plumbing.Hash, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.packs) <= maxPacks {
		return nil, nil, nil
	}
	packs := slices.Clone(s.packs)
	slices.SortFunc(packs, func(a, b *pack) int { return cmp.Compare(b.size, a.size) })
	packs = packs[keepPacks:]
	var total int64
	for _, p := range packs {
		total += p.size
	}
	for len(packs) > 0 && total > maxRepack {
		total -= packs[0].size
		packs = packs[1:]
	}
	var hashes []plumbing.Hash
	for _, p := range packs {
		entries, err := p.index.EntriesByOffset()
		if err != nil {
			return nil, nil, fmt.Errorf("repack the store: %w", err)
		}
		for e, err := entries.Next(); err == nil; e, err = entries.Next() {
			hashes = append(hashes, e.Hash)
		}
	}
	slices.SortFunc(hashes, func(a, b plumbing.Hash) int { return slices.Compare(a[:], b[:]) })
	return packs, slices.Compact(hashes), nil
}

func (s *store) remove(old []*pack) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packs = slices.DeleteFunc(s.packs, func(p *pack) bool { return slices.Contains(old, p) })
	var errs []error
	for _, p := range old {
		errs = append(errs, p.objects.Close())
		if s.dir == "" {
			continue
		}
		base := filepath.Join(s.packDir(), "pack-"+p.name)
		errs = append(errs, os.Remove(base+".idx"), os.Remove(base+".pack"))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("repack the store: %w", err)
	}
	return nil
}
