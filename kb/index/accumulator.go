package index

import (
	"cmp"
	"container/heap"
	"slices"
)

// accumulator holds the scores of all documents for one question.
type accumulator struct{ scores []float32 }

func (x *Index) accumulator() *accumulator { return &accumulator{make([]float32, len(x.ids))} }

func (a *accumulator) clear() { clear(a.scores) }

// found is a document with its score.
type found struct {
	document uint32
	score    float32
}

// compare orders the better one first.
func compare(a, b found) int {
	return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.document, b.document))
}

// worst is a heap whose top is the worst document.
type worst []found

func (w worst) Len() int           { return len(w) }
func (w worst) Less(i, j int) bool { return compare(w[i], w[j]) > 0 }
func (w worst) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *worst) Push(f any)        { *w = append(*w, f.(found)) }
func (w *worst) Pop() any          { panic("nothing is taken out") }

// best returns the documents of the highest scores above 0, the best ones first, at most so many.
func (a *accumulator) best(most int) []found {
	kept := make(worst, 0, min(most, len(a.scores)))
	floor := float32(0)
	for d, score := range a.scores {
		if score <= floor {
			continue
		}
		if len(kept) < most {
			kept = append(kept, found{uint32(d), score})
			if len(kept) == most {
				heap.Init(&kept)
				floor = kept[0].score
			}
			continue
		}
		kept[0] = found{uint32(d), score}
		heap.Fix(&kept, 0)
		floor = kept[0].score
	}
	slices.SortFunc(kept, compare)
	return kept
}
