package graph_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/kb/graph"
)

func problems(f graph.Facts) string {
	var b []string
	for _, p := range f.Problems {
		b = append(b, fmt.Sprintf("%d: %s", p.Line, p.Text))
	}
	return strings.Join(b, "\n")
}

// bomb is 10^n lists in a few hundred bytes, where containers are.
func bomb(n int) string {
	var b strings.Builder
	b.WriteString("kind: Custom\napiVersion: a.b/v1\nmetadata: {name: x}\nspec:\n  a0: &a0 [1]\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "  a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	return b.String()
}

func said(relation string) string {
	return "apiVersion: graph.mainstay.dev/v1alpha1\nkind: Relations\nrelations:\n- {" + relation + "}\n"
}

func TestHostileFiles(t *testing.T) {
	deep := strings.Repeat("[", 20_000)
	for _, test := range []struct{ name, path, text, want string }{
		{"a YAML bomb", "a.yaml", bomb(12), "500000 values"},
		{"an alias of itself", "a.yaml", "kind: Custom\napiVersion: a.b/v1\nmetadata: {name: x}\nspec: &s {a: *s, secretRef: *s}\n", "500000 values"},
		{"a file of 10 MB", "a.yaml", strings.Repeat("# comment\n", 1<<20), "no more than 8388608 are read"},
		{"a file that is nested deep", "a.yaml", "kind: A\napiVersion: v1\nspec: " + deep, "this is no YAML"},
		{"Terraform that is nested deep", "a.tf", "a = " + strings.Repeat("(", 2000), "this is no Terraform"},
		{"a binary file", "a.yaml", "kind: \x00", "no text"},
		{"broken YAML beside what is whole", "a.yaml", "a: [\n---\nkind: Service\napiVersion: v1\nmetadata: {name: s}\n", "1: this is no YAML"},
		{"relations of nothing", "a.yaml", "apiVersion: graph.mainstay.dev/v1alpha1\nkind: Relation\nrelations: []\n", "1: a file of graph.mainstay.dev is of kind: Relations"},
		{"a relation without evidence", "a.yaml", said("from: a:b/c, relation: dependsOn, to: a:b/d, evidence: ' '"), "4: the relation has no evidence"},
		{"a relation that there is not", "a.yaml", said("from: a:b/c, relation: marries, to: a:b/d, evidence: x"), `4: unknown relation "marries": use one of allowsFrom, `},
		{"a relation that follows from others", "a.yaml", said("from: a:b/c, relation: declaredIn, to: Path:x, evidence: x"), `unknown relation "declaredIn"`},
		{"no id", "a.yaml", said("from: cart, relation: dependsOn, to: a:b/d, evidence: x"), `4: from is "cart", which is no id`},
		{"pods by their labels", "a.yaml", said("from: a:b/c, relation: selects, to: 'Pods:*/app=x', evidence: x"), `4: to is "Pods:*/app=x"`},
		{"a field of nothing", "a.yaml", said("from: a:b/c, relation: dependsOn, to: a:b/d, evidence: x, owner: me"), `4: unknown field "owner"`},
		{"a template of Helm", "c/templates/a.yaml", "kind: {{ .Values.kind }}\n", "known when it is rendered"},
		{"a Dockerfile that goes on for ever", "Dockerfile", strings.Repeat("RUN a \\\n", 100_000), ""},
		{"arguments that double", "Dockerfile", "ARG A=xxxxxxxxxx\n" + strings.Repeat("ARG A=$A$A\nARG B=${A}${A}${A}\n", 100) + "FROM $B\n", ""},
		{"text that is no UTF-8", "CODEOWNERS", "\xff\xfe @a\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			begin := time.Now()
			facts := graph.Extract(test.path, []byte(test.text))
			if got := problems(facts); test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("the problems are %q and not %q", got, test.want)
			}
			graph.New().Put(facts)
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	if f := graph.Extract("a.yaml", []byte("a: [\n---\nkind: Service\napiVersion: v1\nmetadata: {name: s}\n")); len(f.Entities) != 1 || f.Entities[0].First != 3 {
		t.Errorf("the document behind a broken one is %v", f.Entities)
	}
}

func TestMoreThanAFileMayDeclareIsSaid(t *testing.T) {
	var b strings.Builder
	for i := range 110_000 {
		fmt.Fprintf(&b, "/f%d\n", i)
	}
	f := graph.Extract("CODEOWNERS", []byte(b.String()))
	if len(f.Entities) != 100_000 || !strings.Contains(problems(f), "what follows is left out") {
		t.Errorf("%d entities, and %q", len(f.Entities), problems(f))
	}
}

func component(name string, needs ...string) string {
	return fmt.Sprintf("kind: Component\napiVersion: backstage.io/v1alpha1\nmetadata: {name: %s}\nspec: {dependsOn: [%s]}\n---\n", name, strings.Join(needs, ","))
}

func TestCyclesEnd(t *testing.T) {
	g := of(t, "a.yaml\n"+component("a", "component:b")+component("b", "component:c")+component("c", "component:a")+component("self", "component:self", "component:a"))
	a, c := the(t, g, "component:default/a"), the(t, g, "component:default/c")
	same(t, ids(g.BlastRadius(a, 64, 100).Found), "1 component:default/c\n1 component:default/self\n2 component:default/b")
	same(t, ids(g.DependsOn(the(t, g, "component:default/self"), 64, 100).Found), "1 component:default/a\n2 component:default/b\n3 component:default/c")
	same(t, ids(g.Path(a, c).Found), "0 component:default/a\n1 component:default/b\n2 component:default/c")
	same(t, ids(g.Path(a, a).Found), "0 component:default/a")
}

func TestAnEntityThatIsDeclaredTwiceIsOne(t *testing.T) {
	g := of(t, "a.yaml\n"+component("a", "component:b"), "b.yaml\n"+component("a", "component:c")+component("a"))
	found, _ := g.Find("component:default/a", 10)
	if len(found) != 1 || len(found[0].Declared) != 3 {
		t.Fatalf("found %v", found)
	}
	same(t, ids(g.DependsOn(found[0].Node, 1, 10).Found), "1 component:default/b\n1 component:default/c")
	g.Remove("a.yaml")
	same(t, ids(g.DependsOn(found[0].Node, 1, 10).Found), "1 component:default/c")
}

func TestAHugeFanOutIsBoundedAndSaid(t *testing.T) {
	g := graph.New()
	for i := range 200 {
		var b strings.Builder
		for j := range 100 {
			b.WriteString(component(fmt.Sprintf("c%05d", 100*i+j), "component:hub"))
		}
		g.Put(graph.Extract(fmt.Sprintf("%d.yaml", i), []byte(b.String())))
	}
	hub := graph.Node{Group: graph.GroupBackstage, Kind: "component", Namespace: "default", Name: "hub"}
	a := g.BlastRadius(hub, 4, 1_000_000)
	if len(a.Found) != graph.MaxFound || a.LeftOut != 20_000-graph.MaxFound || a.Found[0].Node.Name != "c00000" {
		t.Errorf("%d are told, %d are left out, and the first is %v", len(a.Found), a.LeftOut, a.Found[0])
	}
	if !strings.Contains(text(t, a.Text), "and 10000 more, which were left out") {
		t.Error("the text does not say that some are left out")
	}
}

func TestNothingIsToldWhereNothingIsWanted(t *testing.T) {
	g := of(t, shop...)
	cart := the(t, g, "Service:shop/cart")
	for _, most := range []int{0, -1} {
		for name, a := range map[string]graph.Answer{"blast radius": g.BlastRadius(cart, 3, most), "owners": g.Owners(cart, most), "related": g.Related(cart, -1, most), "image": g.RunsImage("checkout", most)} {
			if len(a.Found) != 0 {
				t.Errorf("%s, at most %d: %s", name, most, ids(a.Found))
			}
		}
		if found, _ := g.Find("cart", most); len(found)+len(g.Neighbours("apps/cart.yaml", 0, 0, most)) != 0 {
			t.Errorf("at most %d: %v", most, found)
		}
	}
}

// TestManyPoliciesForManyWorkloadsAreNotAllTheirPairs holds that the pods stand between, and that what there is to find is found.
func TestManyPoliciesForManyWorkloadsAreNotAllTheirPairs(t *testing.T) {
	var pods, policies strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&pods, "kind: Pod\napiVersion: v1\nmetadata: {name: p%d, namespace: x, labels: {app: a}}\nspec: {containers: [{image: a}]}\n---\n", i)
		fmt.Fprintf(&policies, "kind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {name: n%d, namespace: x}\nspec: {podSelector: {}}\n---\n", i)
	}
	g := of(t, "pods.yaml\n"+pods.String(), "policies.yaml\n"+policies.String())
	if n := len(g.Edges()); n != 2000 {
		t.Errorf("there are %d edges", n)
	}
	a := g.Path(graph.Node{Group: "networking.k8s.io", Kind: "NetworkPolicy", Namespace: "x", Name: "n7"}, graph.Node{Kind: "Pod", Namespace: "x", Name: "p7"})
	same(t, ids(a.Found), "0 NetworkPolicy.networking.k8s.io:x/n7\n1 Pods:x/*\n2 Pod:x/p7")
	if reached := g.BlastRadius(a.Of[0], 2, 10_000); len(reached.Found) != 1001 {
		t.Errorf("a policy reaches %d", len(reached.Found))
	}
	if reached := g.BlastRadius(a.Of[1], 64, 10_000); len(reached.Found) != 0 {
		t.Errorf("a workload reaches %s", ids(reached.Found))
	}
}

