package postgres

import (
	"slices"
	"strconv"

	"github.com/mainstay-dev/mainstay/kb/lsa"
)

// maxDims is how many numbers a vector of pgvector has at most.
const maxDims = 16_000

// written is a vector as pgvector reads it. Each number is told exactly.
func written(v []float32) string {
	b := make([]byte, 0, 12*len(v))
	for i, x := range v {
		b = append(b, ","...)
		if i == 0 {
			b[0] = '['
		}
		b = strconv.AppendFloat(b, float64(x), 'g', -1, 32)
	}
	return string(append(b, ']'))
}

// unit is a vector as one of length 1, or of zeros where it has no direction.
func unit(v []float32) string {
	v = slices.Clone(v)
	if !lsa.Normalize(v) {
		clear(v)
	}
	return written(v)
}
