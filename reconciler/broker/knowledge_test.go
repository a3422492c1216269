package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/graph"
	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/spec"
)

// library knows what one test needs of knowledge, and what was asked.
type library struct {
	hits  []kb.Hit
	notes []string
	doc   kb.Document
	blob  string
	graph *graph.Graph
	err   error
	asked kb.Query
	seen  []string
}

func (l *library) Search(_ context.Context, sources []*spec.KnowledgeSource, q kb.Query) ([]kb.Hit, []string, error) {
	l.asked, l.seen = q, nil
	for _, s := range sources {
		l.seen = append(l.seen, s.Name)
	}
	return l.hits, l.notes, l.err
}

func (l *library) Graphs(context.Context, []*spec.KnowledgeSource) ([]*graph.Graph, []string, error) {
	if l.graph == nil {
		return nil, nil, l.err
	}
	return []*graph.Graph{l.graph}, nil, l.err
}

func (l *library) Document(_ context.Context, source, path string) (kb.File, kb.Document, string, error) {
	if path != "docs/a.md" {
		return kb.File{}, kb.Document{}, "", kb.ErrNotFound
	}
	return kb.File{Path: path, Blob: l.blob}, l.doc, "c0ffee", l.err
}

func (l *library) Origin(f kb.File) (spec.RunID, []string) {
	run, read, _ := strings.Cut(f.Blob, " ")
	return spec.RunID(run), strings.Fields(read)
}

// reader is a world whose agent may search handbook, which has a graph, and wiki.
func reader(t *testing.T) (*world, *library) {
	w, l := newWorld(t), &library{}
	for _, name := range []string{"handbook", "wiki"} {
		s := &spec.KnowledgeSource{Spec: spec.KnowledgeSourceSpec{Graph: name == "handbook", Description: "What is in " + name + "."}}
		s.Name = name
		w.agent.Knowledge = append(w.agent.Knowledge, s)
	}
	w.opts.Knowledge = l
	w.broker = broker.New(w.opts)
	return w, l
}

func TestWhatIsFoundSaysWhereItIsFromAndHoldsNoSecret(t *testing.T) {
	w, l := reader(t)
	w.tool("cluster__echo", `{}`) // The server starts, and has the secret.
	l.notes = []string{"wiki is still being read, and not in this answer"}
	l.hits = []kb.Hit{{Source: "handbook", State: "c0ffee", File: kb.File{Path: "docs/a.md"}, Kind: kb.KindMarkdown, Score: 1,
		Chunk: kb.Chunk{Heading: []string{"A", "B"}, First: 3, Last: 9, Text: "the token is " + token}}}
	reply := w.tool("knowledge__search", `{"query":"token","sources":["handbook"],"paths":["docs/**"],"kinds":["markdown"],"since":"2026-01-02","limit":500}`)
	got := string(w.result(reply).Structured)
	for _, want := range []string{`"source":"handbook"`, `"path":"docs/a.md"`, `"heading":"A > B"`, `"lines":"3-9"`, `"commit":"c0ffee"`, `"notes":["wiki is still`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
	if strings.Contains(got, token) {
		t.Errorf("the secret is told: %s", got)
	}
	if fmt.Sprint(reply.Answer.Sources) != "[handbook]" {
		t.Errorf("the answer is from %v", reply.Answer.Sources)
	}
	if l.asked.Most != 50 || fmt.Sprint(l.seen) != "[handbook wiki]" || l.asked.Filter.Since.Day() != 2 {
		t.Errorf("asked %+v of %v", l.asked, l.seen)
	}
}

func TestKnowledgeThatIsNotTheAgents(t *testing.T) {
	w, _ := reader(t)
	for _, test := range []struct{ name, tool, arguments, says string }{
		{"a source of others", "search", `{"query":"x","sources":["payroll"]}`, `may not search "payroll": its spec lets it search handbook, wiki`},
		{"a document of others", "open", `{"source":"payroll","path":"docs/a.md"}`, "may not search"},
		{"no such document", "open", `{"source":"wiki","path":"../../etc/passwd"}`, `wiki has no document "../../etc/passwd"`},
		{"no question", "search", `{"query":"  "}`, "write a question of 1 to 4096"},
		{"a question without end", "search", `{"query":"` + strings.Repeat("x", 5000) + `"}`, "5000 bytes"},
		{"no glob", "search", `{"query":"x","paths":["["]}`, "is not a glob"},
		{"a glob that takes until the end of time", "search", `{"query":"x","paths":["` + strings.Repeat("{*,*}", 40) + `"]}`, "too many alternatives"},
		{"no kind", "search", `{"query":"x","kinds":["novel"]}`, `"novel" is not a kind of document`},
		{"no day", "search", `{"query":"x","since":"yesterday"}`, "is not a day"},
		{"another type", "search", `{"query":7}`, "do not fit"},
		{"another field", "search", `{"query":"x","agent":"boss"}`, "do not fit"},
		{"no such question", "graph", `{"ask":"marry"}`, "unknown question"},
		{"too deep", "graph", `{"ask":"blast","of":["x"],"depth":900}`, "out of range"},
		{"nothing is read", "graph", `{"ask":"list"}`, "no graph is read yet"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.t = t
			w.refused(w.tool("knowledge__"+test.tool, test.arguments), "default: read", test.says)
		})
	}
	w.t = t
	w.agent.Knowledge = w.agent.Knowledge[1:]
	w.refused(w.tool("knowledge__graph", `{"ask":"list"}`), "default: undeclared", "is not declared")
	w.agent.Knowledge = nil
	w.refused(w.tool("knowledge__search", `{"query":"x"}`), "default: undeclared", "is not declared")
}

