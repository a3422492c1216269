package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/spec"
)

const run1, run2 = spec.RunID("01hzzzzzzzzzzzzzzzzzzzzzz1"), spec.RunID("01hzzzzzzzzzzzzzzzzzzzzzz2")

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// TestWhatIsShownIsNewerThanWhatIsKept checks that a summary which is not on the disk is seen until that one is, and not after a
// restart.
func TestWhatIsShownIsNewerThanWhatIsKept(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	at := func(turns int) spec.RunSummary {
		return spec.RunSummary{Task: spec.Task{Run: "01kb0000000000000000000000"}, Phase: spec.PhaseRunning, Turns: turns, Entries: turns}
	}
	seen := func(s *Store, turns int) {
		t.Helper()
		all, err := s.Runs(t.Context())
		one, err2 := s.GetRun(t.Context(), at(0).Run)
		if err != nil || err2 != nil || len(all) != 1 || all[0].Turns != turns || one.Turns != turns {
			t.Errorf("%+v, %+v, %v, %v: want %d turns", all, one, err, err2, turns)
		}
	}
	must(t, s.PutRun(t.Context(), at(1)))
	s.ShowRun(at(3))
	s.ShowRun(at(2))
	seen(s, 3)
	must(t, s.PutRun(t.Context(), at(2)))
	seen(s, 3)
	must(t, s.PutRun(t.Context(), at(4)))
	s.ShowRun(at(3))
	seen(s, 4)
	s.ShowRun(at(5))
	must(t, s.Close())
	if s, err = Open(t.Context(), Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	seen(s, 4)
	must(t, s.Close())
}

func open(t testing.TB, opts Options) *Store {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	s, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func entry(n int, text string) spec.Entry {
	return spec.Entry{Type: spec.EntryAnswer, At: noon, N: n, Answer: &spec.Answer{Body: []byte(strconv.Quote(text))}}
}

func (s *Store) mustAppend(t *testing.T, run spec.RunID, after uint64, entries ...spec.Entry) uint64 {
	t.Helper()
	seq, err := s.Append(t.Context(), run, after, entries...)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func TestARecordIsReadAsItWasWrittenAfterReopening(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	var want []spec.Entry
	var last uint64
	for i := range 20 {
		some := []spec.Entry{entry(2*i+1, fmt.Sprintf("<a> & %d", i)), entry(2*i+2, "of the same write")}[:1+i%2]
		last = s.mustAppend(t, run1, last, some...)
		s.mustAppend(t, run2, map[bool]uint64{true: 0, false: last - 1}[i == 0], some...)
		want = append(want, some...)
	}
	for _, reopened := range []bool{false, true} {
		if reopened {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, Options{Dir: dir})
		}
		got, at, err := s.Record(t.Context(), run1)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" || at != last {
			t.Errorf("reopened %t: position %d, want %d; entries differ:\n%s", reopened, at, last, diff)
		}
	}
	if got, at, err := s.Record(t.Context(), "unknown"); err != nil || len(got) != 0 || at != 0 {
		t.Errorf("an unknown run: %v %d %v", got, at, err)
	}
}

func TestAnAppendAfterAnOldPositionIsAConflict(t *testing.T) {
	s := open(t, Options{})
	first := s.mustAppend(t, run1, 0, entry(1, "a"))
	s.mustAppend(t, run1, first, entry(2, "b"))
	for _, after := range []uint64{0, first, first + 7} {
		_, err := s.Append(t.Context(), run1, after, entry(3, "c"))
		var c interface{ Conflict() bool }
		if !errors.Is(err, ErrConflict) || !errors.As(err, &c) || !c.Conflict() {
			t.Errorf("append after %d: %v, want a conflict", after, err)
		}
	}
}

func TestOfManyWritersEachPositionHasOne(t *testing.T) {
	s := open(t, Options{})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for done := 0; done < 10; {
				_, last, err := s.Record(t.Context(), run1)
				if err != nil {
					t.Error(err)
					return
				}
				switch _, err := s.Append(t.Context(), run1, last, entry(w, "x")); {
				case err == nil:
					done++
				case !errors.Is(err, ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if entries, _, err := s.Record(t.Context(), run1); err != nil || len(entries) != 80 {
		t.Errorf("%d entries, %v; want 80", len(entries), err)
	}
}

func TestWritesThatComeAtOnceHaveEachTheirOwnEnd(t *testing.T) {
	const runs, rounds = 200, 3
	s := open(t, Options{})
	var wg sync.WaitGroup
	for i := range runs {
		run := spec.RunID(fmt.Sprint("r", i))
		wg.Go(func() {
			var last uint64
			for n := range rounds {
				if i%50 == 7 { // Somebody else was first, and the others are not to suffer for it.
					if _, err := s.Append(t.Context(), run, last+1_000_000, entry(n, "x")); !errors.Is(err, ErrConflict) {
						t.Errorf("%s: %v, want a conflict", run, err)
					}
				}
				var err error
				if last, err = s.Append(t.Context(), run, last, entry(n, string(run))); err != nil {
					t.Errorf("%s: %v", run, err)
					return
				}
			}
			entries, at, err := s.Record(t.Context(), run)
			if err != nil || len(entries) != rounds || at != last {
				t.Errorf("%s: %d entries up to %d, want %d up to %d, %v", run, len(entries), at, rounds, last, err)
			}
			for _, e := range entries {
				if string(e.Answer.Body) != strconv.Quote(string(run)) {
					t.Errorf("%s has an entry of another run: %s", run, e.Answer.Body)
				}
			}
		})
	}
	wg.Wait()
}

func TestWhatCannotBeASubjectIsRefused(t *testing.T) {
	s := open(t, Options{})
	for _, id := range []spec.RunID{"", "a.b", "*", ">", "a b", "A", spec.RunID(strings.Repeat("a", 65)), "a\r\nPUB"} {
		if _, err := s.Append(t.Context(), id, 0, entry(1, "")); err == nil {
			t.Errorf("append to %q: no error", id)
		}
		if err := s.Enqueue(t.Context(), id); err == nil {
			t.Errorf("enqueue %q: no error", id)
		}
		if _, err := s.GetRun(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("get %q: %v", id, err)
		}
	}
	for _, key := range []string{"", "a b", "a//b", "/a", "a.", "ä", "*", strings.Repeat("a", 257)} {
		if err := s.Put(t.Context(), key, nil); err == nil {
			t.Errorf("put %q: no error", key)
		}
	}
}

func TestAnEntryThatIsTooLargeIsRefusedAndALargeOneIsKept(t *testing.T) {
	s := open(t, Options{})
	half := entry(1, strings.Repeat("<", MaxEntry/2))
	if _, err := s.Append(t.Context(), run1, 0, half, half); !errors.Is(err, ErrTooLarge) {
		t.Errorf("two entries that are too large together: %v", err)
	}
	if _, err := s.Append(t.Context(), run1, 0, entry(1, strings.Repeat("<", MaxEntry))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("append: %v, want ErrTooLarge", err)
	}
	if err := s.Put(t.Context(), "x", make([]byte, MaxEntry+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("put: %v, want ErrTooLarge", err)
	}
	e := entry(1, strings.Repeat("<", MaxEntry-1024))
	s.mustAppend(t, run1, 0, e)
	got, _, err := s.Record(t.Context(), run1)
	if err != nil || len(got) != 1 || !bytes.Equal(got[0].Answer.Body, e.Answer.Body) {
		t.Errorf("the large entry was not kept as it was: %v", err)
	}
}

func TestAFullStoreForgetsTheOldestFinishedRun(t *testing.T) {
	s := open(t, Options{maxRecords: 1 << 20})
	big := entry(1, strings.Repeat("x", 100<<10))
	finished := func(i int) spec.RunID { return spec.RunID(fmt.Sprintf("finished%02d", i)) }
	for i := range 5 {
		s.mustAppend(t, finished(i), 0, big)
		sum := spec.RunSummary{Task: spec.Task{Run: finished(i)}, Phase: spec.PhaseSucceeded, Updated: noon.Add(time.Duration(i) * time.Hour), Outcome: &spec.Outcome{}}
		if err := s.PutRun(t.Context(), sum); err != nil {
			t.Fatal(err)
		}
	}
	var last uint64
	for range 7 {
		last = s.mustAppend(t, run1, last, big)
	}
	if e, _, err := s.Record(t.Context(), finished(0)); err != nil || len(e) != 0 {
		t.Errorf("the oldest finished run is still there: %d entries, %v", len(e), err)
	}
	if _, err := s.GetRun(t.Context(), finished(0)); !errors.Is(err, ErrNotFound) {
		t.Errorf("its summary: %v", err)
	}
	if e, _, err := s.Record(t.Context(), finished(4)); err != nil || len(e) != 1 {
		t.Errorf("the newest finished run is gone: %d entries, %v", len(e), err)
	}
	var err error
	for i := 0; err == nil && i < 20; i++ {
		last, err = s.Append(t.Context(), run1, last, big)
	}
	if !errors.Is(err, ErrFull) {
		t.Errorf("a store full of a run that is not finished: %v, want ErrFull", err)
	}
	if e, _, err := s.Record(t.Context(), run1); err != nil || len(e) < 7 {
		t.Errorf("the run that is not finished lost entries: %d, %v", len(e), err)
	}
}

func TestTheLastFactIsKept(t *testing.T) {
	s := open(t, Options{})
	if _, err := s.Get(t.Context(), "trigger/nightly"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown fact: %v", err)
	}
	for _, value := range []string{"1", "2"} {
		if err := s.Put(t.Context(), "trigger/nightly", []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := s.Get(t.Context(), "trigger/nightly"); err != nil || string(v) != "2" {
		t.Errorf("%s, %v; want 2", v, err)
	}
}

func TestSummariesAreListed(t *testing.T) {
	s := open(t, Options{})
	if runs, err := s.Runs(t.Context()); err != nil || len(runs) != 0 {
		t.Errorf("an empty store: %v %v", runs, err)
	}
	want := spec.RunSummary{Task: spec.Task{Run: run1, At: noon, Agent: "triage"}, Phase: spec.PhaseWaiting, Updated: noon}
	for _, phase := range []string{spec.PhaseQueued, spec.PhaseWaiting} {
		want.Phase = phase
		if err := s.PutRun(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	runs, err := s.Runs(t.Context())
	if err != nil || !cmp.Equal(runs, []spec.RunSummary{want}) {
		t.Errorf("%v, %v", runs, err)
	}
	if got, err := s.GetRun(t.Context(), run1); err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if err := s.Forget(t.Context(), run1); err != nil {
		t.Error(err)
	}
	if runs, err := s.Runs(t.Context()); err != nil || len(runs) != 0 {
		t.Errorf("after forgetting: %v %v", runs, err)
	}
}

func TestASecondOpenerLearnsWhoHasTheStore(t *testing.T) {
	dir := t.TempDir()
	open(t, Options{Dir: dir})
	_, err := Open(t.Context(), Options{Dir: dir})
	var locked *ErrLocked
	if !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("%v, want ErrLocked by %d", err, os.Getpid())
	}
}

func TestBarriersStandAroundEveryWrite(t *testing.T) {
	var points []string
	s := open(t, Options{Barrier: func(p string) { points = append(points, p) }})
	s.mustAppend(t, run1, 0, entry(1, ""))
	for _, err := range []error{s.PutRun(t.Context(), spec.RunSummary{Task: spec.Task{Run: run1}}), s.Enqueue(t.Context(), run1), s.Put(t.Context(), "trigger/x", nil)} {
		if err != nil {
			t.Error(err)
		}
	}
	l, err := s.Dequeue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Done(); err != nil {
		t.Error(err)
	}
	var want []string
	for _, name := range []string{"append answer", "summary", "enqueue", "fact trigger", "dequeue"} {
		want = append(want, name+": before", name+": after")
	}
	if diff := cmp.Diff(want, points); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkOpenNew(b *testing.B) {
	for b.Loop() {
		s, err := Open(b.Context(), Options{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// writerDir makes the test binary the process that TestNothingAcknowledgedIsLostWhenTheProcessIsKilled kills: it writes
// into that folder for ever.
const writerDir = "STORE_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		fmt.Fprintln(os.Stderr, writeForEver(context.Background(), dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func writeForEver(ctx context.Context, dir string) error {
	s, err := Open(ctx, Options{Dir: dir})
	if err != nil {
		return err
	}
	if err := s.Enqueue(ctx, run1); err != nil {
		return err
	}
	if _, err := s.Dequeue(ctx); err != nil {
		return err
	}
	var last uint64
	for i := 1; ; i++ {
		if last, err = s.Append(ctx, run1, last, entry(i, strings.Repeat("x", 2000))); err != nil {
			return err
		}
		fmt.Printf("wrote %d\n", i)
	}
}

func TestNothingAcknowledgedIsLostWhenTheProcessIsKilled(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wrote, want := 0, 200
	for wrote < want {
		if _, err := fmt.Fscanf(out, "wrote %d\n", &wrote); err != nil {
			t.Fatalf("after %d: %v", wrote, err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // It was killed.
	s := open(t, Options{Dir: dir})
	entries, last, err := s.Record(t.Context(), run1)
	if err != nil || len(entries) < want {
		t.Fatalf("%d entries, %v; %d were acknowledged", len(entries), err, want)
	}
	s.mustAppend(t, run1, last, entry(1, "the next"))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	lease, err := s.Dequeue(ctx)
	if err != nil || lease.Run() != run1 {
		t.Fatalf("the run of the dead process is not given out: %v", err)
	}
}

func TestDamageIsToldAndNotAPanic(t *testing.T) {
	streams := filepath.Join("jetstream", "$G", "streams")
	remove := func(path string) func(string) error {
		return func(dir string) error { return os.RemoveAll(filepath.Join(dir, path)) }
	}
	write := func(path, text string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600) }
	}
	blocks := func(change func([]byte) []byte) func(string) error {
		return func(dir string) error {
			paths, err := filepath.Glob(filepath.Join(dir, streams, recordStream, "msgs", "*.blk"))
			if err != nil || len(paths) == 0 {
				return fmt.Errorf("no blocks: %w", err)
			}
			for _, path := range paths {
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				if err := os.WriteFile(path, change(b), 0o600); err != nil {
					return err
				}
			}
			return nil
		}
	}
	flip := func(b []byte) []byte {
		for i := len(b) / 4; i < len(b)/2; i++ {
			b[i] ^= 0xff
		}
		return b
	}
	for name, damage := range map[string]func(dir string) error{
		"the records are gone":                   remove(filepath.Join(streams, recordStream)),
		"the summaries are gone":                 remove(filepath.Join(streams, "KV_"+runBucket)),
		"everything of the server is gone":       remove("jetstream"),
		"a stream's description is half written": write(filepath.Join(streams, recordStream, "meta.inf"), `{"name":"REC`),
		"the format is of another version":       write(formatFile, "mainstay store 9\n"),
		"a block is overwritten in the middle":   blocks(flip),
		"a block is cut off":                     blocks(func(b []byte) []byte { return b[:len(b)/2] }),
		"a block is empty":                       blocks(func([]byte) []byte { return nil }),
		"a block is overwritten, the index gone": func(dir string) error {
			return errors.Join(blocks(flip)(dir), remove(filepath.Join(streams, recordStream, "msgs", "index.db"))(dir))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, Options{Dir: dir})
			var last uint64
			for i := range 50 {
				last = s.mustAppend(t, run1, last, entry(i, strings.Repeat("y", i)))
			}
			if err := s.PutRun(t.Context(), spec.RunSummary{Task: spec.Task{Run: run1}, Phase: spec.PhaseWaiting}); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := damage(dir); err != nil {
				t.Fatal(err)
			}
			s, err := Open(t.Context(), Options{Dir: dir})
			if err == nil {
				var entries []spec.Entry
				entries, _, err = s.Record(t.Context(), run1)
				t.Logf("%d entries are left", len(entries))
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			if err == nil {
				t.Error("opened and read without an error")
			} else {
				t.Log(err)
			}
		})
	}
}

func TestARecordThatGrowsWhileItIsReadIsNotDamaged(t *testing.T) {
	s := open(t, Options{})
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, _, err := s.Record(t.Context(), run1); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var last uint64
	for i := range 100 {
		last = s.mustAppend(t, run1, last, entry(i, ""))
		must(t, s.PutRun(t.Context(), spec.RunSummary{Task: spec.Task{Run: run1}}))
	}
	close(done)
	wg.Wait()
}
