package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
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

func TestAServerThatCannotStartSaysSoAtOnce(t *testing.T) {
	dir := t.TempDir()
	must(t, open(t, Options{Dir: dir}).Close())
	must(t, os.Rename(filepath.Join(dir, serverDir), filepath.Join(dir, "other")))
	must(t, os.WriteFile(filepath.Join(dir, serverDir), nil, 0o600)) // It is no folder.
	begin := time.Now()
	s, err := Open(t.Context(), Options{Dir: dir})
	if err == nil {
		must(t, s.Close())
		t.Fatal("it opened")
	}
	if took := time.Since(begin); took > startTime/2 {
		t.Errorf("it took %v to say: %v", took, err)
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
