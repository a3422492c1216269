package lsa

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// topics makes documents of two vocabularies whose terms never stand together in one document, but for a few that stand in all.
func topics(documents int) [][]Count {
	random := rand.New(rand.NewPCG(3, 4))
	all := make([][]Count, documents)
	for d := range all {
		var counts []Count
		for _, t := range random.Perm(20)[:5] {
			counts = append(counts, Count{uint32(t + d%2*20), 1 + random.Uint32N(3)})
		}
		all[d] = append(counts, Count{40, 1})
		slices.SortFunc(all[d], func(a, b Count) int { return int(a.Term) - int(b.Term) })
	}
	return all
}

func cosine(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func TestTermsThatAreUsedAlikeAreNear(t *testing.T) {
	all := topics(400)
	s, kept := Learn(42, len(all), func(d int) []Count { return all[d] })
	one := func(term uint32) []float32 { return s.Vector([]Count{{uint32(slices.Index(kept, term)), 1}}) }
	near, far := 0.0, 0.0
	for term := uint32(1); term < 20; term++ {
		near += cosine(one(0), one(term))
		far += cosine(one(0), one(term+20))
	}
	if near <= far+0.1 {
		t.Errorf("of its own topic %f, of the other one %f", near/19, far/19)
	}
	if slices.Contains(kept, 40) {
		t.Error("a term that stands everywhere is kept")
	}
	if slices.Contains(kept, 41) {
		t.Error("a term that was never seen is kept")
	}
	if v := s.Vector(nil); v != nil {
		t.Errorf("no terms have the vector %v", v)
	}
	again := NewSpace(s.Weights(), PackedOf(s.Dims(), s.Basis().Cells(), s.Basis().Scales()))
	if a, b := again.Vector([]Count{{3, 2}}), s.Vector([]Count{{3, 2}}); !slices.Equal(a, b) {
		t.Errorf("what was kept gives %v, want %v", a[:4], b[:4])
	}
}

func TestTheSameCollectionGivesTheSameVectors(t *testing.T) {
	all := topics(100)
	learn := func() []float32 {
		s, _ := Learn(41, len(all), func(d int) []Count { return all[d] })
		return s.Vector([]Count{{0, 1}, {7, 2}})
	}
	if a, b := learn(), learn(); !slices.Equal(a, b) {
		t.Errorf("%v and %v", a[:4], b[:4])
	}
}

// Processors change nothing: they share the work, not what each of them sums.
func TestOneProcessorLearnsWhatManyDo(t *testing.T) {
	all := topics(400)
	learn := func(processors int) Packed {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		s, _ := Learn(41, len(all), func(d int) []Count { return all[d] })
		return s.basis
	}
	if one, many := learn(1), learn(5); !slices.Equal(one.cells, many.cells) || !slices.Equal(one.scales, many.scales) {
		t.Error("they learn something else")
	}
}

func TestTooLittleToLearnFrom(t *testing.T) {
	if s, _ := Learn(3, 1, func(int) []Count { return []Count{{0, 1}} }); s != nil {
		t.Errorf("learned %+v", s)
	}
	if s, _ := Learn(0, 0, nil); s != nil {
		t.Errorf("learned %+v", s)
	}
}

// The product of a matrix and its right vectors keeps nearly all of what the best approximation of that rank keeps, which its eigenvalues
// tell.
func TestTheVectorsAreThoseOfTheLargestValues(t *testing.T) {
	all := topics(120)
	s := &Space{weights: entropy(41, all)}
	rows := make([][]entry, len(all))
	dense := newMatrix(len(all), 41)
	for i := range all {
		rows[i] = s.row(nil, all[i])
		for _, e := range rows[i] {
			dense.row(i)[e.term] = e.weight
		}
	}
	values, _ := eigen(dense.gram())
	slices.Sort(values)
	slices.Reverse(values)
	best := 0.0
	for _, v := range values[:8] {
		best += v
	}
	product := newMatrix(len(all), 8)
	product.multiply(rows, matrix{8, rightVectors(rows, 41, 8)})
	kept := 0.0
	for _, x := range product.cells {
		kept += float64(x) * float64(x)
	}
	if kept < .98*best || kept > best*1.0001 {
		t.Errorf("%f is kept of %f", kept, best)
	}
}

func TestOrthonormalize(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	m := newMatrix(50, 7)
	for i := range m.cells {
		m.cells[i] = float32(random.NormFloat64())
	}
	m.orthonormalize()
	m.orthonormalize()
	for i, row := range m.gram() {
		for j, x := range row {
			if want := float64(map[bool]int{true: 1}[i == j]); math.Abs(x-want) > 1e-5 {
				t.Errorf("columns %d and %d: %f", i, j, x)
			}
		}
	}
}

func TestPackedVectorsAreNearlyExact(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	p := NewPacked(5, 2)
	v, w := make([]float32, 5), make([]float32, 5)
	for i := range v {
		v[i], w[i] = float32(random.NormFloat64()), float32(random.NormFloat64())
	}
	p.Set(1, v)
	sum := make([]float32, 5)
	p.AddTo(sum, 2, 1)
	for i := range sum {
		if math.Abs(float64(sum[i]-2*v[i])) > .04 {
			t.Errorf("%v is kept as %v", v, sum)
		}
	}
	if got, want := p.Dot(w, 1), cosine(v, w); math.Abs(float64(got)-want) > .1 || p.Dot(w, 0) != 0 || p.Len() != 2 {
		t.Errorf("the product is %f, want %f", got, want)
	}
}
