package vectors

import (
	"context"
	"fmt"
	"math"
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

// fastest is what this processor compares bytes with.
var fastest = kernels()[0]

// Search finds the neighbours of a vector. The zero value is for Ask. It is for one goroutine at a time, and once it has memory for a
// question it needs no more for the next.
type Search struct {
	kernel kernel
	cells  cells
	unit   []float32
	zero   bool
	// A cosine is from scale·(scaled·dot - perScale) - margin to scale·(scaled·dot + perScale) + margin, as Ask derives.
	scaled, perScale, margin float32

	dots  [lot]int32
	lower best // the rows that are near at least
	maybe []candidate
	exact best
}

// candidate is a row that may be one of the nearest: its cosine is from lower to upper.
type candidate struct {
	row          int
	lower, upper float32
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
	s.scaled = scaleOf(s.unit)
	c.dims, c.padded, c.sum = len(vector), appendCells(c.padded[:0], s.unit, s.scaled), 0
	lost := 0.0
	for i, x := range c.padded {
		c.sum += int32(x)
		d := float64(s.unit[i]) - float64(float64(s.scaled)*float64(x))
		lost += float64(d * d)
	}
	for len(c.padded)%padding != 0 {
		c.padded = append(c.padded, 0)
	}
	// The question q is kept as q', and a row r as r'. By Cauchy and Schwarz q·r and q'·r' are at most |q|·|r-r'| + |q-q'|·|r'| apart.
	// |q| is 1. No number of r' is farther from that of r than half its scale, so |r-r'| is at most half the scale times the root of
	// dims, and |r'| at most that more than 1. What is lost with |q-q'| is known. What floats lose when they are added is less than the
	// slack: 2⁻²⁴ for each addition that a sum of dotExact goes through.
	root, slack := .5001*math.Sqrt(float64(c.dims)), (float64(c.dims)/8+16)/(1<<23)
	lost = math.Sqrt(lost)
	s.perScale, s.margin = float32(root*(1+lost)), float32(lost+slack)
	return nil
}

// Cosine is how near a row is, exactly. The question has to be as long as the vectors of the Set.
func (s *Search) Cosine(in *Set, row int) float32 { return dotExact(in.Row(row), s.unit) }

// Nearest appends the nearest rows of a Set to a slice, the nearest one first, and returns it: at most so many, and only those in live,
// which is nil for all of them. Of rows that are as near those that were added first are told. A question of zeros has no direction and no
// neighbours. It is an error where the question is not as long as the vectors, or ctx ends before the search.
func (s *Search) Nearest(ctx context.Context, in *Set, live Rows, most int, to []Neighbour) ([]Neighbour, error) {
	if s.cells.dims != in.dims {
		return to, fmt.Errorf("a question of %d numbers to vectors of %d", s.cells.dims, in.dims)
	}
	if most = min(most, in.Len()); most < 1 || s.zero {
		return to, ctx.Err()
	}
	s.lower.reset(most)
	s.maybe = s.maybe[:0]
	for i := range (in.Len() + lot - 1) / lot {
		if i%between == 0 {
			if err := ctx.Err(); err != nil {
				return to, err
			}
		}
		s.compare(in, i*lot, live.at(i))
	}
	if err := s.rescore(ctx, in, most); err != nil {
		return to, err
	}
	s.exact.sort()
	return append(to, s.exact.heap...), nil
}

// compare compares those rows of a lot that are wanted by their bytes.
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
	for ; wanted != 0; wanted &= wanted - 1 {
		i := bits.TrailingZeros64(wanted)
		if one {
			s.kernel.dots(cells[i*in.dims:(i+1)*in.dims], &s.cells, s.dots[i:i+1])
		}
		x := float32(s.dots[i]) * s.scaled
		upper := float32(scales[i]*(x+s.perScale)) + s.margin
		if upper < s.lower.floor() {
			continue
		}
		lower := float32(scales[i]*(x-s.perScale)) - s.margin
		s.maybe = append(s.maybe, candidate{begin + i, lower, upper})
		s.lower.add(Neighbour{begin + i, lower})
	}
}

// rescore compares by their floats all rows that may be among the nearest. First those that are near at least: what they are as near as
// leaves few of the others.
func (s *Search) rescore(ctx context.Context, in *Set, most int) error {
	s.exact.reset(most)
	last := s.lower.heap // the farthest of those that are near at least is its top
	for _, first := range []bool{true, false} {
		for i, c := range s.maybe {
			if i%(lot*between) == 0 {
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			if len(last) == 0 || first != (compare(Neighbour{c.row, c.lower}, last[0]) <= 0) || c.upper < s.exact.floor() {
				continue
			}
			if cosine := s.Cosine(in, c.row); cosine == cosine { // of a damaged Set it may be no number
				s.exact.add(Neighbour{c.row, cosine})
			}
		}
	}
	return nil
}