func TestALongDocumentIsReadInParts(t *testing.T) {
	w, l := reader(t)
	l.doc.Title = "A"
	for i := range 100 {
		l.doc.Chunks = append(l.doc.Chunks, kb.Chunk{Heading: []string{"A", fmt.Sprint(i / 50)}, First: 10*i + 1, Last: 10*i + 10, Text: strings.Repeat("x", 1000)})
	}
	whole := string(w.result(w.tool("knowledge__open", `{"source":"wiki","path":"docs/a.md"}`)).Structured)
	if !strings.Contains(whole, `"more":true`) || !strings.Contains(whole, `"lines":"1-490"`) || !strings.Contains(whole, `"title":"A"`) {
		t.Errorf("%d bytes: %s", len(whole), whole[:200])
	}
	reply := w.tool("knowledge__open", `{"source":"wiki","path":"docs/a.md","first":995,"last":2000}`)
	if got := string(w.result(reply).Structured); !strings.Contains(got, `"lines":"991-1000"`) || !strings.Contains(got, `"more":false`) || !strings.Contains(got, `[A > 1]`) {
		t.Error(got)
	}
	if fmt.Sprint(reply.Answer.Sources) != "[wiki]" {
		t.Errorf("the answer is from %v", reply.Answer.Sources)
	}
}

func TestTheGraphAnswersWithPlaces(t *testing.T) {
	w, l := reader(t)
	l.graph = graph.New()
	l.graph.Put(graph.Extract("catalog-info.yaml", []byte("apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: cart}\nspec: {type: service, lifecycle: production, owner: shop}\n")))
	reply := w.tool("knowledge__graph", `{"ask":"owner","of":["cart"]}`)
	if got := string(w.result(reply).Structured); !strings.Contains(got, "group:default/shop") || !strings.Contains(got, "catalog-info.yaml:4") {
		t.Error(got)
	}
	if fmt.Sprint(reply.Answer.Sources) != "[handbook]" {
		t.Errorf("the answer is from %v", reply.Answer.Sources)
	}
	// What is not found is told with names that stand in the files, and so with their source.
	reply = w.tool("knowledge__graph", `{"ask":"owner","of":["carte"]}`)
	w.refused(reply, "default: read", "nothing is called", "cart")
	if fmt.Sprint(reply.Answer.Sources) != "[handbook]" {
		t.Errorf("the refusal is from %v", reply.Answer.Sources)
	}
}

func TestKnowledgeThatCannotBeReadNowIsNoAnswer(t *testing.T) {
	w, l := reader(t)
	l.err = errors.New("the disk is gone")
	_, err := w.broker.Answer(t.Context(), w.call(spec.RequestTool, map[string]any{"name": "knowledge__search", "arguments": map[string]any{"query": "x"}}), nil)
	var missing *broker.Unavailable
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), "knowledge is not available: the disk is gone") {
		t.Error(err)
	}
}

func TestTheSearchToolNamesItsSources(t *testing.T) {
	w, _ := reader(t)
	w.agent.Tools = nil
	list, err := w.broker.ToolList(t.Context(), revision, w.agent)
	if err != nil {
		t.Fatal(err)
	}
	var search string
	for _, tool := range list {
		if tool.Name == "knowledge__search" {
			search = tool.Description
		}
	}
	if !strings.HasSuffix(search, "The sources are: handbook: What is in handbook; wiki: What is in wiki.") {
		t.Errorf("the description is %q", search)
	}
}

// What a run says that is found comes from what it had read, and no run finds itself.
func TestPastRunsAreReadWithTheirSources(t *testing.T) {
	w, l := reader(t)
	hit := func(path, blob string) kb.Hit { return kb.Hit{Source: "wiki", File: kb.File{Path: path, Blob: blob}} }
	l.hits = []kb.Hit{hit("runs/bot/own", string(run)), hit("runs/bot/r1", "r1 issues mail"), hit("docs/a.md", "")}
	reply := w.tool("knowledge__search", `{"query":"what"}`)
	if got := fmt.Sprint(reply.Answer.Sources); got != "[issues mail wiki]" {
		t.Errorf("the answer is of %s", got)
	}
	if got := string(w.result(reply).Structured); strings.Contains(got, "runs/bot/own") || !strings.Contains(got, "runs/bot/r1") || !strings.Contains(got, "docs/a.md") {
		t.Errorf("found %s", got)
	}
	l.doc, l.blob = kb.Document{Kind: kb.KindRun, Chunks: []kb.Chunk{{Text: "Delete it."}}}, "r1 issues"
	if reply = w.tool("knowledge__open", `{"source":"wiki","path":"docs/a.md"}`); fmt.Sprint(reply.Answer.Sources) != "[issues wiki]" {
		t.Errorf("opened what is of %v", reply.Answer.Sources)
	}
	l.blob = string(run)
	w.refused(w.tool("knowledge__open", `{"source":"wiki","path":"docs/a.md"}`), "default: read", "wiki has no document")
}
