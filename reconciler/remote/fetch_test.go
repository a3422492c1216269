package remote

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// stores runs a test with the store in memory and on disk.
func stores(t *testing.T, f func(t *testing.T, dir string)) {
	t.Helper()
	t.Run("in memory", func(t *testing.T) { f(t, "") })
	t.Run("on disk", func(t *testing.T) { f(t, filepath.Join(t.TempDir(), "store")) })
}

func TestFetchFollowsTheRemotesBranches(t *testing.T) {
	stores(t, func(t *testing.T, dir string) {
		o := newOrigin(t)
		r := o.open(Options{Dir: dir})
		want := func(branches map[string]string) {
			t.Helper()
			if got := fetch(t, r); !maps.Equal(got, branches) {
				t.Fatalf("got %v, want %v", got, branches)
			}
			if tips, err := r.Tips(t.Context()); err != nil || !maps.Equal(tips, branches) {
				t.Fatalf("got tips %v and %v, want %v", tips, err, branches)
			}
		}
		want(map[string]string{}) // an empty repository

		first := o.commit(map[string]string{"a": "1"})
		want(map[string]string{"main": first})
		want(map[string]string{"main": first}) // nothing new

		o.git("switch", "-q", "-c", "feature/x")
		feature := o.commit(map[string]string{"a": "2"})
		want(map[string]string{"main": first, "feature/x": feature})

		o.git("push", "-q", "origin", "--delete", "feature/x")
		want(map[string]string{"main": first})

		o.git("switch", "-q", "--orphan", "other")
		o.write(map[string]string{"b": "1"})
		o.git("add", "-A")
		o.git("commit", "-q", "-m", "unrelated")
		o.git("push", "-q", "--force", "origin", "other:main")
		want(map[string]string{"main": o.git("rev-parse", "HEAD")}) // a force-push is just another commit

		o.run(o.bare, "update-ref", "-d", "refs/heads/main")
		want(map[string]string{})
	})
}

func TestFetchOfEveryKindOfPath(t *testing.T) {
	o := newOrigin(t)
	id := o.commit(map[string]string{"a": "1"})
	odd := filepath.Join(t.TempDir(), "a b:c%41#d?")
	if err := os.Rename(o.bare, odd); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{odd, "file://" + strings.NewReplacer("%", "%25", "#", "%23", "?", "%3F", " ", "%20").Replace(odd)} {
		if got := fetch(t, openRemote(t, Options{URL: url})); got["main"] != id {
			t.Fatalf("%s: got %v", url, got)
		}
	}
}

