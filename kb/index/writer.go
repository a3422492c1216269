package index

import (
	"encoding/json"
	"io"
	"math"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/lsa"
	"github.com/mainstay-dev/mainstay/kb/vectors"
	"github.com/mainstay-dev/mainstay/kb/words"
)

// headWeight is how much a word of a title or a heading counts, beside one of the text.
const headWeight = 2

// maxRuns bounds Writer.runs.
const maxRuns = 1 << 20

// Writer makes a segment. It is for one goroutine.
type Writer struct {
	out  *output
	meta meta
	// entries are the documents as they are written, and documents how many.
	entries   pieces
	documents int
	terms     table
	// runs are numbered too, since the same ones come again and again: the terms of each end in ofRuns where runEnds says.
	runs    table
	runEnds []uint32
	ofRuns  []uint32
	cutter  *words.Cutter
	// own are the terms of each chunk.
	own        owned
	lengths    []float32
	recordEnds []uint64
	// The terms of the chunk that is taken in, what each counts, and how it is recorded.
	present []uint32
	record  []byte
	weights []uint32 // by term

	vectors *vectors.Set // nil before there is one
	// placed are the chunks that were copied, by their number: their meaning can be copied too.
	placed map[int]placed
}

type placed struct {
	from  *Segment
	chunk uint32
}

// NewWriter returns an empty Writer, which writes the segment as a file that Open reads. Texts are written as they come, the rest by Build.
// The chunks that it takes have vectors made by space, if it is not empty.
func NewWriter(space string, to io.Writer) *Writer {
	return newWriterTo(space, newOutput(to, sections))
}

func newWriterTo(space string, out *output) *Writer {
	w := &Writer{out: out, meta: meta{Space: space}, cutter: words.NewCutter(), placed: map[int]placed{}}
	w.out.begin(sectionRecords, 0)
	return w
}

// Err is what has failed in writing. Build returns it, too.
func (w *Writer) Err() error { return w.out.err }

// Chunks is how many chunks were taken in, and Documents how many documents.
func (w *Writer) Chunks() int { return len(w.lengths) }

// Documents is how many documents were taken in.
func (w *Writer) Documents() int { return w.documents }

// Add takes a document in. With a space, there is a vector for each chunk, and all are of the same length.
func (w *Writer) Add(f kb.File, d kb.Document, embedded [][]float32) {
	for i, c := range d.Chunks {
		w.text(d.Head(c), headWeight)
		w.text(c.Text, 1)
		length := float32(0)
		terms, counts := w.own.add(len(w.present))
		for i, t := range w.present {
			terms[i], counts[i] = t, uint8(min(w.weights[t], math.MaxUint8))
			length += float32(w.weights[t])
			w.weights[t] = 0
		}
		w.present = w.present[:0]
		w.lengths = append(roomy(w.lengths), length)
		w.meta.Bytes += int64(len(c.Text))
		w.record = appendChunk(w.record[:0], c)
		w.addRecord(w.record)
		if w.meta.Space != "" {
			w.addVector(embedded[i])
		}
	}
	w.entry(Entry{File: f, Kind: d.Kind, Title: d.Title, Problem: d.Problem})
}

func (w *Writer) addRecord(record []byte) {
	end := uint64(len(record))
	if n := len(w.recordEnds); n > 0 {
		end += w.recordEnds[n-1]
	}
	w.recordEnds = append(roomy(w.recordEnds), end)
	w.out.record(record)
}

// entry ends a document. Its chunks are those since the last one.
func (w *Writer) entry(e Entry) {
	e.End = uint32(len(w.lengths))
	w.record = appendEntry(w.record[:0], e)
	w.entries.add(w.record)
	w.documents++
}

func (w *Writer) text(text string, weight uint32) {
	for run := range words.Runs(text) {
		for _, t := range w.termsOf(run) {
			if w.weights[t] == 0 {
				w.present = append(w.present, t)
			}
			w.weights[t] += weight
		}
	}
}

// termsOf are the terms of a run.
func (w *Writer) termsOf(run string) []uint32 {
	n, known := w.runs.number(run)
	if !known {
		if n == maxRuns {
			w.forget()
			n, _ = w.runs.number(run)
		}
		for _, term := range w.cutter.Terms(run) {
			w.ofRuns = append(roomy(w.ofRuns), w.term(term))
		}
		w.runEnds = append(roomy(w.runEnds), uint32(len(w.ofRuns)))
	}
	return piece(w.ofRuns, w.runEnds, int(n))
}

