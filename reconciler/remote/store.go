package remote

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
)

const (
	// incomingPrefix begins the names of files that are still being written; they are removed at start.
	incomingPrefix = "incoming-"
	// recentBytes bounds the objects that are kept inflated, mostly bases of deltas.
	recentBytes = 32 * cache.MiByte
)

// store keeps the objects of one remote in packs, and its refs in one file, in a folder that is also a bare Git
// repository, so that a person can look into it with git. Its objects are read and added under one lock.
type store struct {
	dir     string   // "" in memory
	lock    *os.File // held while open, so that no second process writes here
	maxPack int64
	recent  cache.Object

	mu    sync.Mutex
	packs []*pack // newest first

	// suspect is set when an object that must be there cannot be read.
	suspect atomic.Bool
}

// openStore opens or creates the store in dir and returns the refs that it held. What is damaged is emptied.
func openStore(dir string, maxPack int64) (*store, map[string]plumbing.Hash, error) {
	s := &store{dir: dir, maxPack: maxPack, recent: cache.NewObjectLRU(recentBytes)}
	if dir == "" {
		return s, map[string]plumbing.Hash{}, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make the store: %w", err)
	}
	if err := s.acquire(); err != nil {
		return nil, nil, err
	}
	refs, err := s.load()
	if err != nil {
		refs = map[string]plumbing.Hash{}
		err = s.wipe()
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.close())
	}
	return s, refs, nil
}

func (s *store) acquire() error {
	path := filepath.Join(s.dir, "mainstay.lock")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		// A damaged store is emptied, so it must never be somebody's own repository.
		if names, err := os.ReadDir(s.dir); err != nil || len(names) > 0 {
			return fmt.Errorf("open the store %s: the folder holds other files: use an empty or new one", s.dir)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock the store: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return fmt.Errorf("lock the store %s: %w: stop the other process, or use another folder", s.dir, ErrInUse)
	}
	s.lock = f
	return nil
}

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropPacks()
	if s.lock == nil {
		return nil
	}
	lock := s.lock
	s.lock = nil
	return lock.Close()
}

// dropPacks closes every pack. The caller holds the lock.
func (s *store) dropPacks() {
	for _, p := range s.packs {
		_ = p.objects.Close()
	}
	s.packs = nil
	s.recent.Clear()
}

func (s *store) packDir() string  { return filepath.Join(s.dir, "objects", "pack") }
func (s *store) refsPath() string { return filepath.Join(s.dir, "packed-refs") }

// load reads what a former process left, and fails if any of it is damaged.
func (s *store) load() (map[string]plumbing.Hash, error) {
	names, err := os.ReadDir(s.packDir())
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		path := filepath.Join(s.packDir(), n.Name())
		if strings.HasPrefix(n.Name(), incomingPrefix) {
			if err := os.Remove(path); err != nil {
				return nil, err
			}
			continue
		}
		if filepath.Ext(path) != ".idx" {
			continue
		}
		p, err := openPack(path, s.recent)
		if err != nil {
			return nil, err
		}
		s.packs = append(s.packs, p)
	}
	refs, err := readRefs(s.refsPath())
	if err != nil {
		return nil, err
	}
	for name, h := range refs {
		if !s.has(h) {
			return nil, fmt.Errorf("%s is at %s, which is missing", name, h)
		}
	}
	return refs, nil
}

// wipe empties the store. Everything in it can be fetched again.
func (s *store) wipe() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropPacks()
	s.suspect.Store(false)
	if s.dir == "" {
		return nil
	}
	for _, name := range []string{"packed-refs", "objects", "refs"} {
		if err := os.RemoveAll(filepath.Join(s.dir, name)); err != nil {
			return fmt.Errorf("empty the store: %w", err)
		}
	}
	for _, name := range []string{"objects/pack", "objects/info", "refs/heads"} {
		if err := os.MkdirAll(filepath.Join(s.dir, name), 0o700); err != nil {
			return fmt.Errorf("make the store: %w", err)
		}
	}
	// With these two git itself takes the folder for a bare repository.
	for name, content := range map[string]string{
		"HEAD":   "ref: refs/heads/main\n",
		"config": "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("make the store: %w", err)
		}
	}
	return s.saveRefs(nil)
}

