package vectors

import (
	"context"
	"fmt"
	"math/bits"
)

const (
	// lot is how many rows are compared at a time: as many as a number of Rows has bits.
	lot = 64
	// between is how many lots are compared before it is looked whether the search has ended.
	between = 16
	// few is how many rows of a lot are compared one by one, and not the whole lot with those that are not wanted.
	few = 24
)

// rescored is how many rows are compared exactly for so many neighbours.
func rescored(most int) int { return 4*most + 40 }

// fastest is what this processor compares bytes with.
var fastest = kernels()[0]

// Search finds the neighbours of a vector. The zero value is for Ask. It is for one goroutine at a time, and once it has memory for a
// question it needs no more for the next.
type Search struct {
	kernel kernel
	cells  cells
	unit   []float32
	zero   bool
	rough  best
	exact  best
	dots   [lot]int32
}

// Ask sets whose neighbours are found: those of a vector of any length. It is an error where it has no number, more than MaxDims, or one
// that is not finite; then the search has no question.
func (s *Search) Ask(vector []float32) error {
	s.unit, s.cells.dims = s.unit[:0], 0
	if len(vector) < 1 || len(vector) > MaxDims {
		return fmt.Errorf("a vector of %d numbers: they have 1 to %d", len(vector), MaxDims)
	}
	length, err := lengthOf(vector)
	if err != nil {
		return err
	}
	if s.kernel.dots == nil {
		s.kernel = fastest
	}
	s.unit, s.zero = appendUnit(s.unit, vector, length), length == 0
	c := &s.cells
	c.dims, c.padded, c.sum = len(vector), appendCells(c.padded[:0], s.unit, scaleOf(s.unit)), 0
	for _, x := range c.padded {
		c.sum += int32(x)
	}
	for len(c.padded)%padding != 0 {
		c.padded = append(c.padded, 0)
	}
	return nil
}

// Cosine is how near a row is, exactly. The question has to be as long as the vectors of the Set.
func (s *Search) Cosine(in *Set, row int) float32 { return dotExact(in.Row(row), s.unit) }

// Nearest appends the nearest rows of a Set to a slice, the nearest one first, and returns it: at most so many, and only those in live,
// which is nil for all of them. A question of zeros has no direction and no neighbours. All rows are compared by their bytes, and the best
// of them exactly. It is an error where the question is not as long as the vectors, or ctx ends before the search.
func (s *Search) Nearest(ctx context.Context, in *Set, live Rows, most int, to []Neighbour) ([]Neighbour, error) {
	if s.cells.dims != in.dims {
		return to, fmt.Errorf("a question of %d numbers to vectors of %d", s.cells.dims, in.dims)
	}
	if most = min(most, in.Len()); most < 1 || s.zero {
		return to, ctx.Err()
	}
	s.rough.reset(min(rescored(most), in.Len()))
	for i := range (in.Len() + lot - 1) / lot {
		if i%between == 0 {
			if err := ctx.Err(); err != nil {
				return to, err
			}
		}
		s.compare(in, i*lot, live.at(i))
	}
	s.exact.reset(most)
	for _, n := range s.rough.heap {
		if n.Cosine = s.Cosine(in, n.Row); n.Cosine == n.Cosine { // of a damaged Set it may be no number
			s.exact.add(n)
		}
	}
	s.exact.sort()
	return append(to, s.exact.heap...), nil
}

// compare compares those rows of a lot that are wanted.
func (s *Search) compare(in *Set, begin int, wanted uint64) {
	rows := min(lot, in.Len()-begin)
	if rows < lot {
		wanted &= 1<<rows - 1
	}
	if wanted == 0 {
		return
	}
	one := bits.OnesCount64(wanted) <= few
	cells, scales := in.cells[begin*in.dims:(begin+rows)*in.dims], in.scales[begin:begin+rows]
	if !one {
		s.kernel.dots(cells, &s.cells, s.dots[:rows])
	}
	floor, full := float32(0), s.rough.full()
	if full {
		floor = s.rough.heap[0].Cosine
	}
	for ; wanted != 0; wanted &= wanted - 1 {
		i := bits.TrailingZeros64(wanted)
		if one {
			s.kernel.dots(cells[i*in.dims:(i+1)*in.dims], &s.cells, s.dots[i:i+1])
		}
		// The scale of the question is left out: it is the same for all rows.
		score := float32(s.dots[i]) * scales[i]
		if full && score <= floor {
			continue // rows come in their order, so that of those as near the first ones are kept
		}
		s.rough.add(Neighbour{begin + i, score})
		if full = s.rough.full(); full {
			floor = s.rough.heap[0].Cosine
		}
	}
}
