// Package beir reads collections in the layout of BEIR (Thakur et al., 2021), which are documents, questions and what is right for them,
// and measures how well something finds it.
package beir

import (
	"bufio"
	"cmp"
	"compress/gzip"
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
	ID    string
	Title string
	Text  string
}

// Question is a question that was judged.
type Question struct {
	ID   string
	Text string
	// Right is how much the documents answer it, by their ids; those that do not are not in it. It is empty where no document does.
	Right map[string]int
}

// Asks reports whether a document is the question itself, under its own id, as the arguments of ArguAna are that ask for what speaks
// against them. Unless it was judged to be right, it is no answer.
func (q Question) Asks(d Document) bool {
	return q.ID == d.ID && q.Right[d.ID] == 0 && slices.Equal(strings.Fields(q.Text), strings.Fields(d.Text))
}

// Collection is a collection on disk.
type Collection struct {
	files fs.FS
	// Questions are those that were judged, in the order of their file.
	Questions []Question
	// Judgements is the file that says what is right.
	Judgements string
	// Unknown are the questions, sorted, that were judged and are not in queries.jsonl, so that they are not asked.
	Unknown []string
}

// Open reads the questions of a collection: queries.jsonl and the judgements, in qrels/test.tsv, qrels.tsv, qrels or qrels/dev.tsv. Of those
// the first one that is there counts. Each file may also be there as packed by gzip, with .gz behind its name.
func Open(files fs.FS) (*Collection, error) {
	name, right, err := judgements(files)
	if err != nil {
		return nil, err
	}
	c := &Collection{files: files, Judgements: name}
	seen, answered := map[string]bool{}, false
	for r, err := range records(files, "queries.jsonl") {
		if err != nil {
			return nil, err
		}
		q := Question{ID: string(r.ID), Text: r.Text}
		if seen[q.ID] {
			return nil, fmt.Errorf("queries.jsonl: the question %q is there twice", q.ID)
		}
		seen[q.ID] = true
		if q.Right = right[q.ID]; q.Right != nil {
			c.Questions = append(c.Questions, q)
			answered = answered || len(q.Right) > 0
		}
	}
	if !answered {
		return nil, errors.New("queries.jsonl has no question for which the judgements name a document")
	}
	for id := range right {
		if !seen[id] {
			c.Unknown = append(c.Unknown, id)
		}
	}
	slices.Sort(c.Unknown)
	return c, nil
}

// Documents reads corpus.jsonl.
func (c *Collection) Documents() iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		seen := map[string]bool{}
		for r, err := range records(c.files, "corpus.jsonl") {
			if err == nil && seen[string(r.ID)] {
				err = fmt.Errorf("corpus.jsonl: the document %q is there twice", string(r.ID))
			}
			if err != nil {
				yield(Document{}, err)
				return
			}
			seen[string(r.ID)] = true
			if !yield(Document{ID: string(r.ID), Title: r.Title, Text: r.Text}, nil) {
				return
			}
		}
	}
}

