package beir_test

import (
	"errors"
	"io/fs"
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/kb/beir"
)

func files(of map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, text := range of {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

const queries = `{"_id":"q1","text":"one?"}` + "\n\n" + `{"_id":"q2","text":"two?","metadata":{}}` + "\n" + `{"_id":"q3","text":"nobody knows"}` + "\n"

func TestACollectionIsRead(t *testing.T) {
	want := []beir.Question{{ID: "q1", Text: "one?", Right: map[string]int{"a": 2, "b": 1}}, {ID: "q2", Text: "two?", Right: map[string]int{"c": 1}}}
	for name, qrels := range map[string]map[string]string{
		"as BEIR has it":                  {"qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\ta\t2\nq1\tb\t1\nq1\tx\t0\nq2\tc\t1\nq3\tx\t-1\n"},
		"without a heading":               {"qrels.tsv": "q1\ta\t2\nq1\tb\t1\nq2\tc\t1\n"},
		"as TREC has it":                  {"qrels": "q1 0 a 2\nq1 0 b 1\n\nq2 0 c 1\nq9 0 c 1\n"},
		"with more files, the first wins": {"qrels/test.tsv": "q1\ta\t2\nq1\tb\t1\nq2\tc\t1\n", "qrels.tsv": "not read"},
	} {
		qrels["queries.jsonl"] = queries
		c, err := beir.Open(files(qrels))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, c.Questions); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestWhatIsWrongIsToldWithItsPlace(t *testing.T) {
	for want, of := range map[string]map[string]string{
		"there are no judgements: none of qrels/test.tsv, qrels.tsv, qrels": {"queries.jsonl": queries},
		`qrels.tsv:2: "q1 a" is not a question, a document and a grade`:     {"queries.jsonl": queries, "qrels.tsv": "q1 a 1\nq1 a\n"},
		`qrels.tsv:2: "q1 a much" is not a question`:                        {"queries.jsonl": queries, "qrels.tsv": "q1 a 1\nq1 a much\n"},
		"queries.jsonl:2: unexpected end of JSON":                           {"queries.jsonl": `{"_id":"q1"}` + "\n{", "qrels.tsv": "q1 a 1\n"},
		`queries.jsonl: the question "q1" is there twice`:                   {"queries.jsonl": `{"_id":"q1"}` + "\n" + `{"_id":"q1"}`, "qrels.tsv": "q1 a 1\n"},
		"queries.jsonl has no question for which the judgements name":       {"queries.jsonl": queries, "qrels.tsv": "q7 a 1\n"},
		"queries.jsonl: file does not exist":                                {"qrels.tsv": "q7 a 1\n"},
	} {
		if _, err := beir.Open(files(of)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	c, err := beir.Open(files(map[string]string{"queries.jsonl": queries, "qrels.tsv": "q1 a 1\n", "corpus.jsonl": `{"_id":"a","title":"T","text":"x"}` + "\nnothing"}))
	if err != nil {
		t.Fatal(err)
	}
	var got []beir.Document
	var failed error
	for d, err := range c.Documents() {
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		got = append(got, d)
	}
	if len(got) != 1 || got[0] != (beir.Document{ID: "a", Title: "T", Text: "x"}) || failed == nil || !strings.HasPrefix(failed.Error(), "corpus.jsonl:2: ") {
		t.Errorf("got %+v, %v", got, failed)
	}
}

// The numbers are worked out by hand.
func TestMeasure(t *testing.T) {
	c := &beir.Collection{Questions: []beir.Question{
		{ID: "q1", Right: map[string]int{"a": 2, "b": 1}},
		{ID: "q2", Right: map[string]int{"c": 1}},
	}}
	found := map[string][]string{"q1": {"x", "b", "b", "a"}, "q2": append(make([]string, 0, 12), "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "c")}
	got := c.Measure(func(q beir.Question) []string { return found[q.ID] })
	// An id that comes again does not count, so that a is third.
	ndcg := (1/math.Log2(3) + 2/math.Log2(4)) / (2/math.Log2(2) + 1/math.Log2(3))
	want := beir.Result{Questions: 2, NDCG10: ndcg / 2, Recall10: .5, Recall100: 1, MRR10: .25}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(queries, "query-id\tcorpus-id\tscore\nq1\ta\t2\n")
	f.Add("{}", "x")
	f.Fuzz(func(t *testing.T, q, qrels string) {
		c, err := beir.Open(files(map[string]string{"queries.jsonl": q, "qrels.tsv": qrels}))
		if err == nil {
			if r := c.Measure(func(beir.Question) []string { return []string{"a"} }); r.NDCG10 < 0 || r.NDCG10 > 1 {
				t.Errorf("%+v", r)
			}
		}
	})
}
