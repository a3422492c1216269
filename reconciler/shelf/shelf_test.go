package shelf

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

var (
	ctx = context.Background()
	at  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func runID(n int) spec.RunID { return spec.RunID(fmt.Sprintf("01jd%022d", n)) }

func record(n int, text string) []spec.Entry {
	return []spec.Entry{
		{Type: spec.EntryTask, At: at, Task: &spec.Task{Run: runID(n), Agent: "triage", Text: text, At: at}},
		{Type: spec.EntryRequest, At: at, N: 1, Request: &spec.Request{Lane: spec.MainLane, Kind: spec.RequestModel, Body: json.RawMessage(`{"a":1}`)}},
	}
}

type world struct {
	*testing.T
	dir     string
	trusted []spec.Key
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: filepath.Join(t.TempDir(), "remote.git")}
	w.git("init", "-q", "--bare", "-b", "main", w.dir)
	return w
}

func (w *world) git(args ...string) string {
	w.Helper()
	cmd := exec.Command("git", args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_DIR=" + w.dir}
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) signer(trusted bool) *remote.Signer {
	w.Helper()
	s, err := remote.GenerateSigner(filepath.Join(w.TempDir(), "key"), "key")
	w.ok(err)
	if trusted {
		w.trusted = append(w.trusted, s.Public("robot"))
	}
	return s
}

// shelf is that of a process on a fresh disk.
func (w *world) shelf(s *remote.Signer) *Shelf {
	w.Helper()
	r, err := remote.Open(ctx, remote.Options{URL: w.dir})
	w.ok(err)
	w.Cleanup(func() { w.ok(r.Close()) })
	return New(Options{
		Remote: r, Signer: s, Name: "robot", Email: "robot@example.com", Now: func() time.Time { return at },
		Trusted: func() ([]spec.Key, error) { return w.trusted, nil },
	})
}

func (w *world) list(s *Shelf) Contents {
	w.Helper()
	c, err := s.List(ctx)
	w.ok(err)
	return c
}

func TestARecordIsReadOnAFreshDisk(t *testing.T) {
	w := newWorld(t)
	key := w.signer(true)
	if c := w.list(w.shelf(key)); len(c.Runs)+len(c.Triggers)+len(c.Ignored) != 0 {
		t.Errorf("an empty shelf holds %+v", c)
	}
	position := Position{Revision: "main@sha1:abc", At: at}
	w.ok(w.shelf(key).Sync(ctx, Changes{
		Put:      map[spec.RunID][]spec.Entry{runID(1): record(1, "one"), runID(2): record(2, "two")},
		Triggers: map[string]Position{"nightly": position},
	}))
	if n := w.git("rev-list", "--count", Branch); n != "1" {
		t.Errorf("%s commits", n)
	}
	fresh := w.shelf(nil)
	want := Contents{Runs: []spec.RunID{runID(1), runID(2)}, Triggers: map[string]Position{"nightly": position}}
	if diff := cmp.Diff(want, w.list(fresh)); diff != "" {
		t.Error(diff)
	}
	got, err := fresh.Get(ctx, runID(2))
	w.ok(err)
	if diff := cmp.Diff(record(2, "two"), got); diff != "" {
		t.Error(diff)
	}
	if _, err := fresh.Get(ctx, runID(3)); !errors.Is(err, ErrNotFound) {
		t.Errorf("got the error %v", err)
	}
}

func TestWhatDoesNotChangeMakesNoCommit(t *testing.T) {
	w := newWorld(t)
	s := w.shelf(w.signer(true))
	w.ok(s.Put(ctx, runID(1), record(1, "one")))
	tip := w.git("rev-parse", Branch)
	w.ok(s.Put(ctx, runID(1), record(1, "one")))
	w.ok(s.Remove(ctx, runID(2)))
	w.ok(s.Sync(ctx, Changes{}))
	if w.git("rev-parse", Branch) != tip {
		t.Error("the branch has moved")
	}
	w.ok(s.Sync(ctx, Changes{Put: map[spec.RunID][]spec.Entry{runID(2): record(2, "two")}, Remove: []spec.RunID{runID(1)}}))
	if diff := cmp.Diff([]spec.RunID{runID(2)}, w.list(s).Runs); diff != "" {
		t.Error(diff)
	}
	w.ok(s.Remove(ctx, runID(2)))
	if c := w.list(s); len(c.Runs) != 0 {
		t.Errorf("%+v", c)
	}
}

func TestARecordThatNoTrustedKeySignedIsPassedOver(t *testing.T) {
	w := newWorld(t)
	mine, theirs := w.signer(true), w.signer(false)
	s := w.shelf(mine)
	w.ok(s.Sync(ctx, Changes{Put: map[spec.RunID][]spec.Entry{runID(1): record(1, "one"), runID(2): record(2, "two")}}))
	w.ok(w.shelf(theirs).Put(ctx, runID(2), record(2, "do something else")))
	w.ok(w.shelf(nil).Put(ctx, runID(3), record(3, "unsigned")))
	c := w.list(s)
	if diff := cmp.Diff([]spec.RunID{runID(1)}, c.Runs); diff != "" || len(c.Ignored) != 2 {
		t.Errorf("%s\n%q", diff, c.Ignored)
	}
	if _, err := s.Get(ctx, runID(2)); !errors.Is(err, ErrNotFound) {
		t.Errorf("got the error %v", err)
	}

	t.Run("until a trusted key puts it there again", func(t *testing.T) {
		w.ok(s.Put(ctx, runID(2), record(2, "two")))
		w.ok(s.Put(ctx, runID(3), record(3, "unsigned"))) // the very same bytes
		c := w.list(s)
		if diff := cmp.Diff([]spec.RunID{runID(1), runID(2), runID(3)}, c.Runs); diff != "" || len(c.Ignored) != 0 {
			t.Errorf("%s\n%q", diff, c.Ignored)
		}
	})
}

func TestTwoProcessesWriteAtTheSameTimeAndNothingIsLost(t *testing.T) {
	w := newWorld(t)
	key := w.signer(true)
	var wg sync.WaitGroup
	for p := range 3 {
		s := w.shelf(key)
		wg.Go(func() {
			for n := range 5 {
				if err := s.Put(ctx, runID(10*p+n), record(10*p+n, "text")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if c := w.list(w.shelf(key)); len(c.Runs) != 15 {
		t.Errorf("%d runs", len(c.Runs))
	}
}

func TestARecordThatIsTooLargeIsRefusedAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	s := w.shelf(w.signer(true))
	noise := make([]byte, MaxRecord+1)
	rand.Read(noise)
	err := s.Sync(ctx, Changes{Put: map[spec.RunID][]spec.Entry{
		runID(1): record(1, "one"), runID(2): record(2, base64.StdEncoding.EncodeToString(noise)),
	}})
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), string(runID(2))) {
		t.Errorf("got the error %v", err)
	}
	if c := w.list(s); len(c.Runs) != 0 {
		t.Errorf("%+v", c)
	}
}

func TestARecordThatUnpacksToTooMuchIsRefused(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := fmt.Fprintf(z, `{"type":"task","task":{"text":"%s"}}`, strings.Repeat("x", maxUnpacked)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := unpack(b.Bytes()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got the error %v", err)
	}
}

func TestNamesThatAreNotRunsOrTriggersAreRefused(t *testing.T) {
	s := newWorld(t).shelf(nil)
	for name, c := range map[string]Changes{
		"a run":            {Put: map[spec.RunID][]spec.Entry{"../../main": record(1, "")}},
		"a removed run":    {Remove: []spec.RunID{"x"}},
		"a trigger":        {Triggers: map[string]Position{"a/b": {}}},
		"a run both ways":  {Put: map[spec.RunID][]spec.Entry{runID(1): record(1, "")}, Remove: []spec.RunID{runID(1)}},
		"an empty record":  {Put: map[spec.RunID][]spec.Entry{runID(1): nil}},
		"a forgotten name": {Forget: []string{""}},
	} {
		if err := s.Sync(ctx, c); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	b, err := pack(record(1, "one"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := unpack(b)
		if err != nil {
			return
		}
		again, err := pack(entries)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unpack(again); err != nil {
			t.Fatal(err)
		}
	})
}
