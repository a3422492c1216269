package postgres

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/mainstay-dev/mainstay/kb"
)

// waiting is a document before it is written, with the vectors of its chunks where it has some.
type waiting struct {
	file     kb.File
	document kb.Document
	vectors  []string
}

// How much is written at once, at least: chunks, bytes of text, and rows of postings and others.
const (
	writeChunks = 512
	writeBytes  = 4 << 20
	writeRows   = 50_000
)

// wait takes a document in, and writes those that are waiting where they are enough.
func (c *change) wait(ctx context.Context, w waiting) error {
	c.waiting = append(c.waiting, w)
	c.chunks += len(w.document.Chunks)
	for _, chunk := range w.document.Chunks {
		c.bytes += len(chunk.Text)
	}
	if c.chunks >= writeChunks || c.bytes >= writeBytes || len(c.waiting) >= writeRows {
		return c.flush(ctx)
	}
	return nil
}

// counted is a chunk that is written, and its terms.
type counted struct {
	id, document int64
	place        int
	chunk        kb.Chunk
	terms        []string
	counts       []uint8
	length       float32
}

// flush writes the documents that are waiting.
func (c *change) flush(ctx context.Context) error {
	if len(c.waiting) == 0 {
		return nil
	}
	if c.update.Space != "" {
		if err := c.embed(ctx); err != nil {
			return err
		}
	}
	documents, err := c.numbers(ctx, "documents", len(c.waiting))
	if err != nil {
		return err
	}
	ids, err := c.numbers(ctx, "chunks", c.chunks)
	if err != nil {
		return err
	}
	var chunks []counted
	var vectors []string
	for i, w := range c.waiting {
		for place, chunk := range w.document.Chunks {
			one := counted{id: ids[len(chunks)], document: documents[i], place: place, chunk: chunk}
			one.terms, one.counts, one.length = c.counter.Count(w.document, chunk)
			chunks = append(chunks, one)
		}
		vectors = append(vectors, w.vectors...)
	}
	if err := c.name(ctx, chunks); err != nil {
		return err
	}
	if err := c.writeDocuments(ctx, documents); err != nil {
		return err
	}
	if err := c.writeChunks(ctx, chunks); err != nil {
		return err
	}
	if c.update.Space != "" {
		if err := c.writeVectors(ctx, "vectors", "vector", ids, vectors); err != nil {
			return err
		}
	}
	if c.meaning != nil {
		places := make([]string, len(chunks))
		for i, one := range chunks {
			places[i] = place(c.meaning, one.terms, one.counts)
		}
		if err := c.writeVectors(ctx, "places", "halfvec", ids, places); err != nil {
			return err
		}
	}
	c.added += len(chunks)
	c.waiting, c.chunks, c.bytes = nil, 0, 0
	return nil
}

// numbers are so many ids that a table has not used.
func (c *change) numbers(ctx context.Context, table string, n int) ([]int64, error) {
	return collect(ctx, c.tx, func(id *int64) []any { return []any{id} },
		`SELECT nextval(pg_get_serial_sequence($1, 'id')) FROM generate_series(1, $2::int)`, c.names.Replace("{kb}."+table), n)
}

// name gives the terms of chunks their numbers, and counts the chunks that they stand in.
func (c *change) name(ctx context.Context, chunks []counted) error {
	unknown := map[string]bool{}
	for _, one := range chunks {
		for _, term := range one.terms {
			if _, known := c.ids[term]; !known {
				unknown[term] = true
			}
		}
	}
	for some := range slices.Chunk(slices.Sorted(maps.Keys(unknown)), writeRows) {
		if _, err := c.exec(ctx, `INSERT INTO {kb}.terms (source, term, chunks) SELECT $1::bigint, x, 0 FROM unnest($2::text[]) x ON CONFLICT (source, term) DO NOTHING`, c.now.id, some); err != nil {
			return err
		}
		var id int64
		var term string
		if err := c.each(ctx, []any{&id, &term}, func() error {
			c.ids[term] = id
			return nil
		}, `SELECT id, term FROM {kb}.terms WHERE source = $1 AND term = ANY($2)`, c.now.id, some); err != nil {
			return err
		}
	}
	for _, one := range chunks {
		for _, term := range one.terms {
			c.standing[c.ids[term]]++
		}
		c.now.chunks++
		c.now.length += float64(one.length)
	}
	return nil
}

