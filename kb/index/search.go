package index

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/mainstay-dev/mainstay/kb/lsa"
	"github.com/mainstay-dev/mainstay/kb/vectors"
)

// How a question is asked. One setting serves all collections. It was chosen on six of different kinds: abstracts of aerodynamics, of
// computer science and of library science with questions in sentences, titles of electrical engineering with keywords, and long
// conversations of which a single message is right, or a whole day. Around it little changes in any of them, and all of it together is
// better than words alone in the abstracts and titles, and as good in the conversations.
const (
	// first is how many chunks are taken to be right at first, further how many of their terms are asked for besides, and
	// furtherWeight how much those count together, beside the question's own.
	first, further = 10, 20
	furtherWeight  = 0.15
	// common is which part of the chunks at most a term stands in that is asked for besides.
	common = 0.2
	// meaning is how much nearness in meaning counts, beside words. The meaning asked for is that of the question and of the best
	// chunk by its words: of more of them it blurs.
	meaning = 0.25
	// ranked is how many chunks are compared in meaning, the best by their words.
	ranked = 2000
	// near is how many chunks are taken in by the vectors of a model, and nearWeight how much those count, beside words and
	// meaning.
	near       = 200
	nearWeight = 0.5
	// askingWeight is what the words of asking count, beside others: in short messages they are rare, and yet say nothing. The meaning
	// of a question is that of all its words.
	askingWeight = 0.1
	// maxAsked bounds the terms of a question.
	maxAsked = 200
)

// Source are segments that belong together.
type Source struct {
	Name string
	// Meaning is what was learned of them; nil for none. Segments that know another one are searched without.
	Meaning *Meaning
	// Space is what has made the vectors that are compared; empty for none. Segments of another one are searched without.
	Space    string
	Segments []*Live
}

// Ask is what is asked.
type Ask struct {
	Text string
	// Vectors are the text's, by space.
	Vectors   map[string][]float32
	WordsOnly bool
	Most      int
	// exhaustive is for tests: nothing is passed over.
	exhaustive bool
}

// Found is a chunk that was found.
type Found struct {
	// Source and Segment are indices of what was searched.
	Source, Segment int
	Chunk           uint32
	// Entry is the document of the segment that the chunk is of.
	Entry int
	// Score is for comparing what was found for one question, from 0 to 1.
	Score float64
}

// Search returns the chunks of sources that a question is about, the best ones first. All sources are one collection: how rare a term is,
// and how long a chunk, is counted over the chunks that are there in all of them, exactly. Chunks of the same score come in the order of
// the sources, and of the paths in it. Where ctx ends, it returns that error.
func Search(ctx context.Context, sources []Source, ask Ask) ([]Found, error) {
	ask.Most = max(ask.Most, 0)
	c := newSearch(sources, ask)
	defer c.close()
	found, err := c.find(ctx)
	if err != nil {
		return nil, err
	}
	hits := make([]Found, 0, min(ask.Most, len(found)))
	for _, f := range found[:min(ask.Most, len(found))] {
		s := c.segments[f.segment]
		hits = append(hits, Found{Source: s.source, Segment: s.at, Chunk: f.chunk, Entry: s.entryOf(f.chunk), Score: float64(f.score)})
	}
	return hits, nil
}

// search is one question to some sources.
type search struct {
	ask        Ask
	sources    []Source
	segments   []segmentOf
	collection Collection
	scorer     *scorer
}

// segmentOf is a segment of a source.
type segmentOf struct {
	*Live
	source, at int
}

func newSearch(sources []Source, ask Ask) *search {
	c := &search{ask: ask, sources: sources, scorer: scorers.Get().(*scorer)}
	chunks, length := 0, 0.0
	for i, source := range sources {
		for at, l := range source.Segments {
			c.segments = append(c.segments, segmentOf{l, i, at})
			chunks += l.chunks
			length += l.length
		}
	}
	c.collection = NewCollection(chunks, length)
	return c
}

func (c *search) close() { scorers.Put(c.scorer) }

func (c *search) find(ctx context.Context) ([]found, error) {
	if c.ask.Most == 0 {
		return nil, ctx.Err()
	}
	terms := c.terms()
	if c.ask.WordsOnly {
		found := c.score(terms, c.ask.Most)
		toTop(found)
		return found, ctx.Err()
	}
	var all []found
	if begin := c.score(terms, first); len(begin) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		all = c.score(c.widened(terms, begin), max(ranked, c.ask.Most))
		toTop(all)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c.addMeaning(all, terms, begin[0])
	}
	all, err := c.addNear(ctx, all)
	slices.SortFunc(all, c.best(0).compare)
	return all, err
}

// toTop makes the best score 1.
func toTop(found []found) {
	for i := range found {
		if i > 0 {
			found[i].score /= found[0].score
		}
	}
	if len(found) > 0 {
		found[0].score = 1
	}
}

// terms are the terms of the question that stand in some chunk.
func (c *search) terms() []Term {
	return Question(c.ask.Text, func(term string) bool { return c.standsIn(term) > 0 })
}

// standsIn is in how many chunks a term stands.
func (c *search) standsIn(term string) int {
	in := 0
	for _, s := range c.segments {
		if t, ok := s.dict.find(term); ok {
			in += s.standsIn(t)
		}
	}
	return in
}

