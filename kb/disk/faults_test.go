package disk

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/kb"
)

// texts are the files of a state: enough that their meaning is learned.
func texts(state int) map[string]string {
	files := map[string]string{}
	for i := range 30 {
		files[fmt.Sprintf("%02d.txt", i)] = fmt.Sprintf("pod node%d cluster%d restart drain filler%d", i%5, i%3, i)
	}
	for i := range state {
		files[fmt.Sprintf("%02d.txt", i*7%30)] = fmt.Sprintf("changed in state%d of pod", i)
		files[fmt.Sprintf("new%d.txt", i)] = fmt.Sprintf("drain a node, step%d", i)
		delete(files, fmt.Sprintf("%02d.txt", i*3%30))
	}
	return files
}

func name(state int) string { return fmt.Sprintf("s%d", state) }

func to(state int) kb.Update {
	files := texts(state)
	u := kb.Update{Source: "docs", To: name(state), Format: "1", Read: func(_ context.Context, f kb.File) (kb.Document, error) {
		return kb.Document{Kind: kb.KindText, Chunks: []kb.Chunk{{First: 1, Last: 1, Text: files[f.Path]}}}, nil
	}}
	for path, text := range files {
		u.Put = append(u.Put, kb.File{Path: path, Blob: text})
	}
	return u
}

// is tells how an engine is not in a state, whole.
func is(e *Engine, state int) error {
	ctx := context.Background()
	got, err := e.State(ctx, "docs")
	if err != nil || got != name(state) {
		return fmt.Errorf("the state is %q, want %q: %v", got, name(state), err)
	}
	files, err := e.Files(ctx, "docs")
	want := texts(state)
	if err != nil || len(files) != len(want) {
		return fmt.Errorf("there are %d files, want %d: %v", len(files), len(want), err)
	}
	for path, text := range want {
		if _, d, err := e.Document(ctx, "docs", path); err != nil || d.Chunks[0].Text != text {
			return fmt.Errorf("%s is %v, want %q: %v", path, d, text, err)
		}
	}
	for _, query := range []string{"pod", "node", "changed drain"} {
		hits, err := e.Search(ctx, kb.Query{Text: query, Sources: []string{"docs"}, WordsOnly: true, Most: kb.MaxHits})
		if err != nil {
			return err
		}
		count := 0
		for _, text := range want {
			if slices.ContainsFunc(strings.Fields(query), func(w string) bool {
				return slices.Contains(strings.Fields(strings.ReplaceAll(text, ",", "")), w)
			}) {
				count++
			}
		}
		if len(hits) != count {
			return fmt.Errorf("%q is found %d times, want %d", query, len(hits), count)
		}
	}
	return nil
}

// leftOver are files that no manifest names.
func leftOver(e *Engine) []string {
	var all []string
	folder := filepath.Join(e.folder, sourcesName, folderOf("docs"))
	names, _ := os.ReadDir(folder) // A folder that is not there has none.
	for _, n := range names {
		if s := e.sources["docs"]; n.Name() != manifestName && (s == nil || !s.names(n.Name())) {
			all = append(all, n.Name())
		}
	}
	return all
}

// failing is storage of which one step fails: it does half of what it should. After a crash, all others fail too.
type failing struct {
	system
	left  int
	crash bool
	with  error
}

func (f *failing) step() bool {
	f.left--
	return f.left == -1 || f.crash && f.left < 0
}

func (f *failing) Create(path string) (file, error) {
	if f.step() {
		return nil, fmt.Errorf("create %s: %w", filepath.Base(path), f.with)
	}
	to, err := f.system.Create(path)
	return failingFile{f, to}, err
}

// failingFile is a file of such a storage.
type failingFile struct {
	of *failing
	to file
}

func (f failingFile) Write(b []byte) (int, error) {
	if !f.of.step() {
		return f.to.Write(b)
	}
	n := 0
	if f.of.left == -1 {
		n, _ = f.to.Write(b[:len(b)/2])
	}
	return n, fmt.Errorf("write: %w", f.of.with)
}

func (f failingFile) Sync() error {
	if f.of.step() {
		return f.of.with
	}
	return f.to.Sync()
}

func (f failingFile) Close() error { return f.to.Close() }

func (f *failing) Rename(from, to string) error {
	if f.step() {
		return f.with
	}
	return f.system.Rename(from, to)
}

func (f *failing) Remove(path string) error {
	if f.step() {
		return f.with
	}
	return f.system.Remove(path)
}

func (f *failing) Sync(folder string) error {
	if f.step() {
		return f.with
	}
	return f.system.Sync(folder)
}

