package index

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/lsa"
	"github.com/mainstay-dev/mainstay/kb/words"
)

// What is here ranks wherever postings are kept: an engine that keeps them elsewhere asks the same questions, and tells the same scores.

const (
	// First is how many chunks a question's own terms find that Widen takes to be right, Ranked how many are compared in meaning, and
	// Near how many are taken in by the vectors of a model.
	First, Ranked, Near = first, ranked, near
)

// Term is a term that is asked for, and what it counts.
type Term struct {
	Text   string
	Weight float32
}

// Question are the terms of a question, of those that are known, each as often as it stands there: the first ones, if they are many.
func Question(text string, known func(term string) bool) []Term {
	var terms []Term
	for run := range words.Runs(text) {
		for _, term := range words.Terms(run) {
			if i := slices.IndexFunc(terms, func(t Term) bool { return t.Text == term }); i >= 0 {
				terms[i].Weight++
			} else if len(terms) < maxAsked && known(term) {
				terms = append(terms, Term{term, 1})
			}
		}
	}
	return terms
}

// Collection is what scores depend on besides a chunk: how many chunks there are, and how many terms they have on average.
type Collection struct {
	Chunks int
	Mean   float64
}

// NewCollection is one of so many chunks with so many terms together.
func NewCollection(chunks int, length float64) Collection {
	return Collection{chunks, mean(length, chunks)}
}

// Weight is what a term counts, once, that stands in so many of the chunks.
func (c Collection) Weight(term string, in int) float32 {
	w := rarity(c.Chunks, in) * (k1 + 1)
	if words.Asking(term) {
		w *= askingWeight
	}
	return w
}

// Norm is what is added to how often a term stands in a chunk: base, and by for each term of the chunk. The term counts its weight
// multiplied with n/(n+base+by*length).
func (c Collection) Norm() (base, by float32) {
	n := normOf(c.Mean)
	return n.base, n.by
}

// Right is a chunk that is taken to be right, its score, its terms and how often each stands in it, and its length.
type Right struct {
	Score, Length float32
	Terms         []string
	Counts        []uint8
}

// Widen returns the terms of a question and those that stand out in the chunks found first. standsIn is in how many chunks a term stands.
func (c Collection) Widen(terms []Term, begin []Right, standsIn func(term string) int) []Term {
	total := float32(0)
	for _, r := range begin {
		total += r.Score
	}
	n := normOf(c.Mean)
	type standing struct{ weight, rarity float32 }
	standings := map[string]standing{}
	for _, r := range begin {
		for i, term := range r.Terms {
			standing, known := standings[term]
			if !known {
				if in := standsIn(term); in > 1 && float64(in) <= common*float64(c.Chunks) {
					standing.rarity = rarity(c.Chunks, in)
				}
			}
			standing.weight += r.Score / total * standing.rarity * (k1 + 1) * n.impact(r.Counts[i], r.Length)
			standings[term] = standing
		}
	}
	besides := make([]Term, 0, len(standings))
	for term, s := range standings {
		if s.weight > 0 {
			besides = append(besides, Term{term, s.weight})
		}
	}
	slices.SortFunc(besides, func(a, b Term) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), strings.Compare(a.Text, b.Text))
	})
	besides = besides[:min(further, len(besides))]
	sum, all := float32(0), float32(0)
	for _, t := range besides {
		sum += t.Weight
	}
	wide := slices.Clone(terms)
	for i := range wide {
		all += wide[i].Weight
		wide[i].Weight *= 1 - furtherWeight
	}
	for _, t := range besides {
		t.Weight *= furtherWeight * all / sum
		if i := slices.IndexFunc(wide, func(own Term) bool { return own.Text == t.Text }); i >= 0 {
			wide[i].Weight += t.Weight
		} else {
			wide = append(wide, t)
		}
	}
	return wide
}

// AddMeaning adds how near chunks are in meaning to their scores, which are from 0 to 1. near is below 0 where no meaning is known: those
// chunks are taken to be as near as their words are.
func AddMeaning(scores, near []float32) {
	nearest := float32(0)
	for _, n := range near {
		nearest = max(nearest, n)
	}
	if nearest == 0 {
		return
	}
	for i, n := range near {
		if n >= 0 {
			scores[i] = (1-meaning)*scores[i] + meaning*n/nearest
		}
	}
}

