package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mainstay-dev/mainstay/kb"
)

func testUpdate(t *testing.T, open func(testing.TB) kb.Engine) {
	e, c := opened(t, open), &corpus{source: "docs"}
	state(t, e, "docs", "")
	if files, err := e.Files(t.Context(), "docs"); err != nil || len(files) > 0 {
		t.Fatalf("nothing has the files %v: %v", files, err)
	}
	if _, _, err := e.Document(t.Context(), "docs", "a.md"); !errors.Is(err, kb.ErrNotFound) {
		t.Fatalf("a document of nothing: %v", err)
	}
	if hits := search(t, e, words("anything", "docs")); len(hits) > 0 {
		t.Fatalf("in nothing was found: %v", hits)
	}
	must(t, e.Forget(t.Context(), "docs"))

	first := c.update("", "one", map[string]string{"b.txt": "draining a node", "a.md": "# Pods\n\nwhat a pod is\n\nand what a\nnode is", "empty.txt": ""})
	first.Labels = map[string]string{"team": "sre"}
	var told []string
	first.Progress = func(done, of int) { told = append(told, fmt.Sprint(done, "/", of)) }
	apply(t, e, first)
	if len(told) == 0 || told[len(told)-1] != "3/3" {
		t.Errorf("progress was %v", told)
	}
	state(t, e, "docs", "one")
	files, err := e.Files(t.Context(), "docs")
	must(t, err)
	if want := []kb.File{file("a.md", c.files["a.md"]), file("b.txt", c.files["b.txt"]), file("empty.txt", "")}; !cmp.Equal(files, want) {
		t.Errorf("files: %s", cmp.Diff(want, files))
	}
	f, d, err := e.Document(t.Context(), "docs", "a.md")
	must(t, err)
	if want := document("a.md", c.files["a.md"]); !cmp.Equal(d, want, cmpopts.EquateEmpty()) || !cmp.Equal(f, files[0]) {
		t.Errorf("document: %s", cmp.Diff(want, d))
	}
	if _, d, err := e.Document(t.Context(), "docs", "empty.txt"); err != nil || len(d.Chunks) > 0 {
		t.Errorf("an empty document: %v, %v", d, err)
	}
	hits := search(t, e, kb.Query{Text: "node", Sources: []string{"docs", "docs", "unknown"}})
	if len(hits) != 2 || hits[0].Score < hits[1].Score || hits[1].Score <= 0 {
		t.Fatalf("hits: %+v", hits)
	}
	i := slices.IndexFunc(hits, func(h kb.Hit) bool { return h.File.Path == "a.md" })
	if want := (kb.Hit{Source: "docs", State: "one", File: files[0], Kind: kb.KindMarkdown, Title: "Pods", Score: hits[i].Score,
		Chunk: kb.Chunk{Heading: []string{"Pods", "part 2"}, First: 5, Last: 6, Text: "and what a\nnode is"}}); !cmp.Equal(hits[i], want) {
		t.Errorf("hit: %s", cmp.Diff(want, hits[i]))
	}
	stats, err := e.Stats(t.Context())
	must(t, err)
	if want := []kb.Stats{{Source: "docs", State: "one", Format: "1", Documents: 2, Chunks: 3, Bytes: int64(len("draining a node" + "what a pod is" + "and what a\nnode is"))}}; !cmp.Equal(stats, want, cmpopts.IgnoreFields(kb.Stats{}, "Disk")) {
		t.Errorf("stats: %s", cmp.Diff(want, stats))
	}

	apply(t, e, c.update("one", "two", map[string]string{"b.txt": gone, "never.txt": gone, "c.txt": "cordon a node"}))
	state(t, e, "docs", "two")
	if got := paths(search(t, e, words("draining cordon", "docs"))); got != "c.txt" {
		t.Errorf("found %q after the update", got)
	}
	if hits := search(t, e, words("pod", "docs")); len(hits) != 2 || hits[0].State != "two" {
		t.Errorf("what stayed is %+v", hits)
	}
	if _, _, err := e.Document(t.Context(), "docs", "b.txt"); !errors.Is(err, kb.ErrNotFound) {
		t.Errorf("what is gone: %v", err)
	}
	apply(t, e, c.update("two", "three", nil))
	state(t, e, "docs", "three")

	// All that is not put is gone, whatever there was.
	c.files = map[string]string{"only.txt": "the only node"}
	apply(t, e, c.whole("four"))
	if got := paths(search(t, e, words("node pod cordon", "docs"))); got != "only.txt" {
		t.Errorf("found %q after all was put", got)
	}
	apply(t, e, kb.Update{Source: "docs", To: "five", Read: c.read})
	if hits := search(t, e, words("node", "docs")); len(hits) > 0 {
		t.Errorf("found in nothing: %v", hits)
	}
	state(t, e, "docs", "five")

	must(t, e.Forget(t.Context(), "docs"))
	state(t, e, "docs", "")
	if stats, err := e.Stats(t.Context()); err != nil || len(stats) > 0 {
		t.Errorf("stats of nothing: %v, %v", stats, err)
	}
	apply(t, e, c.update("", "six", map[string]string{"again.txt": "a node again"}))
	if got := paths(search(t, e, words("node", "docs"))); got != "again.txt" {
		t.Errorf("found %q after all was forgotten", got)
	}
}

