package enginetest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mainstay-dev/mainstay/kb"
)

func testFilters(t *testing.T, open func(testing.TB) kb.Engine) {
	e := opened(t, open)
	for source, files := range map[string][]string{"docs": {"a.md", "docs/bb.md", "docs/deep/ccc.txt", "timeless.md"}, "other": {"a.md", "z.txt"}} {
		c := &corpus{source: source}
		changes := map[string]string{}
		for _, path := range files {
			changes[path] = "pod " + strings.Repeat("filler ", len(path)) + path
		}
		u := c.update("", "1", changes)
		u.Labels = map[string]string{"team": source, "tier": "1"}
		apply(t, e, u)
	}
	for _, test := range []struct {
		name   string
		filter kb.Filter
		want   string
	}{
		{"none", kb.Filter{}, "docs:a.md other:a.md other:z.txt docs:docs/bb.md docs:timeless.md docs:docs/deep/ccc.txt"},
		{"a path", kb.Filter{Paths: []string{"a.md"}}, "docs:a.md other:a.md"},
		{"one of some paths", kb.Filter{Paths: []string{"nothing", "docs/**"}}, "docs:docs/bb.md docs:docs/deep/ccc.txt"},
		{"one folder", kb.Filter{Paths: []string{"docs/*"}}, "docs:docs/bb.md"},
		{"a kind", kb.Filter{Kinds: []kb.Kind{kb.KindText, kb.KindPDF}}, "other:z.txt docs:docs/deep/ccc.txt"},
		{"a kind and a path", kb.Filter{Kinds: []kb.Kind{kb.KindText}, Paths: []string{"docs/**"}}, "docs:docs/deep/ccc.txt"},
		{"a label", kb.Filter{Labels: map[string]string{"team": "other", "tier": "1"}}, "other:a.md other:z.txt"},
		{"a label that is another", kb.Filter{Labels: map[string]string{"team": "other", "tier": "2"}}, ""},
		{"a label that is not there", kb.Filter{Labels: map[string]string{"missing": ""}}, ""},
		{"since", kb.Filter{Since: day(len("docs/bb.md"))}, "docs:docs/bb.md docs:docs/deep/ccc.txt"},
		{"before", kb.Filter{Before: day(len("z.txt"))}, "docs:a.md other:a.md"},
		{"between", kb.Filter{Since: day(len("z.txt")), Before: day(len("docs/bb.md") + 1)}, "other:z.txt docs:docs/bb.md"},
	} {
		for _, wordsOnly := range []bool{true, false} {
			hits := search(t, e, kb.Query{Text: "pod", Sources: []string{"docs", "other"}, Filter: test.filter, WordsOnly: wordsOnly})
			got := map[string]bool{}
			for _, h := range hits {
				got[h.Source+":"+h.File.Path] = true
			}
			want := strings.Fields(test.want)
			if len(got) != len(want) {
				t.Errorf("%s: %v, want %v", test.name, got, want)
			}
			for _, w := range want {
				if !got[w] {
					t.Errorf("%s: %s is not found", test.name, w)
				}
			}
		}
	}
}

// testOrder tests what ranks before what, and how many hits there are.
func testOrder(t *testing.T, open func(testing.TB) kb.Engine) {
	e, c := opened(t, open), &corpus{source: "docs"}
	apply(t, e, c.update("", "1", map[string]string{
		"both.txt":  "scheduler places pods",
		"one.txt":   "scheduler places nothing",
		"title.md":  "# scheduler\n\nwords that are about others",
		"long.txt":  "scheduler " + strings.Repeat("of many other words ", 20),
		"other.txt": "nothing of this",
		"code.txt":  "func readOnlyVolume() v1.31.2",
	}))
	for query, want := range map[string]string{
		"scheduler pods":          "both.txt",
		"read-only":               "code.txt",
		"1.31.2":                  "code.txt",
		"the of and":              "",
		"":                        "",
		"nowhere":                 "",
		"POD":                     "both.txt",
		strings.Repeat("pod ", 9): "both.txt",
	} {
		hits := search(t, e, words(query, "docs"))
		if want == "" && len(hits) > 0 || want != "" && (len(hits) == 0 || hits[0].File.Path != want) {
			t.Errorf("%q: %q, want %q first", query, paths(hits), want)
		}
		again := search(t, e, words(query, "docs"))
		if paths(again) != paths(hits) {
			t.Errorf("%q: %q, and then %q", query, paths(hits), paths(again))
		}
	}
	hits := search(t, e, words("scheduler", "docs"))
	if last := hits[len(hits)-1]; len(hits) != 4 || last.File.Path != "long.txt" {
		t.Errorf("the longest does not come last: %s", paths(hits))
	}
	for _, most := range []int{-1, 1, 2, kb.MaxHits + 1} {
		q := words("scheduler", "docs")
		q.Most = most
		if got := search(t, e, q); len(got) != max(min(most, 4), 0) || paths(got) != paths(hits[:len(got)]) {
			t.Errorf("the best %d of %q are %q", most, paths(hits), paths(got))
		}
	}
}

