package lsa

import (
	"math"
	"slices"
)

// Packed are vectors of which each number is kept in a byte, a hundredth of the largest one exact at least. The zero value is empty and
// takes none.
type Packed struct {
	dims   int
	cells  []int8
	scales []float32
}

// NewPacked returns no vectors, which will have so many dimensions.
func NewPacked(dims int) Packed { return Packed{dims: dims} }

// PackedOf returns the vectors that Cells and Scales told. It keeps what it is given.
func PackedOf(dims int, cells []int8, scales []float32) Packed { return Packed{dims, cells, scales} }

// Dims is how many dimensions they have, Cells their numbers, one vector after another, and Scales what each one's are multiplied with.
func (p *Packed) Dims() int { return p.dims }

// Cells are the numbers, as Dims says.
func (p *Packed) Cells() []int8 { return p.cells }

// Scales are what the numbers are multiplied with, as Dims says.
func (p *Packed) Scales() []float32 { return p.scales }

// Copy adds a vector of others of as many dimensions.
func (p *Packed) Copy(from *Packed, i int) {
	p.cells, p.scales = append(p.cells, from.row(i)...), append(p.scales, from.scales[i])
}

// Grow makes room for so many more.
func (p *Packed) Grow(n int) {
	p.cells, p.scales = slices.Grow(p.cells, n*p.dims), slices.Grow(p.scales, n)
}

// Add adds a vector.
func (p *Packed) Add(v []float32) {
	largest := float32(0)
	for _, x := range v {
		largest = max(largest, x, -x)
	}
	scale := largest / math.MaxInt8
	p.scales = append(p.scales, scale)
	per := float32(0)
	if scale > 0 {
		per = 1 / scale
	}
	begin := len(p.cells)
	p.cells = slices.Grow(p.cells, len(v))[:begin+len(v)]
	for i, x := range v {
		// Halves are rounded away from 0, and what would be beyond a byte by an error of rounding is cut.
		half := float32(math.Copysign(.5, float64(x)))
		p.cells[begin+i] = int8(max(min(x*per+half, math.MaxInt8), -math.MaxInt8))
	}
}

// Len is how many vectors there are.
func (p *Packed) Len() int { return len(p.scales) }

func (p *Packed) row(i int) []int8 { return p.cells[i*p.dims : (i+1)*p.dims] }

// AddTo adds a multiple of a vector to another one.
func (p *Packed) AddTo(v []float32, by float32, i int) {
	by *= p.scales[i]
	row := p.row(i)
	v = v[:len(row)]
	for j, x := range row {
		v[j] += by * float32(x)
	}
}

// addTo4 adds multiples of four vectors to another one, which is faster than one after another.
func (p *Packed) addTo4(v []float32, of []entry) {
	a, b, c, d := p.row(int(of[0].term))[:len(v)], p.row(int(of[1].term))[:len(v)], p.row(int(of[2].term))[:len(v)], p.row(int(of[3].term))[:len(v)]
	x, y, z, w := of[0].weight*p.scales[of[0].term], of[1].weight*p.scales[of[1].term], of[2].weight*p.scales[of[2].term], of[3].weight*p.scales[of[3].term]
	for j := range v {
		v[j] += (x*float32(a[j]) + y*float32(b[j])) + (z*float32(c[j]) + w*float32(d[j]))
	}
}

// Dot is the product of a vector and another one.
func (p *Packed) Dot(v []float32, i int) float32 {
	row := p.row(i)[:len(v)]
	var s0, s1, s2, s3 float32
	j := 0
	for ; j+4 <= len(v); j += 4 {
		s0 += v[j] * float32(row[j])
		s1 += v[j+1] * float32(row[j+1])
		s2 += v[j+2] * float32(row[j+2])
		s3 += v[j+3] * float32(row[j+3])
	}
	for ; j < len(v); j++ {
		s0 += v[j] * float32(row[j])
	}
	return (s0 + s1 + s2 + s3) * p.scales[i]
}
