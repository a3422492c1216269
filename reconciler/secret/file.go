package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// readFile reads a secret from a file of the machine, without the newline at its end. Links are followed: that is how
// Kubernetes mounts a Secret, and how it changes it in one step.
func readFile(name string) (string, error) {
	info, err := os.Stat(name) // A pipe that nobody writes to would keep Open from returning.
	if err == nil && !info.Mode().IsRegular() {
		return "", errors.New("it is not a regular file")
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(name)
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
	content, err := io.ReadAll(io.LimitReader(f, MaxValue+3))
	if err != nil {
		return "", withoutPath(err)
	}
	text, ok := strings.CutSuffix(string(content), "\r\n")
	if !ok {
		text = strings.TrimSuffix(text, "\n")
	}
	return text, nil
}

// withoutPath is an error without the path, which whoever wraps it names.
func withoutPath(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("it cannot be read: %w", p.Err)
	}
	return fmt.Errorf("it cannot be read: %w", err)
}
