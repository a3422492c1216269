package index

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// column is what a column of a segment is made of.
type column interface {
	uint8 | int8 | uint32 | uint64 | float32
}

// little is whether this machine orders bytes as segments do.
var little = func() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 1
}()

// raw are the bytes of a column, the least significant ones of a number first.
func raw[T column](of []T) []byte {
	if len(of) == 0 {
		return nil
	}
	if !little {
		b, err := binary.Append(nil, binary.LittleEndian, of)
		if err != nil {
			panic(err) // Numbers of a fixed size always can be written.
		}
		return b
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&of[0])), len(of)*int(unsafe.Sizeof(of[0])))
}

// view are bytes as a column. It shares their memory where it can.
func view[T column](b []byte) []T {
	var one T
	size := int(unsafe.Sizeof(one))
	n := len(b) / size
	if n == 0 {
		return nil
	}
	if !little || uintptr(unsafe.Pointer(&b[0]))%uintptr(size) != 0 {
		of := make([]T, n)
		if _, err := binary.Decode(b, binary.LittleEndian, of); err != nil {
			panic(err) // There are as many bytes as it takes.
		}
		return of
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), n)
}

// text are bytes as a string that shares their memory.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// dictionary finds the numbers of sorted terms. It shares the memory of the segment it is of.
type dictionary struct {
	text []byte
	ends []uint32
	// table has the number of a term, and 1, at the place that its hash says, or at one that follows.
	table []uint32
}

func newDictionary(terms []string) dictionary {
	size := 0
	for _, t := range terms {
		size += len(t)
	}
	d := dictionary{text: make([]byte, 0, size), ends: make([]uint32, 0, len(terms)), table: make([]uint32, 1<<bits.Len(uint(2*len(terms))))}
	for i, t := range terms {
		d.text = append(d.text, t...)
		d.ends = append(d.ends, uint32(len(d.text)))
		at := hash(t) & uint32(len(d.table)-1)
		for d.table[at] != 0 {
			at = (at + 1) & uint32(len(d.table)-1)
		}
		d.table[at] = uint32(i) + 1
	}
	return d
}

func (d *dictionary) len() int { return len(d.ends) }

// term is the term of a number. Its memory is the segment's.
func (d *dictionary) term(i uint32) string { return text(piece(d.text, d.ends, int(i))) }

func (d *dictionary) find(term string) (uint32, bool) {
	for at := hash(term); ; at++ {
		i := d.table[at&uint32(len(d.table)-1)]
		if i == 0 {
			return 0, false
		}
		if d.term(i-1) == term {
			return i - 1, true
		}
	}
}

// sound reports whether all that find and term rely on holds.
func (d *dictionary) sound() bool {
	if !ascending(d.ends, len(d.text)) || len(d.table) == 0 || len(d.table)&(len(d.table)-1) != 0 {
		return false
	}
	begin := uint32(0)
	for _, end := range d.ends { // A table takes them in where the segment is copied.
		if end-begin > maxKey {
			return false
		}
		begin = end
	}
	free := false
	for _, i := range d.table {
		free = free || i == 0
		if int(i) > len(d.ends) {
			return false
		}
	}
	return free
}

// hash is FNV-1a.
func hash(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

// piece is the i-th of the pieces that end there.
func piece[T any, E uint32 | uint64](of []T, ends []E, i int) []T {
	begin := E(0)
	if i > 0 {
		begin = ends[i-1]
	}
	return of[begin:ends[i]]
}

// ascending reports whether pieces end one after another, and the last one at the end.
func ascending[E uint32 | uint64](ends []E, end int) bool {
	last := E(0)
	for _, e := range ends {
		if e < last {
			return false
		}
		last = e
	}
	return uint64(last) == uint64(end)
}
