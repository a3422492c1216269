// Package lsa learns from a collection of documents which terms are used alike, and makes vectors of them by it: latent semantic analysis
// (Deerwester et al., 1990), of the weights that Dumais calls log-entropy. It needs no model and no network. The same collection gives
// the same vectors.
package lsa

import (
	"cmp"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
)

const (
	// Dimensions are those of a vector, at most.
	Dimensions = 200
	// spare are the dimensions that are computed besides, and passes how often the sketch is refined: together they make it exact enough
	// (Halko, Martinsson and Tropp, 2011).
	spare  = 16
	passes = 2
	// maxSample is how many documents are learned from.
	maxSample = 10_000
	// minWeight is the weight beneath which a term stands everywhere, and says nothing.
	minWeight = 1e-3
)

// Count is how often a term stands in a document.
type Count struct {
	Term uint32
	N    uint32
}

// Space makes vectors. It knows terms by numbers of its own, from 0, as Learn tells them. It is safe for concurrent use.
type Space struct {
	weights []float32
	basis   Packed
}

// NewSpace returns the space whose Weights and Basis these are.
func NewSpace(weights []float32, basis Packed) *Space { return &Space{weights, basis} }

// Weights are what the terms count, by their number.
func (s *Space) Weights() []float32 { return s.weights }

// Basis are the vectors of the terms, by their number.
func (s *Space) Basis() *Packed { return &s.basis }

// entry is a weight in a sparse row.
type entry struct {
	term   uint32
	weight float32
}

// Learn learns from documents, whose terms are less than so many. The terms that say something are kept: the i-th of them has the number i
// in the space. It returns nil where there is too little to learn from.
func Learn(terms int, documents int, of func(document int) []Count) (s *Space, kept []uint32) {
	var sample [][]Count
	for d := range Sample(documents) {
		sample = append(sample, of(d))
	}
	s = &Space{}
	numbers := make([]uint32, terms)
	for t, w := range entropy(terms, sample) {
		if w > 0 {
			numbers[t] = uint32(len(kept)) + 1
			kept, s.weights = append(kept, uint32(t)), append(s.weights, w)
		}
	}
	// With as many dimensions as there are terms or documents nothing would be alike.
	dims := min(Dimensions, len(sample)/4, len(kept)/4)
	if dims < 2 {
		return nil, nil
	}
	rows := make([][]entry, len(sample))
	for i, counts := range sample {
		known := make([]Count, 0, len(counts))
		for _, c := range counts {
			if n := numbers[c.Term]; n > 0 {
				known = append(known, Count{n - 1, c.N})
			}
		}
		rows[i] = s.row(nil, known)
	}
	basis := rightVectors(rows, len(kept), dims)
	s.basis = NewPacked(dims, len(kept))
	for t := range kept {
		s.basis.Set(t, basis[t*dims:(t+1)*dims])
	}
	return s, kept
}

// Sample yields those of so many documents that are learned from: all, or of many some that lie evenly among them.
func Sample(documents int) iter.Seq[int] {
	n := min(documents, maxSample)
	return func(yield func(int) bool) {
		for i := 0; i < n && yield(i*documents/n); i++ {
		}
	}
}

// Dims is how many numbers a vector has.
func (s *Space) Dims() int { return s.basis.dims }

// entropy weighs terms by how unevenly they stand in the documents. Those of a single document say nothing of others.
func entropy(terms int, sample [][]Count) []float32 {
	sum, in, h := make([]float64, terms), make([]int, terms), make([]float64, terms)
	for _, counts := range sample {
		for _, c := range counts {
			sum[c.Term] += float64(c.N)
			in[c.Term]++
		}
	}
	for _, counts := range sample {
		for _, c := range counts {
			p := float64(c.N) / sum[c.Term]
			h[c.Term] += p * math.Log(p)
		}
	}
	weights := make([]float32, terms)
	for t := range weights {
		if w := 1 + h[t]/math.Log(float64(len(sample))); in[t] > 1 && w > minWeight {
			weights[t] = float32(w)
		}
	}
	return weights
}

// row appends a document as a row of length 1.
func (s *Space) row(row []entry, counts []Count) []entry {
	length := 0.0
	for _, c := range counts {
		w := float64(s.weights[c.Term]) * (1 + logOf(c.N))
		row = append(row, entry{c.Term, float32(w)})
		length += w * w
	}
	length = math.Sqrt(length)
	for i := range row {
		row[i].weight /= float32(length)
	}
	return row
}

// logs are the logarithms of the numbers that are frequent.
var logs = func() (l [256]float64) {
	for n := range l {
		l[n] = math.Log(float64(n))
	}
	return l
}()

func logOf(n uint32) float64 {
	if int(n) < len(logs) {
		return logs[n]
	}
	return math.Log(float64(n))
}

// Vector returns the vector of a text, of length 1, or nil where it has no direction. The terms are numbers of the space.
func (s *Space) Vector(counts []Count) []float32 {
	v := make([]float32, s.Dims())
	if !s.VectorTo(v, counts) {
		return nil
	}
	return v
}

// VectorTo is Vector in memory that is there. Where the text has no direction, it returns false, and all numbers are 0.
func (s *Space) VectorTo(v []float32, counts []Count) bool {
	clear(v)
	row := s.row(make([]entry, 0, 256), counts)
	for ; len(row) >= 4; row = row[4:] {
		s.basis.addTo4(v, row)
	}
	for _, e := range row {
		s.basis.AddTo(v, e.weight, int(e.term))
	}
	if !Normalize(v) {
		clear(v)
		return false
	}
	return true
}

// Normalize makes a vector one of length 1, and returns false where it has no direction.
func Normalize(v []float32) bool {
	length := 0.0
	for _, x := range v {
		length += float64(x) * float64(x)
	}
	if length = math.Sqrt(length); length < 1e-9 {
		return false
	}
	for i := range v {
		v[i] /= float32(length)
	}
	return true
}

// rightVectors returns the right singular vectors of a sparse matrix that belong to its largest singular values, as rows of dims numbers,
// by a randomized sketch that is refined.
func rightVectors(rows [][]entry, terms, dims int) []float32 {
	k := min(dims+spare, len(rows))
	random := rand.New(rand.NewPCG(1, 2))
	right := newMatrix(terms, k)
	for i := range right.cells {
		right.cells[i] = float32(random.NormFloat64())
	}
	left, columns := newMatrix(len(rows), k), transposed(rows, terms)
	for pass := range passes + 1 {
		left.multiply(rows, right)
		left.orthonormalize()
		if pass == passes {
			left.orthonormalize() // Once is not exact, which matters in the end only.
		}
		right.multiply(columns, left)
	}
	// Of the sketch, which is the matrix as the columns of left see it, they are the rows turned by the eigenvectors of its products.
	values, vectors := eigen(right.gram())
	order := make([]int, k)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(values[b], values[a]) })
	turn := newMatrix(k, dims)
	for j := range k {
		for i := range dims {
			turn.row(j)[i] = float32(vectors[j][order[i]] / math.Sqrt(max(values[order[i]], 1e-12)))
		}
	}
	basis := newMatrix(terms, dims)
	Each(terms, 64, func(from, to int) {
		for t := from; t < to; t++ {
			x, to, j := right.row(t), basis.row(t), 0
			for ; j+4 <= k; j += 4 {
				add4(to, x[j], x[j+1], x[j+2], x[j+3], turn.row(j), turn.row(j+1), turn.row(j+2), turn.row(j+3))
			}
			for ; j < k; j++ {
				add(to, x[j], turn.row(j))
			}
		}
	})
	return basis.cells
}
