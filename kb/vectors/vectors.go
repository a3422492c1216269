package vectors

import (
	"fmt"
	"math"
)

// MaxDims bounds how many numbers a vector has.
const MaxDims = 1 << 16

// Set are vectors of one length, its rows, numbered from 0. Any number of searches may read one at once, but not while one is added.
type Set struct {
	dims   int
	cells  []int8    // dims for each row
	scales []float32 // what a row's cells are multiplied with
	exact  []float32 // dims for each row
}

// New returns an empty Set of vectors with dims numbers, from 1 to MaxDims.
func New(dims int) (*Set, error) {
	if dims < 1 || dims > MaxDims {
		return nil, fmt.Errorf("vectors of %d numbers: they have 1 to %d", dims, MaxDims)
	}
	return &Set{dims: dims}, nil
}

// Of returns the Set of which Cells, Scales and Exact told these, perhaps from a file. It keeps them and copies nothing; they must not
// change. It is an error where they are not of one Set, or a scale is not one that Add makes. A search of what is damaged otherwise finds
// the wrong rows, but does not fail.
func Of(dims int, cells []int8, scales, exact []float32) (*Set, error) {
	s, err := New(dims)
	if err != nil {
		return nil, err
	}
	if len(cells)/dims != len(scales) || len(cells)%dims != 0 || len(exact) != len(cells) {
		return nil, fmt.Errorf("%d vectors of %d numbers: they are in %d bytes and %d floats", len(scales), dims, len(cells), len(exact))
	}
	for i, x := range scales {
		if !(x >= 0 && x <= 1) {
			return nil, fmt.Errorf("vector %d: scale %v is not one from 0 to 1", i, x)
		}
	}
	s.cells, s.scales, s.exact = cells[:len(cells):len(cells)], scales[:len(scales):len(scales)], exact[:len(exact):len(exact)]
	return s, nil
}

// Dims is how many numbers each vector has.
func (s *Set) Dims() int { return s.dims }

// Len is how many vectors there are.
func (s *Set) Len() int { return len(s.scales) }

// Cells are the vectors with a byte for a number, one after another.
func (s *Set) Cells() []int8 { return s.cells }

// Scales are what the Cells of each vector are multiplied with.
func (s *Set) Scales() []float32 { return s.scales }

// Exact are the vectors as floats, one after another.
func (s *Set) Exact() []float32 { return s.exact }

// Row is a vector, of length 1 or 0.
func (s *Set) Row(i int) []float32 { return s.exact[i*s.dims : (i+1)*s.dims : (i+1)*s.dims] }

// Add adds a vector as one of length 1, whatever its length; one of zeros stays so, and its cosine is 0 to all. It is an error where the
// vector has another number of numbers than the others, or one of them is not finite.
func (s *Set) Add(vector []float32) error {
	if len(vector) != s.dims {
		return fmt.Errorf("a vector of %d numbers: those before it have %d", len(vector), s.dims)
	}
	length, err := lengthOf(vector)
	if err != nil {
		return err
	}
	begin := len(s.exact)
	s.exact = appendUnit(s.exact, vector, length)
	row := s.exact[begin:]
	scale := scaleOf(row)
	s.cells, s.scales = appendCells(s.cells, row, scale), append(s.scales, scale)
	return nil
}

// Copy adds a vector of another Set as it is there. It is an error where that one's vectors are of another length.
func (s *Set) Copy(from *Set, i int) error {
	if from.dims != s.dims {
		return fmt.Errorf("a vector of %d numbers: those before it have %d", from.dims, s.dims)
	}
	s.exact = append(s.exact, from.Row(i)...)
	s.cells = append(s.cells, from.cells[i*s.dims:(i+1)*s.dims]...)
	s.scales = append(s.scales, from.scales[i])
	return nil
}

// lengthOf is the length of a vector. The square of no float32 is too large or too small for a float64.
func lengthOf(vector []float32) (float64, error) {
	sum := 0.0
	for i, x := range vector {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return 0, fmt.Errorf("number %d of a vector is %v: all have to be finite", i, x)
		}
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum), nil
}

// appendUnit appends a vector that is so long, as one of length 1.
func appendUnit(to, vector []float32, length float64) []float32 {
	if length == 0 {
		length = 1
	}
	for _, x := range vector {
		to = append(to, float32(float64(x)/length))
	}
	return to
}

// scaleOf is what the cells of a vector of length 1 are multiplied with, so that the largest one is 127.
func scaleOf(unit []float32) float32 {
	largest := float32(0)
	for _, x := range unit {
		largest = max(largest, x, -x)
	}
	return largest / math.MaxInt8
}

func appendCells(to []int8, unit []float32, scale float32) []int8 {
	for _, x := range unit {
		if scale > 0 {
			x = float32(math.Round(float64(x / scale)))
		}
		to = append(to, int8(x))
	}
	return to
}
