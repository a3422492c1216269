package index

// owned are the terms of chunks, and how often each stands there. They lie in pieces that never grow.
type owned struct {
	terms  [][]uint32
	counts [][]uint8
	at     []ownedAt // by chunk
}

type ownedAt struct{ piece, begin, n uint32 }

// ownedPiece is how many terms there is room for in a piece, if no chunk has more.
const ownedPiece = 1 << 16

// add makes room for so many terms of a chunk that follows.
func (o *owned) add(n int) (terms []uint32, counts []uint8) {
	last := len(o.terms) - 1
	if last < 0 || cap(o.terms[last])-len(o.terms[last]) < n {
		o.terms, o.counts = append(o.terms, make([]uint32, 0, max(n, ownedPiece))), append(o.counts, make([]uint8, 0, max(n, ownedPiece)))
		last++
	}
	begin := len(o.terms[last])
	o.terms[last], o.counts[last] = o.terms[last][:begin+n], o.counts[last][:begin+n]
	o.at = append(roomy(o.at), ownedAt{uint32(last), uint32(begin), uint32(n)})
	return o.of(len(o.at) - 1)
}

// of are those of a chunk.
func (o *owned) of(chunk int) (terms []uint32, counts []uint8) {
	at := o.at[chunk]
	return o.terms[at.piece][at.begin : at.begin+at.n], o.counts[at.piece][at.begin : at.begin+at.n]
}

// invert gives the terms other numbers, of which there are so many, and sorts those of each chunk by them. It returns the chunks of the
// terms: where those of each end, and how often it stands in each.
func (o *owned) invert(terms int, number []uint32) (ends, chunks []uint32, often []uint8) {
	ends = make([]uint32, terms)
	for _, some := range o.terms {
		for _, t := range some {
			ends[number[t]]++
		}
	}
	sum := uint32(0)
	for t, n := range ends {
		ends[t], sum = sum, sum+n // For now where it begins.
	}
	chunks, often = make([]uint32, sum), make([]uint8, sum)
	for c := range o.at {
		of, counts := o.of(c)
		for i, t := range of {
			at := ends[number[t]]
			chunks[at], often[at] = uint32(c), counts[i]
			ends[number[t]] = at + 1
		}
	}
	// Going through the terms in order gives each chunk its own in order.
	next := make([]uint32, len(o.at))
	for t := range ends {
		counts := piece(often, ends, t)
		for i, c := range piece(chunks, ends, t) {
			at := o.at[c]
			to := at.begin + next[c]
			o.terms[at.piece][to], o.counts[at.piece][to] = uint32(t), counts[i]
			next[c]++
		}
	}
	return ends, chunks, often
}
