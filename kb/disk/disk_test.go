package disk_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/disk"
	"github.com/mainstay-dev/mainstay/kb/enginetest"
)

func TestEngine(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) kb.Engine {
		e, err := disk.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}

func open(t *testing.T, folder string) *disk.Engine {
	t.Helper()
	e, err := disk.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() }) // Tests that look at it close it themselves.
	return e
}

// change is an update with one file more, of the path and text that n says.
func change(from string, n int, more ...int) kb.Update {
	text := func(n int) string {
		return fmt.Sprintf("pod number%d of cluster%d drain restart%d", n, n%7, n%11)
	}
	u := kb.Update{Source: "docs", From: from, To: fmt.Sprint(n), Read: func(_ context.Context, f kb.File) (kb.Document, error) {
		return kb.Document{Kind: kb.KindText, Chunks: []kb.Chunk{{Text: f.Blob}}}, nil
	}}
	for _, n := range append(more, n) {
		u.Put = append(u.Put, kb.File{Path: fmt.Sprint(n % 150), Blob: text(n)})
	}
	return u
}

func TestOneProcessUsesAFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "index")
	e := open(t, folder)
	if _, err := disk.Open(folder); !errors.Is(err, kb.ErrBusy) {
		t.Errorf("it was opened twice: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, folder)
}

func TestAFolderOfOthersIsLeftAlone(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "mine.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Open(folder); err == nil {
		t.Error("a folder with other files was opened")
	}
	if names, err := os.ReadDir(folder); err != nil || len(names) != 1 {
		t.Errorf("it has %v: %v", names, err)
	}
}

// size is how many bytes and files a folder has.
func size(t *testing.T, folder string) (bytes int64, files int) {
	t.Helper()
	err := filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes, files = bytes+info.Size(), files+1
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes, files
}

// After many small updates there are few files, what was replaced takes no space, and all of it is the same when it is opened again.
func TestManySmallUpdates(t *testing.T) {
	folder := t.TempDir()
	e := open(t, folder)
	from, most := "", 0
	for n := range 300 {
		if err := e.Update(t.Context(), change(from, n)); err != nil {
			t.Fatal(err)
		}
		from = fmt.Sprint(n)
		_, files := size(t, folder)
		most = max(most, files)
	}
	if most > 14 {
		t.Errorf("there were %d files at once", most)
	}
	ask := func(e *disk.Engine) (hits []kb.Hit, stats []kb.Stats) {
		hits, err := e.Search(t.Context(), kb.Query{Text: "pod number299 cluster3", Sources: []string{"docs"}, Most: 200})
		if err != nil {
			t.Fatal(err)
		}
		stats, err = e.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return hits, stats
	}
	hits, stats := ask(e)
	if stats[0].Documents != 150 || len(hits) != 150 {
		t.Errorf("found are %d of %d", len(hits), stats[0].Documents)
	}
	if bytes, _ := size(t, folder); bytes != stats[0].Disk || bytes > 150*1000 {
		t.Errorf("the folder has %d bytes, and the statistics say %d", bytes, stats[0].Disk)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	again, statsAgain := ask(open(t, folder))
	if !reflect.DeepEqual(again, hits) || !reflect.DeepEqual(stats, statsAgain) {
		t.Errorf("opened again: %v, want %v", again[:3], hits[:3])
	}
}

// The same updates give the same answers, meaning included.
func TestTheSameHistoryGivesTheSameAnswers(t *testing.T) {
	var first []kb.Hit
	for range 2 {
		e := open(t, t.TempDir())
		if err := e.Update(t.Context(), change("", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)); err != nil {
			t.Fatal(err)
		}
		for n := range 30 {
			if err := e.Update(t.Context(), change(fmt.Sprint(n), n+1)); err != nil {
				t.Fatal(err)
			}
		}
		hits, err := e.Search(t.Context(), kb.Query{Text: "cluster3 drain number5", Sources: []string{"docs"}, Most: 20})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = hits
		}
		if !reflect.DeepEqual(hits, first) || len(hits) != 20 {
			t.Errorf("%v, and then %v", first, hits)
		}
	}
}

func BenchmarkEngine(b *testing.B) {
	enginetest.Benchmark(b, func(b testing.TB, folder string) kb.Engine {
		e, err := disk.Open(folder)
		if err != nil {
			b.Fatal(err)
		}
		return e
	})
}