// direction is a vector of a text: a fixed one of each word, added up.
func direction(text string) []float32 {
	v := make([]float32, 16)
	for _, w := range strings.Fields(strings.ToLower(text)) {
		h := fnv.New64a()
		h.Write([]byte(w))
		random := rand.New(rand.NewPCG(h.Sum64(), 1))
		for i := range v {
			v[i] += float32(random.NormFloat64())
		}
	}
	return v
}

func embedder(count *int) kb.Embedder {
	return func(_ context.Context, texts []string) ([][]float32, error) {
		var all [][]float32
		for _, text := range texts {
			*count++
			all = append(all, direction(text))
		}
		return all, nil
	}
}

func testVectors(t *testing.T, open func(testing.TB) kb.Engine) {
	e, c := opened(t, open), &corpus{source: "docs"}
	count := 0
	changes := map[string]string{}
	for i := range 40 {
		changes[fmt.Sprintf("filler%d.txt", i)] = fmt.Sprintf("filler%d about thing%d", i, i*7)
	}
	changes["far.txt"], changes["near.txt"] = "alpha beta", "gamma delta"
	u := c.update("", "1", changes)
	u.Embed, u.Space = embedder(&count), "model"
	apply(t, e, u)
	if count != len(changes) {
		t.Errorf("%d vectors were made of %d texts", count, len(changes))
	}
	q := kb.Query{Text: "unknown", Sources: []string{"docs"}, Vectors: map[string][]float32{"model": direction("gamma delta"), "another": {1}}}
	if hits := search(t, e, q); len(hits) == 0 || hits[0].File.Path != "near.txt" {
		t.Errorf("by its vector the nearest is %q", paths(hits))
	}
	q.Text = "alpha"
	if hits := search(t, e, q); len(hits) < 2 || !strings.Contains(paths(hits[:2]), "near.txt") || !strings.Contains(paths(hits[:2]), "far.txt") {
		t.Errorf("by words and vectors the best are %q", paths(hits))
	}
	q.Filter.Paths = []string{"filler*"}
	if hits := search(t, e, q); strings.Contains(paths(hits), "near.txt") || strings.Contains(paths(hits), "far.txt") {
		t.Errorf("a filter lets %q through", paths(hits))
	}
	q.Filter.Paths = nil
	q.WordsOnly = true
	if got := paths(search(t, e, q)); got != "far.txt" {
		t.Errorf("by words alone: %q", got)
	}
	q.WordsOnly = false
	q.Vectors = map[string][]float32{"another": {1, 2}}
	if hits := search(t, e, q); len(hits) == 0 || hits[0].File.Path != "far.txt" {
		t.Errorf("with a vector of another space: %q", paths(hits))
	}
}

// vectorsOf is how many chunks of the source have a vector.
func vectorsOf(t *testing.T, e kb.Engine) (int, string) {
	t.Helper()
	stats, err := e.Stats(t.Context())
	must(t, err)
	return stats[0].Vectors, stats[0].Space
}

