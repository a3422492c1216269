package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
)

// readFile reads a secret from a file of the machine, without the newline at its end. Links are followed: that is how
// Kubernetes mounts a Secret, and how it changes it in one step. What can be polled is read for patience at most; see
// [patient] for the rest.
func readFile(name string, patience time.Duration) (string, error) {
	info, err := os.Stat(name) // To open a device may be enough for it to do something.
	if err == nil && !info.Mode().IsRegular() {
		return "", errNotRegular
	}
	var f *os.File
	if err == nil {
		f, err = os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // It may have become a pipe that nobody writes to.
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", errors.New("there is no such file: write the secret into it, readable by mainstay alone")
	case errors.Is(err, fs.ErrPermission):
		return "", errors.New("mainstay may not read it: make it readable for the user that mainstay runs as")
	case err != nil:
		return "", withoutPath(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return "", withoutPath(err)
	} else if !info.Mode().IsRegular() {
		return "", errNotRegular
	}
	_ = f.SetReadDeadline(time.Now().Add(patience)) // Most files have none, since they do not wait.
	content, err := io.ReadAll(io.LimitReader(f, MaxValue+3))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", tooSlow(patience)
	case err != nil:
		return "", withoutPath(err)
	}
	text, ok := strings.CutSuffix(string(content), "\r\n")
	if !ok {
		text = strings.TrimSuffix(text, "\n")
	}
	return text, nil
}

var errNotRegular = errors.New("it is not a regular file")

// withoutPath is an error without the path, which whoever wraps it names.
func withoutPath(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("it cannot be read: %w", p.Err)
	}
	return fmt.Errorf("it cannot be read: %w", err)
}