func (c *change) writeDocuments(ctx context.Context, ids []int64) error {
	var keys, blobKeys, paths, blobs, titles, problems [][]byte
	var seconds []*int64
	var nanos, chunks []int
	var kinds []string
	var bytes []int64
	for _, w := range c.waiting {
		s, n := timeOf(w.file.Time)
		size := int64(0)
		for _, chunk := range w.document.Chunks {
			size += int64(len(chunk.Text))
		}
		keys, blobKeys = append(keys, keyOf(w.file.Path)), append(blobKeys, keyOf(w.file.Blob))
		paths, blobs = append(paths, []byte(w.file.Path)), append(blobs, []byte(w.file.Blob))
		seconds, nanos = append(seconds, s), append(nanos, n)
		kinds, titles, problems = append(kinds, string(w.document.Kind)), append(titles, []byte(w.document.Title)), append(problems, []byte(w.document.Problem))
		chunks, bytes = append(chunks, len(w.document.Chunks)), append(bytes, size)
	}
	_, err := c.exec(ctx, `INSERT INTO {kb}.documents (source, id, key, blobkey, path, blob, seconds, nanos, kind, title, problem, chunks, bytes)
		SELECT $1::bigint, * FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bigint[], $8::int[], $9::text[], $10::bytea[], $11::bytea[], $12::int[], $13::bigint[])`,
		c.now.id, ids, keys, blobKeys, paths, blobs, seconds, nanos, kinds, titles, problems, chunks, bytes)
	return err
}

func (c *change) writeChunks(ctx context.Context, all []counted) error {
	var ids, documents []int64
	var places, first, last []int
	var headings, texts, terms, counts [][]byte
	var lengths []float32
	var posted postings
	for _, one := range all {
		heading := make([][]byte, len(one.chunk.Heading))
		for i, h := range one.chunk.Heading {
			heading[i] = []byte(h)
		}
		encoded, err := json.Marshal(heading)
		if err != nil {
			return err
		}
		own := c.own(one)
		packed, often := pack(own)
		ids, documents, places = append(ids, one.id), append(documents, one.document), append(places, one.place)
		first, last = append(first, one.chunk.First), append(last, one.chunk.Last)
		headings, texts = append(headings, encoded), append(texts, []byte(one.chunk.Text))
		terms, counts, lengths = append(terms, packed), append(counts, often), append(lengths, one.length)
		for _, o := range own {
			posted.add(o, one.id, one.length)
			if len(posted.terms) >= writeRows {
				if err := c.writePostings(ctx, &posted); err != nil {
					return err
				}
			}
		}
	}
	if _, err := c.exec(ctx, `INSERT INTO {kb}.chunks (id, document, place, first, last, heading, text, terms, counts, length)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::int[], $5::int[], $6::bytea[], $7::bytea[], $8::bytea[], $9::bytea[], $10::real[])`,
		ids, documents, places, first, last, headings, texts, terms, counts, lengths); err != nil {
		return fmt.Errorf("write chunks: %w", err)
	}
	return c.writePostings(ctx, &posted)
}

// standing is a term in a chunk, and how often it stands there.
type standing struct {
	term int64
	n    uint8
}

// own are the terms of a chunk, sorted by number.
func (c *change) own(one counted) []standing {
	own := make([]standing, len(one.terms))
	for i, term := range one.terms {
		own[i] = standing{c.ids[term], one.counts[i]}
	}
	slices.SortFunc(own, func(a, b standing) int { return int(a.term - b.term) })
	return own
}

// pack makes bytes of the terms of a chunk, each as what it is more than the last one, and of how often they stand there.
func pack(own []standing) (terms, counts []byte) {
	last := int64(0)
	for _, o := range own {
		terms, counts = binary.AppendUvarint(terms, uint64(o.term-last)), append(counts, o.n)
		last = o.term
	}
	return append([]byte{}, terms...), append([]byte{}, counts...)
}

