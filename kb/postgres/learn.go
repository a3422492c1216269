package postgres

import (
	"context"
	"slices"

	"github.com/mainstay-dev/mainstay/kb/index"
	"github.com/mainstay-dev/mainstay/kb/lsa"
)

// place is the place of a chunk in meaning, as pgvector reads it: zeros where nothing is known of it.
func place(m *index.Meaning, terms []string, counts []uint8) string {
	v := m.Place(terms, counts)
	if v == nil {
		v = make([]float32, m.Dims())
	}
	return written(v)
}

// counts are the terms of a chunk, and how often each stands there.
type counts struct {
	terms []string
	n     []uint8
}

// learn learns the meaning of the source from all that it has now, and places all of its chunks. Terms of a single chunk say nothing of
// others, and are not asked for.
func (c *change) learn(ctx context.Context) error {
	terms := map[int64]string{}
	var id int64
	var term string
	if err := c.each(ctx, []any{&id, &term}, func() error {
		terms[id] = term
		return nil
	}, `SELECT id, term FROM {kb}.terms WHERE source = $1 AND chunks > 1`, c.now.id); err != nil {
		return err
	}
	ids, err := collect(ctx, c.tx, func(id *int64) []any { return []any{id} }, `SELECT c.id FROM {kb}.chunks c JOIN {kb}.documents d ON d.id = c.document
		WHERE d.source = $1 ORDER BY d.path, c.place`, c.now.id)
	if err != nil {
		return err
	}
	var sample []int64
	for i := range lsa.Sample(len(ids)) {
		sample = append(sample, ids[i])
	}
	known := map[int64]counts{}
	for some := range slices.Chunk(sample, writeChunks) {
		if err := c.read(ctx, some, terms, known); err != nil {
			return err
		}
	}
	m := index.Learn(len(ids), func(chunk int) ([]string, []uint8) {
		is := known[ids[chunk]]
		return is.terms, is.n
	})
	for _, table := range []string{"places", "meanings"} {
		if _, err := c.exec(ctx, `DELETE FROM {kb}.`+table+` WHERE source = $1`, c.now.id); err != nil {
			return err
		}
	}
	if m == nil {
		return nil
	}
	if _, err := c.exec(ctx, `INSERT INTO {kb}.meanings VALUES ($1, $2, $3)`, c.now.id, m.ID(), m.File()); err != nil {
		return err
	}
	for some := range slices.Chunk(ids, writeChunks) {
		known := map[int64]counts{}
		if err := c.read(ctx, some, terms, known); err != nil {
			return err
		}
		places := make([]string, len(some))
		for i, id := range some {
			places[i] = place(m, known[id].terms, known[id].n)
		}
		if err := c.writeVectors(ctx, "places", "halfvec", some, places); err != nil {
			return err
		}
	}
	return nil
}

// read reads which terms some chunks have, sorted.
func (c *change) read(ctx context.Context, ids []int64, names map[int64]string, to map[int64]counts) error {
	var id int64
	var terms, often []byte
	return c.each(ctx, []any{&id, &terms, &often}, func() error {
		type one struct {
			term string
			n    uint8
		}
		var all []one
		for _, o := range unpack(terms, often) {
			if name, ok := names[o.term]; ok {
				all = append(all, one{name, o.n})
			}
		}
		slices.SortFunc(all, func(a, b one) int {
			if a.term < b.term {
				return -1
			}
			return 1
		})
		is := counts{}
		for _, o := range all {
			is.terms, is.n = append(is.terms, o.term), append(is.n, o.n)
		}
		to[id] = is
		return nil
	}, `SELECT id, terms, counts FROM {kb}.chunks WHERE id = ANY($1)`, ids)
}
