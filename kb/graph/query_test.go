package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/kb/graph"
)

// of makes the graph of a file in each argument: a path, a newline and what is in it.
func of(t testing.TB, files ...string) *graph.Graph {
	t.Helper()
	g := graph.New()
	for _, f := range files {
		path, text, _ := strings.Cut(f, "\n")
		facts := graph.Extract(path, []byte(text))
		for _, p := range facts.Problems {
			t.Errorf("%s:%d: %s", path, p.Line, p.Text)
		}
		g.Put(facts)
	}
	return g
}

func ids(found []graph.Found) string {
	var b []string
	for _, f := range found {
		b = append(b, fmt.Sprintf("%d %s", f.Depth, f.Node))
	}
	return strings.Join(b, "\n")
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimSpace(want); strings.TrimSpace(got) != want {
		t.Errorf("got\n%s\nand not\n%s", got, want)
	}
}

func the(t testing.TB, g *graph.Graph, text string) graph.Node {
	t.Helper()
	found, alike := g.Find(text, 1)
	if len(found) == 0 {
		t.Fatalf("there is no %q, but %q", text, alike)
	}
	return found[0].Node
}

// shop is a repository as people have it: a catalog, manifests of two services, a kustomization, Flux, and owners.
var shop = []string{
	`catalog-info.yaml
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: checkout}
spec: {owner: payments, system: shop, dependsOn: [component:cart]}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: cart}
spec: {system: shop}
---
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {name: shop}
spec: {owner: retail}
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: payments}
`,
	`apps/cart.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop, labels: {team: payments}}
spec:
  template:
    metadata: {labels: {app: cart}}
    spec: {containers: [{name: a, image: "ghcr.io/shop/cart:1", envFrom: [{configMapRef: {name: settings}}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {selector: {app: cart}}
`,
	`apps/checkout.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: checkout, namespace: shop, labels: {backstage.io/kubernetes-id: checkout}}
spec:
  template:
    metadata: {labels: {app: checkout}}
    spec: {containers: [{name: a, image: "ghcr.io/shop/checkout:2", env: [{name: CART_SERVICE_ADDR, value: "cart:7070"}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: checkout, namespace: shop}
spec: {selector: {app: checkout}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec: {defaultBackend: {service: {name: checkout}}}
`,
	`apps/settings.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
`,
	`apps/kustomization.yaml
resources: [cart.yaml, checkout.yaml, settings.yaml]
`,
	`clusters/prod/apps.yaml
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec: {path: ./apps, sourceRef: {kind: GitRepository, name: fleet}}
`,
	`.github/CODEOWNERS
* @shop/everybody
/apps/ @shop/apps
/apps/settings.yaml
`,
}

func TestBlastRadiusGoesBackAlongWhatDepends(t *testing.T) {
	g := of(t, shop...)
	same(t, ids(g.BlastRadius(the(t, g, "ConfigMap:shop/settings"), 10, 100).Found), `
1 Deployment.apps:shop/cart
2 Service:shop/cart
3 Deployment.apps:shop/checkout
4 Service:shop/checkout
4 component:default/checkout
5 Ingress.networking.k8s.io:shop/web
5 system:default/shop`)
	same(t, ids(g.BlastRadius(the(t, g, "ConfigMap:shop/settings"), 2, 100).Found), `
1 Deployment.apps:shop/cart
2 Service:shop/cart`)
}

func TestBlastRadiusOfAFileIsWhatItDeclaresAndWhatDeploysIt(t *testing.T) {
	g := of(t, shop...)
	same(t, ids(g.BlastRadius(the(t, g, "Path:apps/settings.yaml"), 3, 100).Found), `
1 ConfigMap:shop/settings
1 Path:apps/kustomization.yaml
2 Deployment.apps:shop/cart
2 Path:apps
3 Kustomization.kustomize.toolkit.fluxcd.io:flux-system/apps
3 Service:shop/cart`)
}

func TestDependsOn(t *testing.T) {
	g := of(t, shop...)
	checkout := the(t, g, "Deployment.apps:shop/checkout")
	same(t, ids(g.DependsOn(checkout, 1, 100).Found), `
1 Image:ghcr.io/shop/checkout
1 Service:shop/cart`)
	same(t, ids(g.DependsOn(checkout, 10, 100).Found), `
1 Image:ghcr.io/shop/checkout
1 Service:shop/cart
2 Deployment.apps:shop/cart
3 ConfigMap:shop/settings
3 Image:ghcr.io/shop/cart`)
}