func TestFetchFailsClearly(t *testing.T) {
	o := newOrigin(t)
	first := o.commit(map[string]string{"a": "1"})
	r := o.open(Options{})
	fetch(t, r)
	away := o.bare + ".away"
	if err := os.Rename(o.bare, away); err != nil {
		t.Fatal(err)
	}
	_, err := r.Fetch(t.Context())
	wantIs(t, err, ErrUnreachable)
	wantSays(t, err, o.bare)
	_, err = r.Tips(t.Context())
	wantIs(t, err, ErrUnreachable)
	wantIs(t, r.Push(t.Context(), "new", "", first), ErrUnreachable)
	if _, err := r.Snapshot(first); err != nil {
		t.Fatalf("what was fetched before can still be read: %v", err)
	}
	if err := os.Rename(away, o.bare); err != nil {
		t.Fatal(err)
	}
	if got := fetch(t, r); got["main"] != first {
		t.Fatalf("got %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Fetch(ctx)
	wantIs(t, err, context.Canceled)
}

func TestFetchStopsAtTheLimit(t *testing.T) {
	stores(t, func(t *testing.T, dir string) {
		o := newOrigin(t)
		o.commit(map[string]string{"a": strings.Repeat("0123456789abcdef", 10)})
		r := o.open(Options{Dir: dir, MaxFetch: 100})
		_, err := r.Fetch(t.Context())
		wantIs(t, err, ErrTooLarge)
		if dir != "" {
			if left, _ := filepath.Glob(filepath.Join(dir, "objects/pack/*")); len(left) > 0 {
				t.Fatalf("a failed fetch leaves %v", left)
			}
		}
	})
}

func TestFetchCommitThatNoBranchHolds(t *testing.T) {
	o := newOrigin(t)
	lost := o.commit(map[string]string{"a": "1"})
	o.git("commit", "-q", "--amend", "-m", "other")
	o.git("push", "-q", "--force", "origin", "main")
	r := o.open(Options{})
	fetch(t, r)
	wantIs(t, r.FetchCommit(t.Context(), lost), ErrMissing)
	o.run(o.bare, "config", "uploadpack.allowAnySHA1InWant", "true")
	if err := r.FetchCommit(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Snapshot(lost); err != nil {
		t.Fatal(err)
	}
	wantSays(t, r.FetchCommit(t.Context(), "main"), "not a commit id")
	err := r.FetchCommit(t.Context(), strings.Repeat("1", 40))
	if err == nil {
		t.Fatal("a commit that never was is found")
	}
}

func TestStoreSurvivesARestart(t *testing.T) {
	o := newOrigin(t)
	dir := filepath.Join(t.TempDir(), "store")
	first := o.commit(map[string]string{"a": "1"})
	r := o.open(Options{Dir: dir})
	fetch(t, r)
	_, err := Open(t.Context(), Options{URL: o.bare, Dir: dir})
	wantIs(t, err, ErrInUse)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	// What a killed process leaves: files on their way, and a pack without its index.
	for _, name := range []string{"incoming-1", "pack-" + strings.Repeat("0", 40) + ".pack"} {
		if err := os.WriteFile(filepath.Join(dir, "objects/pack", name), []byte("PACK"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	second := o.commit(map[string]string{"a": "2"})
	r, err = Open(t.Context(), Options{URL: o.bare, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Snapshot(first); err != nil {
		t.Fatalf("the store was not kept: %v", err)
	}
	if got := fetch(t, r); got["main"] != second {
		t.Fatalf("got %v", got)
	}
	o.run(dir, "fsck", "--strict")
	if _, err := os.Stat(filepath.Join(dir, "objects/pack/incoming-1")); err == nil {
		t.Fatal("a file of a killed process is still there")
	}
}

func TestDamagedStoreIsFetchedAgain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, b []byte) []byte
		suffix string
	}{
		{"the pack is cut off", func(_ *testing.T, b []byte) []byte { return b[:len(b)-30] }, ".pack"},
		{"the pack is empty", func(*testing.T, []byte) []byte { return nil }, ".pack"},
		{"the index is cut off", func(_ *testing.T, b []byte) []byte { return b[:len(b)/2] }, ".idx"},
		{"the index is another's", func(_ *testing.T, b []byte) []byte { b[len(b)-30]++; return b }, ".idx"},
		{"an object is damaged", func(_ *testing.T, b []byte) []byte {
			return append(b[:12], append(bytes.Repeat([]byte{0xff}, 60), b[72:]...)...)
		}, ".pack"},
		{"the refs are damaged", func(*testing.T, []byte) []byte { return []byte("nonsense") }, "packed-refs"},
		{"the refs name what is missing", func(*testing.T, []byte) []byte {
			return []byte(strings.Repeat("1", 40) + " refs/remotes/origin/main\n")
		}, "packed-refs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOrigin(t)
			dir := filepath.Join(t.TempDir(), "store")
			id := o.commit(map[string]string{"a": "1", "b/c": strings.Repeat("long ", 100)})
			r := o.open(Options{Dir: dir})
			fetch(t, r)
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || !strings.HasSuffix(path, tt.suffix) {
					return err
				}
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				return os.WriteFile(path, tt.damage(t, b), 0o600)
			})
			if err != nil {
				t.Fatal(err)
			}
			r, err = Open(t.Context(), Options{URL: o.bare, Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			// Damage that only shows on reading costs one failure, and the fetch after it repairs the store.
			for range 2 {
				if _, err = r.Fetch(t.Context()); err == nil {
					_, err = r.Changed(t.Context(), "", id)
				}
				if s, e := r.Snapshot(id); e == nil && err == nil {
					_, err = s.ReadFile("b/c")
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestStoreNeverTakesAnotherFolder(t *testing.T) {
	o := newOrigin(t)
	id := o.commit(map[string]string{"a": "1"})
	_, err := Open(t.Context(), Options{URL: o.bare, Dir: o.bare})
	wantSays(t, err, "holds other files")
	if o.tip("main") != id {
		t.Fatal("the repository was changed")
	}
}

func TestPacksStayFew(t *testing.T) {
	if testing.Short() {
		t.Skip("300 fetches take some seconds")
	}
	dir := filepath.Join(t.TempDir(), "store")
	o := newOrigin(t)
	first := o.commit(map[string]string{"a": "1"})
	r := o.open(Options{Dir: dir})
	fetch(t, r)
	other := o.open(Options{})
	fetch(t, other)
	tip := first
	var ids []string
	for i := range 300 {
		tip = write(t, other, draft(tip, file("a", fmt.Sprint(i))))
		ids = append(ids, tip)
		if n := len(other.store.packs); n > maxPacks+1 {
			t.Fatalf("%d packs after %d commits", n, i+1)
		}
	}
	if err := other.Push(t.Context(), "next", "", tip); err != nil {
		t.Fatal(err)
	}
	o.run(o.bare, "update-ref", "-d", "refs/heads/next")
	for i, id := range ids { // Main moves one commit at a time.
		if err := os.WriteFile(filepath.Join(o.bare, "refs/heads/main"), []byte(id+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		fetch(t, r)
		if n := len(r.store.packs); n > maxPacks+1 {
			t.Fatalf("%d packs after %d fetches", n, i+1)
		}
	}
	n := 0
	for c, err := range r.FirstParents(tip) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Snapshot(c.ID); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 301 {
		t.Fatalf("the history has %d commits, want 301", n)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "objects/pack/*.pack"))
	if len(files) != len(r.store.packs) {
		t.Fatalf("%d packs on disk, %d in use", len(files), len(r.store.packs))
	}
	o.run(dir, "fsck", "--strict")
}

func TestReadersGoOnWhileFetchesRun(t *testing.T) {
	stores(t, func(t *testing.T, dir string) {
		o := newOrigin(t)
		files := map[string]string{}
		for i := range 20 {
			files[fmt.Sprintf("d%d/f%d", i%5, i)] = fmt.Sprint(i)
		}
		tip := o.commit(files)
		r := o.open(Options{Dir: dir})
		fetch(t, r)
		first := tip
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		done := make(chan struct{})
		for range 2 {
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					s, err := r.Snapshot(first)
					if err != nil {
						t.Error(err)
						return
					}
					err = fs.WalkDir(s, ".", func(p string, d fs.DirEntry, err error) error {
						if err != nil || d.IsDir() {
							return err
						}
						b, err := s.ReadFile(p)
						if err == nil && string(b) != files[p] {
							err = fmt.Errorf("%s holds %q", p, b)
						}
						return err
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for i := range 20 {
			next := write(t, r, draft(tip, file("a", fmt.Sprint(i))))
			if err := r.Push(ctx, "main", tip, next); err != nil {
				t.Error(err)
				break
			}
			tip = next
			if _, err := r.Fetch(ctx); err != nil {
				t.Error(err)
				break
			}
			if _, err := r.Changed(ctx, first, tip); err != nil {
				t.Error(err)
				break
			}
		}
		close(done)
		wg.Wait()
	})
}