// forget makes room: what is remembered of runs makes taking in faster only.
func (w *Writer) forget() {
	w.runs, w.runEnds, w.ofRuns, w.cutter = table{}, nil, nil, words.NewCutter()
}

func (w *Writer) term(term string) uint32 {
	t, known := w.terms.number(term)
	if !known {
		w.weights = append(roomy(w.weights), 0)
	}
	return t
}

// Copier copies documents of a segment to a Writer.
type Copier struct {
	to   *Writer
	from *Segment
	// terms are the Writer's of the segment's, and 1.
	terms []uint32
}

// Copier returns one. A Writer with a space copies from segments of the same space only, but for documents without chunks.
func (w *Writer) Copier(from *Segment) *Copier {
	return &Copier{w, from, make([]uint32, from.dict.len())}
}

// Copy takes in a document that the segment has, as another file or the same.
func (c *Copier) Copy(entry int, as kb.File) {
	w, s, e := c.to, c.from, c.from.entries[entry]
	for i := e.Begin; i < e.End; i++ {
		terms, counts := s.of(i)
		ownTerms, ownCounts := w.own.add(len(terms))
		for j, t := range terms {
			if c.terms[t] == 0 {
				c.terms[t] = w.term(s.dict.term(t)) + 1
			}
			ownTerms[j] = c.terms[t] - 1
		}
		copy(ownCounts, counts)
		if s.meta.Meaning != "" {
			w.placed[len(w.lengths)] = placed{s, i}
		}
		w.lengths = append(roomy(w.lengths), s.lengths[i])
		record := s.record(i)
		chunk, _ := decodeChunk(record)
		w.meta.Bytes += int64(len(chunk.Text))
		w.addRecord(record)
		if w.meta.Space != "" {
			w.copyVector(s, i)
		}
	}
	e.File = as
	w.entry(e)
}

// Learn learns the meaning of what was taken in. It returns nil where there is too little. After that, nothing more is taken in.
func (w *Writer) Learn() *Meaning {
	w.forget() // Room for what learning takes.
	names, order := w.terms.sorted()
	return learn(names, len(w.lengths), func(chunk int) []lsa.Count {
		terms, counts := w.own.of(chunk)
		all := make([]lsa.Count, len(terms))
		for i, t := range terms {
			all[i] = lsa.Count{Term: order[t], N: uint32(counts[i])}
		}
		return all
	})
}

// learn learns the meaning of so many chunks. Terms are numbered as they are sorted, so that the same chunks give the same meaning, wherever
// they are kept.
func learn(names []string, chunks int, of func(chunk int) []lsa.Count) *Meaning {
	s, kept := lsa.Learn(len(names), chunks, of)
	if s == nil {
		return nil
	}
	terms := make([]string, len(kept))
	for i, t := range kept {
		terms[i] = names[t]
	}
	return newMeaning(terms, s, chunks)
}

// Build makes the segment, and writes it to its end. The chunks get their places in meaning, which may be nil. The Writer is of no use
// afterwards.
func (w *Writer) Build(meaning *Meaning) (Written, error) {
	out := w.out
	out.end(sectionRecords)
	out.section(sectionRecordEnds, raw(w.recordEnds))
	out.begin(sectionEntries, int(w.entries.size))
	for _, some := range w.entries.pieces {
		out.write(some)
	}
	out.end(sectionEntries)
	out.section(sectionLengths, raw(w.lengths))
	w.entries, w.recordEnds = pieces{}, nil
	w.forget()
	names, order := w.terms.sorted()
	dict := newDictionary(names)
	w.terms = table{}
	out.section(sectionTerms, dict.text)
	out.section(sectionTermEnds, raw(dict.ends))
	out.section(sectionTable, raw(dict.table))
	w.writePostings(dict.len(), order)
	w.writeOwn()
	meanings := w.means(meaning, &dict)
	out.section(sectionMeaningCells, raw(meanings.Cells()))
	out.section(sectionMeaningScales, raw(meanings.Scales()))
	if w.vectors != nil {
		out.section(sectionVectors, raw(w.vectors.Exact()))
		out.section(sectionVectorCells, raw(w.vectors.Cells()))
		out.section(sectionVectorScales, raw(w.vectors.Scales()))
	}
	described, err := json.Marshal(w.meta)
	if err != nil {
		panic(err) // Numbers and strings always can be written.
	}
	out.section(sectionMeta, described)
	return out.close()
}

