package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/graph"
)

func TestWhatIsRenderedIsOfTheLinesItComesFrom(t *testing.T) {
	const template = "apiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}}\nspec:\n  selector: {app: cart}\n"
	facts := graph.ExtractRendered("chart/templates/cart.yaml", []byte(template), []kb.Rendered{
		{Text: "apiVersion: v1\nkind: Service\nmetadata: {name: cart}\nspec:\n  selector: {app: cart}\n", First: 1, Last: 5, Lines: []int{1, 2, 3, 4, 5}},
		{Text: "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{image: redis}]}\n", First: 2, Last: 3, Lines: []int{0, 0, 0, 0}},
		{Text: "a: [\n", First: 4, Last: 4},
	}, nil)
	g := graph.New()
	g.Put(facts)
	const want = `
chart/templates/cart.yaml
  1-5 Service:cart
  2 Pod:a runs Image:docker.io/library/redis
  2-3 Pod:a
  4 problem: what it renders to: this is no YAML: did not find expected node content
  5 Service:cart selects Pods:app=cart
`
	compare(t, written(g), want)
}

func TestWhatFilesSayAlreadyIsNotSaidAgain(t *testing.T) {
	base := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: x}\nspec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{image: 'web:1'}], serviceAccountName: web}}}\n"
	overlay := "resources:\n  - ../base\nimages: [{name: web, newTag: '2'}]\n"
	built := []kb.Rendered{{Text: strings.Replace(base, "web:1", "web:2", 1), First: 2, Last: 2}}
	facts := graph.ExtractRendered("overlay/kustomization.yaml", []byte(overlay), built, nil, graph.Extract("base/web.yaml", []byte(base)))
	var got []string
	for _, l := range facts.Links {
		got = append(got, fmt.Sprintln(l.Line, l.From, l.Relation, l.To, l.Version))
	}
	if len(facts.Entities) != 0 || strings.Join(got, "") != "2 Deployment.apps:x/web runs Image:docker.io/library/web 2\n2 Path:overlay/kustomization.yaml includes Path:base \n3 Path:overlay/kustomization.yaml runs Image:docker.io/library/web 2\n" {
		t.Errorf("got %v and %v", facts.Entities, got)
	}
	// Other labels are another thing that Services select.
	built[0].Text = strings.Replace(built[0].Text, "app: web", "app: web, track: canary", 1)
	if facts := graph.ExtractRendered("overlay/kustomization.yaml", []byte(overlay), built, nil, graph.Extract("base/web.yaml", []byte(base))); len(facts.Entities) != 1 || facts.Entities[0].First != 2 {
		t.Errorf("got %v", facts.Entities)
	}
}

func TestANameThatIsASecretIsNotInTheGraph(t *testing.T) {
	facts := graph.ExtractRendered("chart/templates/cart.yaml", []byte("{{ .Values.password }}\n"), []kb.Rendered{
		{Text: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart-hunter22, namespace: hunter22}\nspec: {template: {metadata: {labels: {app: hunter22}}, spec: {containers: [{image: 'cart:hunter22'}]}}}\n", First: 1, Last: 4},
		{Text: "apiVersion: v1\nkind: Service\nmetadata: {name: hunter22}\nspec: {selector: {app: hunter22}}\n", First: 5, Last: 8},
	}, []string{"hunter22"})
	g := graph.New()
	g.Put(facts)
	const want = `
chart/templates/cart.yaml
  1 Deployment.apps:(secret left out)/cart-(secret left out) runs Image:docker.io/library/cart (secret left out)
  1-4 Deployment.apps:(secret left out)/cart-(secret left out)
  5 Service:(secret left out) selects Pods:app=(secret left out)
  5-8 Service:(secret left out)
`
	compare(t, written(g), want)
}

// Lines are those that Git and editors count, whatever else ends one for a parser.
func TestLinesAreThoseOfTheFileHoweverTheyEnd(t *testing.T) {
	links := func(content string) string {
		var got []string
		for _, l := range graph.Extract("a.yaml", []byte(content)).Links {
			got = append(got, fmt.Sprintln(l.Line, l.From, l.Relation, l.To))
		}
		return strings.Join(got, "")
	}
	const content = "# Read this &1 &2 &3 first.\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - image: redis\n"
	want := links(content)
	if !strings.Contains(want, "redis") {
		t.Fatal(want)
	}
	for name, is := range map[string]string{
		"CRLF": strings.ReplaceAll(content, "\n", "\r\n"), "carriage returns": strings.ReplaceAll(content, "&", "\r#"),
		"breaks of YAML": strings.NewReplacer("&1", "\u2028#", "&2", "\u2029#", "&3", "\u0085#").Replace(content),
	} {
		if got := links(is); got != want {
			t.Errorf("%s: got\n%s\nand not\n%s", name, got, want)
		}
	}
}
