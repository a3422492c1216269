package graph_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/kb/graph"
)

// everything is all that a graph answers.
func everything(g *graph.Graph) string {
	var b strings.Builder
	b.WriteString(written(g))
	for _, e := range g.Entities() {
		for _, a := range []graph.Answer{g.BlastRadius(e.Node, 5, 50), g.DependsOn(e.Node, 5, 50), g.Related(e.Node, 2, 50), g.Owners(e.Node, 50)} {
			if err := a.Text(&b); err != nil {
				panic(err)
			}
		}
		fmt.Fprintln(&b, g.Neighbours(e.Declared[0].File, e.Declared[0].First, e.Declared[0].Last, 3))
	}
	for _, text := range []string{"a", "b", "service", "nothing"} {
		found, alike := g.Find(text, 20)
		fmt.Fprintln(&b, found, alike)
	}
	fmt.Fprintln(&b, g.RunsImage("a", 10))
	return b.String()
}

// parts are what files of TestAGraphIsTheUnionOfItsFiles are made of: they refer to one another by name, label, path and host.
var parts = []string{
	"kind: Service\napiVersion: v1\nmetadata: {name: a, namespace: x}\nspec: {selector: {app: a}}\n",
	"kind: Service\napiVersion: v1\nmetadata: {name: a}\nspec: {selector: {app: b, t: u}}\n",
	"kind: Service\napiVersion: v1\nmetadata: {name: a, namespace: y}\nspec: {selector: {app: b}}\n",
	"kind: Deployment\napiVersion: apps/v1\nmetadata: {name: a, namespace: x, labels: {team: t}}\nspec: {template: {metadata: {labels: {app: a}}, spec: {containers: [{image: a, env: [{name: B_HOST, value: b}, {name: A_ADDR, value: 'a.y:80'}]}]}}}\n",
	"kind: Deployment\napiVersion: apps/v1\nmetadata: {name: b}\nspec: {template: {metadata: {labels: {app: b, t: u}}, spec: {containers: [{image: 'a:1', env: [{name: A_HOST, value: a}]}]}}}\n",
	"kind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {name: a, namespace: x}\nspec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [{key: app, operator: Exists}]}}]}]}\n",
	"kind: Kustomization\napiVersion: kustomize.toolkit.fluxcd.io/v1\nmetadata: {name: k, namespace: x}\nspec: {path: ./d, sourceRef: {kind: GitRepository, name: g}, dependsOn: [{name: k}]}\n",
	"kind: Kustomization\napiVersion: kustomize.toolkit.fluxcd.io/v1\nmetadata: {name: l, namespace: x}\nspec: {path: ./e/f, sourceRef: {kind: ExternalArtifact, name: z}}\n",
	"kind: ArtifactGenerator\napiVersion: source.extensions.fluxcd.io/v1\nmetadata: {name: l, namespace: x}\nspec: {sources: [{alias: r, kind: GitRepository, name: g}], artifacts: [{name: z, copy: [{from: '@r/d/**', to: '@artifact/e/'}]}]}\n",
	"kind: Group\napiVersion: backstage.io/v1\nmetadata: {name: t}\n",
	"kind: Component\napiVersion: backstage.io/v1\nmetadata: {name: a}\nspec: {owner: t, dependsOn: [component:b], dependencyOf: [component:c], system: s}\n",
	"kind: Component\napiVersion: backstage.io/v1\nmetadata: {name: b}\nspec: {owner: t, dependsOn: [component:a]}\n",
	"resources: [a.yaml, d, ../b.yaml]\n",
	"* @all\n/d/ @dirs\n",
}

func TestAGraphIsTheUnionOfItsFiles(t *testing.T) {
	paths := []string{"a.yaml", "b.yaml", "d/a.yaml", "d/b.yaml", "d/f/a.yaml", "d/kustomization.yaml", "d/f/kustomization.yaml", "CODEOWNERS", ".github/CODEOWNERS"}
	rapid.Check(t, func(t *rapid.T) {
		g := graph.New()
		now := map[string]graph.Facts{}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			path := rapid.SampledFrom(paths).Draw(t, "path")
			if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
				g.Remove(path)
				delete(now, path)
				continue
			}
			facts := graph.Extract(path, []byte(strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 1, 4).Draw(t, "text"), "---\n")))
			g.Put(facts)
			now[path] = facts
		}
		fresh := graph.New()
		order := slices.Sorted(maps.Keys(now))
		if rapid.Bool().Draw(t, "backwards") {
			slices.Reverse(order)
		}
		for _, path := range order {
			fresh.Put(now[path])
		}
		if got, want := everything(g), everything(fresh); got != want {
			t.Fatalf("the graph that changed says\n%s\nand one that is made of the same files says\n%s", got, want)
		}
		entities, relations := g.Size()
		if e, r := fresh.Size(); e != entities || r != relations {
			t.Fatalf("%d entities and %d relations are kept, and a new graph has %d and %d", entities, relations, e, r)
		}
		for path := range now {
			g.Remove(path)
		}
		if entities, relations := g.Size(); entities+relations != 0 {
			t.Fatalf("%d entities and %d relations are left of no files", entities, relations)
		}
	})
}

func TestQuestionsAndChangesAtTheSameTime(t *testing.T) {
	g := of(t, shop...)
	want := everything(g)
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for range 20 {
				everything(g)
			}
		})
	}
	for range 50 {
		for _, f := range shop {
			path, text, _ := strings.Cut(f, "\n")
			g.Remove(path)
			g.Put(graph.Extract(path, []byte(text)))
		}
	}
	asking.Wait()
	if got := everything(g); got != want {
		t.Errorf("afterwards the graph says\n%s\nand not\n%s", got, want)
	}
}