func (c *search) best(most int) *best { return newBest(most, c.order) }

// order is that of chunks of the same score.
func (c *search) order(x, y found) int {
	if x.segment == y.segment {
		return cmp.Compare(x.chunk, y.chunk)
	}
	s, t := c.segments[x.segment], c.segments[y.segment]
	return cmp.Or(cmp.Compare(s.source, t.source), cmp.Compare(s.entries[s.entryOf(x.chunk)].File.Path, t.entries[t.entryOf(y.chunk)].File.Path))
}

// score returns the best of the chunks that have one of the terms.
func (c *search) score(terms []Term, most int) []found {
	best := c.best(most)
	rare := make([]float32, len(terms))
	for i, a := range terms {
		rare[i] = c.collection.Weight(a.Text, c.standsIn(a.Text))
	}
	for i, s := range c.segments {
		c.scorer.terms = c.scorer.terms[:0]
		for j, a := range terms {
			if t, ok := s.dict.find(a.Text); ok {
				c.scorer.terms = append(c.scorer.terms, weighed{term: t, weight: a.Weight * rare[j]})
			}
		}
		c.scorer.score(s.Live, int32(i), c.collection.Mean, best, c.ask.exhaustive)
	}
	return best.sorted()
}

// widened are the terms of a question and those that stand out in the chunks found first.
func (c *search) widened(terms []Term, begin []found) []Term {
	right := make([]Right, len(begin))
	for i, f := range begin {
		s := c.segments[f.segment]
		own, counts := s.of(f.chunk)
		right[i] = Right{f.score, s.Segment.lengths[f.chunk], make([]string, len(own)), counts}
		for j, t := range own {
			right[i].Terms[j] = s.dict.term(t)
		}
	}
	return c.collection.Widen(terms, right, c.standsIn)
}

// addMeaning adds how near the chunks are in meaning to the question and to the best one. Chunks of which no meaning is known are taken to be
// as near as their words are.
func (c *search) addMeaning(all []found, terms []Term, best found) {
	towards := make([][]float32, len(c.sources))
	for i, source := range c.sources {
		if source.Meaning != nil {
			towards[i] = c.towards(source.Meaning, terms, best)
		}
	}
	scores, near := make([]float32, len(all)), make([]float32, len(all))
	for i, f := range all {
		scores[i], near[i] = f.score, -1
		if s := c.segments[f.segment]; towards[s.source] != nil && s.meta.Meaning == c.sources[s.source].Meaning.id {
			near[i] = max(s.meanings.Dot(towards[s.source], int(f.chunk)), 0)
		}
	}
	AddMeaning(scores, near)
	for i := range all {
		all[i].score = scores[i]
	}
}

// towards is the meaning of a question and of the chunk that its words find first; nil where nothing is known of it.
func (c *search) towards(m *Meaning, terms []Term, best found) []float32 {
	v := m.vector(terms)
	if v == nil {
		return nil
	}
	s := c.segments[best.segment]
	if s.meta.Meaning == m.id {
		s.meanings.AddTo(v, 1, int(best.chunk))
	} else {
		own, counts := s.of(best.chunk)
		of := make([]Term, len(own))
		for i, t := range own {
			of[i] = Term{s.dict.term(t), float32(counts[i])}
		}
		for i, x := range m.vector(of) {
			v[i] += x
		}
	}
	if !lsa.Normalize(v) {
		return nil
	}
	return v
}

// addNear adds how near the chunks are by the vectors of a model, and the nearest of those that were not found before. Nearness is told
// from 0, that of the last of the nearest, to 1. Chunks without a vector keep their score.
func (c *search) addNear(ctx context.Context, all []found) ([]found, error) {
	nearest := c.best(max(near, c.ask.Most))
	bySpace, questions := map[string]*vectors.Search{}, make([]*vectors.Search, len(c.segments))
	for i, s := range c.segments {
		space := c.sources[s.source].Space
		v := c.ask.Vectors[space]
		if space == "" || s.meta.Space != space || s.vectors == nil || s.vectors.Dims() != len(v) || s.chunks == 0 {
			continue
		}
		if bySpace[space] == nil {
			bySpace[space] = &vectors.Search{}
			if err := bySpace[space].Ask(v); err != nil {
				return nil, fmt.Errorf("the query's vector of space %q: %w", space, err)
			}
		}
		questions[i] = bySpace[space]
		if err := s.nearest(ctx, questions[i], int32(i), nearest); err != nil {
			return nil, err
		}
	}
	by := nearest.sorted()
	if len(by) == 0 {
		return all, nil
	}
	nearness := Nearness{Highest: by[0].score, Lowest: by[len(by)-1].score}
	have := make(map[found]bool, len(all))
	for i, f := range all {
		have[found{segment: f.segment, chunk: f.chunk}] = true
		if q := questions[f.segment]; q != nil {
			all[i].score = nearness.Beside(f.score, score(q.Cosine(c.segments[f.segment].vectors, int(f.chunk))))
		}
	}
	for _, f := range by {
		if !have[found{segment: f.segment, chunk: f.chunk}] {
			if f.score = nearness.Alone(f.score); f.score > 0 {
				all = append(all, f)
			}
		}
	}
	return all, nil
}
