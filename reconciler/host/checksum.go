package host

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"github.com/mainstay-dev/mainstay/spec"
)

// Platform is the one that processes run on, as a lock names it.
const Platform = runtime.GOOS + "/" + runtime.GOARCH

// Accept makes the lock of what is declared the one that executables are compared with before they are started. The
// reference runtime comes with Mainstay and is not pinned. Nil pins nothing, so that runtimes that are named by their paths
// are not started.
func (h *Host) Accept(lock *spec.Lock) { h.lock.Store(lock) }

// verify checks that the executable of a runtime, or its script, is the one that the lock pins. The error is a
// [*spec.LockMismatch] where it is not. What lies beside mainstay was put there by whoever installed it; a path may lead
// anywhere, so what is there needs a pin.
func (h *Host) verify(name, path string) error {
	lock := h.lock.Load()
	if lock == nil && !spec.IsRuntimePath(name) || name == spec.DefaultRuntime {
		return nil
	}
	mismatch := &spec.LockMismatch{Resource: spec.Ref{Kind: spec.KindRuntime, Name: name}, File: spec.LockFile}
	if lock != nil {
		mismatch.File = lock.File
	}
	pin := lock.Runtime(name)[Platform]
	if pin == "" {
		mismatch.Unpinned = []string{Platform}
		return mismatch
	}
	is, err := h.checksums.of(path)
	if err != nil || is == pin {
		return err
	}
	mismatch.Changes = []spec.LockChange{{Resource: mismatch.Resource, Field: Platform, Change: spec.LockChanged, From: string(pin), To: string(is)}}
	return mismatch
}

// checksums remember the digests of files for as long as those are the same.
type checksums struct {
	mu    sync.Mutex
	known map[string]checksum
}

type checksum struct {
	info   os.FileInfo
	digest spec.Digest
}

// of returns the digest of a file. It reads the file where that is another one than before, or was written since.
func (c *checksums) of(path string) (spec.Digest, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := openFile(path)
	if err != nil {
		return "", fmt.Errorf("read the executable: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("read the executable: %w", err)
	}
	if k, ok := c.known[path]; ok && os.SameFile(k.info, info) && k.info.Size() == info.Size() && k.info.ModTime().Equal(info.ModTime()) {
		return k.digest, nil
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", fmt.Errorf("read the executable: %w", err)
	}
	digest := spec.Digest("sha256:" + hex.EncodeToString(hash.Sum(nil)))
	if c.known == nil {
		c.known = map[string]checksum{}
	}
	c.known[path] = checksum{info, digest}
	return digest, nil
}

// Checksum returns the digest of an executable, as a lock pins it.
func Checksum(path string) (spec.Digest, error) { return new(checksums).of(path) }
