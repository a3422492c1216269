package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/index"
	"github.com/mainstay-dev/mainstay/kb/words"
)

// Search returns the chunks a query is about, the best ones first. Chunks of the same score come in the order of source, path and place.
func (e *Engine) Search(ctx context.Context, q kb.Query) (hits []kb.Hit, err error) {
	for _, glob := range q.Filter.Paths {
		if !doublestar.ValidatePattern(glob) {
			return nil, fmt.Errorf("search: the path %q is not a glob", glob)
		}
	}
	err = e.asking(ctx, func(ctx context.Context, t *tx) error {
		s := &search{tx: t, engine: e, query: q, most: max(min(q.Most, kb.MaxHits), 0), known: map[string]known{}}
		hits, err = s.run(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return hits, nil
}

// search is a query on its way.
type search struct {
	*tx
	engine *Engine
	query  kb.Query
	most   int
	// sources are those that are searched, sorted by name, and ids theirs.
	sources    []source
	ids        []int64
	collection index.Collection
	// documents are those that the filter lets through, where there is one.
	filtered  bool
	documents []int64
	known     map[string]known
}

// known is a term of the sources: its numbers, and in how many chunks it stands.
type known struct {
	ids []int64
	in  int
}

// found is a chunk that was found. Its source is a place in search.sources.
type found struct {
	id     int64
	source int
	path   []byte
	place  int
	score  float32
}

func compare(a, b found) int {
	return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.source, b.source), bytes.Compare(a.path, b.path), cmp.Compare(a.place, b.place))
}

func (s *search) run(ctx context.Context) ([]kb.Hit, error) {
	var err error
	if s.sources, err = s.tx.sources(ctx, s.query.Sources...); err != nil {
		return nil, err
	}
	chunks, length := 0, 0.0
	for _, is := range s.sources {
		s.ids = append(s.ids, is.id)
		chunks += is.chunks
		length += is.length
		if v, ok := s.query.Vectors[string(is.space)]; ok && !s.query.WordsOnly && is.embedded() > 0 && len(v) != is.embedded() && s.query.Without != nil {
			s.query.Without(string(is.name))
		}
	}
	if chunks == 0 || s.most == 0 {
		return nil, nil
	}
	s.collection = index.NewCollection(chunks, length)
	if err := s.filter(ctx); err != nil {
		return nil, err
	}
	all, err := s.find(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, compare)
	return s.hits(ctx, all[:min(s.most, len(all))])
}

func (s *search) find(ctx context.Context) ([]found, error) {
	terms, err := s.question(ctx)
	if err != nil {
		return nil, err
	}
	if s.query.WordsOnly {
		return s.score(ctx, terms, s.most)
	}
	begin, err := s.score(ctx, terms, index.First)
	if err != nil {
		return nil, err
	}
	var all []found
	if len(begin) > 0 {
		right, err := s.right(ctx, begin)
		if err != nil {
			return nil, err
		}
		wide := s.collection.Widen(terms, right, func(term string) int { return s.known[term].in })
		if all, err = s.score(ctx, wide, max(index.Ranked, s.most)); err != nil {
			return nil, err
		}
		if err := s.addMeaning(ctx, all, terms, right[0]); err != nil {
			return nil, err
		}
	}
	return s.addNear(ctx, all)
}

// question are the terms of the question that are known.
func (s *search) question(ctx context.Context) ([]index.Term, error) {
	distinct := map[string]bool{}
	for run := range words.Runs(s.query.Text) {
		for _, term := range words.Terms(run) {
			distinct[term] = true
		}
	}
	if err := s.learn(ctx, distinct); err != nil {
		return nil, err
	}
	return index.Question(s.query.Text, func(term string) bool { return s.known[term].in > 0 }), nil
}

// learn asks which of some terms there are, and in how many chunks.
func (s *search) learn(ctx context.Context, terms map[string]bool) error {
	for term := range s.known {
		delete(terms, term)
	}
	for some := range slices.Chunk(slices.Sorted(maps.Keys(terms)), writeRows) {
		var id int64
		var term string
		var in int
		if err := s.each(ctx, []any{&id, &term, &in}, func() error {
			k := s.known[term]
			s.known[term] = known{append(k.ids, id), k.in + in}
			return nil
		}, `SELECT id, term, chunks FROM {kb}.terms WHERE source = ANY($1) AND term = ANY($2) ORDER BY id`, s.ids, some); err != nil {
			return err
		}
	}
	return nil
}

// whole is what the weights of a question are together as they are told to the server, which adds whole numbers: these are exact in any
// order, and do not overflow.
const whole = 1 << 30

// score returns the best of the chunks that have one of the terms. The score of the best one is 1.
func (s *search) score(ctx context.Context, terms []index.Term, most int) ([]found, error) {
	total := 0.0
	for _, t := range terms {
		total += float64(t.Weight * s.collection.Weight(t.Text, s.known[t.Text].in))
	}
	var ids []int64
	var weights []float64
	for _, t := range terms {
		for _, id := range s.known[t.Text].ids {
			ids, weights = append(ids, id), append(weights, float64(t.Weight*s.collection.Weight(t.Text, s.known[t.Text].in))/total*whole)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	base, by := s.collection.Norm()
	showing, args := s.showing("p.chunk", []any{ids, weights, float64(base), float64(by), most, s.ids})
	sums, all, err := s.found(ctx, `WITH asked AS (SELECT * FROM unnest($1::bigint[], $2::double precision[]) AS x(term, weight)),
		scored AS (SELECT p.chunk, sum(greatest(a.weight * p.n / (p.n + $3::double precision + $4::double precision * p.length), 1)::integer) AS score
			FROM asked a JOIN {kb}.postings p ON p.term = a.term `+showing+` GROUP BY p.chunk),
		best AS (SELECT chunk, score FROM scored ORDER BY score DESC FETCH FIRST ($5::bigint) ROWS WITH TIES)
		SELECT c.id, array_position($6::bigint[], d.source) - 1, d.path, c.place, b.score::double precision
		FROM best b JOIN {kb}.chunks c ON c.id = b.chunk JOIN {kb}.documents d ON d.id = c.document
		ORDER BY b.score DESC, 2, d.path, c.place LIMIT $5::bigint`, args...)
	for i := range all {
		all[i].score = float32(sums[i] / sums[0])
	}
	return all, err
}

// showing is the part of a statement that leaves out chunks which the filter does, and its arguments with one more.
func (s *search) showing(chunk string, args []any) (string, []any) {
	if !s.filtered {
		return "", args
	}
	return fmt.Sprintf(`JOIN {kb}.chunks f ON f.id = %s AND f.document = ANY($%d::bigint[])`, chunk, len(args)+1), append(args, s.documents)
}

// found are the chunks that a statement tells, and the number that it tells of each.
func (s *search) found(ctx context.Context, sql string, args ...any) (numbers []float64, all []found, err error) {
	var f found
	var number float64
	err = s.each(ctx, []any{&f.id, &f.source, &f.path, &f.place, &number}, func() error {
		numbers, all = append(numbers, number), append(all, f)
		return nil
	}, sql, args...)
	return numbers, all, err
}

// right are chunks with their terms. In how many chunks those stand is known then.
func (s *search) right(ctx context.Context, begin []found) ([]index.Right, error) {
	ids := make([]int64, len(begin))
	for i, f := range begin {
		ids[i] = f.id
	}
	own := map[int64][]standing{}
	lengths := map[int64]float32{}
	var id int64
	var terms, counts []byte
	var length float32
	if err := s.each(ctx, []any{&id, &terms, &counts, &length}, func() error {
		own[id], lengths[id] = unpack(terms, counts), length
		return nil
	}, `SELECT id, terms, counts, length FROM {kb}.chunks WHERE id = ANY($1)`, ids); err != nil {
		return nil, err
	}
	names := map[int64]string{}
	for _, of := range own {
		for _, o := range of {
			names[o.term] = ""
		}
	}
	distinct := map[string]bool{}
	var name string
	var in int
	if err := s.each(ctx, []any{&id, &name, &in}, func() error {
		names[id] = name
		distinct[name] = true
		if len(s.sources) == 1 {
			s.known[name] = known{[]int64{id}, in} // No other source has it.
		}
		return nil
	}, `SELECT id, term, chunks FROM {kb}.terms WHERE id = ANY($1)`, slices.Sorted(maps.Keys(names))); err != nil {
		return nil, err
	}
	if err := s.learn(ctx, distinct); err != nil {
		return nil, err
	}
	right := make([]index.Right, len(begin))
	for i, f := range begin {
		right[i] = index.Right{Score: f.score, Length: lengths[f.id]}
		for _, o := range own[f.id] {
			right[i].Terms, right[i].Counts = append(right[i].Terms, names[o.term]), append(right[i].Counts, o.n)
		}
	}
	return right, nil
}

// addMeaning adds how near the chunks are in meaning to the question and to the best one.
func (s *search) addMeaning(ctx context.Context, all []found, terms []index.Term, best index.Right) error {
	scores, near := make([]float32, len(all)), make([]float32, len(all))
	for i, f := range all {
		scores[i], near[i] = f.score, -1
	}
	for i, is := range s.sources {
		m, err := s.engine.meaning(ctx, s.tx, is)
		if err != nil {
			return err
		}
		if m == nil {
			continue
		}
		towards := m.Towards(terms, m.Place(best.Terms, best.Counts))
		if towards == nil {
			continue
		}
		if err := s.products(ctx, all, "places", "place", "halfvec", i, written(towards), func(at int, product float32) { near[at] = max(product, 0) }); err != nil {
			return err
		}
	}
	index.AddMeaning(scores, near)
	for i := range all {
		all[i].score = scores[i]
	}
	return nil
}

// products tells the products of a vector and those of the chunks that are of one source.
func (s *search) products(ctx context.Context, all []found, table, column, kind string, source int, vector string, tell func(at int, product float32)) error {
	at := map[int64]int{}
	for i, f := range all {
		if f.source == source {
			at[f.id] = i
		}
	}
	if len(at) == 0 {
		return nil
	}
	var id int64
	var product float64
	return s.each(ctx, []any{&id, &product}, func() error {
		tell(at[id], float32(product))
		return nil
	}, `SELECT v.chunk, -(v.`+column+` OPERATOR({vector}.<#>) $2::text::{vector}.`+kind+`) FROM {kb}.`+table+` v WHERE v.chunk = ANY($1)`,
		slices.Sorted(maps.Keys(at)), vector)
}

// addNear adds how near the chunks are by the vectors of a model, and the nearest of those that were not found before. All are compared,
// exactly.
func (s *search) addNear(ctx context.Context, all []found) ([]found, error) {
	vectors := map[int]string{} // by source
	var nearest []found
	for i, is := range s.sources {
		v, ok := s.query.Vectors[string(is.space)]
		if !ok || is.embedded() == 0 || is.embedded() != len(v) {
			continue
		}
		vectors[i] = unit(v)
		showing, args := s.showing("v.chunk", []any{is.id, unit(v), max(index.Near, s.most), i})
		products, by, err := s.found(ctx, `SELECT c.id, $4::integer, d.path, c.place, b.product FROM (
				SELECT v.chunk, -(v.vector OPERATOR({vector}.<#>) $2::text::{vector}.vector) AS product FROM {kb}.vectors v `+showing+`
				WHERE v.source = $1 ORDER BY product DESC, v.chunk LIMIT $3::bigint) b
			JOIN {kb}.chunks c ON c.id = b.chunk JOIN {kb}.documents d ON d.id = c.document`, args...)
		if err != nil {
			return nil, err
		}
		for j := range by {
			by[j].score = float32(products[j])
		}
		nearest = append(nearest, by...)
	}
	if len(nearest) == 0 {
		return all, nil
	}
	slices.SortFunc(nearest, compare)
	nearest = nearest[:min(len(nearest), max(index.Near, s.most))]
	nearness := index.Nearness{Highest: nearest[0].score, Lowest: nearest[len(nearest)-1].score}
	have := make(map[int64]bool, len(all))
	for _, f := range all {
		have[f.id] = true
	}
	for i := range s.sources {
		if v, ok := vectors[i]; ok {
			if err := s.products(ctx, all, "vectors", "vector", "vector", i, v, func(at int, product float32) {
				all[at].score = nearness.Beside(all[at].score, product)
			}); err != nil {
				return nil, err
			}
		}
	}
	for _, f := range nearest {
		if f.score = nearness.Alone(f.score); f.score > 0 && !have[f.id] {
			all = append(all, f)
		}
	}
	return all, nil
}

// hits are chunks as they are told.
func (s *search) hits(ctx context.Context, all []found) ([]kb.Hit, error) {
	at := map[int64]int{}
	for i, f := range all {
		at[f.id] = i
	}
	hits := make([]kb.Hit, len(all))
	var d document
	var c chunk
	err := s.each(ctx, append(c.fields(), d.fields()...), func() error {
		i := at[c.id]
		is := s.sources[all[i].source]
		one, err := c.chunk()
		hits[i] = kb.Hit{Source: string(is.name), State: string(is.state), File: d.file(), Kind: kb.Kind(d.kind), Title: string(d.title), Chunk: one, Score: float64(all[i].score)}
		return err
	}, `SELECT `+chunkColumns+`, `+documentColumns+` FROM {kb}.chunks c JOIN {kb}.documents d ON d.id = c.document WHERE c.id = ANY($1)`, slices.Collect(maps.Keys(at)))
	return hits, err
}

// filter finds the documents that the filter lets through.
func (s *search) filter(ctx context.Context) error {
	f := s.query.Filter
	if len(f.Paths) == 0 && len(f.Kinds) == 0 && len(f.Labels) == 0 && f.Since.IsZero() && f.Before.IsZero() {
		return nil
	}
	s.filtered, s.documents = true, []int64{}
	var sources []int64
	for _, is := range s.sources {
		labelled, err := is.labelled(f.Labels)
		if err != nil {
			return err
		}
		if labelled {
			sources = append(sources, is.id)
		}
	}
	since, sinceNanos := timeOf(f.Since)
	before, beforeNanos := timeOf(f.Before)
	kinds := []string{}
	for _, k := range f.Kinds {
		kinds = append(kinds, string(k))
	}
	begins := [][]byte{}
	for _, glob := range f.Paths {
		begins = append(begins, []byte(literal(glob)))
	}
	var id int64
	var path []byte
	return s.each(ctx, []any{&id, &path}, func() error {
		if len(f.Paths) == 0 || slices.ContainsFunc(f.Paths, func(glob string) bool { return doublestar.MatchUnvalidated(glob, string(path)) }) {
			s.documents = append(s.documents, id)
		}
		return nil
	}, `SELECT d.id, d.path FROM {kb}.documents d WHERE d.source = ANY($1) AND (cardinality($2::text[]) = 0 OR d.kind = ANY($2::text[]))
		AND ($3::bigint IS NULL OR (d.seconds, d.nanos) >= ($3::bigint, $4::integer))
		AND ($5::bigint IS NULL OR (d.seconds, d.nanos) < ($5::bigint, $6::integer))
		AND (cardinality($7::bytea[]) = 0 OR EXISTS (SELECT FROM unnest($7::bytea[]) AS x(begins) WHERE substring(d.path FROM 1 FOR length(x.begins)) = x.begins))`,
		sources, kinds, since, sinceNanos, before, beforeNanos, begins)
}

// literal is what all paths begin with that a glob matches.
func literal(glob string) string {
	if i := strings.IndexAny(glob, `*?[{\`); i >= 0 {
		glob = glob[:i]
	}
	return strings.TrimRight(glob, "/")
}
