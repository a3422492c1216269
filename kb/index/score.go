package index

import (
	"cmp"
	"math"
	"slices"
	"sync"
)

// The constants of BM25: how fast a word that is repeated stops counting more, and how much long documents count less.
const (
	k1 = 1.2
	b  = 0.6
)

// norm is what BM25 adds to how often a term stands in a chunk, by the chunk's length: base, and by for each term.
type norm struct{ base, by float32 }

func normOf(mean float64) norm { return norm{k1 * (1 - b), float32(k1 * b / mean)} }

// impact is what a term counts that stands so often in a chunk of that length: from 0 to 1.
func (n norm) impact(count uint8, length float32) float32 {
	x := float32(count)
	return x / (x + n.base + n.by*length)
}

// bounds are the highest impacts that are told in a byte for chunks of one average length, where they are of another one: if that is
// longer, all chunks count for shorter than they did.
func bounds(built, mean float64) (of [256]float32) {
	shorter := min(1, built/mean)
	for i := 1; i < len(of); i++ {
		of[i] = float32(1 / (1 + (math.MaxUint8/float64(i)-1)*shorter))
	}
	return of
}

// rarity is what a term counts that stands in so many of the chunks.
func rarity(chunks, in int) float32 {
	return float32(math.Log(1 + (float64(chunks)-float64(in)+.5)/(float64(in)+.5)))
}

// weighed is a term of a segment, and what it counts.
type weighed struct {
	term   uint32
	weight float32
	// ends are where its postings of each block end.
	ends []uint32
}

// scorer scores the chunks of segments. Its memory is used again and again.
type scorer struct {
	terms  []weighed
	most   []float32 // of each block, what its chunks can score at most
	order  []int32
	ends   []uint32
	scores [block]float32
}

var scorers = sync.Pool{New: func() any { return new(scorer) }}

// score adds to best the chunks that have one of s.terms. Blocks that cannot have one of the best are passed over, if that is not
// exhaustive; what is found is the same.
func (s *scorer) score(l *Live, segment int32, mean float64, best *best, exhaustive bool) {
	n := normOf(mean)
	blocks := l.blocks()
	s.prepare(l, n, mean, blocks)
	for _, b := range s.order {
		// Sums of numbers that are rounded may exceed what they are bounded by, a little.
		if !exhaustive && s.most[b]*1.0001 < best.floor() {
			break
		}
		s.scoreBlock(l, n, int(b))
		floor := best.floor()
		for i, score := range s.scores[:min(block, len(l.lengths)-int(b)*block)] {
			if score > 0 && score >= floor {
				best.add(found{score, segment, uint32(int(b)*block + i)})
				floor = best.floor()
			}
		}
	}
}

// prepare finds where the postings of the blocks are, what their chunks can score at most, and the order of the blocks by it.
func (s *scorer) prepare(l *Live, n norm, mean float64, blocks int) {
	s.most = resized(s.most, blocks)
	clear(s.most)
	s.ends = resized(s.ends, blocks*len(s.terms))
	bounds := bounds(l.meta.Mean, mean)
	for i := range s.terms {
		t := &s.terms[i]
		if row, ok := slices.BinarySearch(l.dense, t.term); ok {
			t.ends = l.denseEnds[row*blocks : (row+1)*blocks]
			for b, most := range l.denseMost[row*blocks : (row+1)*blocks] {
				s.most[b] += t.weight * bounds[most]
			}
			continue
		}
		t.ends = s.ends[i*blocks : (i+1)*blocks]
		postings, counts := l.in(t.term)
		at := 0
		for b := range blocks {
			most := float32(0)
			for ; at < len(postings) && int(postings[at]) < (b+1)*block; at++ {
				most = max(most, n.impact(counts[at], l.lengths[postings[at]]))
			}
			t.ends[b] = uint32(at)
			s.most[b] += t.weight * most
		}
	}
	s.order = s.order[:0]
	for b, most := range s.most {
		if most > 0 {
			s.order = append(s.order, int32(b))
		}
	}
	slices.SortFunc(s.order, func(a, b int32) int { return cmp.Or(cmp.Compare(s.most[b], s.most[a]), cmp.Compare(a, b)) })
}

func (s *scorer) scoreBlock(l *Live, n norm, b int) {
	clear(s.scores[:])
	for i := range s.terms {
		t := &s.terms[i]
		begin := uint32(0)
		if b > 0 {
			begin = t.ends[b-1]
		}
		postings, counts := l.in(t.term)
		postings, counts = postings[begin:t.ends[b]], counts[begin:t.ends[b]]
		for j, c := range postings {
			s.scores[c%block] += t.weight * n.impact(counts[j], l.lengths[c])
		}
	}
}

// resized has so many elements, of any values.
func resized[T any](of []T, n int) []T {
	if cap(of) < n {
		return make([]T, n)
	}
	return of[:n]
}
