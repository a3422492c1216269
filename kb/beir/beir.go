// Package beir reads collections in the layout of BEIR (Thakur et al., 2021), which are documents, questions and what is right for them,
// and measures how well something finds it.
package beir

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxLine bounds a line of a collection, in bytes.
const maxLine = 16 << 20

// Document is a document of a collection.
type Document struct {
	ID    string `json:"_id"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

// Question is a question that has right answers.
type Question struct {
	ID   string `json:"_id"`
	Text string `json:"text"`
	// Right is how much the documents answer it, by their ids; those that do not are not in it.
	Right map[string]int `json:"-"`
}

// Collection is a collection on disk.
type Collection struct {
	files fs.FS
	// Questions are those that have right answers, in the order of their file.
	Questions []Question
}

// Open reads the questions of a collection: queries.jsonl and the judgements, in qrels/test.tsv, qrels.tsv or qrels. Of those the first
// one that is there counts.
func Open(files fs.FS) (*Collection, error) {
	right, err := judgements(files)
	if err != nil {
		return nil, err
	}
	c := &Collection{files: files}
	seen := map[string]bool{}
	for q, err := range lines[Question](files, "queries.jsonl") {
		if err != nil {
			return nil, err
		}
		if seen[q.ID] {
			return nil, fmt.Errorf("queries.jsonl: the question %q is there twice", q.ID)
		}
		seen[q.ID] = true
		if q.Right = right[q.ID]; len(q.Right) > 0 {
			c.Questions = append(c.Questions, q)
		}
	}
	if len(c.Questions) == 0 {
		return nil, errors.New("queries.jsonl has no question for which the judgements name a document")
	}
	return c, nil
}

// Documents reads corpus.jsonl.
func (c *Collection) Documents() iter.Seq2[Document, error] {
	return lines[Document](c.files, "corpus.jsonl")
}

// lines reads a file of one JSON object in each line, which has an _id. It ends with the first error, which names the line.
func lines[T any](files fs.FS, name string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		n := 0
		for line, err := range textLines(files, name) {
			n++
			var one T
			if err == nil && strings.TrimSpace(line) == "" {
				continue
			}
			if err == nil {
				err = json.Unmarshal([]byte(line), &one)
			}
			if err != nil {
				yield(none, fmt.Errorf("%s:%d: %w", name, n, err))
				return
			}
			if !yield(one, nil) {
				return
			}
		}
	}
}

func textLines(files fs.FS, name string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		f, err := files.Open(name)
		if err != nil {
			yield("", err)
			return
		}
		defer f.Close()
		s := bufio.NewScanner(f)
		s.Buffer(nil, maxLine)
		for s.Scan() {
			if !yield(s.Text(), nil) {
				return
			}
		}
		if err := s.Err(); err != nil && err != io.EOF {
			yield("", err)
		}
	}
}

// judgements reads lines of question, document and grade, with or without a heading, divided by tabs; those of TREC have a fourth column,
// the second, which says nothing.
func judgements(files fs.FS) (map[string]map[string]int, error) {
	names := []string{"qrels/test.tsv", "qrels.tsv", "qrels"}
	i := slices.IndexFunc(names, func(name string) bool {
		info, err := fs.Stat(files, name)
		return err == nil && !info.IsDir()
	})
	if i < 0 {
		return nil, fmt.Errorf("there are no judgements: none of %s is there, each line of which is a question, a document and a grade", strings.Join(names, ", "))
	}
	name, n := names[i], 0
	right := map[string]map[string]int{}
	for line, err := range textLines(files, name) {
		n++
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		grade, err := strconv.Atoi(fields[len(fields)-1])
		if err != nil && n == 1 {
			continue // It is the heading.
		}
		if err != nil || len(fields) < 3 || len(fields) > 4 {
			return nil, fmt.Errorf("%s:%d: %q is not a question, a document and a grade", name, n, line)
		}
		if grade <= 0 {
			continue
		}
		question, document := fields[0], fields[len(fields)-2]
		if right[question] == nil {
			right[question] = map[string]int{}
		}
		right[question][document] = grade
	}
	return right, nil
}

// Result says how well the right documents were found, as means over all questions, from 0 to 1.
type Result struct {
	Questions int `json:"questions"`
	// NDCG10 is the normalized discounted cumulative gain of the first ten documents (Järvelin and Kekäläinen, 2002), with the grade
	// as the gain, as trec_eval has it.
	NDCG10 float64 `json:"ndcg@10"`
	// Recall10 and Recall100 are which part of the right documents is among the first ten and hundred.
	Recall10  float64 `json:"recall@10"`
	Recall100 float64 `json:"recall@100"`
	// MRR10 is the reciprocal rank of the first right document among the first ten.
	MRR10 float64 `json:"mrr@10"`
}

// Depth is how many documents Measure looks at.
const Depth = 100

// Measure asks all questions. search returns the ids of documents, the best one first; those beyond Depth do not count, and an id that
// comes again counts once.
func (c *Collection) Measure(search func(q Question) []string) Result {
	r := Result{Questions: len(c.Questions)}
	for _, q := range c.Questions {
		ranking := once(search(q))
		r.NDCG10 += ndcg(ranking, q.Right, 10)
		r.Recall10 += recall(ranking, q.Right, 10)
		r.Recall100 += recall(ranking, q.Right, Depth)
		for i, id := range ranking[:min(10, len(ranking))] {
			if q.Right[id] > 0 {
				r.MRR10 += 1 / float64(i+1)
				break
			}
		}
	}
	for _, sum := range []*float64{&r.NDCG10, &r.Recall10, &r.Recall100, &r.MRR10} {
		*sum /= float64(len(c.Questions))
	}
	return r
}

func once(ids []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		again := seen[id]
		seen[id] = true
		return again
	})
}

func ndcg(ranking []string, right map[string]int, depth int) float64 {
	gain := 0.0
	for i, id := range ranking[:min(depth, len(ranking))] {
		gain += float64(right[id]) / math.Log2(float64(i+2))
	}
	var grades []int
	for _, g := range right {
		grades = append(grades, g)
	}
	slices.SortFunc(grades, func(a, b int) int { return cmp.Compare(b, a) })
	ideal := 0.0
	for i, g := range grades[:min(depth, len(grades))] {
		ideal += float64(g) / math.Log2(float64(i+2))
	}
	return gain / ideal
}

func recall(ranking []string, right map[string]int, depth int) float64 {
	n := 0
	for _, id := range ranking[:min(depth, len(ranking))] {
		if right[id] > 0 {
			n++
		}
	}
	return float64(n) / float64(len(right))
}
