package index

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/lsa"
	"github.com/mainstay-dev/mainstay/kb/vectors"
)

// version is that of the layout. What is of another one is not read.
const version = 2

// The sections of a segment. Each begins at a multiple of 8 bytes, and numbers have their least significant byte first. Where they lie is
// told behind them, and at the end stands a checksum of all of it.
const (
	sectionMeta = iota
	sectionEntries
	sectionTerms
	sectionTermEnds
	sectionTable
	sectionPostingEnds
	sectionPostings
	sectionPostingCounts
	sectionOwnEnds
	sectionOwn
	sectionOwnCounts
	sectionLengths
	sectionDense
	sectionDenseEnds
	sectionDenseMost
	sectionRecordEnds
	sectionRecords
	sectionMeaningCells
	sectionMeaningScales
	sectionVectors
	sectionVectorCells
	sectionVectorScales
	sections
)

var magic = []byte("kbsegmnt")

// block is how many chunks are scored or passed over as one.
const block = 256

// meta is what a segment says of itself.
type meta struct {
	// Mean is the average length of its chunks, which the impacts are bounded for.
	Mean float64
	// Bytes is the length of the text.
	Bytes int64
	// Meaning is the space that the chunks' meanings are in, and Dims its dimensions; 0 where there are none.
	Meaning string
	Dims    int
	// Space is what has made the chunks' vectors, and VectorDims their length; 0 where there are none.
	Space      string
	VectorDims int
}

// Entry is a document of a segment.
type Entry struct {
	File           kb.File
	Kind           kb.Kind
	Title, Problem string
	// Begin and End are its chunks: from the one to before the other.
	Begin, End uint32
}

// Segment are documents that can be searched. It does not change, and is safe for concurrent use.
type Segment struct {
	meta    meta
	entries []Entry
	// found counts the documents that have chunks, and unread are those that could not be read.
	found  int
	unread []int
	dict   dictionary
	// postings are the chunks of the terms, and own the terms of the chunks; counts say how often, at most 255 times.
	postingEnds, postings []uint32
	postingCounts         []uint8
	ownEnds, own          []uint32
	ownCounts             []uint8
	// lengths are how many terms the chunks have.
	lengths []float32
	// dense are the terms that stand in many chunks. For each of them denseEnds says where its postings of every block end, and
	// denseMost what it counts there at most.
	dense, denseEnds []uint32
	denseMost        []uint8
	recordEnds       []uint64
	records          pieces
	meanings         lsa.Packed
	vectors          *vectors.Set // nil where there are none
	byPath           func() map[string]int
	byBlob           func() map[string][]int
}

// Chunks is how many chunks there are.
func (s *Segment) Chunks() int { return len(s.lengths) }

// Entries are the documents.
func (s *Segment) Entries() []Entry { return s.entries }

// Bytes is the length of the text.
func (s *Segment) Bytes() int64 { return s.meta.Bytes }

// Space identifies what has made the vectors of the chunks; empty where they have none.
func (s *Segment) Space() string { return s.meta.Space }

// VectorDims is how many numbers a vector has.
func (s *Segment) VectorDims() int { return s.meta.VectorDims }

// ByPath finds a document by its path.
func (s *Segment) ByPath(path string) (entry int, ok bool) {
	entry, ok = s.byPath()[path]
	return entry, ok
}

// ByBlob finds the documents of a content.
func (s *Segment) ByBlob(blob string) (entries []int) { return s.byBlob()[blob] }

// Document is a whole one.
func (s *Segment) Document(entry int) kb.Document {
	e := s.entries[entry]
	d := kb.Document{Kind: e.Kind, Title: e.Title, Problem: e.Problem}
	for c := e.Begin; c < e.End; c++ {
		d.Chunks = append(d.Chunks, s.Chunk(c))
	}
	return d
}

// record is what a chunk was written as.
func (s *Segment) record(chunk uint32) []byte {
	begin := uint64(0)
	if chunk > 0 {
		begin = s.recordEnds[chunk-1]
	}
	return s.records.between(begin, s.recordEnds[chunk])
}

// Chunk is one of them. It has memory of its own.
func (s *Segment) Chunk(chunk uint32) kb.Chunk {
	// All records have been read when the segment was opened.
	c, _ := decodeChunk(s.record(chunk))
	for i, h := range c.Heading {
		c.Heading[i] = strings.Clone(h)
	}
	c.Text = strings.Clone(c.Text)
	return c
}

// entryOf is the document that a chunk is of.
func (s *Segment) entryOf(chunk uint32) int {
	i, _ := slices.BinarySearchFunc(s.entries, chunk, func(e Entry, c uint32) int {
		if e.End <= c {
			return -1
		}
		return 1
	})
	return i
}

// in are the chunks of a term, and how often it stands in each.
func (s *Segment) in(term uint32) ([]uint32, []uint8) {
	return piece(s.postings, s.postingEnds, int(term)), piece(s.postingCounts, s.postingEnds, int(term))
}

