// Package disk is the embedded engine: it keeps documents in a folder, and finds them there with package index. All of it can be built again
// from the documents, so that it is a cache and no database.
//
// Each source has a folder of its own, with a manifest, segments, and what was learned of their meaning. An update writes the documents
// that are new as a segment more, their texts while they are read, and then a manifest that names it and the documents that are gone; the manifest is written aside,
// synced and renamed, so that a source is in its former state or in the new one, whenever the process or the machine ends. After that,
// small segments and those with many documents gone are made one: a segment has more than twice the chunks of all that came after it,
// so that a chunk is copied some times in its life and there are few segments. Meaning is learned when a source is filled, and again
// when half as many chunks have come since as there were; in between, new chunks are placed in the space that is known. That part of an
// update follows when it is searched already, and where it fails, the next update does it.
//
// Everything is under checksums, which opening verifies. A source that is damaged, or of another version, is emptied then: its state is
// empty, and the next update puts all of it again. One process at a time uses a folder; others get kb.ErrBusy. Nothing else may change
// the files while it is open: they are mapped into memory.
//
// Read update.go for how a source changes, and search.go for how it is asked.
package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/mainstay-dev/mainstay/kb"
)

var errBusy = fmt.Errorf("%w: stop the other process, or use another folder", kb.ErrBusy)

var errClosed = errors.New("the index is closed")

// Engine is a kb.Engine in a folder.
type Engine struct {
	folder  string
	storage storage
	lock    *os.File
	emptied []error

	mu      sync.RWMutex
	sources map[string]*source
	// changing has a place for each source that is being changed.
	changing map[string]chan struct{}
	closed   bool
	// ends ends when the engine is closed, and running counts what changes sources.
	ends    context.Context
	end     context.CancelFunc
	running sync.WaitGroup
}

var _ kb.Engine = (*Engine)(nil)

// Open opens the index in a folder, which is made where it is not there. A folder with other files in it is refused, and so is one that
// another process uses, with kb.ErrBusy.
func Open(folder string) (*Engine, error) { return open(folder, system{}) }

func open(folder string, storage storage) (*Engine, error) {
	e := &Engine{folder: folder, storage: storage, sources: map[string]*source{}, changing: map[string]chan struct{}{}}
	if err := e.open(); err != nil {
		return nil, fmt.Errorf("open the index %s: %w", folder, errors.Join(err, e.unlock()))
	}
	e.ends, e.end = context.WithCancel(context.Background())
	return e, nil
}

// sourcesName is the folder of the folders of the sources.
const sourcesName = "sources"

func (e *Engine) open() error {
	if err := os.MkdirAll(e.folder, 0o700); err != nil {
		return err
	}
	lockPath := filepath.Join(e.folder, "mainstay-kb.lock")
	if _, err := os.Lstat(lockPath); errors.Is(err, os.ErrNotExist) {
		// What is damaged is emptied, so it must never be somebody's own folder.
		if names, err := os.ReadDir(e.folder); err != nil || len(names) > 0 {
			return errors.Join(err, errors.New("the folder holds other files: use an empty or a new one"))
		}
	}
	var err error
	if e.lock, err = lock(lockPath); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(e.folder, sourcesName), 0o700); err != nil {
		return err
	}
	folders, err := os.ReadDir(filepath.Join(e.folder, sourcesName))
	if err != nil {
		return err
	}
	for _, f := range folders {
		folder := filepath.Join(e.folder, sourcesName, f.Name())
		s, err := read(folder)
		if errors.Is(err, errDamaged) {
			if _, missing := os.Lstat(filepath.Join(folder, manifestName)); missing == nil {
				e.emptied = append(e.emptied, fmt.Errorf("%w: it is empty now, and the next update builds it again", err))
			}
			if err := os.RemoveAll(folder); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		e.sources[s.Source] = s
		if err := e.tidy(folder, s); err != nil {
			return err
		}
	}
	return nil
}

