package index

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
)

// output writes a file in sections, each of which begins at a multiple of 8 bytes. Where they lie is told at the end, with a checksum, so
// that they are written as they come. Where there is no file, it keeps the sections in memory. It is for one goroutine.
type output struct {
	to       *bufio.Writer
	at       int
	sum      uint32
	sections []uint64 // where each begins, and how long it is
	err      error
	// kept are the sections where there is no file, and part what was written of one that has begun. The records are in pieces of their own.
	kept    [][]byte
	part    []byte
	records pieces
}

func newOutput(to io.Writer, sections int) *output {
	o := &output{to: bufio.NewWriterSize(to, 1<<16), sections: make([]uint64, 2*sections)}
	o.write(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(magic[:len(magic):len(magic)], version), uint32(sections)))
	return o
}

// newMemory returns an output without a file. Bytes of whole sections are kept as they are.
func newMemory(sections int) *output { return &output{kept: make([][]byte, sections)} }

func (o *output) write(b []byte) {
	if o.kept != nil {
		o.part = append(o.part, b...)
		return
	}
	if o.err == nil {
		_, o.err = o.to.Write(b)
	}
	o.sum = crc32.Update(o.sum, castagnoli, b)
	o.at += len(b)
}

// section writes a whole one.
func (o *output) section(i int, b []byte) {
	if o.kept != nil {
		o.kept[i] = b
		return
	}
	o.begin(i, len(b))
	o.write(b)
	o.end(i)
}

// record writes one of the records, which all are in a section.
func (o *output) record(b []byte) {
	if o.kept != nil {
		o.records.add(b)
		return
	}
	o.write(b)
}

// begin and end are around what is written of a section, whose size tells how much room it takes in memory.
func (o *output) begin(i, size int) {
	if o.kept != nil {
		o.part = make([]byte, 0, size)
		return
	}
	o.sections[2*i] = uint64(o.at)
}

func (o *output) end(i int) {
	if o.kept != nil {
		o.kept[i], o.part = o.part, nil
		return
	}
	o.sections[2*i+1] = uint64(o.at) - o.sections[2*i]
	o.write(make([]byte, (o.at+7)&^7-o.at))
}

// Written is a file that was written.
type Written struct {
	Size     int
	Checksum uint32
}

// close writes the end of the file, if there is one.
func (o *output) close() (Written, error) {
	if o.kept != nil {
		return Written{}, nil
	}
	o.write(raw(o.sections))
	w := Written{o.at + 8, o.sum}
	o.write(binary.LittleEndian.AppendUint64(nil, uint64(o.sum)))
	if o.err != nil {
		return Written{}, o.err
	}
	return w, o.to.Flush()
}

// pieces are bytes that grow without being copied. What is added is never divided.
type pieces struct {
	pieces [][]byte
	begins []uint64 // Where each piece begins among all of the bytes.
	size   uint64
}

// pieceSize is how large a piece is, if nothing larger is added.
const pieceSize = 1 << 20

func (p *pieces) add(b []byte) {
	last := len(p.pieces) - 1
	if last < 0 || cap(p.pieces[last])-len(p.pieces[last]) < len(b) {
		p.pieces, p.begins = append(p.pieces, make([]byte, 0, max(len(b), pieceSize))), append(p.begins, p.size)
		last++
	}
	p.pieces[last] = append(p.pieces[last], b...)
	p.size += uint64(len(b))
}

// one is what lies in one piece already.
func one(b []byte) pieces { return pieces{[][]byte{b}, []uint64{0}, uint64(len(b))} }

// between is what was added between two places, both of which what was added begins or ends.
func (p *pieces) between(begin, end uint64) []byte {
	i := 0
	if len(p.begins) > 1 {
		var begins bool
		if i, begins = slices.BinarySearch(p.begins, begin); !begins {
			i--
		}
	}
	return p.pieces[i][begin-p.begins[i] : end-p.begins[i]]
}
