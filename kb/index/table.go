package index

import (
	"cmp"
	"hash/maphash"
	"slices"
)

// table numbers strings from 0, in the order in which they come. It keeps them in memory of its own, and takes less of it than a map.
// The zero value is empty.
type table struct {
	// slots have the hash of a string, and its number and 1, at the place that the hash says, or at one that follows.
	slots []slot
	keys  []string
	text  arena
}

type slot struct{ hash, next uint32 }

// seed is that of the hashes. Nothing that is kept depends on it.
var seed = maphash.MakeSeed()

// number is that of a string, which is taken in if it is new.
func (t *table) number(key string) (n uint32, known bool) {
	if 4*len(t.keys) >= 3*len(t.slots) {
		t.grow()
	}
	h := uint32(maphash.String(seed, key))
	at := t.place(h, key)
	if s := t.slots[at]; s.next > 0 {
		return s.next - 1, true
	}
	n = uint32(len(t.keys))
	t.slots[at] = slot{h, n + 1}
	own := t.text.room(len(key))
	copy(own, key)
	t.keys = append(roomy(t.keys), text(own))
	return n, false
}

// place is where a string is, or would be.
func (t *table) place(h uint32, key string) uint32 {
	mask := uint32(len(t.slots) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		if s := t.slots[at]; s.next == 0 || s.hash == h && t.keys[s.next-1] == key {
			return at
		}
	}
}

func (t *table) grow() {
	former := t.slots
	t.slots = make([]slot, max(1<<10, 2*len(former)))
	mask := uint32(len(t.slots) - 1)
	for _, s := range former {
		if s.next == 0 {
			continue
		}
		at := s.hash & mask
		for t.slots[at].next > 0 {
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
		n     uint32
	}
	begins := make([]begin, len(t.keys))
	for n, key := range t.keys {
		bytes := uint64(0)
		for i := range min(len(key), 8) {
			bytes |= uint64(key[i]) << (56 - 8*i)
		}
		begins[n] = begin{bytes, uint32(n)}
	}
	slices.SortFunc(begins, func(a, b begin) int {
		if a.bytes != b.bytes {
			return cmp.Compare(a.bytes, b.bytes)
		}
		return cmp.Compare(t.keys[a.n], t.keys[b.n])
	})
	keys, order = make([]string, len(begins)), make([]uint32, len(begins))
	for i, b := range begins {
		keys[i], order[b.n] = t.keys[b.n], uint32(i)
	}
	return keys, order
}

// arena makes room in large pieces.
type arena struct{ free []byte }

func (a *arena) room(n int) []byte {
	if len(a.free) < n {
		a.free = make([]byte, max(n, 1<<16))
	}
	room := a.free[:n:n]
	a.free = a.free[n:]
	return room
}

// roomy makes room for one more: twice as much as there is, so that what grows is copied few times.
func roomy[T any](of []T) []T {
	if len(of) == cap(of) {
		return slices.Grow(of, max(len(of), 64))
	}
	return of
}
