package index

import (
	"iter"
	"math"
	"slices"
)

// Live is a segment of which some documents are gone or left out. It does not change.
type Live struct {
	*Segment
	// lengths are infinite for chunks that are not found. So they count nothing, whatever is asked.
	lengths []float32
	// counts say in how many chunks that are there each term stands; nil where nothing is gone.
	counts []uint32
	gone   []uint64 // a bit for each entry
	// documents and chunks count what is there, and found the documents that have chunks.
	documents, found, chunks int
	length                   float64
	bytes                    int64
}

// All is a segment of which nothing is gone.
func All(s *Segment) *Live {
	return &Live{Segment: s, lengths: s.lengths, gone: make([]uint64, (len(s.entries)+63)/64), documents: len(s.entries), found: s.found, chunks: len(s.lengths), length: sum(s.lengths), bytes: s.meta.Bytes}
}

var infinite = float32(math.Inf(1))

func dead(length float32) bool { return length > math.MaxFloat32 }

// Gone reports whether a document is gone.
func (l *Live) Gone(entry int) bool { return l.gone[entry/64]>>(entry%64)&1 == 1 }

// Documents is how many documents are there.
func (l *Live) Documents() int { return l.documents }

// Found is how many documents are there that have chunks.
func (l *Live) Found() int { return l.found }

// Unread yields the documents that are there and could not be read.
func (l *Live) Unread() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, i := range l.unread {
			if !l.Gone(i) && !yield(l.entries[i]) {
				return
			}
		}
	}
}

// Chunks is how many chunks are there.
func (l *Live) Chunks() int { return l.chunks }

// Bytes is the length of the text that is there.
func (l *Live) Bytes() int64 { return l.bytes }

// Dead is how many chunks are gone.
func (l *Live) Dead() int { return len(l.lengths) - l.chunks }

// GoneBits are the documents that are gone, a bit for each.
func (l *Live) GoneBits() []uint64 { return l.gone }

// Without is the same without some documents more.
func (l *Live) Without(entries []int) *Live {
	if len(entries) == 0 {
		return l
	}
	n := &Live{Segment: l.Segment, lengths: slices.Clone(l.lengths), counts: slices.Clone(l.counts), gone: slices.Clone(l.gone),
		documents: l.documents, found: l.found, chunks: l.chunks, length: l.length, bytes: l.bytes}
	if n.counts == nil {
		n.counts = make([]uint32, len(l.postingEnds))
		for t := range n.counts {
			n.counts[t] = uint32(len(piece(l.postings, l.postingEnds, t)))
		}
	}
	for _, i := range entries {
		if n.Gone(i) {
			continue
		}
		n.gone[i/64] |= 1 << (i % 64)
		n.documents--
		if l.entries[i].End > l.entries[i].Begin {
			n.found--
		}
		for c := l.entries[i].Begin; c < l.entries[i].End; c++ {
			terms, _ := l.of(c)
			for _, t := range terms {
				n.counts[t]--
			}
			n.chunks--
			n.length -= float64(l.Segment.lengths[c])
			chunk, _ := decodeChunk(l.record(c))
			n.bytes -= int64(len(chunk.Text))
			n.lengths[c] = infinite
		}
	}
	return n
}

// Showing is the same, of which only some documents are found. The others still count for how rare a term is.
func (l *Live) Showing(show func(Entry) bool) *Live {
	n := *l
	n.lengths = slices.Clone(l.lengths)
	for _, e := range l.entries {
		if !show(e) {
			for c := e.Begin; c < e.End; c++ {
				n.lengths[c] = infinite
			}
		}
	}
	return &n
}

// standsIn is in how many chunks that are there a term stands.
func (l *Live) standsIn(term uint32) int {
	if l.counts != nil {
		return int(l.counts[term])
	}
	return len(piece(l.postings, l.postingEnds, int(term)))
}
