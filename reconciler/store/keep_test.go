package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestWhatCannotBeReadNowIsNotDeleted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	s.mustAppend(t, run1, 0, entry(0, "first"))
	must(t, s.Close())
	// The server cannot read this one block, and throws the stream away with all others.
	odd := filepath.Join(dir, serverDir, "$G", "streams", recordStream, "msgs", "99.blk")
	must(t, os.Mkdir(odd, 0o700))
	if s, err := Open(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrDamaged) {
		if err == nil {
			must(t, s.Close())
		}
		t.Fatalf("opened with %v, want that it is damaged", err)
	}
	must(t, os.Remove(odd))
	s = open(t, Options{Dir: dir})
	if e, _, err := s.Record(t.Context(), run1); err != nil || len(e) != 1 {
		t.Errorf("the record has %d entries, and %v", len(e), err)
	}
}

func TestAProcessKilledWhileItOpensLeavesWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	s.mustAppend(t, run1, 0, entry(0, "first"))
	must(t, s.Close())
	kept, err := keep(dir)
	must(t, err)
	if !kept {
		t.Skip("SKIPPED: the disk of temporary files has no hard links")
	}
	must(t, os.RemoveAll(filepath.Join(dir, serverDir, "$G", "streams", recordStream)))
	s = open(t, Options{Dir: dir})
	if e, _, err := s.Record(t.Context(), run1); err != nil || len(e) != 1 {
		t.Errorf("the record has %d entries, and %v", len(e), err)
	}
	for _, name := range []string{keptDir, keptDir + ".new"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
}