// Whichever step of an update, a merge or a removal fails, once as on a full disk or for good as in a crash, the source is in one of the
// states, whole, now and when it is opened again, and the next update goes on.
func TestEveryStepMayFail(t *testing.T) {
	for _, crash := range []bool{false, true} {
		steps := 0
		for ; ; steps++ {
			folder := t.TempDir()
			disk := &failing{left: 1 << 30, crash: crash, with: syscall.ENOSPC}
			e, err := open(folder, disk)
			if err != nil {
				t.Fatal(err)
			}
			disk.left = steps
			var failed error
			state := -1
			for s := range 5 {
				if failed = e.Update(t.Context(), to(s)); failed != nil {
					break
				}
				state = s
			}
			if failed != nil && !errors.Is(failed, syscall.ENOSPC) {
				t.Fatalf("step %d: %v", steps, failed)
			}
			check := func(e *Engine, when string) {
				t.Helper()
				if state < 0 {
					if got, err := e.State(t.Context(), "docs"); err != nil || got != "" {
						t.Fatalf("step %d, crash %v, %s: the state is %q: %v", steps, crash, when, got, err)
					}
				} else if err := is(e, state); err != nil {
					t.Fatalf("step %d, crash %v, %s: %v", steps, crash, when, err)
				}
			}
			check(e, "at once")
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			again, err := Open(folder)
			if err != nil {
				t.Fatalf("step %d: %v", steps, err)
			}
			check(again, "opened again")
			if left := leftOver(again); len(left) > 0 || len(again.Emptied()) > 0 {
				t.Fatalf("step %d: %v is left over, and %v", steps, left, again.Emptied())
			}
			if err := again.Update(t.Context(), to(9)); err != nil {
				t.Fatal(err)
			}
			if err := is(again, 9); err != nil {
				t.Fatalf("step %d, after the next update: %v", steps, err)
			}
			if err := again.Forget(t.Context(), "docs"); err != nil {
				t.Fatal(err)
			}
			if left, err := os.ReadDir(filepath.Join(folder, sourcesName)); err != nil || len(left) > 0 {
				t.Fatalf("%v is left over of what is forgotten: %v", left, err)
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
			if failed == nil && disk.left > 0 {
				break
			}
		}
		if steps < 25 {
			t.Errorf("there are %d steps only", steps)
		}
	}
}

// A disk that is full is noticed while documents are read: the others are not, and the room is given back.
func TestAFullDiskEndsReading(t *testing.T) {
	folder := t.TempDir()
	disk := &failing{left: 1 << 30, with: syscall.ENOSPC}
	e, err := open(folder, disk)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.Update(t.Context(), to(3)); err != nil {
		t.Fatal(err)
	}
	read := 0
	u := kb.Update{Source: "docs", To: "much", Format: "1", Read: func(_ context.Context, f kb.File) (kb.Document, error) {
		read++
		return kb.Document{Chunks: []kb.Chunk{{Text: strings.Repeat("pod drain ", 1000)}}}, nil
	}}
	for i := range 1000 {
		u.Put = append(u.Put, kb.File{Path: fmt.Sprint(i), Blob: fmt.Sprint(i)})
	}
	disk.left = 1 // The file is made, and nothing can be written to it.
	if err := e.Update(t.Context(), u); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is full, and it says %v", err)
	} else if want := "the disk is full that the index " + e.folder + " is on: free some of it, or keep the index on another one"; err.Error() != want {
		t.Errorf("it says %q, want %q", err, want)
	}
	if read == 0 || read > 100 {
		t.Errorf("%d documents were read", read)
	}
	if err := is(e, 3); err != nil || len(leftOver(e)) > 0 {
		t.Errorf("afterwards %v is left over: %v", leftOver(e), err)
	}
}

