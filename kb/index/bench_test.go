package index_test

import (
	"cmp"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/kb/index"
)

// chunks are 100,000 pieces of real text of about 600 bytes: the sources of Go, which are wherever the tests are.
var chunks = sync.OnceValue(func() []index.Document {
	const most, size = 100_000, 600
	var all []index.Document
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		panic(err)
	}
	root := filepath.Join(strings.TrimSpace(string(goroot)), "src")
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || len(all) == most {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, text := strings.TrimPrefix(path, root+"/"), string(raw)
		for len(text) > 0 && len(all) < most {
			end := min(size, len(text))
			if line := strings.IndexByte(text[end:], '\n'); line >= 0 && line < size {
				end += line + 1
			}
			all = append(all, index.Document{ID: name, Title: name, Text: text[:end]})
			text = text[end:]
		}
		return nil
	})
	if err != nil {
		panic(err)
	}
	return all
})

func build(of []index.Document) *index.Index {
	b := index.NewBuilder()
	for _, d := range of {
		b.Add(d)
	}
	return b.Build()
}

func BenchmarkBuild(b *testing.B) {
	of := chunks()
	text := 0
	for _, d := range of {
		text += len(d.Text)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var x *index.Index
	for b.Loop() {
		x = build(of)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(len(of)*b.N)/b.Elapsed().Seconds(), "chunks/s")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(text), "bytes/byte-of-text")
	runtime.KeepAlive(x)
}

// BenchmarkSearch asks questions of three words that stand near each other in a chunk, by words alone and by all there is.
func BenchmarkSearch(b *testing.B) {
	of := chunks()
	x := build(of)
	random := rand.New(rand.NewPCG(1, 2))
	questions := make([]string, 1000)
	for i := range questions {
		for questions[i] == "" {
			words := strings.Fields(of[random.IntN(len(of))].Text)
			if len(words) > 10 {
				at := random.IntN(len(words) - 6)
				questions[i] = strings.Join([]string{words[at], words[at+2], words[at+5]}, " ")
			}
		}
	}
	for name, search := range map[string]func(string, int) []index.Hit{"words": x.SearchWords, "all": x.Search} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				began := time.Now()
				search(questions[i%len(questions)], 10)
				took = append(took, time.Since(began))
			}
			slices.SortFunc(took, cmp.Compare[time.Duration])
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
		})
	}
}
