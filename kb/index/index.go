// Package index finds the documents that a question is about. It ranks them by their words (BM25), asks again with words of those that it
// found first, and adds how near they are in meaning, which package lsa has learned from the collection itself. No model is asked.
//
// An Index is in memory and does not change. Ranks depend on nothing but the collection and the question.
package index

import (
	"math"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/kb/lsa"
	"github.com/mainstay-dev/mainstay/kb/words"
)

// Document is what is searched.
type Document struct {
	ID string
	// Title counts twice.
	Title, Text string
}

// titleWeight is how much a word of a title counts, beside one of the text.
const titleWeight = 2

// Builder takes documents in. It is for one goroutine.
type Builder struct {
	ids   []string
	terms map[string]uint32
	// runs remembers the terms of runs, since the same ones come again and again.
	runs map[string][]uint32
	// counts are the terms of all documents, in order, and ends where each document's end.
	counts []lsa.Count
	ends   []int
	// The terms of the document that is taken in, and what each counts.
	present []uint32
	weights []uint32 // by term
}

// maxRuns bounds Builder.runs.
const maxRuns = 1 << 20

// NewBuilder returns an empty Builder.
func NewBuilder() *Builder { return &Builder{terms: map[string]uint32{}, runs: map[string][]uint32{}} }

// Add takes a document in.
func (b *Builder) Add(d Document) {
	b.text(d.Title, titleWeight)
	b.text(d.Text, 1)
	slices.Sort(b.present)
	for _, t := range b.present {
		b.counts = append(b.counts, lsa.Count{Term: t, N: b.weights[t]})
		b.weights[t] = 0
	}
	b.present = b.present[:0]
	b.ids, b.ends = append(b.ids, d.ID), append(b.ends, len(b.counts))
}

func (b *Builder) text(text string, weight uint32) {
	for run := range words.Runs(text) {
		ids, known := b.runs[run]
		if !known {
			for _, term := range words.Terms(run) {
				ids = append(ids, b.term(term))
			}
			if len(b.runs) == maxRuns {
				clear(b.runs)
			}
			b.runs[strings.Clone(run)] = ids
		}
		for _, t := range ids {
			if b.weights[t] == 0 {
				b.present = append(b.present, t)
			}
			b.weights[t] += weight
		}
	}
}

func (b *Builder) term(term string) uint32 {
	t, known := b.terms[term]
	if !known {
		t = uint32(len(b.weights))
		b.terms[term], b.weights = t, append(b.weights, 0)
	}
	return t
}

// Index is a collection that can be searched. It is safe for concurrent use.
type Index struct {
	ids   []string
	terms map[string]uint32
	// counts are the terms of the documents, one document after another, as postings are the documents of the terms.
	counts, postings      []lsa.Count
	countsEnd, postingEnd []int
	// norms are what BM25 adds to how often a term stands in a document, by the document's length.
	norms []float32
	space *lsa.Space
	// vectors are the documents in the space; none where the space is nil.
	vectors lsa.Packed
}

// The constants of BM25: how fast a word that is repeated stops counting more, and how much long documents count less.
const (
	k1 = 1.2
	b  = 0.6
)

// Build makes the Index. The Builder is of no use afterwards.
func (b *Builder) Build() *Index {
	x := &Index{ids: b.ids, terms: b.terms, counts: b.counts, countsEnd: b.ends}
	x.invert(len(b.weights))
	x.measure()
	x.space = lsa.Learn(len(b.weights), len(x.ids), x.of)
	if x.space != nil {
		x.vectors = lsa.NewPacked(x.space.Dims())
		none := make([]float32, x.space.Dims())
		for d := range x.ids {
			v := x.space.Vector(x.of(d))
			if v == nil {
				v = none
			}
			x.vectors.Add(v)
		}
	}
	return x
}

// invert makes the postings.
func (x *Index) invert(terms int) {
	x.postingEnd = make([]int, terms)
	for _, c := range x.counts {
		x.postingEnd[c.Term]++
	}
	sum := 0
	for t, n := range x.postingEnd {
		x.postingEnd[t], sum = sum, sum+n // For now where it begins.
	}
	x.postings = make([]lsa.Count, len(x.counts))
	for d := range x.ids {
		for _, c := range x.of(d) {
			x.postings[x.postingEnd[c.Term]] = lsa.Count{Term: uint32(d), N: c.N}
			x.postingEnd[c.Term]++
		}
	}
}

func (x *Index) measure() {
	x.norms = make([]float32, len(x.ids))
	sum := 0.0
	for d := range x.ids {
		for _, c := range x.of(d) {
			x.norms[d] += float32(c.N)
		}
		sum += float64(x.norms[d])
	}
	mean := max(sum/float64(max(len(x.ids), 1)), 1)
	for d := range x.norms {
		x.norms[d] = float32(k1 * (1 - b + b*float64(x.norms[d])/mean))
	}
}

// of returns the terms of a document.
func (x *Index) of(document int) []lsa.Count { return piece(x.counts, x.countsEnd, document) }

// in returns the documents of a term.
func (x *Index) in(term uint32) []lsa.Count { return piece(x.postings, x.postingEnd, int(term)) }

func piece(of []lsa.Count, ends []int, i int) []lsa.Count {
	if i == 0 {
		return of[:ends[0]]
	}
	return of[ends[i-1]:ends[i]]
}

// rarity is what a term counts that stands in so many documents.
func (x *Index) rarity(term uint32) float32 {
	n, in := float64(len(x.ids)), float64(len(x.in(term)))
	return float32(math.Log(1 + (n-in+.5)/(in+.5)))
}

// Len is how many documents there are.
func (x *Index) Len() int { return len(x.ids) }
