package graph_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/kb/graph"
)

func text(t testing.TB, write func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAnswersAreWrittenInFourWays(t *testing.T) {
	g := of(t, shop...)
	g.SetCommit("4f2a")
	a := g.BlastRadius(the(t, g, "ConfigMap:shop/settings"), 5, 2)
	same(t, text(t, a.Text), `
1  Deployment.apps:shop/cart  apps/cart.yaml:1
2  Service:shop/cart          apps/cart.yaml:9
and 5 more, which were left out

Deployment.apps:shop/cart uses ConfigMap:shop/settings  apps/cart.yaml:7
Service:shop/cart selects Deployment.apps:shop/cart  apps/cart.yaml:12`)
	same(t, text(t, a.Mermaid), `
flowchart LR
  n0["ConfigMap:shop/settings"]
  n1["Deployment.apps:shop/cart"]
  n2["Service:shop/cart"]
  n1 -->|"uses"| n0
  n2 -->|"selects"| n1
  more["5 more, left out"]`)
	same(t, text(t, a.DOT), `
digraph {
  rankdir=LR
  node [shape=box]
  n0 [label="ConfigMap:shop/settings"]
  n1 [label="Deployment.apps:shop/cart"]
  n2 [label="Service:shop/cart"]
  n1 -> n0 [label="uses"]
  n2 -> n1 [label="selects"]
  more [label="5 more, left out" shape=plaintext]
}`)
	var back graph.Answer
	if err := json.Unmarshal([]byte(text(t, a.JSON)), &back); err != nil || back.Edges[0].Commit != "4f2a" || back.Edges[0].File != "apps/cart.yaml" || back.LeftOut != 5 {
		t.Errorf("the JSON is not the answer: %v %+v", err, back)
	}
}

// A name that is far longer than the others, such as a pattern of CODEOWNERS, moves none of them.
func TestALongNameMovesNoOther(t *testing.T) {
	long := strings.Repeat("/deep", 60)
	g := graph.New()
	g.Put(graph.Extract("CODEOWNERS", []byte(long+" @shop/checkout\n/cart @shop/cart\n")))
	a, err := g.Ask(graph.Question{Ask: "list", Depth: 1, Most: 10})
	if err != nil {
		t.Fatal(err)
	}
	var short, other string
	for line := range strings.Lines(text(t, a.Text)) {
		if strings.Contains(line, "/cart") {
			short += line
		}
		if strings.Contains(line, long) {
			other += line
		}
	}
	if !strings.Contains(other, long+"  CODEOWNERS:1\n") || short == "" || strings.Contains(short, strings.Repeat(" ", 40)) {
		t.Errorf("got\n%s%s", short, other)
	}
}

// TestHostileNamesDoNotLeaveTheirLabels shows names that would end a label, begin an escape, or be acted on by a terminal.
func TestHostileNamesDoNotLeaveTheirLabels(t *testing.T) {
	name := "x\\\"]; evil [label=\\\"<script>\\u001b[31m\\n\\u202e#quot; `|end"
	g := of(t, "a.yaml\napiVersion: v1\nkind: Pod\nmetadata: {name: \""+name+"\"}\nspec: {serviceAccountName: sa, containers: [{image: a}]}\n")
	a := g.DependsOn(g.Entities()[0].Node, 1, 10)
	if len(a.Found) != 2 {
		t.Fatalf("found %s", ids(a.Found))
	}
	for format, write := range map[string]func(io.Writer) error{"text": a.Text, "mermaid": a.Mermaid, "dot": a.DOT} {
		got := text(t, write)
		if strings.ContainsAny(got, "\x1b\u202e") {
			t.Errorf("%s holds what a terminal acts on: %q", format, got)
		}
		for line := range strings.Lines(got) {
			if strings.HasPrefix(strings.TrimSpace(line), "evil") || strings.HasPrefix(strings.TrimSpace(line), "#quot") {
				t.Errorf("%s: a name is on a line of its own: %q", format, line)
			}
		}
	}
	if got := text(t, a.Mermaid); strings.ContainsAny(strings.ReplaceAll(got, `"]`, ""), "<`") || strings.Count(got, `"`) != 10 {
		t.Errorf("mermaid: %s", got)
	}
	if got := text(t, a.DOT); !strings.Contains(got, `Pod:x\"]; evil [label=\"<script>`) {
		t.Errorf("dot: %s", got)
	}
}
