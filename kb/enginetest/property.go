package enginetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/kb"
)

var word = rapid.SampledFrom(strings.Fields("pod node drain kube-proxy restart cluster limit memory volume claim ingress secret"))

func textOf(t *rapid.T, name string) string {
	var paragraphs []string
	for range rapid.IntRange(1, 3).Draw(t, name+" paragraphs") {
		paragraphs = append(paragraphs, strings.Join(rapid.SliceOfN(word, 1, 6).Draw(t, name), " "))
	}
	return strings.Join(paragraphs, "\n\n")
}

// testAnyHistory brings a source through updates, and compares it with a model and with an engine that was given the last state at once:
// what is found by words, and how it is scored, depends on what is there and not on how it came.
func testAnyHistory(t *testing.T, open func(testing.TB) kb.Engine) {
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		e := open(t)
		defer e.Close()
		runs++
		c := &corpus{source: "docs"}
		from := ""
		for step := range rapid.IntRange(1, 6).Draw(rt, "steps") {
			changes := map[string]string{}
			for range rapid.IntRange(0, 5).Draw(rt, "changes") {
				path := fmt.Sprintf("%d.md", rapid.IntRange(0, 12).Draw(rt, "path"))
				changes[path] = gone
				if rapid.IntRange(0, 3).Draw(rt, "kept") > 0 {
					changes[path] = textOf(rt, "text")
				}
			}
			to := fmt.Sprint("state ", step)
			u := c.update(from, to, changes)
			if rapid.IntRange(0, 4).Draw(rt, "whole") == 0 {
				u = c.whole(to)
			}
			if err := e.Update(t.Context(), u); err != nil {
				rt.Fatal(err)
			}
			from = to
		}
		files, err := e.Files(t.Context(), "docs")
		if err != nil {
			rt.Fatal(err)
		}
		var have []string
		for _, f := range files {
			have = append(have, f.Path)
			if f != file(f.Path, c.files[f.Path]) {
				rt.Fatalf("file %+v", f)
			}
		}
		if want := slices.Sorted(maps.Keys(c.files)); !slices.Equal(have, want) {
			rt.Fatalf("files %v, want %v", have, want)
		}
		fresh := open(t)
		defer fresh.Close()
		if err := fresh.Update(t.Context(), c.whole("fresh")); err != nil {
			rt.Fatal(err)
		}
		count := func(e kb.Engine) kb.Stats {
			stats, err := e.Stats(t.Context())
			if err != nil || len(stats) != 1 {
				rt.Fatalf("stats %+v: %v", stats, err)
			}
			return stats[0]
		}
		if got, want := count(e), count(fresh); got.Documents != want.Documents || got.Chunks != want.Chunks || got.Bytes != want.Bytes || !slices.Equal(got.Problems, want.Problems) {
			rt.Fatalf("counted %+v, want %+v", got, want)
		}
		query := strings.Join(rapid.SliceOfN(word, 1, 3).Draw(rt, "query"), " ")
		q := kb.Query{Text: query, Sources: []string{"docs"}, WordsOnly: true, Most: kb.MaxHits}
		got, err := e.Search(t.Context(), q)
		if err != nil {
			rt.Fatal(err)
		}
		want, err := fresh.Search(t.Context(), q)
		if err != nil {
			rt.Fatal(err)
		}
		if err := same(ordered(got), ordered(want)); err != nil {
			rt.Fatalf("%q: %v", query, err)
		}
		found := 0
		for path, text := range c.files {
			for _, chunk := range document(path, text).Chunks {
				if slices.ContainsFunc(strings.Fields(query), func(w string) bool { return slices.Contains(strings.Fields(chunk.Text), w) }) {
					found++
				}
			}
		}
		if len(got) != found {
			rt.Fatalf("%q is found %d times, want %d", query, len(got), found)
		}
	})
}

// ordered sorts hits of nearly the same score by where they are, so that they can be compared.
func ordered(hits []kb.Hit) []kb.Hit {
	slices.SortFunc(hits, func(a, b kb.Hit) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.File.Path, b.File.Path), cmp.Compare(a.First, b.First))
	})
	return hits
}

// testVisibility compares answers with and without another source that the query does not name, and those of two sources with those of
// one that has all of it.
func testVisibility(t *testing.T, open func(testing.TB) kb.Engine) {
	rapid.Check(t, func(rt *rapid.T) {
		e := open(t)
		defer e.Close()
		all := &corpus{source: "all", files: map[string]string{}}
		for _, source := range []string{"one", "two"} {
			c := &corpus{source: source, files: map[string]string{}}
			for i := range rapid.IntRange(0, 12).Draw(rt, source) {
				path, text := fmt.Sprintf("%s-%d.md", source, i), textOf(rt, "text")
				c.files[path], all.files[path] = text, text
			}
			if err := e.Update(t.Context(), c.whole("1")); err != nil {
				rt.Fatal(err)
			}
		}
		query := strings.Join(rapid.SliceOfN(word, 1, 3).Draw(rt, "query"), " ")
		ask := func(wordsOnly bool, sources ...string) []kb.Hit {
			hits, err := e.Search(t.Context(), kb.Query{Text: query, Sources: sources, WordsOnly: wordsOnly, Most: kb.MaxHits})
			if err != nil {
				rt.Fatal(err)
			}
			return hits
		}
		oneWords, one, both := ask(true, "one"), ask(false, "one"), ask(true, "one", "two")
		secret := &corpus{source: "secret", files: map[string]string{}}
		for i := range rapid.IntRange(1, 12).Draw(rt, "secret") {
			secret.files[fmt.Sprintf("one-%d.md", i)] = textOf(rt, "secret text")
		}
		for _, u := range []kb.Update{secret.whole("1"), all.whole("1")} {
			if err := e.Update(t.Context(), u); err != nil {
				rt.Fatal(err)
			}
		}
		for name, pair := range map[string][2][]kb.Hit{"words": {oneWords, ask(true, "one")}, "all": {one, ask(false, "one")}} {
			if len(pair[0]) != len(pair[1]) {
				rt.Fatalf("%s: %q has %d hits, and %d where another source is there", name, query, len(pair[0]), len(pair[1]))
			}
			for i, h := range pair[0] {
				if g := pair[1][i]; g.File.Path != h.File.Path || g.First != h.First || g.Score != h.Score || g.Source != "one" {
					rt.Fatalf("%s: %q finds %s with %v, and %s with %v where another source is there", name, query, h.File.Path, h.Score, g.File.Path, g.Score)
				}
			}
		}
		joined := ask(true, "all")
		for _, hits := range [][]kb.Hit{both, joined} {
			for i := range hits {
				hits[i].Source = ""
			}
			ordered(hits)
		}
		if err := same(both, joined); err != nil {
			rt.Fatalf("%q of two sources and of one that has all of it: %v", query, err)
		}
	})
}