// Nearness tells how near chunks are by the vectors of a model: from 0, that of the last of the nearest, to 1.
type Nearness struct{ Highest, Lowest float32 }

func (n Nearness) of(product float32) float32 {
	if n.Highest == n.Lowest {
		return 1
	}
	return max(product-n.Lowest, 0) / (n.Highest - n.Lowest)
}

// Beside is the score of a chunk that has one already. product is that of its vector and the question's.
func (n Nearness) Beside(score, product float32) float32 {
	return (1-nearWeight)*score + nearWeight*n.of(product)
}

// Alone is the score of a chunk that has no other.
func (n Nearness) Alone(product float32) float32 { return nearWeight * n.of(product) }

// Counter finds the terms of chunks. It is for one goroutine.
type Counter struct{ runs map[string][]string }

// Count returns the terms of a chunk of a document, sorted, how often each stands there, and the chunk's length.
func (c *Counter) Count(d kb.Document, chunk kb.Chunk) (terms []string, counts []uint8, length float32) {
	in := map[string]uint32{}
	c.add(in, d.Head(chunk), headWeight)
	c.add(in, chunk.Text, 1)
	terms = make([]string, 0, len(in))
	for term, n := range in {
		terms = append(terms, term)
		length += float32(n)
	}
	slices.Sort(terms)
	counts = make([]uint8, len(terms))
	for i, term := range terms {
		counts[i] = uint8(min(in[term], math.MaxUint8))
	}
	return terms, counts, length
}

func (c *Counter) add(in map[string]uint32, text string, weight uint32) {
	for run := range words.Runs(text) {
		terms, known := c.runs[run]
		if !known {
			terms = words.Terms(run)
			if c.runs == nil || len(c.runs) == maxRuns {
				c.runs = map[string][]string{}
			}
			c.runs[strings.Clone(run)] = terms
		}
		for _, t := range terms {
			in[t] += weight
		}
	}
}

// learnAgain is which part of the chunks that meaning was learned from have to come before it is learned again.
const learnAgain = 0.5

// Outgrown reports whether meaning is to be learned again: added chunks have come since it was learned of so many.
func Outgrown(added, learned int) bool {
	return added > 0 && float64(added) > learnAgain*float64(learned)
}

// Learn learns the meaning of so many chunks, whose terms and counts are told for those of lsa.Sample. It returns nil where there is too
// little.
func Learn(chunks int, of func(chunk int) ([]string, []uint8)) *Meaning {
	numbers := map[string]uint32{}
	for i := range lsa.Sample(chunks) {
		terms, _ := of(i)
		for _, term := range terms {
			numbers[term] = 0
		}
	}
	names := slices.Sorted(maps.Keys(numbers))
	for i, term := range names {
		numbers[term] = uint32(i)
	}
	return learn(names, chunks, func(chunk int) []lsa.Count {
		terms, counts := of(chunk)
		all := make([]lsa.Count, len(terms))
		for i, term := range terms {
			all[i] = lsa.Count{Term: numbers[term], N: uint32(counts[i])}
		}
		return all
	})
}

// Dims is how many numbers a vector has.
func (m *Meaning) Dims() int { return m.space.Dims() }

// Place is the vector of a chunk, of length 1; nil where nothing is known of it.
func (m *Meaning) Place(terms []string, counts []uint8) []float32 {
	of := make([]Term, len(terms))
	for i, term := range terms {
		of[i] = Term{term, float32(counts[i])}
	}
	return m.vector(of)
}

// Towards is the vector of a question and of the chunk that its words find first; nil where nothing is known of the question.
func (m *Meaning) Towards(question []Term, best []float32) []float32 {
	v := m.vector(question)
	if v == nil {
		return nil
	}
	for i, x := range best {
		v[i] += x
	}
	if !lsa.Normalize(v) {
		return nil
	}
	return v
}
