package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	// serverDir is where the embedded server has its files.
	serverDir = "jetstream"
	// keptDir holds a second name of each of them while the server starts, and keptDir+".new" is one that is not complete.
	keptDir = "kept"
)

// keep gives each file of the embedded server a second name, since the server deletes a stream that it cannot read when it
// starts: also where the disk is full, or where the process may open no more files. It reports whether it did: where the file
// system has no hard links, or nothing is there, there is nothing to put back.
func keep(dir string) (bool, error) {
	made := filepath.Join(dir, keptDir+".new")
	if err := os.RemoveAll(made); err != nil {
		return false, err
	}
	from := filepath.Join(dir, serverDir)
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		to := filepath.Join(made, rel)
		switch {
		case d.IsDir():
			return os.Mkdir(to, 0o700)
		case d.Type().IsRegular():
			return os.Link(path, to)
		}
		return nil
	})
	if err == nil {
		return true, os.Rename(made, filepath.Join(dir, keptDir))
	}
	none := errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS)
	if removed := os.RemoveAll(made); none {
		return false, removed
	}
	return false, fmt.Errorf("keep what is there before it is opened: %w", err)
}

// letGo removes the second names, once the server has found everything.
func letGo(dir string) error {
	made := filepath.Join(dir, keptDir+".new")
	if err := os.Rename(filepath.Join(dir, keptDir), made); err != nil { // What is half removed is not put back.
		return err
	}
	// A power cut must not bring the former name back: what is written from now on would be replaced.
	if err := syncFolder(dir); err != nil {
		return err
	}
	return os.RemoveAll(made)
}

// putBack makes the server's files what they were before it was started, where it was cut off or has failed: nothing has been
// written to them since then. It can be cut off anywhere and done again.
func putBack(dir string) error {
	kept, to := filepath.Join(dir, keptDir), filepath.Join(dir, serverDir)
	if _, err := os.Lstat(kept); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.Rename(kept, to)
}
