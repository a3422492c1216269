package store

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process has the store open.
type ErrLocked struct {
	// PID is that process, or 0 where it cannot be told.
	PID int
}

// Error names the process and what to do.
func (e *ErrLocked) Error() string {
	if e.PID == 0 {
		return "another process has it open; stop that one first"
	}
	return fmt.Sprintf("process %d has it open; stop that one first", e.PID)
}

// lock is an advisory lock on a file that holds the owner's process id. The kernel drops it when the owner ends.
type lock struct{ file *os.File }

func acquire(path string) (*lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		b := make([]byte, 32)
		n, _ := f.Read(b) // Without the id the message only says less.
		pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:n])))
		return nil, &ErrLocked{PID: pid}
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &lock{f}, nil
}

func (l *lock) release() error {
	if l == nil || l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
