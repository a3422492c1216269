package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// storage changes files. It is the operating system's, or that of a test.
type storage interface {
	// Create makes a file, or empties it.
	Create(path string) (file, error)
	Rename(from, to string) error
	Remove(path string) error
	// Sync makes what was changed in a folder last.
	Sync(folder string) error
}

// file is one that is written. What was written lies on the disk when Sync returns.
type file interface {
	io.WriteCloser
	Sync() error
}

type system struct{}

func (system) Create(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

func (system) Rename(from, to string) error { return os.Rename(from, to) }
func (system) Remove(path string) error     { return os.Remove(path) }

func (system) Sync(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// fresh is a file of a source that is written, and that no manifest names yet. It is made when there is something to write.
type fresh struct {
	storage      storage
	folder, name string
	to           file
}

func (f *fresh) Write(b []byte) (int, error) {
	if f.to == nil {
		if err := os.MkdirAll(f.folder, 0o700); err != nil {
			return 0, err
		}
		to, err := f.storage.Create(filepath.Join(f.folder, f.name))
		if err != nil {
			return 0, err
		}
		f.to = to
	}
	return f.to.Write(b)
}

// close ends the file, which lies on the disk then.
func (f *fresh) close() error {
	err := f.to.Sync()
	return errors.Join(err, f.to.Close())
}

// drop removes the file, if there is one.
func (f *fresh) drop() {
	if f.to != nil {
		_ = f.to.Close()                                      // It may be closed already.
		_ = f.storage.Remove(filepath.Join(f.folder, f.name)) // If not now, when the index is opened again.
	}
}

// mapped is a file in memory. It is given back when nobody holds it any more.
type mapped struct {
	name string
	data []byte
	// unmap is false where the file was read.
	unmap bool
	held  atomic.Int32
}

// load brings a file into memory, held once. It is mapped where that can be done, and read elsewhere.
func load(folder, name string) (*mapped, error) {
	f, err := os.Open(filepath.Join(folder, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m := &mapped{name: name}
	m.held.Store(1)
	if size := info.Size(); size > 0 {
		m.data, err = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
		if m.unmap = err == nil; !m.unmap {
			m.data, err = os.ReadFile(f.Name())
		}
	}
	return m, err
}

func (m *mapped) hold() { m.held.Add(1) }

func (m *mapped) release() {
	if m.held.Add(-1) == 0 && m.unmap {
		// It could only fail for memory that is not mapped.
		_ = unix.Munmap(m.data)
	}
}

// lock takes the folder for this process. The kernel lets go of it when the process ends.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(errBusy, f.Close())
		}
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}
