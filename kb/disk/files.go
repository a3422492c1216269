package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/mainstay-dev/mainstay/kb/index"
)

// storage changes files. It is the operating system's, or that of a test.
type storage interface {
	// Write makes a file of these bytes, which lie on the disk when it returns.
	Write(path string, data index.File) error
	Rename(from, to string) error
	Remove(path string) error
	// Sync makes what was changed in a folder last.
	Sync(folder string) error
}

type system struct{}

func (system) Write(path string, data index.File) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	for _, b := range data {
		if _, err := f.Write(b); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
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
