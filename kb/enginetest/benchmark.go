package enginetest

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mainstay-dev/mainstay/kb"
)

// Code is real text, wherever the tests are: the sources of Go by their path, cut into 100,000 chunks of about 600 bytes. Contents are
// told by the path.
var Code = sync.OnceValue(func() map[string]kb.Document {
	const most, size = 100_000, 600
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		panic(err)
	}
	all, chunks := map[string]kb.Document{}, 0
	root := filepath.Join(strings.TrimSpace(string(goroot)), "src")
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || chunks == most {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, text := strings.TrimPrefix(path, root+"/"), string(raw)
		of := kb.Document{Kind: kb.KindCode, Title: name}
		for len(text) > 0 && chunks < most {
			end := min(size, len(text))
			if line := strings.IndexByte(text[end:], '\n'); line >= 0 && line < size {
				end += line + 1
			}
			of.Chunks = append(of.Chunks, kb.Chunk{Text: text[:end]})
			text = text[end:]
			chunks++
		}
		all[name] = of
		return nil
	})
	if err != nil {
		panic(err)
	}
	return all
})

// Questions are 1,000 of three words that stand near each other in a chunk of Code.
var Questions = sync.OnceValue(func() []string {
	var texts []string
	for _, name := range names() {
		for _, c := range Code()[name].Chunks {
			texts = append(texts, c.Text)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	questions := make([]string, 1000)
	for i := range questions {
		for questions[i] == "" {
			words := strings.Fields(texts[random.IntN(len(texts))])
			if len(words) > 10 {
				at := random.IntN(len(words) - 6)
				questions[i] = strings.Join([]string{words[at], words[at+2], words[at+5]}, " ")
			}
		}
	}
	return questions
})

// CPU is how long this process has kept a core busy, which other processes do not change.
func CPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func names() []string {
	var all []string
	for name := range Code() {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// Asked asks all Questions in turn, and reports how long that takes: by the clock, and of the processor, which others that use it do not
// change.
func Asked(b *testing.B, ask func(question string)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var took, used []time.Duration
	questions := Questions()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		began, before := time.Now(), thread(b)
		ask(questions[i%len(questions)])
		took, used = append(took, time.Since(began)), append(used, thread(b)-before)
	}
	for unit, of := range map[string][]time.Duration{"us": took, "cpu-us": used} {
		slices.Sort(of)
		b.ReportMetric(float64(of[len(of)/2].Microseconds()), "p50-"+unit)
		b.ReportMetric(float64(of[len(of)*99/100].Microseconds()), "p99-"+unit)
	}
}

// thread is how long this thread has kept a core busy.
func thread(b *testing.B) time.Duration {
	var t unix.Timespec
	must(b, unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t))
	return time.Duration(t.Nano())
}

// resident is how many bytes of memory this process has, and had at most since resetPeak: all of it, what is mapped of files included.
func resident(b *testing.B) (now, peak int64) {
	status, err := os.ReadFile("/proc/self/status")
	must(b, err)
	for line := range strings.Lines(string(status)) {
		var of int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &of); n == 1 {
			now = of << 10
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &of); n == 1 {
			peak = of << 10
		}
	}
	return now, peak
}

// resetPeak begins what resident tells anew, where that can be done, and says how much there is.
func resetPeak(b *testing.B) (now int64, ok bool) {
	debug.FreeOSMemory()
	if os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) != nil {
		return 0, false // Elsewhere than on Linux.
	}
	now, _ = resident(b)
	return now, true
}

// Benchmark measures an engine with Code: how fast it is filled and what memory that takes at most besides the text itself, how long a question takes, how long until a file that has changed is
// found, and how long it takes to open what there is. open is asked again for the same folder after Close.
func Benchmark(b *testing.B, open func(b testing.TB, folder string) kb.Engine) {
	folder := b.TempDir()
	e := open(b, folder)
	code, bytes := Code(), 0
	u := kb.Update{Source: "go", To: "0", Format: "1", Read: func(_ context.Context, f kb.File) (kb.Document, error) { return code[f.Path], nil }}
	chunks := 0
	for name, d := range code {
		u.Put = append(u.Put, kb.File{Path: name, Blob: name, Time: day(0)})
		chunks += len(d.Chunks)
		for _, c := range d.Chunks {
			bytes += len(c.Text)
		}
	}
	b.Run("fill", func(b *testing.B) {
		used, memory := time.Duration(0), int64(0)
		for b.Loop() {
			b.StopTimer()
			must(b, e.Forget(b.Context(), "go"))
			began, told := resetPeak(b)
			b.StartTimer()
			before := CPU(b)
			apply(b, e, u)
			used += CPU(b) - before
			if told {
				_, peak := resident(b)
				memory = max(memory, peak-began)
			}
		}
		b.ReportMetric(float64(chunks*b.N)/used.Seconds(), "chunks/cpu-s")
		b.ReportMetric(float64(chunks*b.N)/b.Elapsed().Seconds(), "chunks/s")
		stats, err := e.Stats(b.Context())
		must(b, err)
		b.ReportMetric(float64(stats[0].Disk)/float64(bytes), "disk-bytes/byte-of-text")
		if memory > 0 {
			b.ReportMetric(float64(memory)/float64(bytes), "peak-bytes/byte-of-text")
		}
	})
	if filled, err := e.State(b.Context(), "go"); err != nil || filled == "" {
		apply(b, e, u) // fill was not asked for.
	}
	for name, wordsOnly := range map[string]bool{"words": true, "all": false} {
		b.Run(name, func(b *testing.B) {
			Asked(b, func(question string) {
				if _, err := e.Search(b.Context(), kb.Query{Text: question, Sources: []string{"go"}, WordsOnly: wordsOnly, Most: 10}); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
	state := "0"
	n := 0
	b.Run("change", func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			n++
			word := fmt.Sprintf("changed%dx", n)
			name := "fmt/print.go"
			change := kb.Update{Source: "go", From: state, To: fmt.Sprint("c", n), Format: "1", Put: []kb.File{{Path: name, Blob: word}},
				Read: func(context.Context, kb.File) (kb.Document, error) {
					d := code[name]
					d.Chunks = append(slices.Clone(d.Chunks), kb.Chunk{Text: word})
					return d, nil
				}}
			began := time.Now()
			apply(b, e, change)
			if hits, err := e.Search(b.Context(), kb.Query{Text: word, Sources: []string{"go"}, WordsOnly: true, Most: 1}); err != nil || len(hits) != 1 {
				b.Fatalf("%s is not found: %v", word, err)
			}
			took = append(took, time.Since(began))
			state = change.To
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "most-ms")
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			must(b, e.Close())
			e = open(b, folder)
			if hits, err := e.Search(b.Context(), kb.Query{Text: "node", Sources: []string{"go"}, WordsOnly: true, Most: 1}); err != nil || len(hits) != 1 {
				b.Fatal("nothing is found", err)
			}
		}
	})
	must(b, e.Close())
}
