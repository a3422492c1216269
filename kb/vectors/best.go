package vectors

import (
	"cmp"
	"math"
	"slices"
)

// Neighbour is a row of a Set, and the cosine of its angle to a question: 1 for one of the same direction, -1 for the opposite one.
type Neighbour struct {
	Row    int
	Cosine float32
}

// compare orders the nearer one first, and of those that are as near the row that was added first.
func compare(a, b Neighbour) int {
	return cmp.Or(cmp.Compare(b.Cosine, a.Cosine), cmp.Compare(a.Row, b.Row))
}

// best are the nearest of those that were added: a heap whose top is the farthest of them.
type best struct {
	most int
	heap []Neighbour
}

func (b *best) reset(most int) { b.most, b.heap = most, b.heap[:0] }

// floor is the cosine beneath which none is kept any more.
func (b *best) floor() float32 {
	if len(b.heap) < b.most {
		return float32(math.Inf(-1))
	}
	return b.heap[0].Cosine
}

// add adds one if it is among the nearest. There is space for one at least.
func (b *best) add(n Neighbour) {
	if len(b.heap) < b.most {
		b.heap = append(b.heap, n)
		for i := len(b.heap) - 1; i > 0; {
			up := (i - 1) / 2
			if compare(b.heap[i], b.heap[up]) <= 0 {
				return
			}
			b.heap[i], b.heap[up], i = b.heap[up], b.heap[i], up
		}
		return
	}
	if compare(n, b.heap[0]) >= 0 {
		return
	}
	b.heap[0] = n
	for i := 0; ; {
		down := 2*i + 1
		if down >= len(b.heap) {
			return
		}
		if down+1 < len(b.heap) && compare(b.heap[down+1], b.heap[down]) > 0 {
			down++
		}
		if compare(b.heap[down], b.heap[i]) <= 0 {
			return
		}
		b.heap[i], b.heap[down], i = b.heap[down], b.heap[i], down
	}
}

// sort sorts them, the nearest one first, which ends the heap.
func (b *best) sort() { slices.SortFunc(b.heap, compare) }