func TestForgettingMayFail(t *testing.T) {
	for steps := range 5 {
		folder := t.TempDir()
		disk := &failing{left: 1 << 30, crash: true, with: syscall.EIO}
		e, err := open(folder, disk)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Update(t.Context(), to(3)); err != nil {
			t.Fatal(err)
		}
		disk.left = steps
		failed := e.Forget(t.Context(), "docs")
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := Open(folder)
		if err != nil {
			t.Fatal(err)
		}
		if failed != nil {
			err = is(again, 3)
		} else if state, _ := again.State(t.Context(), "docs"); state != "" || len(leftOver(again)) > 0 {
			err = fmt.Errorf("forgotten, and in state %q", state)
		}
		if err != nil || len(again.Emptied()) > 0 {
			t.Errorf("step %d: %v, %v", steps, err, again.Emptied())
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever is done to one of the files, the source is emptied, and never answers wrongly.
func TestDamage(t *testing.T) {
	whole := t.TempDir()
	e, err := Open(whole)
	if err != nil {
		t.Fatal(err)
	}
	for s := range 4 {
		if err := e.Update(t.Context(), to(s)); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string][]byte{}
	folder := filepath.Join(sourcesName, folderOf("docs"))
	for _, f := range append(slices.Clone(e.sources["docs"].files), &mapped{name: manifestName}) {
		b, err := os.ReadFile(filepath.Join(whole, folder, f.name))
		if err != nil {
			t.Fatal(err)
		}
		files[f.name] = b
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for n := range files {
			if !yield(n) {
				return
			}
		}
	})
	if len(names) < 3 {
		t.Fatalf("there are only the files %v", names)
	}
	rapid.Check(t, func(rt *rapid.T) {
		at := filepath.Join(t.TempDir(), "index")
		if err := os.CopyFS(at, os.DirFS(whole)); err != nil {
			rt.Fatal(err)
		}
		name := rapid.SampledFrom(names).Draw(rt, "file")
		b := slices.Clone(files[name])
		path := filepath.Join(at, folder, name)
		switch rapid.SampledFrom([]string{"bit", "short", "long", "gone", "other", "zeros"}).Draw(rt, "damage") {
		case "bit":
			for range rapid.IntRange(1, 3).Draw(rt, "bits") {
				b[rapid.IntRange(0, len(b)-1).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			}
		case "short":
			b = b[:rapid.IntRange(0, len(b)-1).Draw(rt, "size")]
		case "long":
			b = append(b, rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(rt, "more")...)
		case "gone":
			b = nil
		case "other":
			b = slices.Clone(files[rapid.SampledFrom(names).Draw(rt, "other")])
		case "zeros":
			from := rapid.IntRange(0, len(b)-1).Draw(rt, "from")
			clear(b[from:rapid.IntRange(from, len(b)).Draw(rt, "to")])
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			rt.Fatal(err)
		}
		if b == nil {
			if err := os.Remove(path); err != nil {
				rt.Fatal(err)
			}
		}
		e, err := Open(at)
		if err != nil {
			rt.Fatal(err)
		}
		defer e.Close()
		if slices.Equal(b, files[name]) {
			if err := is(e, 3); err != nil {
				rt.Fatal(err)
			}
			return
		}
		if state, err := e.State(t.Context(), "docs"); err != nil || state != "" {
			rt.Fatalf("the state of what is damaged is %q: %v", state, err)
		}
		if b != nil && len(e.Emptied()) != 1 {
			rt.Fatalf("said of it: %v", e.Emptied())
		}
		if err := e.Update(t.Context(), to(2)); err != nil {
			rt.Fatal(err)
		}
		if err := is(e, 2); err != nil {
			rt.Fatal(err)
		}
	})
}

// A process that is killed in the middle of updates leaves one of the states.
func TestKilled(t *testing.T) {
	if folder := os.Getenv("KB_DISK_TEST_FOLDER"); folder != "" {
		e, err := Open(folder)
		if err != nil {
			t.Fatal(err)
		}
		for s := 0; ; s = (s + 1) % 10 {
			if err := e.Update(t.Context(), to(s)); err != nil {
				t.Fatal(err)
			}
			fmt.Println("reached", s)
		}
	}
	folder := filepath.Join(t.TempDir(), "index")
	for round := range 6 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "KB_DISK_TEST_FOLDER="+folder)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		reached := bufio.NewScanner(out)
		last := ""
		for range 1 + round*5 {
			if !reached.Scan() {
				break
			}
			last = reached.Text()
		}
		if e, err := Open(folder); !errors.Is(err, kb.ErrBusy) {
			t.Errorf("a folder that another process has open was opened: %v, %v", e, err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // It was killed.
		if !strings.HasPrefix(last, "reached ") {
			t.Fatalf("the process said %q", last)
		}
		e, err := Open(folder)
		if err != nil {
			t.Fatal(err)
		}
		state, err := e.State(t.Context(), "docs")
		if err != nil || len(e.Emptied()) > 0 {
			t.Fatalf("after it was killed: %v, %v", err, e.Emptied())
		}
		var s int
		if _, err := fmt.Sscanf(state, "s%d", &s); err != nil {
			t.Fatal(err)
		}
		if err := is(e, s); err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzManifest(f *testing.F) {
	b, err := (&manifest{Source: "docs", State: "one", Segments: []part{{File: "1.segment", Gone: []uint64{3}}}}).encode()
	if err != nil {
		f.Fatal(err)
	}
	_, body, _ := bytes.Cut(b, []byte("\n"))
	f.Add(body)
	f.Fuzz(func(t *testing.T, body []byte) {
		folder := filepath.Join(t.TempDir(), folderOf("docs"))
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		b := append(fmt.Appendf(nil, "%s %08x\n", layout, crc32.Checksum(body, castagnoli)), body...)
		if err := os.WriteFile(filepath.Join(folder, manifestName), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := read(folder); err == nil {
			_ = s.stats()
			s.release()
		}
	})
}