// add makes the objects of p readable.
func (s *store) add(p *pack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, have := range s.packs {
		if have.name == p.name {
			_ = p.objects.Close()
			return
		}
	}
	s.packs = append([]*pack{p}, s.packs...)
}

// find returns the pack and the offset of h. The caller holds the lock.
func (s *store) find(h plumbing.Hash) (*pack, int64, error) {
	for _, p := range s.packs {
		if offset, err := p.index.FindOffset(h); err == nil {
			return p, offset, nil
		}
	}
	return nil, 0, plumbing.ErrObjectNotFound
}

func (s *store) has(h plumbing.Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _, err := s.find(h)
	return err == nil
}

// size returns the size of an object in bytes.
func (s *store) size(h plumbing.Hash) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, offset, err := s.find(h)
	if err != nil {
		return 0, err
	}
	return p.objects.GetSizeByOffset(offset)
}

// object returns a copy of an object, or plumbing.ErrObjectNotFound.
func (s *store) object(h plumbing.Hash) (plumbing.ObjectType, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, _, err := s.find(h)
	if err != nil {
		return plumbing.InvalidObject, nil, err
	}
	o, err := p.objects.Get(h)
	if err != nil {
		return plumbing.InvalidObject, nil, fmt.Errorf("read %s in pack %s: %w", h, p.name, err)
	}
	r, err := o.Reader()
	if err != nil {
		return plumbing.InvalidObject, nil, err
	}
	b := make([]byte, o.Size())
	_, err = io.ReadFull(r, b)
	return o.Type(), b, errors.Join(err, r.Close())
}

// need returns an object that must be there because something in the store names it. If it is not, the store is damaged
// and the next fetch rebuilds it.
func (s *store) need(want plumbing.ObjectType, h plumbing.Hash) ([]byte, error) {
	t, b, err := s.object(h)
	if err != nil {
		s.suspect.Store(true)
		return nil, fmt.Errorf("%s %s cannot be read from the store (the next fetch rebuilds it): %w", want, h, err)
	}
	if t != want {
		return nil, fmt.Errorf("%s is a %s where a %s is expected", h, t, want)
	}
	return b, nil
}

// sizeOf returns the size of an object that must be there. See need.
func (s *store) sizeOf(h plumbing.Hash) (int64, error) {
	size, err := s.size(h)
	if err != nil {
		s.suspect.Store(true)
		return 0, fmt.Errorf("object %s cannot be read from the store (the next fetch rebuilds it): %w", h, err)
	}
	return size, nil
}

// saveRefs replaces the file of refs in one step.
func (s *store) saveRefs(refs map[string]plumbing.Hash) error {
	if s.dir == "" {
		return nil
	}
	f, err := os.CreateTemp(s.packDir(), incomingPrefix)
	if err != nil {
		return fmt.Errorf("save the refs: %w", err)
	}
	w := bufio.NewWriter(f)
	for _, name := range sortedKeys(refs) {
		fmt.Fprintf(w, "%s %s\n", refs[name], name)
	}
	err = errors.Join(w.Flush(), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.refsPath())
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("save the refs: %w", err)
	}
	return nil
}

func readRefs(path string) (map[string]plumbing.Hash, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	refs := map[string]plumbing.Hash{}
	for line := range strings.Lines(string(b)) {
		id, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok || !plumbing.IsHash(id) || !strings.HasPrefix(name, "refs/") {
			return nil, fmt.Errorf("%s: %q is not a ref", path, line)
		}
		refs[name] = plumbing.NewHash(id)
	}
	return refs, nil
}