func TestOwners(t *testing.T) {
	g := of(t, shop...)
	for _, test := range []struct{ of, want string }{
		{"component:default/checkout", "1 CodeOwner:@shop/everybody\n1 group:default/payments"},
		{"component:default/cart", "1 CodeOwner:@shop/everybody\n2 group:default/retail"}, // By its system.
		// By a label, which names the same group as the catalog, and by the pattern for the folder.
		{"Deployment.apps:shop/cart", "1 CodeOwner:@shop/apps\n1 group:default/payments"},
		{"Deployment.apps:shop/checkout", "1 CodeOwner:@shop/apps\n2 group:default/payments"}, // By the component it is part of.
		{"Path:apps/cart.yaml", "1 CodeOwner:@shop/apps"},
		{"Path:apps/settings.yaml", ""}, // The last pattern takes the owners away.
		{"group:default/payments", "1 CodeOwner:@shop/everybody"},
	} {
		t.Run(test.of, func(t *testing.T) { same(t, ids(g.Owners(the(t, g, test.of), 100).Found), test.want) })
	}
}

func TestPathBetween(t *testing.T) {
	g := of(t, shop...)
	same(t, ids(g.Path(the(t, g, "Ingress.networking.k8s.io:shop/web"), the(t, g, "ConfigMap:shop/settings")).Found), `
0 Ingress.networking.k8s.io:shop/web
1 Service:shop/checkout
2 Deployment.apps:shop/checkout
3 Service:shop/cart
4 Deployment.apps:shop/cart
5 ConfigMap:shop/settings`)
	// It is told from the first to the second, though the second needs the first.
	same(t, ids(g.Path(the(t, g, "ConfigMap:shop/settings"), the(t, g, "Service:shop/cart")).Found), `
0 ConfigMap:shop/settings
1 Deployment.apps:shop/cart
2 Service:shop/cart`)
	// Nothing depends on owners, and yet there is a way.
	same(t, ids(g.Path(the(t, g, "group:default/payments"), the(t, g, "Service:shop/cart")).Found), `
0 group:default/payments
1 Deployment.apps:shop/cart
2 Service:shop/cart`)
	if a := g.Path(the(t, g, "Service:shop/cart"), graph.Node{Kind: "Service", Name: "nowhere"}); len(a.Found) != 0 {
		t.Errorf("there is a way to what is not there: %s", ids(a.Found))
	}
}

func TestWhoRunsAnImage(t *testing.T) {
	g := of(t, shop...)
	for _, test := range []struct{ image, want string }{
		{"ghcr.io/shop/cart", "1 Deployment.apps:shop/cart"},
		{"ghcr.io/shop/cart:1", "1 Deployment.apps:shop/cart"},
		{"ghcr.io/shop/cart:2", ""},
		{"checkout", "1 Deployment.apps:shop/checkout"},
		{"not an image", ""},
	} {
		t.Run(test.image, func(t *testing.T) { same(t, ids(g.RunsImage(test.image, 100).Found), test.want) })
	}
}

func TestFindIsLoose(t *testing.T) {
	g := of(t, shop...)
	for _, test := range []struct{ text, want string }{
		{"checkout", "0 Service:shop/checkout\n0 component:default/checkout\n0 Deployment.apps:shop/checkout\n0 Image:ghcr.io/shop/checkout\n0 Path:apps/checkout.yaml"},
		{"deployment CHECK", "0 Deployment.apps:shop/checkout"},
		{"Service:shop/cart", "0 Service:shop/cart"},
		{"", ""},
	} {
		t.Run(test.text, func(t *testing.T) {
			found, _ := g.Find(test.text, 10)
			got, want := strings.Split(ids(found), "\n"), strings.Split(test.want, "\n")
			for _, w := range want {
				if !strings.Contains("\n"+ids(found)+"\n", "\n"+w+"\n") && w != "" {
					t.Errorf("%s is not among\n%s", w, ids(found))
				}
			}
			if len(got) != len(want) {
				t.Errorf("got\n%s", ids(found))
			}
		})
	}
	found, alike := g.Find("chekcout", 10)
	if len(found) != 0 || strings.Join(alike, " ") != "checkout" {
		t.Errorf("a misspelt name finds %s and suggests %q", ids(found), alike)
	}
}

