package index

import (
	"cmp"
	"hash/maphash"
	"slices"
)

// table numbers strings from 0, in the order in which they come. It keeps them in memory of its own, and takes less of it than a map.
// The zero value is empty.
type table struct {
	// slots have the number of a string, and 1, at the place that its hash says, or at one that follows.
	slots  []uint32
	hashes []uint32
	keys   []string
	text   arena[byte]
}

// seed is that of the hashes. Nothing that is kept depends on it.
var seed = maphash.MakeSeed()

func (t *table) len() int { return len(t.keys) }

// number is that of a string, which is taken in if it is new.
func (t *table) number(key string) (n uint32, known bool) {
	if 4*len(t.keys) >= 3*len(t.slots) {
		t.grow()
	}
	h := uint32(maphash.String(seed, key))
	mask := uint32(len(t.slots) - 1)
	at := h & mask
	for ; t.slots[at] != 0; at = (at + 1) & mask {
		if n := t.slots[at] - 1; t.hashes[n] == h && t.keys[n] == key {
			return n, true
		}
	}
	n = uint32(len(t.keys))
	t.slots[at] = n + 1
	t.hashes = append(t.hashes, h)
	own := t.text.room(len(key))
	copy(own, key)
	t.keys = append(t.keys, text(own))
	return n, false
}

func (t *table) grow() {
	t.slots = make([]uint32, max(1<<10, 2*len(t.slots)))
	mask := uint32(len(t.slots) - 1)
	for n, h := range t.hashes {
		at := h & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = uint32(n) + 1
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
