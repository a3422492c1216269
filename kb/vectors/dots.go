package vectors

// padding is what the cells of a question are padded to with zeros: the bytes of the widest register.
const padding = 64

// cells are the bytes of a question, and what the kernels know of them.
type cells struct {
	dims   int
	padded []int8 // dims numbers from -127 to 127, then zeros up to a multiple of padding
	sum    int32
}

// A kernel tells the product of a question and of each of len(out) rows, which follow one another. All kernels tell the same: the
// products are whole numbers, and the largest one, MaxDims·128·127, is less than 2³¹.
type kernel struct {
	name string
	dots func(rows []int8, to *cells, out []int32)
}

// scalar runs everywhere.
var scalar = kernel{"scalar", dotsScalar}

func dotsScalar(rows []int8, to *cells, out []int32) {
	for i := range out {
		out[i] = dotScalar(rows[i*to.dims:(i+1)*to.dims], to.padded)
	}
}

func dotScalar(row, to []int8) int32 {
	to = to[:len(row)]
	var s0, s1, s2, s3 int32
	for len(row) >= 4 && len(to) >= 4 {
		s0 += int32(row[0]) * int32(to[0])
		s1 += int32(row[1]) * int32(to[1])
		s2 += int32(row[2]) * int32(to[2])
		s3 += int32(row[3]) * int32(to[3])
		row, to = row[4:], to[4:]
	}
	for i, x := range row {
		s0 += int32(x) * int32(to[i])
	}
	return s0 + s1 + s2 + s3
}

// dotExact is the product of two vectors of the same length. Its sums are in an order of their own, and the conversions keep the compiler
// from fusing what is multiplied and added: so it is the same on all processors.
func dotExact(a, b []float32) float32 {
	b = b[:len(a)]
	var s [8]float32
	for len(a) >= 8 && len(b) >= 8 {
		s[0] += float32(a[0] * b[0])
		s[1] += float32(a[1] * b[1])
		s[2] += float32(a[2] * b[2])
		s[3] += float32(a[3] * b[3])
		s[4] += float32(a[4] * b[4])
		s[5] += float32(a[5] * b[5])
		s[6] += float32(a[6] * b[6])
		s[7] += float32(a[7] * b[7])
		a, b = a[8:], b[8:]
	}
	for i, x := range a {
		s[i] += float32(x * b[i])
	}
	return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))
}