func TestWhatChanged(t *testing.T) {
	before, after := of(t, shop...), of(t, shop...)
	after.Put(graph.Extract("apps/settings.yaml", []byte("# moved\n\n\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: shop}\n")))
	same(t, text(t, graph.Compare(before, after).Text), "nothing has changed")
	after.Put(graph.Extract("apps/cart.yaml", []byte(strings.Replace(shop[1][len("apps/cart.yaml\n"):], "cart:1", "cart:2", 1))))
	after.Remove("clusters/prod/apps.yaml")
	same(t, text(t, graph.Compare(before, after).Text), `
- Kustomization.kustomize.toolkit.fluxcd.io:flux-system/apps
- Deployment.apps:shop/cart runs Image:ghcr.io/shop/cart 1  apps/cart.yaml:7
- Kustomization.kustomize.toolkit.fluxcd.io:flux-system/apps deploys Path:apps  clusters/prod/apps.yaml:4
- Kustomization.kustomize.toolkit.fluxcd.io:flux-system/apps sourcedFrom GitRepository.source.toolkit.fluxcd.io:flux-system/fleet  clusters/prod/apps.yaml:4
+ Deployment.apps:shop/cart runs Image:ghcr.io/shop/cart 2  apps/cart.yaml:7`)
}

func TestNeighbours(t *testing.T) {
	g := of(t, shop...)
	list := func(neighbours []graph.Neighbour) string {
		var b []string
		for _, n := range neighbours {
			b = append(b, fmt.Sprintf("%s:%d-%d %s", n.Place.File, n.Place.First, n.Place.Last, n.Node))
		}
		return strings.Join(b, "\n")
	}
	// The Service of the cart: its Deployment, in the same file, and who calls it.
	same(t, list(g.Neighbours("apps/cart.yaml", 9, 12, 10)), `
apps/cart.yaml:1-7 Deployment.apps:shop/cart
apps/checkout.yaml:1-7 Deployment.apps:shop/checkout`)
	// The whole file: nothing of it, and what includes it.
	same(t, list(g.Neighbours("apps/cart.yaml", 0, 0, 10)), `
apps/checkout.yaml:1-7 Deployment.apps:shop/checkout
apps/kustomization.yaml:0-0 Path:apps/kustomization.yaml
apps/settings.yaml:1-3 ConfigMap:shop/settings
catalog-info.yaml:16-18 group:default/payments`)
	if got := fmt.Sprint(g.DeclaredAt("apps/cart.yaml", 10, 10)); got != "[Service:shop/cart]" {
		t.Errorf("line 10 declares %s", got)
	}
}

func TestASetOfLabelsIsSelectedInItsNamespaceOnly(t *testing.T) {
	g := of(t, shop...)
	g.Put(graph.Extract("other.yaml", []byte("apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: other}\nspec: {selector: {app: cart}}\n")))
	same(t, ids(g.DependsOn(graph.Node{Kind: "Service", Namespace: "other", Name: "cart"}, 1, 10).Found), "1 Pods:other/app=cart")
}

func TestANameThatMayMeanTwoMeansNeither(t *testing.T) {
	g := of(t, "a.yaml\napiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: one}\n",
		"b.yaml\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{env: [{name: DB_HOST, value: db}]}]}\n")
	pod := graph.Node{Kind: "Pod", Name: "p"}
	same(t, ids(g.DependsOn(pod, 1, 10).Found), "1 Service:one/db")
	g.Put(graph.Extract("c.yaml", []byte("apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: two}\n")))
	same(t, ids(g.DependsOn(pod, 1, 10).Found), "")
	g.Remove("a.yaml")
	same(t, ids(g.DependsOn(pod, 1, 10).Found), "1 Service:two/db")
}

// What is declared is quoted by what a person is told, where it must not begin a line of its own or move the cursor.
func TestWhatGoesWrongQuotesNamesVisibly(t *testing.T) {
	g := of(t, "a.yaml\napiVersion: v1\nkind: Service\nmetadata: {name: \"ledger\\nok\\u001b[2J\", namespace: one}\n",
		"b.yaml\napiVersion: v1\nkind: Service\nmetadata: {name: \"ledger\\nok\\u001b[2J\", namespace: two}\n")
	for asked, want := range map[string]string{
		"ledger":            "name one of Service:one/ledger\uFFFDok\uFFFD[2J, Service:two/ledger\uFFFDok\uFFFD[2J",
		"ledgre\nok\x1b[2J": "did you mean ledger\uFFFDok\uFFFD[2J?",
	} {
		_, err := g.Ask(graph.Question{Ask: "owner", Of: []string{asked}, Depth: 1, Most: 10})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", asked, err, want)
		}
	}
}
