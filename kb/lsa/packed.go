package lsa

import "math"

// Packed are vectors of which each number is kept in a byte, a hundredth of the largest one exact at least. The zero value is empty.
type Packed struct {
	dims   int
	cells  []int8
	scales []float32
}

// NewPacked returns so many vectors of so many dimensions, all of zeros.
func NewPacked(dims, n int) Packed { return Packed{dims, make([]int8, dims*n), make([]float32, n)} }

// PackedOf returns the vectors that Cells and Scales told. It keeps what it is given.
func PackedOf(dims int, cells []int8, scales []float32) Packed { return Packed{dims, cells, scales} }

// Dims is how many dimensions they have, Cells their numbers, one vector after another, and Scales what each one's are multiplied with.
func (p *Packed) Dims() int { return p.dims }

// Cells are the numbers, as Dims says.
func (p *Packed) Cells() []int8 { return p.cells }

// Scales are what the numbers are multiplied with, as Dims says.
func (p *Packed) Scales() []float32 { return p.scales }

// Copy makes the i-th vector one of others of as many dimensions.
func (p *Packed) Copy(i int, from *Packed, at int) {
	copy(p.row(i), from.row(at))
	p.scales[i] = from.scales[at]
}

// Set makes the i-th vector that one, nearly. Different ones can be set at once.
func (p *Packed) Set(i int, v []float32) {
	largest := float32(0)
	for _, x := range v {
		largest = max(largest, x, -x)
	}
	row := p.row(i)[:len(v)]
	p.scales[i] = largest / math.MaxInt8
	if p.scales[i] < smallest {
		p.scales[i] = 0
		clear(row)
		return
	}
	per := 1 / p.scales[i]
	for j, x := range v {
		// Halves are rounded away from 0, and what would be beyond a byte by an error of rounding is cut.
		half := math.Float32frombits(math.Float32bits(x)&(1<<31) | math.Float32bits(.5))
		row[j] = int8(max(min(int32(x*per+half), math.MaxInt8), -math.MaxInt8))
	}
}

// smallest is the scale beneath which a vector has no direction.
const smallest = 1e-37

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