func testRefused(t *testing.T, open func(testing.TB) kb.Engine) {
	e, c := opened(t, open), &corpus{source: "docs"}
	if err := e.Update(t.Context(), c.update("one", "two", map[string]string{"a.txt": "pods"})); !errors.Is(err, kb.ErrState) {
		t.Errorf("an update of a state that nothing is in: %v", err)
	}
	state(t, e, "docs", "")
	apply(t, e, c.whole("one"))
	if err := e.Update(t.Context(), c.update("zero", "two", map[string]string{"a.txt": "nodes"})); !errors.Is(err, kb.ErrState) {
		t.Errorf("an update of a former state: %v", err)
	}
	for name, u := range map[string]kb.Update{"no source": {To: "x", Read: c.read}, "no state": {Source: "docs", Read: c.read}} {
		if err := e.Update(t.Context(), u); err == nil || errors.Is(err, kb.ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := e.Search(t.Context(), kb.Query{Text: "pods", Sources: []string{"docs"}, Most: 1, Filter: kb.Filter{Paths: []string{"[a"}}}); err == nil {
		t.Error("a glob that is none was taken")
	}
	state(t, e, "docs", "one")
	if got := paths(search(t, e, words("pods nodes", "docs"))); got != "a.txt" {
		t.Errorf("found %q", got)
	}
}

// readBy applies an update and returns what it read.
func (c *corpus) readBy(t testing.TB, e kb.Engine, u kb.Update) string {
	t.Helper()
	c.reads = nil
	apply(t, e, u)
	slices.Sort(c.reads)
	return strings.Join(c.reads, " ")
}

func testIncremental(t *testing.T, open func(testing.TB) kb.Engine) {
	e, c := opened(t, open), &corpus{source: "docs"}
	for _, step := range []struct {
		name    string
		changes map[string]string
		want    string
	}{
		{"all is new", map[string]string{"a.txt": "pods here", "b.txt": "nodes here", "c.txt": "limits here"}, "a.txt b.txt c.txt"},
		{"one has changed", map[string]string{"b.txt": "nodes elsewhere"}, "b.txt"},
		{"one has moved", map[string]string{"a.txt": gone, "moved.txt": "pods here"}, ""},
		{"one is there twice", map[string]string{"copy.txt": "limits here"}, ""},
		{"the first of them is gone", map[string]string{"c.txt": gone}, ""},
		{"it is there twice again", map[string]string{"again.txt": "limits here"}, ""},
		{"one changes its place with another", map[string]string{"b.txt": "pods here", "moved.txt": "nodes elsewhere"}, ""},
		{"it is put as it is", map[string]string{"b.txt": "pods here"}, ""},
	} {
		from, err := e.State(t.Context(), "docs")
		must(t, err)
		if got := c.readBy(t, e, c.update(from, from+"+", step.changes)); got != step.want {
			t.Errorf("%s: read %q, want %q", step.name, got, step.want)
		}
		if got := c.readBy(t, e, c.whole(from+"+")); got != "" {
			t.Errorf("%s: all of it was put, and %q read again", step.name, got)
		}
		for path, text := range c.files {
			if _, d, err := e.Document(t.Context(), "docs", path); err != nil || d.Chunks[0].Text != text {
				t.Errorf("%s: %s is %v: %v", step.name, path, d, err)
			}
		}
		for _, word := range []string{"pods", "nodes", "limits", "here", "elsewhere"} {
			want := 0
			for _, text := range c.files {
				if slices.Contains(strings.Fields(text), word) {
					want++
				}
			}
			if hits := search(t, e, words(word, "docs")); len(hits) != want {
				t.Errorf("%s: %s is found in %q, want %d", step.name, word, paths(hits), want)
			}
		}
	}
	// Another source has what it has read itself.
	other := &corpus{source: "other"}
	if got := other.readBy(t, e, other.update("", "1", map[string]string{"x.txt": "pods here"})); got != "x.txt" {
		t.Errorf("of another source read %q", got)
	}
}

func testFormat(t *testing.T, open func(testing.TB) kb.Engine) {
	e, c := opened(t, open), &corpus{source: "docs"}
	apply(t, e, c.update("", "one", map[string]string{"a.txt": "pods", "b.txt": "nodes", "c.txt": "limits"}))
	u := c.update("one", "two", map[string]string{"b.txt": gone})
	u.Format = "2"
	if got := c.readBy(t, e, u); got != "a.txt c.txt" {
		t.Errorf("in another format %q was read, want all that there is", got)
	}
	u = c.update("two", "three", map[string]string{"d.txt": "pods"})
	u.Format, u.Labels = "2", map[string]string{"team": "sre"}
	if got := c.readBy(t, e, u); got != "" {
		t.Errorf("in the same format %q was read", got)
	}
	q := words("pods", "docs")
	q.Filter.Labels = u.Labels
	if got := paths(search(t, e, q)); got != "a.txt d.txt" {
		t.Errorf("by the label that it has now: %q", got)
	}
	q.Filter.Labels = map[string]string{"team": "other"}
	if got := paths(search(t, e, q)); got != "" {
		t.Errorf("by another label: %q", got)
	}
}

// testProblems: documents that could not be read are told, and stay so until they can.
func testProblems(t *testing.T, open func(testing.TB) kb.Engine) {
	e, c := opened(t, open), &corpus{source: "docs"}
	changes := map[string]string{"fine.txt": "pods"}
	for i := range kb.MaxProblems + 5 {
		changes[fmt.Sprintf("%03d.pdf", i)] = fmt.Sprintf("broken: page %d is torn", i)
	}
	apply(t, e, c.update("", "1", changes))
	apply(t, e, c.update("1", "2", map[string]string{"000.pdf": gone, "moved.pdf": changes["000.pdf"], "001.pdf": "limits"}))
	stats, err := e.Stats(t.Context())
	must(t, err)
	is := stats[0]
	if is.Documents != 2 || is.Unread != kb.MaxProblems+4 || len(is.Problems) != kb.MaxProblems || is.Problems[0] != (kb.Problem{Path: "002.pdf", Text: "page 2 is torn"}) {
		t.Errorf("%d documents, %d unread, of which %d are told: %v", is.Documents, is.Unread, len(is.Problems), is.Problems[:1])
	}
	if _, d, err := e.Document(t.Context(), "docs", "moved.pdf"); err != nil || d.Problem != "page 0 is torn" {
		t.Errorf("what has moved is %+v: %v", d, err)
	}
}

func testFailures(t *testing.T, open func(testing.TB) kb.Engine) {
	e, c := opened(t, open), &corpus{source: "docs"}
	apply(t, e, c.update("", "one", map[string]string{"a.txt": "pods", "b.txt": "nodes"}))
	had := c.files
	unchanged := func(name string) {
		t.Helper()
		state(t, e, "docs", "one")
		if got := paths(search(t, e, words("pods nodes limits", "docs"))); got != "a.txt b.txt" {
			t.Errorf("%s: found %q", name, got)
		}
		c.fail = ""
	}
	update := func() kb.Update {
		c.files = map[string]string{"a.txt": had["a.txt"], "b.txt": had["b.txt"]}
		return c.update("one", "two", map[string]string{"a.txt": gone, "b.txt": "limits", "c.txt": "limits and pods", "d.txt": "more nodes"})
	}
	u := update()
	c.fail = "d.txt"
	if err := e.Update(t.Context(), u); !errors.Is(err, errRead) || !strings.Contains(err.Error(), "d.txt") {
		t.Errorf("a document that cannot be read: %v", err)
	}
	unchanged("a document cannot be read")

	for name, embed := range map[string]kb.Embedder{
		"it fails": func(context.Context, []string) ([][]float32, error) { return nil, errRead },
		"too few": func(_ context.Context, texts []string) ([][]float32, error) {
			return make([][]float32, len(texts)-1), nil
		},
		"none": func(_ context.Context, texts []string) ([][]float32, error) {
			return make([][]float32, len(texts)), nil
		},
		"of different lengths": func(_ context.Context, texts []string) ([][]float32, error) {
			all := make([][]float32, len(texts))
			for i := range all {
				all[i] = make([]float32, 1+i)
			}
			return all, nil
		},
	} {
		u := update()
		u.Embed, u.Space = embed, "model"
		if err := e.Update(t.Context(), u); err == nil {
			t.Errorf("vectors: %s: no error", name)
		}
		unchanged("vectors: " + name)
	}

	ctx, cancel := context.WithCancel(t.Context())
	u = update()
	u.Read = func(ctx context.Context, f kb.File) (kb.Document, error) {
		cancel()
		return c.read(ctx, f)
	}
	if err := e.Update(ctx, u); !errors.Is(err, context.Canceled) {
		t.Errorf("an update that is cancelled: %v", err)
	}
	unchanged("cancelled")
	if _, err := e.Search(ctx, kb.Query{Text: "pods", Sources: []string{"docs"}, Most: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("a search that is cancelled: %v", err)
	}
	if err := e.Forget(ctx, "docs"); !errors.Is(err, context.Canceled) {
		t.Errorf("to forget, cancelled: %v", err)
	}
	unchanged("all is cancelled")

	apply(t, e, update())
	if got := paths(search(t, e, words("limits", "docs"))); got != "b.txt c.txt" {
		t.Errorf("after failures: %q", got)
	}
}

func testClosed(t *testing.T, open func(testing.TB) kb.Engine) {
	e, c := open(t), &corpus{source: "docs"}
	apply(t, e, c.update("", "one", map[string]string{"a.txt": "pods"}))
	reading := make(chan struct{})
	u := c.update("one", "two", map[string]string{"b.txt": "nodes"})
	u.Read = func(ctx context.Context, _ kb.File) (kb.Document, error) {
		close(reading)
		<-ctx.Done()
		return kb.Document{}, ctx.Err()
	}
	updated := make(chan error)
	go func() { updated <- e.Update(context.Background(), u) }()
	<-reading
	must(t, e.Close())
	if err := <-updated; err == nil {
		t.Error("an update went on while the engine was closed")
	}
	if err := e.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	_, err := e.Search(t.Context(), kb.Query{Text: "pods", Sources: []string{"docs"}, Most: 1})
	_, errState := e.State(t.Context(), "docs")
	for what, err := range map[string]error{"search": err, "state": errState, "update": e.Update(t.Context(), c.whole("three")), "forget": e.Forget(t.Context(), "docs")} {
		if err == nil {
			t.Errorf("%s after close: no error", what)
		}
	}
}
