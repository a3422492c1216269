package repair

// The bounds of what is taken for endless repetition: the same at most maxUnit bytes over and over, at least minCopies times and in
// at least minStretch bytes at the end of the text.
const (
	maxUnit    = 2 << 10
	minCopies  = 10
	minStretch = 4 << 10
	// every is after how many bytes the text is looked at, because that costs a walk over its end.
	every = 1 << 10
)

// Repeats finds a text that repeats itself without end, while it comes. The zero value is ready.
type Repeats struct {
	tail []byte
	seen int
}

// Write takes the next piece, and reports whether the text repeats itself now.
func (r *Repeats) Write(piece string) bool {
	const keep = maxUnit * minCopies
	r.tail = append(r.tail, piece...)
	if r.seen += len(piece); r.seen < every {
		return false
	}
	r.seen = 0
	if len(r.tail) > keep {
		r.tail = append(r.tail[:0], r.tail[len(r.tail)-keep:]...)
	}
	return repeats(r.tail)
}

// repeats computes, as Knuth, Morris and Pratt do, the shortest period of each end of a text.
func repeats(text []byte) bool {
	n := len(text)
	back := func(i int) byte { return text[n-1-i] }
	border := make([]int, n)
	for i, k := 1, 0; i < n; i++ {
		for k > 0 && back(i) != back(k) {
			k = border[k-1]
		}
		if back(i) == back(k) {
			k++
		}
		border[i] = k
		length := i + 1
		if period := length - k; length >= minStretch && period <= maxUnit && length >= minCopies*period {
			return true
		}
	}
	return false
}