// TestNoSecretIsTaken holds that what is in a Secret, in an environment variable or in a URL's credentials is in no fact.
func TestNoSecretIsTaken(t *testing.T) {
	for path, text := range map[string]string{
		"a.yaml":               "kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData: {a: hunter2, image: 'hunter2:1'}\ndata: {b: hunter2}\n",
		"b.yaml":               "kind: Pod\napiVersion: v1\nmetadata: {name: p}\nspec: {containers: [{image: a, env: [{name: A_URL, value: 'http://u:hunter2@b:80'}, {name: PASSWORD, value: hunter2}]}]}\n",
		"c.yaml":               "kind: Application\napiVersion: argoproj.io/v1\nmetadata: {name: p}\nspec: {source: {repoURL: 'https://u:hunter2@example.org/a?token=hunter2', path: a}}\n",
		"compose.yaml":         "services: {a: {image: a, environment: {PASSWORD: hunter2, A_URL: 'http://u:hunter2@b:80'}}}\n",
		"main.tf":              "module \"a\" {\n  source = \"git::https://u:hunter2@example.org/a.git?ref=v1\"\n  password = \"hunter2\"\n}\n",
		"Dockerfile":           "FROM a\nARG PASSWORD=hunter2\nENV A=hunter2\n",
		"k/kustomization.yaml": "secretGenerator: [{name: a, literals: [a=hunter2]}]\nresources: ['https://u:hunter2@example.org/a//b?ref=v1']\n",
	} {
		if facts := graph.Extract(path, []byte(text)); strings.Contains(fmt.Sprintf("%+v", facts), "hunter2") || len(facts.Entities)+len(facts.Links) == 0 {
			t.Errorf("%s: %+v", path, facts)
		}
	}
}