// testLengths is about a model that makes vectors of another length than it did: they are never compared, and they are made anew after an
// update without any. A source of the same space whose vectors fit is asked with them meanwhile.
func testLengths(t *testing.T, open func(testing.TB) kb.Engine) {
	e, c := opened(t, open), &corpus{source: "docs"}
	other := &corpus{source: "other"}
	longer := func(count *int) kb.Embedder {
		return func(ctx context.Context, texts []string) ([][]float32, error) {
			all, err := embedder(count)(ctx, texts)
			for i := range all {
				all[i] = append(all[i], 0)
			}
			return all, err
		}
	}
	dims := func(source string) int {
		t.Helper()
		stats, err := e.Stats(t.Context())
		must(t, err)
		return stats[slices.IndexFunc(stats, func(s kb.Stats) bool { return s.Source == source })].Dims
	}
	count := 0
	u := c.update("", "1", map[string]string{"far.txt": "alpha beta", "near.txt": "gamma delta", "alpha.txt": "alpha alpha"})
	u.Embed, u.Space = embedder(&count), "model"
	apply(t, e, u)
	u = other.update("", "1", map[string]string{"other.txt": "gamma delta"})
	u.Embed, u.Space = longer(&count), "model"
	apply(t, e, u)
	if dims("docs") != 16 || dims("other") != 17 {
		t.Errorf("vectors have %d and %d numbers", dims("docs"), dims("other"))
	}

	var without []string
	ask := func(text string, vector []float32, sources ...string) []kb.Hit {
		t.Helper()
		without = nil
		return search(t, e, kb.Query{Text: text, Sources: sources, Vectors: map[string][]float32{"model": vector},
			Without: func(source string) { without = append(without, source) }})
	}
	question := append(direction("gamma delta"), 0)
	if hits := ask("unknown", question, "docs", "other"); paths(hits) != "other.txt" || !slices.Equal(without, []string{"docs"}) {
		t.Errorf("a vector that fits one of two finds %q, without %q", paths(hits), without)
	}
	if err := same(ask("alpha beta", question, "docs"), search(t, e, kb.Query{Text: "alpha beta", Sources: []string{"docs"}})); err != nil || !slices.Equal(without, []string{"docs"}) {
		t.Errorf("a vector of another length counts: %v, without %q", err, without)
	}
	q := words("alpha", "docs")
	q.Vectors, q.Without = map[string][]float32{"model": question}, func(source string) { t.Errorf("by words %s is asked with a vector", source) }
	search(t, e, q)
	q.Text, q.Without, q.WordsOnly = "beta", nil, false
	if got := paths(search(t, e, q)); got != "far.txt" {
		t.Errorf("where nobody hears of it %q is found", got)
	}

	// An update with vectors of another length is refused, whole, and so is one whose vectors differ.
	refused := func(u kb.Update, want kb.LengthError) {
		t.Helper()
		var length *kb.LengthError
		if err := e.Update(t.Context(), u); !errors.As(err, &length) || *length != want {
			t.Errorf("vectors of another length: %v", err)
		}
	}
	u = c.update("1", "2", map[string]string{"new.txt": "epsilon"})
	u.Embed, u.Space = longer(&count), "model"
	refused(u, kb.LengthError{Numbers: 17, Others: 16})
	state(t, e, "docs", "1")
	if hits := ask("unknown", direction("gamma delta"), "docs"); len(hits) == 0 || hits[0].File.Path != "near.txt" || len(without) > 0 {
		t.Errorf("what was there finds %q, without %q", paths(hits), without)
	}

	// One without vectors makes room for new ones. No text is read for them.
	u.To, u.Embed, u.Space = "2 words", nil, ""
	if read := c.readBy(t, e, u); read != "new.txt" || dims("docs") != 0 {
		t.Errorf("without vectors %q is read, and vectors have %d numbers", read, dims("docs"))
	}
	if hits := ask("unknown", direction("gamma delta"), "docs"); len(hits) > 0 || len(without) > 0 {
		t.Errorf("without vectors %q is found, without %q", paths(hits), without)
	}
	again := kb.Update{Source: "docs", From: "2 words", To: "2", Format: "1", Read: c.read, Space: "model"}
	again.Embed = func(ctx context.Context, texts []string) ([][]float32, error) {
		all, err := embedder(&count)(ctx, texts)
		all[len(all)-1] = all[len(all)-1][1:]
		return all, err
	}
	refused(again, kb.LengthError{Numbers: 15, Others: 16})
	state(t, e, "docs", "2 words")
	again.Embed = longer(&count)
	count = 0
	if read := c.readBy(t, e, again); read != "" || count != 4 || dims("docs") != 17 {
		t.Errorf("%q is read for %d vectors of %d numbers", read, count, dims("docs"))
	}
	if hits := ask("unknown", question, "docs"); len(hits) == 0 || hits[0].File.Path != "near.txt" || len(without) > 0 {
		t.Errorf("with vectors as they are now %q is found, without %q", paths(hits), without)
	}
	// As before, what comes is taken in beside what there is.
	u = c.update("2", "3", map[string]string{"alpha.txt": gone, "moved.txt": "alpha alpha", "more.txt": "zeta"})
	u.Embed, u.Space = longer(&count), "model"
	count = 0
	if read := c.readBy(t, e, u); read != "more.txt" || count != 1 {
		t.Errorf("%q is read for %d vectors", read, count)
	}
	// Where nothing is left, there is nothing that a vector could differ from.
	u = c.update("3", "4", map[string]string{"far.txt": gone, "near.txt": gone, "new.txt": gone, "moved.txt": gone, "more.txt": gone})
	u.Embed, u.Space = longer(&count), "model"
	apply(t, e, u)
	if ask("unknown", []float32{1}, "docs"); len(without) > 0 || dims("docs") != 0 {
		t.Errorf("nothing has vectors of %d numbers", dims("docs"))
	}
}

