// Package lsa learns from a collection of documents which terms are used alike, and makes vectors of them by it: latent semantic analysis
// (Deerwester et al., 1990), of the weights that Dumais calls log-entropy. It needs no model and no network. The same collection gives
// the same vectors.
package lsa

import (
	"cmp"
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
	// maxSample is how many documents are learned from. Of more every n-th is taken.
	maxSample = 10_000
	// minWeight is the weight beneath which a term stands everywhere, and says nothing.
	minWeight = 1e-3
)

// Count is how often a term stands in a document.
type Count struct {
	Term uint32
	N    uint32
}

// Space makes vectors. It is safe for concurrent use.
type Space struct {
	dims    int
	weights []float32 // of each term; 0 where it says nothing
	rows    []uint32  // of each term, where its vector is in basis
	basis   Packed
}

// entry is a weight in a sparse row.
type entry struct {
	term   uint32
	weight float32
}

// Learn learns from documents, whose terms are less than so many. It returns nil where there is too little to learn from.
func Learn(terms int, documents int, of func(document int) []Count) *Space {
	step := (documents + maxSample - 1) / maxSample
	var sample [][]Count
	for d := 0; d < documents; d += max(step, 1) {
		sample = append(sample, of(d))
	}
	s := &Space{dims: min(Dimensions, len(sample)/4), weights: entropy(terms, sample)}
	if s.dims < 2 {
		return nil
	}
	rows := make([][]entry, len(sample))
	for i, counts := range sample {
		rows[i] = s.row(counts)
	}
	basis := rightVectors(rows, terms, s.dims)
	s.rows, s.basis = make([]uint32, terms), NewPacked(s.dims)
	for t, w := range s.weights {
		if w > 0 {
			s.rows[t] = uint32(s.basis.Len())
			s.basis.Add(basis[t*s.dims : (t+1)*s.dims])
		}
	}
	return s
}

// Dims is how many numbers a vector has.
func (s *Space) Dims() int { return s.dims }

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

// row is a document as a row of length 1.
func (s *Space) row(counts []Count) []entry {
	row := make([]entry, 0, len(counts))
	length := 0.0
	for _, c := range counts {
		if int(c.Term) < len(s.weights) && s.weights[c.Term] > 0 {
			w := float64(s.weights[c.Term]) * (1 + math.Log(float64(c.N)))
			row = append(row, entry{c.Term, float32(w)})
			length += w * w
		}
	}
	length = math.Sqrt(length)
	for i := range row {
		row[i].weight /= float32(length)
	}
	return row
}

// Vector returns the vector of a text, of length 1, or nil where nothing is known of its terms.
func (s *Space) Vector(counts []Count) []float32 {
	v := make([]float32, s.dims)
	for _, e := range s.row(counts) {
		s.basis.AddTo(v, e.weight, int(s.rows[e.term]))
	}
	if !Normalize(v) {
		return nil
	}
	return v
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
	left := newMatrix(len(rows), k)
	for range passes + 1 {
		left.multiply(rows, right)
		left.orthonormalize()
		right.multiplyTransposed(rows, left)
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
	for t := range terms {
		for j, x := range right.row(t) {
			add(basis.row(t), x, turn.row(j))
		}
	}
	return basis.cells
}
