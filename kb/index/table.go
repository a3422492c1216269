package index

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"
)

// table numbers strings from 0, in the order in which they come. It keeps them in memory of its own, and takes less of it than a map.
// The zero value is empty.
type table struct {
	// slots are at the place that the hash of a string says, or at one that follows.
	slots []slot
	n     int
	// text has the strings, each behind its number and its length, so that one that is met again is compared with what one look at memory
	// brings. A piece of it never grows beyond what it was made for.
	text [][]byte
}

// slot is the hash of a string, and where it lies in the text: by the piece, and by fours of bytes within it. 0 is none.
type slot struct{ hash, at uint32 }

const (
	withinPiece = 14                            // How many bits of a slot's at say where in a piece.
	textPiece   = 4 << withinPiece              // How long a piece is.
	beforeKey   = 6                             // The bytes of a number and a length.
	maxKey      = textPiece - 4 - beforeKey - 3 // The longest string, which is much longer than any term of a run.
)

// seed is that of the hashes. Nothing that is kept depends on it.
var seed = maphash.MakeSeed()

// number is that of a string, which is taken in if it is new.
func (t *table) number(key string) (n uint32, known bool) {
	if 4*t.n >= 3*len(t.slots) {
		t.grow()
	}
	h := uint32(maphash.String(seed, key))
	mask := uint32(len(t.slots) - 1)
	at := h & mask
	for ; t.slots[at].at > 0; at = (at + 1) & mask {
		if s := t.slots[at]; s.hash == h {
			if n, is := t.entry(s.at); is == key {
				return n, true
			}
		}
	}
	n = uint32(t.n)
	t.n++
	t.slots[at] = slot{h, t.keep(n, key)}
	return n, false
}

// entry is a string in the text, and its number.
func (t *table) entry(at uint32) (n uint32, key string) {
	b := t.text[at>>withinPiece][at<<2&(textPiece-1):]
	return binary.LittleEndian.Uint32(b), text(b[beforeKey : beforeKey+int(binary.LittleEndian.Uint16(b[4:]))])
}

// keep adds a string to the text, and returns where it lies.
func (t *table) keep(n uint32, key string) uint32 {
	last := len(t.text) - 1
	if last < 0 || textPiece-len(t.text[last]) < beforeKey+len(key)+3 {
		t.text = append(t.text, make([]byte, 0, textPiece))
		if last++; last == 0 {
			t.text[0] = t.text[0][:4] // Nothing lies at 0.
		}
	}
	b := t.text[last]
	at := uint32(last)<<withinPiece | uint32(len(b)>>2)
	b = binary.LittleEndian.AppendUint32(b, n)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(key)))
	b = append(b, key...)
	t.text[last] = b[:(len(b)+3)&^3]
	return at
}

// each yields all strings and their numbers, by which they are in order.
func (t *table) each(yield func(n uint32, at uint32, key string)) {
	for i, some := range t.text {
		at := uint32(i) << withinPiece
		if i == 0 {
			at++
		}
		for end := uint32(i)<<withinPiece + uint32(len(some)>>2); at < end; {
			n, key := t.entry(at)
			yield(n, at, key)
			at += uint32(beforeKey+len(key)+3) >> 2
		}
	}
}

func (t *table) grow() {
	former := t.slots
	t.slots = make([]slot, max(1<<10, 2*len(former)))
	mask := uint32(len(t.slots) - 1)
	for _, s := range former {
		if s.at == 0 {
			continue
		}
		at := s.hash & mask
		for t.slots[at].at > 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = s
	}
}

// sorted are the strings, sorted, and by number the place of each among them.
func (t *table) sorted() (keys []string, order []uint32) {
	// Most differ in their first bytes, which are compared as a number.
	type begin struct {
		bytes uint64
		n, at uint32
	}
	begins := make([]begin, t.n)
	t.each(func(n, at uint32, key string) {
		bytes := uint64(0)
		for i := range min(len(key), 8) {
			bytes |= uint64(key[i]) << (56 - 8*i)
		}
		begins[n] = begin{bytes, n, at}
	})
	slices.SortFunc(begins, func(a, b begin) int {
		if a.bytes != b.bytes {
			return cmp.Compare(a.bytes, b.bytes)
		}
		_, x := t.entry(a.at)
		_, y := t.entry(b.at)
		return cmp.Compare(x, y)
	})
	keys, order = make([]string, len(begins)), make([]uint32, len(begins))
	for i, b := range begins {
		_, keys[i] = t.entry(b.at)
		order[b.n] = uint32(i)
	}
	return keys, order
}

// roomy makes room for one more: twice as much as there is, so that what grows is copied few times.
func roomy[T any](of []T) []T {
	if len(of) == cap(of) {
		return slices.Grow(of, max(len(of), 64))
	}
	return of
}