// tidy removes the files that a source's manifest does not name.
func (e *Engine) tidy(folder string, s *source) error {
	names, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n.Name() != manifestName && !slices.ContainsFunc(s.files, func(f *mapped) bool { return f.name == n.Name() }) {
			if err := e.storage.Remove(filepath.Join(folder, n.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// Emptied says which sources were damaged, or of another version, when the index was opened, and so are empty.
func (e *Engine) Emptied() []error { return e.emptied }

func (e *Engine) unlock() error {
	if e.lock == nil {
		return nil
	}
	return e.lock.Close()
}

// Close ends updates that run, and waits for them. Searches that run come to their end.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	e.mu.Unlock()
	e.end()
	e.running.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, s := range e.sources {
		s.release()
		delete(e.sources, name)
	}
	return e.unlock()
}

// hold returns the source as it is now, or nil. It has to be released.
func (e *Engine) hold(name string) (*source, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return nil, errClosed
	}
	s := e.sources[name]
	if s != nil {
		s.hold()
	}
	return s, nil
}

// change waits until nothing else changes a source. The context that it returns ends with the engine too.
func (e *Engine) change(ctx context.Context, source string) (_ context.Context, done func(), err error) {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, nil, errClosed
	}
	turn := e.changing[source]
	if turn == nil {
		turn = make(chan struct{}, 1)
		e.changing[source] = turn
	}
	e.running.Add(1)
	e.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(e.ends, func() { cancel(errClosed) })
	end := func() {
		stop()
		cancel(nil)
		e.running.Done()
	}
	if err := ctx.Err(); err != nil {
		end()
		return nil, nil, err
	}
	select {
	case turn <- struct{}{}:
		return ctx, func() { <-turn; end() }, nil
	case <-ctx.Done():
		defer end()
		return nil, nil, context.Cause(ctx)
	}
}

// publish makes a source's new state, or that there is none, what is searched.
func (e *Engine) publish(name string, s *source) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if former := e.sources[name]; former != nil {
		former.release()
	}
	if s == nil {
		delete(e.sources, name)
	} else {
		e.sources[name] = s
	}
}

// State is the state a source is in.
func (e *Engine) State(ctx context.Context, source string) (string, error) {
	s, err := e.hold(source)
	if err != nil || s == nil {
		return "", errors.Join(err, ctx.Err())
	}
	defer s.release()
	return s.State, ctx.Err()
}

// Files are the files of a source, sorted by path.
func (e *Engine) Files(ctx context.Context, source string) ([]kb.File, error) {
	s, err := e.hold(source)
	if err != nil || s == nil {
		return nil, errors.Join(err, ctx.Err())
	}
	defer s.release()
	var files []kb.File
	for _, p := range s.places(s.all()...) {
		files = append(files, s.entry(p).File)
	}
	return files, ctx.Err()
}

// Document returns a document of a source.
func (e *Engine) Document(ctx context.Context, source, path string) (kb.File, kb.Document, error) {
	s, err := e.hold(source)
	if err != nil {
		return kb.File{}, kb.Document{}, err
	}
	if s != nil {
		defer s.release()
		if p, ok := s.find(path); ok {
			return s.entry(p).File, s.live[p.segment].Document(p.entry), ctx.Err()
		}
	}
	return kb.File{}, kb.Document{}, fmt.Errorf("%q of source %q: %w", path, source, kb.ErrNotFound)
}

// Stats are those of all sources, sorted by source.
func (e *Engine) Stats(ctx context.Context) ([]kb.Stats, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return nil, errClosed
	}
	var all []kb.Stats
	for _, s := range e.sources {
		all = append(all, s.stats())
	}
	slices.SortFunc(all, func(a, b kb.Stats) int {
		if a.Source < b.Source {
			return -1
		}
		return 1
	})
	return all, ctx.Err()
}

// Forget removes a source.
func (e *Engine) Forget(ctx context.Context, source string) error {
	_, done, err := e.change(ctx, source)
	if err != nil {
		return fmt.Errorf("forget source %q: %w", source, err)
	}
	defer done()
	s, err := e.hold(source)
	if err != nil || s == nil {
		return err
	}
	defer s.release()
	folder := filepath.Join(e.folder, sourcesName, folderOf(source))
	if err := e.storage.Remove(filepath.Join(folder, manifestName)); err != nil {
		return fmt.Errorf("forget source %q: %w", source, err)
	}
	e.publish(source, nil)
	// Without a manifest the rest is left over, and removed the next time the index is opened, if not now.
	for _, f := range s.files {
		_ = e.storage.Remove(filepath.Join(folder, f.name))
	}
	_ = e.storage.Remove(folder)
	return nil
}