func testSpaces(t *testing.T, open func(testing.TB) kb.Engine) {
	e, c := opened(t, open), &corpus{source: "docs"}
	count := 0
	for i, step := range []struct {
		space             string
		changes           map[string]string
		embedded, vectors int
	}{
		{"", map[string]string{"a.txt": "alpha", "b.txt": "beta", "c.txt": "gamma"}, 0, 0},
		{"one", map[string]string{"d.txt": "delta"}, 4, 4},
		{"one", map[string]string{"d.txt": gone, "moved.txt": "delta", "e.txt": "epsilon"}, 1, 5},
		{"two", map[string]string{"a.txt": gone}, 4, 4},
		{"", map[string]string{"f.txt": "phi"}, 0, 0},
	} {
		from, err := e.State(t.Context(), "docs")
		must(t, err)
		u := c.update(from, from+"+", step.changes)
		if step.space != "" {
			u.Embed, u.Space = embedder(&count), step.space
		}
		count = 0
		read := c.readBy(t, e, u)
		if count != step.embedded || len(strings.Fields(read)) > len(step.changes) {
			t.Errorf("step %d: %d texts were embedded, want %d, and %q read", i, count, step.embedded, read)
		}
		if n, space := vectorsOf(t, e); n != step.vectors || space != step.space {
			t.Errorf("step %d: %d chunks have a vector of %q, want %d of %q", i, n, space, step.vectors, step.space)
		}
		if got := search(t, e, words("alpha beta gamma delta epsilon phi", "docs")); len(got) != len(c.files) {
			t.Errorf("step %d: %q are found", i, paths(got))
		}
	}
}

