package vectors

// Rows are some rows of a Set: a bit for each, the lowest one of the first number for row 0. Rows beyond the last number are none of them.
type Rows []uint64

// NewRows returns Rows with space for n, none of which is in them.
func NewRows(n int) Rows { return make(Rows, (n+63)/64) }

// Add adds a row. There has to be space for it.
func (r Rows) Add(row int) { r[row/64] |= 1 << (row % 64) }

// Remove removes a row. There has to be space for it.
func (r Rows) Remove(row int) { r[row/64] &^= 1 << (row % 64) }

// Has reports whether a row is one of them.
func (r Rows) Has(row int) bool { return row/64 < len(r) && r[row/64]>>(row%64)&1 == 1 }

// at are the 64 rows from 64·i on. All rows are in nil.
func (r Rows) at(i int) uint64 {
	switch {
	case r == nil:
		return ^uint64(0)
	case i < len(r):
		return r[i]
	}
	return 0
}
