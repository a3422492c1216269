package beir_test

import (
	"compress/gzip"
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
		"as BEIR has it":                  {"qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\ta\t2\nq1\tb\t1\nq1\tx\t0\nq2\tc\t1\n"},
		"as Windows writes it":            {"qrels/test.tsv": "\uFEFFq1\ta\t2\r\nq1\tb\t1\r\nq2\tc\t1\r\n"},
		"with what is judged again":       {"qrels/test.tsv": "q1\ta\t1\nq1\tx\t1\nq1\tb\t1\nq2\tc\t1\nq1\ta\t2\nq1\tx\t0\n"},
		"packed":                          {"qrels/test.tsv.gz": packed("q1\ta\t2\nq1\tb\t1\nq2\tc\t1\n")},
		"only for development":            {"qrels/dev.tsv": "q1\ta\t2\nq1\tb\t1\nq2\tc\t1\n"},
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

func packed(text string) string {
	var b strings.Builder
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.String()
}

func TestWhatCollectionsOfTheWorldHold(t *testing.T) {
	c, err := beir.Open(files(map[string]string{
		"queries.jsonl.gz": packed("\uFEFF" + `{"_id":7,"text":"seven?"}` + "\r\n" + `{"_id":"none","text":"nobody knows"}` + "\r\n" + `{"_id":"unjudged","text":"?"}`),
		"qrels.tsv":        "7\tthe first\t1\n7\ta\t-1\nnone\ta\t0\ngone\ta\t1\n",
		"corpus.jsonl.gz": packed("\uFEFF" + `{"_id":12345678901234567890,"title":null,"text":"x","metadata":[1]}` + "\n" + `{"_id":"the first","metadata":"y"}` + "\n" +
			`{"_id":"long","text":"` + strings.Repeat("word ", 100_000) + `"}`),
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := []beir.Question{{ID: "7", Text: "seven?", Right: map[string]int{"the first": 1}}, {ID: "none", Text: "nobody knows", Right: map[string]int{}}}
	if diff := cmp.Diff(want, c.Questions); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"gone"}, c.Unknown); diff != "" || c.Judgements != "qrels.tsv" {
		t.Error(c.Judgements, diff)
	}
	var got []string
	for d, err := range c.Documents() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d.ID+" "+d.Title+d.Text[:min(1, len(d.Text))])
	}
	if diff := cmp.Diff([]string{"12345678901234567890 x", "the first ", "long w"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAQuestionThatIsADocument(t *testing.T) {
	q := beir.Question{ID: "a", Text: "Zoos  harm animals\n", Right: map[string]int{"b": 1}}
	for name, c := range map[string]struct {
		d    beir.Document
		want bool
	}{
		"itself":                    {beir.Document{ID: "a", Title: "Zoos", Text: "Zoos harm animals"}, true},
		"the same words":            {beir.Document{ID: "x", Text: "Zoos harm animals"}, false},
		"a number that means two":   {beir.Document{ID: "a", Text: "Something else"}, false},
		"one that was judged right": {beir.Document{ID: "b", Text: "Zoos harm animals"}, false},
	} {
		if got := q.Asks(c.d); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestWhatIsWrongIsToldWithItsPlace(t *testing.T) {
	for want, of := range map[string]map[string]string{
		"there are no judgements: none of qrels/test.tsv, qrels.tsv, qrels":                            {"queries.jsonl": queries},
		`qrels.tsv:2: "q1 a" is not a question, a document and a grade`:                                {"queries.jsonl": queries, "qrels.tsv": "q1 a 1\nq1 a\n"},
		`qrels.tsv:2: "q1 a much" is not a question`:                                                   {"queries.jsonl": queries, "qrels.tsv": "q1 a 1\nq1 a much\n"},
		"queries.jsonl:2: unexpected end of JSON":                                                      {"queries.jsonl": `{"_id":"q1"}` + "\n{", "qrels.tsv": "q1 a 1\n"},
		`queries.jsonl: the question "q1" is there twice`:                                              {"queries.jsonl": `{"_id":"q1"}` + "\n" + `{"_id":"q1"}`, "qrels.tsv": "q1 a 1\n"},
		"queries.jsonl has no question for which the judgements name":                                  {"queries.jsonl": queries, "qrels.tsv": "q7 a 1\n"},
		"queries.jsonl: file does not exist":                                                           {"qrels.tsv": "q7 a 1\n"},
		`qrels.tsv:1: "q1\ta\t1.5" is not a question, a document and a grade, which is a whole number`: {"queries.jsonl": queries, "qrels.tsv": "q1\ta\t1.5\n"},
		"queries.jsonl:1: it has no _id, by which":                                                     {"queries.jsonl": `{"id":"q1"}`, "qrels.tsv": "q1 a 1\n"},
		"queries.jsonl:1: its _id is neither a string nor a number":                                    {"queries.jsonl": `{"_id":["q1"]}`, "qrels.tsv": "q1 a 1\n"},
		"queries.jsonl:1: its text is not a string but of the kind array":                              {"queries.jsonl": `{"_id":"q1","text":["x"]}`, "qrels.tsv": "q1 a 1\n"},
		"queries.jsonl:1: it is not an object with _id and text":                                       {"queries.jsonl": `[]`, "qrels.tsv": "q1 a 1\n"},
		"queries.jsonl:2: the line is longer than 16 MiB":                                              {"queries.jsonl": `{"_id":"q1"}` + "\n" + strings.Repeat("x", 17<<20), "qrels.tsv": "q1 a 1\n"},
		"queries.jsonl.gz: gzip: invalid header":                                                       {"queries.jsonl.gz": "no such thing", "qrels.tsv": "q1 a 1\n"},
		"queries.jsonl:3: unexpected end of JSON":                                                      {"queries.jsonl.gz": packed(queries)[:60], "qrels.tsv": "q1 a 1\n"},
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

func TestADocumentThatIsThereTwiceIsAMistake(t *testing.T) {
	c, err := beir.Open(files(map[string]string{"queries.jsonl": queries, "qrels.tsv": "q1 a 1\n", "corpus.jsonl": `{"_id":"a","text":"x"}` + "\n" + `{"_id":"a","text":"y"}`}))
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range c.Documents() {
		last = err
	}
	if last == nil || last.Error() != `corpus.jsonl: the document "a" is there twice` {
		t.Error(last)
	}
}

// trec_eval counts a question to which nothing is right as 0.
func TestAQuestionWithoutAnAnswerCounts(t *testing.T) {
	c := &beir.Collection{Questions: []beir.Question{{ID: "q1", Right: map[string]int{"a": 1}}, {ID: "q2", Right: map[string]int{}}}}
	got := c.Measure(func(beir.Question) []string { return []string{"a"} })
	if diff := cmp.Diff(beir.Result{Questions: 2, NDCG10: .5, Recall10: .5, Recall100: .5, MRR10: .5}, got); diff != "" {
		t.Error(diff)
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