// writePostings writes the chunks of the terms, of which there are so many, by their place among all of them.
func (w *Writer) writePostings(terms int, order []uint32) {
	s := &Segment{lengths: w.lengths}
	s.postingEnds, s.postings, s.postingCounts = w.own.invert(terms, order)
	w.meta.Mean = mean(float64(sum(w.lengths)), len(w.lengths))
	s.bound(w.meta.Mean)
	w.out.section(sectionPostingEnds, raw(s.postingEnds))
	w.out.section(sectionPostings, raw(s.postings))
	w.out.section(sectionPostingCounts, s.postingCounts)
	w.out.section(sectionDense, raw(s.dense))
	w.out.section(sectionDenseEnds, raw(s.denseEnds))
	w.out.section(sectionDenseMost, s.denseMost)
}

// writeOwn writes the terms of the chunks, sorted.
func (w *Writer) writeOwn() {
	ends, end := make([]uint32, len(w.lengths)), uint32(0)
	for c, at := range w.own.at {
		end += at.n
		ends[c] = end
	}
	w.out.section(sectionOwnEnds, raw(ends))
	w.out.begin(sectionOwn, 4*int(end))
	for _, some := range w.own.terms {
		w.out.write(raw(some))
	}
	w.out.end(sectionOwn)
	w.out.begin(sectionOwnCounts, int(end))
	for _, some := range w.own.counts {
		w.out.write(some)
	}
	w.out.end(sectionOwnCounts)
}

// means gives the chunks their places in a space.
func (w *Writer) means(meaning *Meaning, dict *dictionary) lsa.Packed {
	if w.vectors != nil {
		w.meta.VectorDims = w.vectors.Dims()
	}
	if meaning == nil || len(w.lengths) == 0 {
		return lsa.Packed{}
	}
	rows := meaning.rows(dict)
	w.meta.Meaning, w.meta.Dims = meaning.id, meaning.space.Dims()
	places := lsa.NewPacked(w.meta.Dims, len(w.lengths))
	lsa.Each(len(w.lengths), block, func(from, to int) {
		v := make([]float32, w.meta.Dims)
		var known []lsa.Count
		for c := from; c < to; c++ {
			if p, ok := w.placed[c]; ok && p.from.meta.Meaning == meaning.id {
				places.Copy(c, &p.from.meanings, int(p.chunk))
				continue
			}
			known = known[:0]
			terms, counts := w.own.of(c)
			for i, t := range terms {
				if rows[t] > 0 {
					known = append(known, lsa.Count{Term: rows[t] - 1, N: uint32(counts[i])})
				}
			}
			meaning.space.VectorTo(v, known) // All 0 where nothing is known of it, which is near to nothing.
			places.Set(c, v)
		}
	})
	return places
}

// bound finds the terms that stand in many chunks, and what they count at most in each block, for chunks of that average length.
func (s *Segment) bound(mean float64) {
	blocks := s.blocks()
	if blocks < 2 {
		return
	}
	at := normOf(mean)
	for t := range s.postingEnds {
		postings, counts := s.in(uint32(t))
		if len(postings) < 4*blocks {
			continue
		}
		s.dense = append(s.dense, uint32(t))
		i := 0
		for b := range blocks {
			most := float32(0)
			for ; i < len(postings) && int(postings[i]) < (b+1)*block; i++ {
				most = max(most, at.impact(counts[i], s.lengths[postings[i]]))
			}
			s.denseEnds = append(s.denseEnds, uint32(i))
			s.denseMost = append(s.denseMost, uint8(math.Ceil(float64(most)*math.MaxUint8)))
		}
	}
}

func sum(of []float32) (s float64) {
	for _, x := range of {
		s += float64(x)
	}
	return s
}

// mean is the average length of so many chunks.
func mean(length float64, chunks int) float64 { return max(length/float64(max(chunks, 1)), 1) }