func testHostileText(t *testing.T, open func(testing.TB) kb.Engine) {
	e, c := opened(t, open), &corpus{source: "docs"}
	var many strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&many, "t%dx ", i)
	}
	changes := map[string]string{
		"invalid.txt": "needle \xff\xfe\xc3 \xed\xa0\x80 end",
		"nul.txt":     "needle \x00\x00 a\x00b end",
		"line.txt":    "needle " + strings.Repeat("0123456789 abcdefghij ", 10<<20/22) + " end",
		"run.txt":     "needle " + strings.Repeat("x", 10<<20) + " end",
		"many.txt":    "needle " + many.String() + " end",
		"wide.txt":    "needle 知識検索 \u202e\u2066 e\u0301\u0301\u0301 end",
		"blank.txt":   "   \n \t ",
		"empty.txt":   "",
		"last.txt":    "needle end",
	}
	apply(t, e, c.update("", "1", changes))
	for _, wordsOnly := range []bool{true, false} {
		for query, want := range map[string]int{"needle": 7, "end": 7, "t99999x": 1, "知識": 1, strings.Repeat("needle ", 10_000): 7, "\xff\x00": 0, "needle \x00 \xff": 7} {
			q := words(query, "docs")
			q.WordsOnly = wordsOnly
			if hits := search(t, e, q); len(hits) != want {
				t.Errorf("%.20q: found in %q, want %d", query, paths(hits), want)
			}
		}
	}
	for path, text := range changes {
		_, d, err := e.Document(t.Context(), "docs", path)
		must(t, err)
		if want := document(path, text); len(d.Chunks) != len(want.Chunks) || len(d.Chunks) > 0 && d.Chunks[0].Text != want.Chunks[0].Text {
			t.Errorf("%s is not what was put", path)
		}
	}
	apply(t, e, c.update("1", "2", map[string]string{"many.txt": gone, "line.txt": gone, "run.txt": gone}))
	if hits := search(t, e, words("needle t99999x", "docs")); len(hits) != 4 {
		t.Errorf("after they are gone: %q", paths(hits))
	}
}

func testHostileNames(t *testing.T, open func(testing.TB) kb.Engine) {
	e := opened(t, open)
	for _, source := range []string{"../up", "/root", ".", "a/b", "a\\b", "CON", "ü\u202e", "UPPER", "upper", "%2e%2e", strings.Repeat("long", 1000), "nul\x00"} {
		c := &corpus{source: source}
		u := c.update("", "state "+source, map[string]string{"../../etc/passwd": "pods of " + source, "a\nb": "nodes", strings.Repeat("deep/", 500) + "x": "limits"})
		apply(t, e, u)
		state(t, e, source, "state "+source)
		if hits := search(t, e, words("pods nodes limits", source)); len(hits) != 3 {
			t.Errorf("source %.20q: %q", source, paths(hits))
		}
		if _, _, err := e.Document(t.Context(), source, "../../etc/passwd"); err != nil {
			t.Errorf("source %.20q: %v", source, err)
		}
	}
}

// testConcurrent searches while a source goes from one state to the other: what is found is all of one of them.
func testConcurrent(t *testing.T, open func(testing.TB) kb.Engine) {
	e, c := opened(t, open), &corpus{source: "docs"}
	at := func(step int) map[string]string {
		changes := map[string]string{}
		for i := range 12 {
			changes[fmt.Sprintf("f%d-%d.txt", i, step-1)] = gone
			changes[fmt.Sprintf("f%d-%d.txt", i, step)] = fmt.Sprintf("pod state%d filler%d", step, i)
		}
		return changes
	}
	apply(t, e, c.update("", "0", at(0)))
	other := &corpus{source: "other"}
	apply(t, e, other.update("", "0", map[string]string{"x.txt": "pod elsewhere"}))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for i := range 3 {
		running.Go(func() {
			for ctx.Err() == nil {
				hits, err := e.Search(ctx, kb.Query{Text: "pod", Sources: []string{"docs", "other"}, Most: 100, WordsOnly: i == 0})
				if errors.Is(err, context.Canceled) {
					return
				}
				if err != nil {
					t.Errorf("search: %v", err)
					return
				}
				states := map[string]int{}
				for _, h := range hits {
					if h.Source == "docs" {
						states[h.State+" "+strings.Fields(h.Text)[1]]++
					}
				}
				if len(states) != 1 || len(hits) != 13 {
					t.Errorf("one search has met %v", states)
					return
				}
				if _, err := e.Stats(ctx); err != nil && ctx.Err() == nil {
					t.Errorf("stats: %v", err)
				}
			}
		})
	}
	for step := range 20 {
		apply(t, e, c.update(fmt.Sprint(step), fmt.Sprint(step+1), at(step+1)))
	}
	must(t, e.Forget(t.Context(), "nobody"))
	cancel()
	running.Wait()
}
