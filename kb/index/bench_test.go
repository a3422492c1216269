package index_test

import (
	"maps"
	"runtime"
	"slices"
	"testing"

	"github.com/mainstay-dev/mainstay/kb/enginetest"
	"github.com/mainstay-dev/mainstay/kb/index"
)

func build() *index.Index {
	b := index.NewBuilder()
	code := enginetest.Code()
	for _, name := range slices.Sorted(maps.Keys(code)) {
		for _, c := range code[name].Chunks {
			b.Add(index.Document{ID: name, Title: name, Text: c.Text})
		}
	}
	return b.Build()
}

func BenchmarkBuild(b *testing.B) {
	text := 0
	for _, d := range enginetest.Code() {
		for _, c := range d.Chunks {
			text += len(c.Text)
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var x *index.Index
	for b.Loop() {
		x = build()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(x.Len()*b.N)/b.Elapsed().Seconds(), "chunks/s")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(text), "bytes/byte-of-text")
	runtime.KeepAlive(x)
}

func BenchmarkSearch(b *testing.B) {
	x := build()
	b.Run("words", func(b *testing.B) { enginetest.Asked(b, func(q string) { x.SearchWords(q, 10) }) })
	b.Run("all", func(b *testing.B) { enginetest.Asked(b, func(q string) { x.Search(q, 10) }) })
}
