package vectors

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"
)

// random makes vectors that have nothing to do with one another.
func random(r *rand.Rand, dims int) func([]float32) {
	return func(v []float32) {
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
	}
}

// clustered makes vectors like those that models make of texts: some directions tell more than others, a few are large in all vectors, and
// texts are about one of so many subjects.
func clustered(r *rand.Rand, dims, subjects int) func([]float32) {
	spread := make([]float32, dims)
	for i := range spread {
		spread[i] = float32(1 / math.Sqrt(1+float64(i)/32))
	}
	r.Shuffle(dims, func(i, j int) { spread[i], spread[j] = spread[j], spread[i] })
	common := make([]float32, dims)
	for i := range 4 {
		common[i*dims/4] = 3
	}
	centres := make([][]float32, subjects)
	for c := range centres {
		centres[c] = make([]float32, dims)
		for i := range centres[c] {
			centres[c][i] = common[i] + spread[i]*float32(r.NormFloat64())
		}
	}
	return func(v []float32) {
		for i, x := range centres[r.IntN(subjects)] {
			v[i] = x + .6*spread[i]*float32(r.NormFloat64())
		}
	}
}

// nearlyTheSame makes vectors that are apart by less than a byte can tell.
func nearlyTheSame(r *rand.Rand, dims int) func([]float32) {
	return func(v []float32) {
		for i := range v {
			v[i] = float32(1+i%10) + float32(r.NormFloat64())/200
		}
	}
}

// made are count vectors.
func made(tb testing.TB, count, dims int, next func([]float32)) *Set {
	s, err := New(dims)
	if err != nil {
		tb.Fatal(err)
	}
	s.cells, s.scales, s.exact = make([]int8, 0, count*dims), make([]float32, 0, count), make([]float32, 0, count*dims)
	v := make([]float32, dims)
	for range count {
		next(v)
		if err := s.Add(v); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

// byFloats are the neighbours of a question by the floats of all vectors.
func byFloats(s *Search, in *Set, most int) []Neighbour {
	all := make([]Neighbour, in.Len())
	for i := range all {
		all[i] = Neighbour{i, s.Cosine(in, i)}
	}
	slices.SortFunc(all, compare)
	return all[:most]
}

// recall is what part of the ten nearest vectors is found, of so many questions.
func recall(tb testing.TB, in *Set, questions int, next func([]float32)) float64 {
	var s Search
	v, found := make([]float32, in.Dims()), 0
	for range questions {
		next(v)
		if err := s.Ask(v); err != nil {
			tb.Fatal(err)
		}
		by, err := s.Nearest(context.Background(), in, nil, 10, nil)
		if err != nil {
			tb.Fatal(err)
		}
		for _, n := range byFloats(&s, in, 10) {
			if slices.Contains(by, n) {
				found++
			}
		}
	}
	return float64(found) / float64(10*questions)
}

// read reads bytes as fast as Go can: once by the assembly of the standard library, which looks for a byte that is not there, and once by
// whole words.
func read(all []int8) {
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(all))), len(all))
	sink += uint64(bytes.IndexByte(b, 0x80)) // no cell is -128
}

func readWords(all []int8) {
	words := unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(all))), len(all)/8)
	var s0, s1, s2, s3, s4, s5, s6, s7 uint64
	for len(words) >= 8 {
		s0, s1, s2, s3 = s0+words[0], s1+words[1], s2+words[2], s3+words[3]
		s4, s5, s6, s7 = s4+words[4], s5+words[5], s6+words[6], s7+words[7]
		words = words[8:]
	}
	sink += s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7
}

var sink uint64

// BenchmarkNearest finds the ten nearest of 100,000 vectors, beside reading their bytes once. Both take turns, so that what else the machine
// does slows down both, and the fastest of all turns counts.
func BenchmarkNearest(b *testing.B) {
	const count, dims, questions = 100_000, 768, 100
	for _, data := range []struct {
		name string
		next func(*rand.Rand) func([]float32)
	}{
		{"clustered", func(r *rand.Rand) func([]float32) { return clustered(r, dims, 1000) }},
		{"random", func(r *rand.Rand) func([]float32) { return random(r, dims) }},
	} {
		next := data.next(rand.New(rand.NewPCG(1, 2)))
		in := made(b, count, dims, next)
		found := recall(b, in, questions, next)
		v := make([]float32, dims)
		next(v)
		for _, k := range kernels() {
			b.Run(data.name+"/"+k.name, func(b *testing.B) {
				s := Search{kernel: k}
				to := make([]Neighbour, 0, 10)
				fastest := func(of time.Duration, do func()) time.Duration {
					begin := time.Now()
					do()
					return min(of, time.Since(begin))
				}
				reading, words, searching := time.Hour, time.Hour, time.Hour
				for b.Loop() {
					reading = fastest(reading, func() { read(in.cells) })
					searching = fastest(searching, func() {
						if err := s.Ask(v); err != nil {
							b.Fatal(err)
						}
						if _, err := s.Nearest(context.Background(), in, nil, 10, to); err != nil {
							b.Fatal(err)
						}
					})
					words = fastest(words, func() { readWords(in.cells) })
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(reading.Seconds()*1000, "ms/read")
				b.ReportMetric(words.Seconds()*1000, "ms/words")
				b.ReportMetric(searching.Seconds()*1000, "ms/search")
				b.ReportMetric(float64(searching)/float64(min(reading, words)), "search/read")
				b.ReportMetric(found, "recall@10")
			})
		}
	}
}
