package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAFullDiskIsToldAndLosesNothing(t *testing.T) {
	disk := t.TempDir()
	switch err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); err {
	case nil:
	case unix.EPERM, unix.EACCES:
		t.Skip("SKIPPED: no small disk can be mounted without being root")
	default:
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(disk, 0)) })
	dir := filepath.Join(disk, "store")
	s := open(t, Options{Dir: dir})
	last := s.mustAppend(t, run1, 0, entry(0, "first"))
	must(t, s.Close())
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 4<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	s, err := Open(t.Context(), Options{Dir: dir})
	if err == nil {
		_, err = s.Append(t.Context(), run1, last, entry(1, strings.Repeat("x", 1<<20)))
		must(t, s.Close())
	}
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("it fails with %v, want that the disk is full", err)
	}
	must(t, os.Remove(filler))
	s = open(t, Options{Dir: dir})
	if e, _, err := s.Record(t.Context(), run1); err != nil || len(e) != 1 {
		t.Errorf("the record has %d entries, and %v", len(e), err)
	}
}
