package lsa

import "math"

// matrix is dense, row by row.
type matrix struct {
	cols  int
	cells []float32
}

func newMatrix(rows, cols int) matrix { return matrix{cols, make([]float32, rows*cols)} }

func (m matrix) row(i int) []float32 { return m.cells[i*m.cols : (i+1)*m.cols] }

// multiply makes m the product of a sparse matrix and a dense one.
func (m matrix) multiply(rows [][]entry, right matrix) {
	Each(len(rows), 64, func(from, to int) {
		for i := from; i < to; i++ {
			row, to := rows[i], m.row(i)
			clear(to)
			for ; len(row) >= 4; row = row[4:] {
				add4(to, row[0].weight, row[1].weight, row[2].weight, row[3].weight,
					right.row(int(row[0].term)), right.row(int(row[1].term)), right.row(int(row[2].term)), right.row(int(row[3].term)))
			}
			for _, e := range row {
				add(to, e.weight, right.row(int(e.term)))
			}
		}
	})
}

// transposed is a sparse matrix of so many columns with rows and columns exchanged.
func transposed(rows [][]entry, columns int) [][]entry {
	ends := make([]int, columns+1)
	for _, row := range rows {
		for _, e := range row {
			ends[e.term+1]++
		}
	}
	for t := range columns {
		ends[t+1] += ends[t]
	}
	cells, turned := make([]entry, ends[columns]), make([][]entry, columns)
	for t := range turned {
		turned[t] = cells[ends[t]:ends[t]:ends[t+1]]
	}
	for i, row := range rows {
		for _, e := range row {
			turned[e.term] = append(turned[e.term], entry{uint32(i), e.weight})
		}
	}
	return turned
}

// number is what matrices are of.
type number interface{ float32 | float64 }

// add adds a multiple of one row to another.
func add[N number](to []N, by N, from []N) {
	from = from[:len(to)]
	for i := range to {
		to[i] += by * from[i]
	}
}

// add4 adds multiples of four rows to another, which is faster than one after another.
func add4[N number](to []N, a, b, c, d N, as, bs, cs, ds []N) {
	as, bs, cs, ds = as[:len(to)], bs[:len(to)], cs[:len(to)], ds[:len(to)]
	for i := range to {
		to[i] += (a*as[i] + b*bs[i]) + (c*cs[i] + d*ds[i])
	}
}

// gram is the matrix of the products of the columns.
func (m matrix) gram() [][]float64 {
	g := square(m.cols)
	// Some rows of it at once are near to the processor while all of m passes by.
	Each(m.cols, 24, func(from, to int) {
		var four [4][]float64
		for r := range four {
			four[r] = make([]float64, to)
		}
		for at := 0; at < len(m.cells); at += 4 * m.cols {
			for r, wide := range four {
				clear(wide)
				if begin := at + r*m.cols; begin < len(m.cells) {
					for i, x := range m.cells[begin : begin+to] {
						wide[i] = float64(x)
					}
				}
			}
			for i := from; i < to; i++ {
				add4(g[i][:i+1], four[0][i], four[1][i], four[2][i], four[3][i], four[0], four[1], four[2], four[3])
			}
		}
	})
	for i := range g {
		for j := range i {
			g[j][i] = g[i][j]
		}
	}
	return g
}

func square(n int) [][]float64 {
	s, cells := make([][]float64, n), make([]float64, n*n)
	for i := range s {
		s[i] = cells[i*n : (i+1)*n]
	}
	return s
}

// orthonormalize makes the columns orthogonal and of length 1, by the Cholesky factor of their products. Done twice it is exact. A column
// that depends on others becomes noise, which the next pass takes out.
func (m matrix) orthonormalize() {
	factor := m.gram()
	for i := range factor {
		for j := 0; j <= i; j++ {
			sum := factor[i][j]
			for k := range j {
				sum -= factor[i][k] * factor[j][k]
			}
			if i == j {
				factor[i][i] = math.Sqrt(max(sum, 1e-12))
			} else {
				factor[i][j] = sum / factor[j][j]
			}
		}
	}
	// Four rows are solved at once: each number waits for those before it, but not for other rows.
	Each(len(m.cells)/m.cols, 64, func(from, to int) {
		var solved [4][]float64
		for r := range solved {
			solved[r] = make([]float64, m.cols)
		}
		for at := from; at < to; at += 4 {
			m.solve(factor, at, min(4, to-at), &solved)
		}
	})
}

// solve solves some rows, at most four.
func (m matrix) solve(factor [][]float64, at, rows int, solved *[4][]float64) {
	for i := range m.cols {
		var sum [4]float64
		for r := range rows {
			sum[r] = float64(m.row(at + r)[i])
		}
		a, b, c, d := solved[0][:i], solved[1][:i], solved[2][:i], solved[3][:i]
		for k, f := range factor[i][:i] {
			sum[0] -= f * a[k]
			sum[1] -= f * b[k]
			sum[2] -= f * c[k]
			sum[3] -= f * d[k]
		}
		for r := range rows {
			solved[r][i] = sum[r] / factor[i][i]
			m.row(at + r)[i] = float32(solved[r][i])
		}
	}
}

// eigen returns the eigenvalues of a symmetric matrix, and its eigenvectors as columns, by Jacobi's rotations. It overwrites the matrix.
func eigen(a [][]float64) (values []float64, vectors [][]float64) {
	const sweeps = 16
	n := len(a)
	vectors = square(n)
	total := 0.0
	for i := range a {
		vectors[i][i] = 1
		for j := range a[i] {
			total += a[i][j] * a[i][j]
		}
	}
	for range sweeps {
		off := 0.0
		for p := range n {
			for q := p + 1; q < n; q++ {
				off += a[p][q] * a[p][q]
				rotate(a, vectors, p, q)
			}
		}
		if off <= total*1e-20 {
			break
		}
	}
	values = make([]float64, n)
	for i := range values {
		values[i] = a[i][i]
	}
	return values, vectors
}

// rotate turns two axes so that the matrix has 0 where they meet.
func rotate(a, vectors [][]float64, p, q int) {
	if math.Abs(a[p][q]) < 1e-300 {
		return
	}
	theta := (a[q][q] - a[p][p]) / (2 * a[p][q])
	t := math.Copysign(1, theta) / (math.Abs(theta) + math.Sqrt(theta*theta+1))
	c := 1 / math.Sqrt(t*t+1)
	s := t * c
	for k := range a {
		x, y := a[k][p], a[k][q]
		a[k][p], a[k][q] = c*x-s*y, s*x+c*y
	}
	rp, rq := a[p], a[q]
	for k := range rp {
		x, y := rp[k], rq[k]
		rp[k], rq[k] = c*x-s*y, s*x+c*y
	}
	for k := range vectors {
		x, y := vectors[k][p], vectors[k][q]
		vectors[k][p], vectors[k][q] = c*x-s*y, s*x+c*y
	}
}