// record is a line of corpus.jsonl or queries.jsonl.
type record struct {
	ID    id     `json:"_id"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

// id tells a line from others. Some collections write theirs as numbers.
type id string

func (i *id) UnmarshalJSON(b []byte) error {
	var number json.Number
	if err := json.Unmarshal(b, (*string)(i)); err == nil {
		return nil
	}
	if err := json.Unmarshal(b, &number); err != nil {
		return errors.New("its _id is neither a string nor a number")
	}
	*i = id(number)
	return nil
}

// records reads a file of one JSON object in each line, which has an _id. It ends with the first error, which names the line.
func records(files fs.FS, name string) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		n := 0
		for line, err := range textLines(files, name) {
			if err != nil {
				yield(record{}, err)
				return
			}
			n++
			if strings.TrimSpace(line) == "" {
				continue
			}
			var one record
			err := json.Unmarshal([]byte(line), &one)
			var unlike *json.UnmarshalTypeError
			switch {
			case errors.As(err, &unlike) && unlike.Field != "":
				err = fmt.Errorf("its %s is not a string but of the kind %s", unlike.Field, unlike.Value)
			case errors.As(err, &unlike):
				err = errors.New("it is not an object with _id and text")
			case err == nil && one.ID == "":
				err = errors.New("it has no _id, by which the judgements name it")
			}
			if err != nil {
				yield(record{}, fmt.Errorf("%s:%d: %w", name, n, err))
				return
			}
			if !yield(one, nil) {
				return
			}
		}
	}
}

// open opens a file, or the one with its name that gzip has packed.
func open(files fs.FS, name string) (io.ReadCloser, error) {
	f, err := files.Open(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	packed, packedErr := files.Open(name + ".gz")
	if packedErr != nil {
		return nil, err
	}
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		packed.Close()
		return nil, fmt.Errorf("%s.gz: %w", name, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{unpacked, packed}, nil
}

// textLines reads the lines of a file, without the mark that some editors put before the first one. Its last error names the file.
func textLines(files fs.FS, name string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		f, err := open(files, name)
		if err != nil {
			yield("", err)
			return
		}
		defer f.Close()
		s := bufio.NewScanner(f)
		s.Buffer(nil, maxLine)
		n := 0
		for s.Scan() {
			line := s.Text()
			if n++; n == 1 {
				line = strings.TrimPrefix(line, "\uFEFF")
			}
			if !yield(line, nil) {
				return
			}
		}
		err = s.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("the line is longer than %d MiB", maxLine>>20)
		}
		if err != nil {
			yield("", fmt.Errorf("%s:%d: %w", name, n+1, err))
		}
	}
}

// judgements reads lines of question, document and grade, with or without a heading, divided by tabs; those of TREC have a fourth column,
// the second, which says nothing. A question is in what it returns if any document was judged for it. Of two judgements of the same, the
// last one counts.
func judgements(files fs.FS) (string, map[string]map[string]int, error) {
	names := []string{"qrels/test.tsv", "qrels.tsv", "qrels", "qrels/dev.tsv"}
	i := slices.IndexFunc(names, func(name string) bool {
		for _, name := range []string{name, name + ".gz"} {
			if info, err := fs.Stat(files, name); err == nil && !info.IsDir() {
				return true
			}
		}
		return false
	})
	if i < 0 {
		return "", nil, fmt.Errorf("there are no judgements: none of %s is there, each line of which is a question, a document and a grade", strings.Join(names, ", "))
	}
	name, n := names[i], 0
	right := map[string]map[string]int{}
	for line, err := range textLines(files, name) {
		if err != nil {
			return "", nil, err
		}
		n++
		fields := columns(line)
		if len(fields) == 0 {
			continue
		}
		grade, err := strconv.Atoi(fields[len(fields)-1])
		if _, notNumber := strconv.ParseFloat(fields[len(fields)-1], 64); notNumber != nil && n == 1 {
			continue // It is the heading.
		}
		if err != nil || len(fields) < 3 || len(fields) > 4 {
			return "", nil, fmt.Errorf("%s:%d: %q is not a question, a document and a grade, which is a whole number", name, n, line)
		}
		question, document := fields[0], fields[len(fields)-2]
		if right[question] == nil {
			right[question] = map[string]int{}
		}
		delete(right[question], document)
		if grade > 0 {
			right[question][document] = grade
		}
	}
	return name, right, nil
}

// columns are those of a line: ids between tabs may have spaces in them.
func columns(line string) []string {
	fields := strings.Split(line, "\t")
	if len(fields) < 3 {
		return strings.Fields(line)
	}
	for i, f := range fields {
		fields[i] = strings.TrimSpace(f)
	}
	return fields
}

// Result says how well the right documents were found, as means over all questions, from 0 to 1. As trec_eval has it, one to which nothing
// is right counts, as 0.
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
	if ideal == 0 {
		return 0
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
	return float64(n) / float64(max(len(right), 1))
}