// of are the terms of a chunk, and how often each stands there.
func (s *Segment) of(chunk uint32) ([]uint32, []uint8) {
	return piece(s.own, s.ownEnds, int(chunk)), piece(s.ownCounts, s.ownEnds, int(chunk))
}

func (s *Segment) blocks() int { return (len(s.lengths) + block - 1) / block }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum is that of a whole file which Open has read.
func Checksum(file []byte) uint32 {
	if len(file) < 8 {
		return 0
	}
	return binary.LittleEndian.Uint32(file[len(file)-8:])
}

// errDamaged is what is said of a file that is not as it was written.
var errDamaged = errors.New("damaged, or not a file of an index")

func unpack(file []byte, sections int) ([][]byte, error) {
	if len(file) < len(magic)+16+16*sections || len(file)%8 != 0 || !bytes.HasPrefix(file, magic) {
		return nil, errDamaged
	}
	if v := binary.LittleEndian.Uint32(file[len(magic):]); v != version {
		return nil, fmt.Errorf("written in version %d of the layout, this is %d", v, version)
	}
	body, sum := file[:len(file)-8], binary.LittleEndian.Uint64(file[len(file)-8:])
	if n := binary.LittleEndian.Uint32(file[len(magic)+4:]); n != uint32(sections) || sum != uint64(crc32.Checksum(body, castagnoli)) {
		return nil, errDamaged
	}
	body, told := body[:len(body)-16*sections], body[len(body)-16*sections:]
	of := make([][]byte, sections)
	for i := range of {
		at, size := binary.LittleEndian.Uint64(told[16*i:]), binary.LittleEndian.Uint64(told[16*i+8:])
		if at > uint64(len(body)) || size > uint64(len(body))-at {
			return nil, errDamaged
		}
		of[i] = body[at : at+size : at+size]
	}
	return of, nil
}

// Open reads a segment that a Writer has made. It keeps the bytes, which must not change, and checks all of them.
func Open(file []byte) (*Segment, error) {
	of, err := unpack(file, sections)
	if err != nil {
		return nil, err
	}
	return openSections(of, one(of[sectionRecords]))
}

func openSections(of [][]byte, records pieces) (*Segment, error) {
	s := &Segment{
		dict:          dictionary{of[sectionTerms], view[uint32](of[sectionTermEnds]), view[uint32](of[sectionTable])},
		postingEnds:   view[uint32](of[sectionPostingEnds]),
		postings:      view[uint32](of[sectionPostings]),
		postingCounts: of[sectionPostingCounts],
		ownEnds:       view[uint32](of[sectionOwnEnds]),
		own:           view[uint32](of[sectionOwn]),
		ownCounts:     of[sectionOwnCounts],
		lengths:       view[float32](of[sectionLengths]),
		dense:         view[uint32](of[sectionDense]),
		denseEnds:     view[uint32](of[sectionDenseEnds]),
		denseMost:     of[sectionDenseMost],
		recordEnds:    view[uint64](of[sectionRecordEnds]),
		records:       records,
	}
	err := json.Unmarshal(of[sectionMeta], &s.meta)
	if err != nil {
		return nil, errDamaged
	}
	s.meanings = lsa.PackedOf(s.meta.Dims, view[int8](of[sectionMeaningCells]), view[float32](of[sectionMeaningScales]))
	s.vectors, err = vectorsOf(s.meta.VectorDims, view[int8](of[sectionVectorCells]), view[float32](of[sectionVectorScales]), view[float32](of[sectionVectors]))
	if err != nil {
		return nil, errDamaged
	}
	s.entries, err = decodeEntries(of[sectionEntries])
	if err != nil || !s.sound() {
		return nil, errDamaged
	}
	for i, e := range s.entries {
		if e.End > e.Begin {
			s.found++
		}
		if e.Problem != "" {
			s.unread = append(s.unread, i)
		}
	}
	s.byPath = sync.OnceValue(func() map[string]int {
		m := make(map[string]int, len(s.entries))
		for i, e := range s.entries {
			m[e.File.Path] = i
		}
		return m
	})
	s.byBlob = sync.OnceValue(func() map[string][]int {
		m := make(map[string][]int, len(s.entries))
		for i, e := range s.entries {
			m[e.File.Blob] = append(m[e.File.Blob], i)
		}
		return m
	})
	return s, nil
}

