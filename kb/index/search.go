package index

import (
	"cmp"
	"slices"

	"github.com/mainstay-dev/mainstay/kb/lsa"
	"github.com/mainstay-dev/mainstay/kb/words"
)

// How a question is asked. One setting serves all collections. It was chosen on three of different kinds, abstracts of aerodynamics with
// questions in sentences, titles of electrical engineering with keywords, and long conversations of which a single message is right:
// around it little changes in any of them, and all of it together is better than words alone in the first two and as good in the third.
const (
	// first is how many documents are taken to be right at first, further how many of their terms are asked for besides, and
	// furtherWeight how much those count together, beside the question's own.
	first, further = 10, 20
	furtherWeight  = 0.15
	// common is which part of the documents at most a term stands in that is asked for besides.
	common = 0.2
	// meaning is how much nearness in meaning counts, beside words. The meaning asked for is that of the question and of the best
	// document by its words: of more of them it blurs.
	meaning = 0.25
	// ranked is how many documents are compared in meaning, the best by their words.
	ranked = 2000
)

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
	asked := x.asked(question)
	if len(asked) == 0 || most <= 0 {
		return nil
	}
	a := x.accumulator()
	x.score(a, asked)
	begin := a.best(first)
	x.score(a, x.widened(asked, begin))
	found := a.best(max(ranked, most))
	if len(found) == 0 {
		return nil
	}
	top := found[0].score
	for i := range found {
		found[i].score /= top
	}
	if v := x.towards(asked, begin[0].document); v != nil {
		x.addMeaning(found, v)
	}
	hits := make([]Hit, 0, min(most, len(found)))
	for _, f := range found[:min(most, len(found))] {
		hits = append(hits, Hit{Document: int(f.document), ID: x.ids[f.document], Score: float64(f.score)})
	}
	return hits
}

// weighed is a term that is asked for.
type weighed struct {
	term   uint32
	weight float32
}

// asked are the terms of a question that the collection has, each as often as it stands there.
func (x *Index) asked(question string) []weighed {
	var asked []weighed
	for run := range words.Runs(question) {
		for _, term := range words.Terms(run) {
			t, known := x.terms[term]
			if !known {
				continue
			}
			if i := slices.IndexFunc(asked, func(w weighed) bool { return w.term == t }); i >= 0 {
				asked[i].weight++
			} else {
				asked = append(asked, weighed{t, 1})
			}
		}
	}
	return asked
}

// widened are the terms of a question and those that stand out in the documents found first.
func (x *Index) widened(asked []weighed, begin []found) []weighed {
	total := float32(0)
	for _, f := range begin {
		total += f.score
	}
	weights := map[uint32]float32{}
	for _, f := range begin {
		for _, c := range x.of(int(f.document)) {
			if in := len(x.in(c.Term)); in > 1 && float64(in) <= common*float64(len(x.ids)) {
				weights[c.Term] += f.score / total * x.rarity(c.Term) * x.saturated(c.N, f.document)
			}
		}
	}
	besides := make([]weighed, 0, len(weights))
	for t, w := range weights {
		besides = append(besides, weighed{t, w})
	}
	slices.SortFunc(besides, func(a, b weighed) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.term, b.term))
	})
	besides = besides[:min(further, len(besides))]
	sum, all := float32(0), float32(0)
	for _, w := range besides {
		sum += w.weight
	}
	wide := slices.Clone(asked)
	for i := range wide {
		all += wide[i].weight
		wide[i].weight *= 1 - furtherWeight
	}
	for _, w := range besides {
		w.weight *= furtherWeight * all / sum
		if i := slices.IndexFunc(wide, func(own weighed) bool { return own.term == w.term }); i >= 0 {
			wide[i].weight += w.weight
		} else {
			wide = append(wide, w)
		}
	}
	return wide
}

// saturated is what a term counts by how often it stands in a document.
func (x *Index) saturated(n uint32, document uint32) float32 {
	return float32(n) * (k1 + 1) / (float32(n) + x.norms[document])
}

// score scores all documents that have one of the terms.
func (x *Index) score(a *accumulator, terms []weighed) {
	a.clear()
	for _, w := range terms {
		weight := w.weight * x.rarity(w.term) * (k1 + 1)
		for _, p := range x.in(w.term) {
			n := float32(p.N)
			a.scores[p.Term] += weight * n / (n + x.norms[p.Term])
		}
	}
}

// towards is the meaning of a question and of the document that its words find first; nil where nothing is known of it.
func (x *Index) towards(asked []weighed, best uint32) []float32 {
	if x.space == nil {
		return nil
	}
	counts := make([]lsa.Count, len(asked))
	for i, w := range asked {
		counts[i] = lsa.Count{Term: w.term, N: uint32(w.weight)}
	}
	v := x.space.Vector(counts)
	if v == nil {
		return nil
	}
	x.vectors.AddTo(v, 1, int(best))
	if !lsa.Normalize(v) {
		return nil
	}
	return v
}

// addMeaning ranks documents by their words and their meaning.
func (x *Index) addMeaning(all []found, v []float32) {
	near := make([]float32, len(all))
	nearest := float32(0)
	for i, f := range all {
		near[i] = max(x.vectors.Dot(v, int(f.document)), 0)
		nearest = max(nearest, near[i])
	}
	if nearest == 0 {
		return
	}
	for i := range all {
		all[i].score = (1-meaning)*all[i].score + meaning*near[i]/nearest
	}
	slices.SortFunc(all, compare)
}
