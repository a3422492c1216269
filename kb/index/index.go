// Package index finds the chunks of documents that a question is about. It ranks them by their words (BM25), asks again with words of those
// that it found first, and adds how near they are in meaning, which package lsa has learned from the collection itself. No model is asked;
// where the chunks have vectors that one has made, they count too. Ranks depend on nothing but the chunks and the question.
//
// A Writer makes a Segment of documents: one run of bytes in which postings, terms, text and meanings lie as they are searched, so that
// a file of it is searched as it is mapped. A Segment never changes: Live says which of its documents are gone. Search asks the segments
// of some sources as one collection. An Index is a collection of one segment, for what is indexed once and asked in memory.
//
// Read segment.go first, then search.go.
package index

import (
	"context"

	"github.com/mainstay-dev/mainstay/kb"
)

// Document is what is searched.
type Document struct {
	ID string
	// Title counts twice.
	Title, Text string
}

// Builder takes documents in. It is for one goroutine.
type Builder struct{ to *Writer }

// NewBuilder returns an empty Builder.
func NewBuilder() *Builder { return &Builder{newWriterTo("", newMemory(sections))} }

// Add takes a document in.
func (b *Builder) Add(d Document) {
	b.to.Add(kb.File{Path: d.ID}, kb.Document{Title: d.Title, Chunks: []kb.Chunk{{Text: d.Text}}}, nil)
}

// Build makes the Index. The Builder is of no use afterwards.
func (b *Builder) Build() *Index { return b.build(b.to.Learn()) }

// BuildWords makes an Index that is searched by words alone, for which nothing is learned. The Builder is of no use afterwards.
func (b *Builder) BuildWords() *Index { return b.build(nil) }

func (b *Builder) build(m *Meaning) *Index {
	if _, err := b.to.Build(m); err != nil {
		panic(err) // There is no file that could fail.
	}
	s, err := openSections(b.to.out.kept, b.to.out.records)
	if err != nil {
		panic(err) // It was made just now.
	}
	return &Index{Source{Meaning: m, Segments: []*Live{All(s)}}}
}

// Index is a collection that can be searched. It is safe for concurrent use.
type Index struct{ of Source }

// Len is how many documents there are.
func (x *Index) Len() int { return x.of.Segments[0].Chunks() }

// Hit is a document that was found.
type Hit struct {
	// Document is its number, in the order in which they were added.
	Document int
	ID       string
	// Score is for comparing the hits of one question, from 0 to 1.
	Score float64
}

// Search returns the documents that a question is about, the best ones first, at most so many. Documents of the same score come in the
// order in which they were added.
func (x *Index) Search(question string, most int) []Hit {
	return x.search(Ask{Text: question, Most: most})
}

// SearchWords is Search by the words of the question alone.
func (x *Index) SearchWords(question string, most int) []Hit {
	return x.search(Ask{Text: question, Most: most, WordsOnly: true})
}

func (x *Index) search(ask Ask) []Hit {
	found, err := Search(context.Background(), []Source{x.of}, ask)
	if err != nil {
		panic(err) // It would be the context's, which does not end.
	}
	hits := make([]Hit, len(found))
	for i, f := range found {
		hits[i] = Hit{Document: int(f.Chunk), ID: x.of.Segments[0].entries[f.Entry].File.Path, Score: f.Score}
	}
	return hits
}