// sound reports whether all that a search relies on holds, so that none can go beyond the file.
func (s *Segment) sound() bool {
	chunks, terms := len(s.lengths), s.dict.len()
	begin := uint32(0)
	for _, e := range s.entries {
		if e.Begin != begin || e.End < e.Begin {
			return false
		}
		begin = e.End
	}
	if int(begin) != chunks || !s.dict.sound() ||
		len(s.postingEnds) != terms || len(s.postings) != len(s.postingCounts) || !ascending(s.postingEnds, len(s.postings)) ||
		len(s.ownEnds) != chunks || len(s.own) != len(s.ownCounts) || !ascending(s.ownEnds, len(s.own)) ||
		len(s.recordEnds) != chunks || !ascending(s.recordEnds, int(s.records.size)) || !below(s.postings, chunks) || !below(s.own, terms) || !below(s.dense, terms) ||
		len(s.denseEnds) != len(s.dense)*s.blocks() || len(s.denseMost) != len(s.denseEnds) || !(s.meta.Mean >= 0) || math.IsInf(s.meta.Mean, 1) {
		return false
	}
	for t := range terms {
		last := -1
		for _, c := range piece(s.postings, s.postingEnds, t) {
			if int(c) <= last {
				return false
			}
			last = int(c)
		}
	}
	for i, t := range s.dense {
		if i > 0 && s.dense[i-1] >= t || !ascending(s.denseEnds[i*s.blocks():(i+1)*s.blocks()], len(piece(s.postings, s.postingEnds, int(t)))) {
			return false
		}
	}
	for c := range chunks {
		if _, ok := decodeChunk(s.record(uint32(c))); !ok || !(s.lengths[c] >= 0) {
			return false
		}
	}
	return packedSound(&s.meanings, chunks) && (s.vectors == nil || s.vectors.Len() == chunks)
}

func packedSound(p *lsa.Packed, chunks int) bool {
	if p.Dims() == 0 {
		return len(p.Cells()) == 0 && len(p.Scales()) == 0
	}
	return p.Dims() > 0 && len(p.Scales()) == chunks && len(p.Cells())/p.Dims() == chunks && len(p.Cells())%p.Dims() == 0
}

func below(of []uint32, end int) bool {
	most := uint32(0)
	for _, n := range of {
		most = max(most, n)
	}
	return len(of) == 0 || int(most) < end
}

// appendEntry appends what decodeEntries reads.
func appendEntry(b []byte, e Entry) []byte {
	b = appendText(b, e.File.Path)
	b = appendText(b, e.File.Blob)
	b = binary.AppendVarint(b, e.File.Time.Unix())
	b = binary.AppendUvarint(b, uint64(e.File.Time.Nanosecond()))
	b = appendText(b, string(e.Kind))
	b = appendText(b, e.Title)
	b = appendText(b, e.Problem)
	return binary.AppendUvarint(b, uint64(e.End))
}

func decodeEntries(b []byte) ([]Entry, error) {
	n := 0
	for r := (reader{b: b}); len(r.b) > 0; n++ {
		if r.entry(); r.bad {
			return nil, errDamaged
		}
	}
	entries := make([]Entry, 0, n)
	begin := uint32(0)
	for r := (reader{b: b}); len(r.b) > 0; {
		e := r.entry()
		e.File.Path, e.File.Blob = strings.Clone(e.File.Path), strings.Clone(e.File.Blob)
		e.Kind, e.Title, e.Problem = kb.Kind(strings.Clone(string(e.Kind))), strings.Clone(e.Title), strings.Clone(e.Problem)
		e.Begin, begin = begin, e.End
		entries = append(entries, e)
	}
	return entries, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendChunk(b []byte, c kb.Chunk) []byte {
	b = binary.AppendVarint(b, int64(c.First))
	b = binary.AppendVarint(b, int64(c.Last))
	b = binary.AppendUvarint(b, uint64(len(c.Heading)))
	for _, h := range c.Heading {
		b = appendText(b, h)
	}
	return append(b, c.Text...)
}

// decodeChunk returns a chunk that shares the memory.
func decodeChunk(b []byte) (kb.Chunk, bool) {
	r := reader{b: b}
	c := kb.Chunk{First: int(r.signed()), Last: int(r.signed())}
	for n := r.number(); n > 0 && !r.bad; n-- {
		c.Heading = append(c.Heading, r.text())
	}
	c.Text = text(r.b)
	return c, !r.bad
}

// reader reads what was appended; bad is set where there is less.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	r.skip(size)
	return n
}

func (r *reader) signed() int64 {
	n, size := binary.Varint(r.b)
	r.skip(size)
	return n
}

func (r *reader) skip(size int) {
	if size <= 0 {
		r.b, r.bad = nil, true
		return
	}
	r.b = r.b[size:]
}

// text shares the memory of what is read.
func (r *reader) text() string {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return ""
	}
	s := text(r.b[:n])
	r.b = r.b[n:]
	return s
}

// entry shares the memory of what is read. Where it begins is not said.
func (r *reader) entry() (e Entry) {
	e.File.Path, e.File.Blob = r.text(), r.text()
	seconds := r.signed()
	e.File.Time = time.Unix(seconds, int64(r.number()%1e9)).UTC()
	e.Kind, e.Title, e.Problem = kb.Kind(r.text()), r.text(), r.text()
	e.End = uint32(r.number())
	return e
}
