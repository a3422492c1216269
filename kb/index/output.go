package index

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// output writes a file in sections, each of which begins at a multiple of 8 bytes. Where they lie is told at the end, with a checksum, so
// that they are written as they come. Where there is no file, it keeps the sections in memory. It is for one goroutine.
type output struct {
	to       *bufio.Writer
	at       int
	sum      uint32
	sections []uint64 // where each begins, and how long it is
	err      error
	// kept are the sections where there is no file, and parts what was written of one that has begun.
	kept  [][]byte
	parts pieces
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
		o.parts.add(b)
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
	o.begin(i)
	o.write(b)
	o.end(i)
}

// begin and end are around what is written of a section.
func (o *output) begin(i int) {
	if o.kept == nil {
		o.sections[2*i] = uint64(o.at)
	}
}

func (o *output) end(i int) {
	if o.kept != nil {
		o.kept[i], o.parts = o.parts.bytes(), pieces{}
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

// pieces are bytes that grow without being copied.
type pieces struct {
	pieces [][]byte
	size   int
}

// pieceSize is how large a piece is.
const pieceSize = 1 << 20

func (p *pieces) add(b []byte) {
	p.size += len(b)
	for len(b) > 0 {
		if n := len(p.pieces); n == 0 || len(p.pieces[n-1]) == pieceSize {
			p.pieces = append(p.pieces, make([]byte, 0, pieceSize))
		}
		last := &p.pieces[len(p.pieces)-1]
		n := min(len(b), pieceSize-len(*last))
		*last, b = append(*last, b[:n]...), b[n:]
	}
}

// bytes are all of them. The pieces are of no use afterwards.
func (p *pieces) bytes() []byte {
	all := make([]byte, 0, p.size)
	for i, b := range p.pieces {
		all, p.pieces[i] = append(all, b...), nil
	}
	return all
}
