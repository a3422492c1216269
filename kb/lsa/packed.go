package lsa

import "math"

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

// Add adds a vector.
func (p *Packed) Add(v []float32) {
	largest := float32(0)
	for _, x := range v {
		largest = max(largest, x, -x)
	}
	scale := largest / math.MaxInt8
	p.scales = append(p.scales, scale)
	for _, x := range v {
		if scale > 0 {
			x = float32(math.Round(float64(x / scale)))
		}
		p.cells = append(p.cells, int8(x))
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
