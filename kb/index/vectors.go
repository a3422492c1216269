package index

import (
	"slices"

	"github.com/mainstay-dev/mainstay/kb/lsa"
)

// vectors are those that a model has made of the chunks, one after another: exact, and with a byte for a number.
type vectors struct {
	exact  []float32
	packed lsa.Packed
}

// add adds a vector, as one of length 1.
func (v *vectors) add(vector []float32) {
	if v.packed.Dims() == 0 {
		v.packed = lsa.NewPacked(len(vector))
	}
	vector = slices.Clone(vector)
	if !lsa.Normalize(vector) {
		clear(vector)
	}
	v.exact = append(v.exact, vector...)
	v.packed.Add(vector)
}

// copy adds a vector of others.
func (v *vectors) copy(from *vectors, i int) {
	if v.packed.Dims() == 0 {
		v.packed = lsa.NewPacked(from.packed.Dims())
	}
	v.exact = append(v.exact, from.row(i)...)
	v.packed.Copy(&from.packed, i)
}

func (v *vectors) row(i int) []float32 { return v.exact[i*v.packed.Dims() : (i+1)*v.packed.Dims()] }

// near is how near a vector is to another one, exactly.
func (v *vectors) near(to []float32, i int) float32 {
	sum := float32(0)
	for j, x := range v.row(i) {
		sum += x * to[j]
	}
	return sum
}

// slack is how many more are looked at exactly than are wanted.
const slack = 4

// nearest adds to best the chunks nearest to a vector: all are compared by their bytes, and the best of them exactly. Those whose length is
// infinite are left out.
func (v *vectors) nearest(to []float32, lengths []float32, segment int32, best *best) {
	rough := newBest(best.most*slack, nil)
	for i := range v.packed.Len() {
		if !dead(lengths[i]) {
			// All scores are above 0, which cosines are not.
			rough.add(found{score: 2 + v.packed.Dot(to, i), segment: segment, chunk: uint32(i)})
		}
	}
	for _, f := range rough.found {
		f.score = 2 + v.near(to, int(f.chunk))
		best.add(f)
	}
}