// unpack reads what pack made.
func unpack(terms, counts []byte) []standing {
	own := make([]standing, 0, len(counts))
	last := int64(0)
	for _, n := range counts {
		more, size := binary.Uvarint(terms)
		if size <= 0 {
			break
		}
		terms, last = terms[size:], last+int64(more)
		own = append(own, standing{last, n})
	}
	return own
}

// postings are rows that are written together.
type postings struct {
	terms, chunks []int64
	counts        []int16
	lengths       []float32
}

func (p *postings) add(o standing, chunk int64, length float32) {
	p.terms, p.chunks = append(p.terms, o.term), append(p.chunks, chunk)
	p.counts, p.lengths = append(p.counts, int16(o.n)), append(p.lengths, length)
}

func (c *change) writePostings(ctx context.Context, p *postings) error {
	if len(p.terms) == 0 {
		return nil
	}
	_, err := c.exec(ctx, `INSERT INTO {kb}.postings (term, chunk, n, length)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::real[]) AS x(term, chunk, n, length) ORDER BY x.term, x.chunk`,
		p.terms, p.chunks, p.counts, p.lengths)
	*p = postings{}
	return err
}

// writeVectors writes vectors of chunks to a table of them.
func (c *change) writeVectors(ctx context.Context, table, kind string, ids []int64, vectors []string) error {
	_, err := c.exec(ctx, `INSERT INTO {kb}.`+table+` SELECT x.chunk, $1::bigint, x.v::{vector}.`+kind+` FROM unnest($2::bigint[], $3::text[]) AS x(chunk, v)`, c.now.id, ids, vectors)
	return err
}

// drop removes documents that are gone.
func (c *change) drop(ctx context.Context, documents []int64) error {
	for some := range slices.Chunk(documents, writeChunks) {
		var ids []int64
		var gone postings
		var id int64
		var terms, counts []byte
		var length float32
		if err := c.each(ctx, []any{&id, &terms, &counts, &length}, func() error {
			ids = append(ids, id)
			for _, o := range unpack(terms, counts) {
				gone.add(o, id, 0)
				c.standing[o.term]--
			}
			c.now.chunks--
			c.now.length -= float64(length)
			return nil
		}, `SELECT id, terms, counts, length FROM {kb}.chunks WHERE document = ANY($1)`, some); err != nil {
			return err
		}
		for begin := 0; begin < len(gone.terms); begin += writeRows {
			end := min(begin+writeRows, len(gone.terms))
			if _, err := c.exec(ctx, `DELETE FROM {kb}.postings p USING unnest($1::bigint[], $2::bigint[]) AS x(term, chunk) WHERE p.term = x.term AND p.chunk = x.chunk`,
				gone.terms[begin:end], gone.chunks[begin:end]); err != nil {
				return err
			}
		}
		for _, table := range []string{"vectors", "places"} {
			if _, err := c.exec(ctx, `DELETE FROM {kb}.`+table+` WHERE chunk = ANY($1)`, ids); err != nil {
				return err
			}
		}
		if _, err := c.exec(ctx, `DELETE FROM {kb}.chunks WHERE document = ANY($1)`, some); err != nil {
			return err
		}
		if _, err := c.exec(ctx, `DELETE FROM {kb}.documents WHERE id = ANY($1)`, some); err != nil {
			return err
		}
	}
	return nil
}

// count writes in how many chunks terms stand now, and removes those that stand in none.
func (c *change) count(ctx context.Context) error {
	for some := range slices.Chunk(slices.Sorted(maps.Keys(c.standing)), writeRows) {
		more := make([]int64, len(some))
		for i, id := range some {
			more[i] = int64(c.standing[id])
		}
		if _, err := c.exec(ctx, `UPDATE {kb}.terms t SET chunks = t.chunks + x.more FROM unnest($1::bigint[], $2::bigint[]) AS x(id, more)
			WHERE t.id = x.id AND x.more <> 0`, some, more); err != nil {
			return err
		}
		if _, err := c.exec(ctx, `DELETE FROM {kb}.terms WHERE id = ANY($1) AND chunks = 0`, some); err != nil {
			return err
		}
	}
	return nil
}
