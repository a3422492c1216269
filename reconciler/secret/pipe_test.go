//go:build unix

package secret_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mainstay-dev/mainstay/spec"
)

func TestAPipeIsNoFile(t *testing.T) {
	_, r := newWorld(t)
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	fails(t, r, spec.SecretRef{File: path}, "it is not a regular file") // and does not wait for a writer
}
