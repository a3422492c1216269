package index

import "slices"

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
	o.at = append(o.at, ownedAt{uint32(last), uint32(begin), uint32(n)})
	return o.of(len(o.at) - 1)
}

// of are those of a chunk.
func (o *owned) of(chunk int) (terms []uint32, counts []uint8) {
	at := o.at[chunk]
	return o.terms[at.piece][at.begin : at.begin+at.n], o.counts[at.piece][at.begin : at.begin+at.n]
}

// renumber gives the terms other numbers, and sorts those of each chunk by them.
func (o *owned) renumber(to []uint32) {
	var both []uint64
	for chunk := range o.at {
		terms, counts := o.of(chunk)
		both = both[:0]
		for i, t := range terms {
			both = append(both, uint64(to[t])<<8|uint64(counts[i]))
		}
		slices.Sort(both)
		for i, b := range both {
			terms[i], counts[i] = uint32(b>>8), uint8(b)
		}
	}
}

// inverted are the chunks of the terms, of which there are so many: where those of each end, and how often it stands in each.
func (o *owned) inverted(terms int) (ends, chunks []uint32, often []uint8) {
	ends = make([]uint32, terms)
	for _, some := range o.terms {
		for _, t := range some {
			ends[t]++
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
			at := ends[t]
			chunks[at], often[at] = uint32(c), counts[i]
			ends[t] = at + 1
		}
	}
	return ends, chunks, often
}
