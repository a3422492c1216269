package knowledge

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/render"
	"github.com/mainstay-dev/mainstay/spec"
)

// renderArg makes the test binary be what renders.
const renderArg = "__render"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == renderArg {
		if err := render.Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func rendering(o *Options) {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	o.Render = &render.Child{Command: []string{self, renderArg}, Timeout: time.Minute}
}

// shop is a repository with a chart and two overlays. Its password is in a place that everybody sees, so as to be sure that nobody does.
var shop = map[string]string{
	"README.md":                        "# Shop\n",
	"charts/cart/Chart.yaml":           "apiVersion: v2\nname: cart\nversion: 1.0.0\n",
	"charts/cart/values.yaml":          "image: ghcr.io/shop/cart:2.0\ndatabase: {password: correct-horse}\nreplicas: 3\n",
	"charts/cart/templates/_names.tpl": `{{ define "name" }}{{ .Release.Name }}-server{{ end }}` + "\n",
	"charts/cart/templates/cart.yaml": "{{ $name := include \"name\" . }}\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ $name }}\nspec:\n  template:\n    spec:\n      containers:\n" +
		"        - name: cart\n          image: {{ .Values.image }}\n          args: [\"--login\", \"cart/{{ .Values.database.password }}\"]\n---\n" +
		"apiVersion: v1\nkind: Secret\nmetadata:\n  name: {{ $name }}\ndata:\n  password: {{ .Values.database.password | b64enc }}\n",
	"charts/cart/templates/extra.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ include \"name\" . }}}\ndata: {login: {{ b64enc .Values.database.password }}}\n",
	"apps/base/kustomization.yaml":     "resources: [web.yaml]\n",
	"apps/base/web.yaml":               "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: web, image: web}]}}}\n",
	"apps/staging/kustomization.yaml":  "namespace: staging\nresources:\n  - ../base\n",
	"apps/production/kustomization.yaml": "namespace: production\nresources:\n  - ../base\nimages:\n  - {name: web, newName: ghcr.io/shop/web, newTag: \"7\"}\n" +
		"secretGenerator:\n  - {name: keys, files: [server.key]}\n",
	"apps/production/server.key": "hunter2-key\n",
}

func TestChartsAndKustomizationsAreFoundAsTheyAreRendered(t *testing.T) {
	r, w := newRepository(t), newWorld(t, rendering)
	s := filesSource(t, "**")
	state := w.bring(s, r.here(r.commit(shop)), Indexed)
	if state.Unread != 0 {
		t.Errorf("not read: %+v", state.Problems)
	}
	hits, _, err := w.keeper.Search(t.Context(), []*spec.KnowledgeSource{s}, kb.Query{Text: "cart-server ghcr.io/shop/cart:2.0", Most: 3, Filter: kb.Filter{Kinds: []kb.Kind{kb.KindManifest}}})
	if err != nil || len(hits) == 0 {
		t.Fatal(hits, err)
	}
	h := hits[0]
	equal(t, "the path", h.File.Path, "charts/cart/templates/cart.yaml")
	equal(t, "the heading", strings.Join(h.Heading, " > "), "Helm chart cart, rendered with its own values > Deployment cart-server")
	equal(t, "the lines", fmt.Sprint(h.First, h.Last), "2 12")
	hits, _, err = w.keeper.Search(t.Context(), []*spec.KnowledgeSource{s}, kb.Query{Text: "production web ghcr.io/shop/web:7", Most: 3})
	if err != nil || len(hits) == 0 {
		t.Fatal(hits, err)
	}
	equal(t, "the path", hits[0].File.Path, "apps/production/kustomization.yaml")
	for _, f := range strings.Fields(w.files("docs")) {
		_, d, _, err := w.keeper.Document(t.Context(), "docs", f)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range d.Chunks {
			for _, secret := range []string{"correct-horse", "Y29ycmVjdC1ob3JzZQ", "hunter2"} {
				if strings.Contains(c.Text, secret) {
					t.Errorf("%s tells a secret:\n%s", f, c.Text)
				}
			}
		}
	}
	_, d, _, err := w.keeper.Document(t.Context(), "docs", "charts/cart/templates/cart.yaml")
	if err != nil || !strings.Contains(d.Chunks[0].Text, "{{ .Values.image }}") {
		t.Errorf("the template is not found as it is written: %+v, %v", d, err)
	}
}

func TestNothingIsCalledByASecret(t *testing.T) {
	r, w := newRepository(t), newWorld(t, rendering)
	s := source(t, "docs", spec.KnowledgeSourceSpec{Files: &spec.KnowledgeFiles{Include: []string{"**"}}, Graph: true})
	state := w.bring(s, r.here(r.commit(map[string]string{
		"chart/Chart.yaml":          "apiVersion: v2\nname: cart\nversion: 1.0.0\n",
		"chart/values.yaml":         "database: {password: correct-horse}\n",
		"chart/templates/cart.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: 'cart-{{ .Values.database.password }}', namespace: {{ .Values.database.password }}}\nspec: {selector: {app: cart}}\n",
		"failing/Chart.yaml":        "apiVersion: v2\nname: failing\nversion: 1.0.0\n",
		"failing/values.yaml":       "database: {password: failing-horse}\n",
		"failing/templates/a.yaml":  "{{ fail .Values.database.password }}\n",
		"app/secret.yaml":           "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {user: battery-staple}\n",
		"app/web.yaml":              "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: cart}}\n",
		"app/kustomization.yaml": "resources: [secret.yaml, web.yaml]\nreplacements:\n" +
			"  - {source: {kind: Secret, fieldPath: stringData.user}, targets: [{select: {kind: Service}, fieldPaths: [metadata.name]}]}\n",
	})), Indexed)
	all, _, err := w.keeper.Graphs(t.Context(), []*spec.KnowledgeSource{s})
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	told := fmt.Sprintf("%+v\n%s", state, w.everything("docs"))
	for _, e := range all[0].Edges() {
		told += fmt.Sprintln(e.From, e.Relation, e.To)
	}
	for _, secret := range []string{"correct-horse", "failing-horse", "battery-staple"} {
		for line := range strings.Lines(told) {
			if strings.Contains(line, secret) {
				t.Errorf("a secret is told: %s", line)
			}
		}
	}
	for _, want := range []string{
		"[Helm chart cart, rendered with its own values Service (secret left out)/cart-(secret left out)]",
		"[kustomize build app, of app/web.yaml Service (secret left out)]",
		"Service:(secret left out)/cart-(secret left out) selects Pods:(secret left out)/app=cart",
		"Service:(secret left out) selects Pods:app=cart",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("%s is missing in\n%s", want, told)
		}
	}
}

func TestOnlyWhatChangedIsRenderedAgain(t *testing.T) {
	r, w := newRepository(t), newWorld(t, rendering)
	s := filesSource(t, "**")
	now := r.commit(shop)
	w.bring(s, r.here(now), Indexed)
	w.engine.reads()
	chart := "charts/cart/Chart.yaml charts/cart/templates/cart.yaml charts/cart/templates/extra.yaml"
	for _, c := range []struct {
		name   string
		change map[string]string
		reads  string
	}{
		{"another file", map[string]string{"README.md": "# Shop!\n"}, "README.md"},
		{"values", map[string]string{"charts/cart/values.yaml": "image: ghcr.io/shop/cart:3.0\ndatabase: {password: correct-horse}\n"}, chart + " charts/cart/values.yaml"},
		{"a helper", map[string]string{"charts/cart/templates/_names.tpl": `{{ define "name" }}cart{{ end }}` + "\n"}, "charts/cart/Chart.yaml charts/cart/templates/_names.tpl charts/cart/templates/cart.yaml charts/cart/templates/extra.yaml"},
		{"a base", map[string]string{"apps/base/web.yaml": strings.Replace(shop["apps/base/web.yaml"], "image: web", "image: web, tty: true", 1)}, "apps/base/web.yaml apps/production/kustomization.yaml apps/staging/kustomization.yaml"},
		{"an overlay", map[string]string{"apps/staging/kustomization.yaml": "namespace: test\nresources:\n  - ../base\n"}, "apps/staging/kustomization.yaml"},
		{"keys, which nobody reads", map[string]string{"apps/production/server.key": "another\n"}, "apps/production/kustomization.yaml"},
		{"no overlay", map[string]string{"apps/staging/kustomization.yaml": ""}, ""},
		{"a template is gone", map[string]string{"charts/cart/templates/extra.yaml": ""}, "charts/cart/Chart.yaml charts/cart/templates/cart.yaml"},
		{"a chart that is none any more", map[string]string{"charts/cart/Chart.yaml": ""}, "charts/cart/templates/cart.yaml"},
		{"and is one again", map[string]string{"charts/cart/Chart.yaml": shop["charts/cart/Chart.yaml"]}, chart[:strings.LastIndex(chart, " ")]},
		{"a chart that is broken", map[string]string{"charts/cart/templates/cart.yaml": "{{ nothing }}\n"}, "charts/cart/Chart.yaml charts/cart/templates/cart.yaml"},
	} {
		now = r.commit(c.change)
		w.bring(s, r.here(now), Indexed)
		equal(t, "read after "+c.name, w.engine.reads(), c.reads)
		equal(t, "known after "+c.name, w.everything("docs"), freshly(t, s, r.here(now)))
	}
	state := w.state("docs", Indexed)
	says(t, state.Message, "1 could not be read, such as charts/cart/Chart.yaml: what it renders to is not whole: a template fails: ", `function "nothing" not defined`)
}

// everything is all that the engine has of a source.
func (w *world) everything(name string) string {
	w.t.Helper()
	var b strings.Builder
	files, err := w.engine.Files(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range files {
		_, d, err := w.engine.Document(w.t.Context(), name, f.Path)
		if err != nil {
			w.t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s %s\n%+v\n", f.Path, f.Blob, f.Time.Format(time.DateOnly), d)
	}
	return b.String()
}

// freshly is all that an engine has that knew nothing before.
func freshly(t *testing.T, s *spec.KnowledgeSource, here Here) string {
	t.Helper()
	w := newWorld(t, rendering)
	w.bring(s, here, Indexed)
	return w.everything("docs")
}

func TestTheGraphKnowsWhatIsRendered(t *testing.T) {
	r, w := newRepository(t), newWorld(t, rendering)
	s := source(t, "docs", spec.KnowledgeSourceSpec{Files: &spec.KnowledgeFiles{Include: []string{"**"}}, Graph: true})
	w.bring(s, r.here(r.commit(shop)), Indexed)
	all, _, err := w.keeper.Graphs(t.Context(), []*spec.KnowledgeSource{s})
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	var edges []string
	for _, e := range all[0].Edges() {
		edges = append(edges, fmt.Sprintf("%s:%d %s %s %s %s", e.File, e.Line, e.From, e.Relation, e.To, e.Version))
	}
	for _, want := range []string{
		"charts/cart/templates/cart.yaml:11 Deployment.apps:cart-server runs Image:ghcr.io/shop/cart 2.0",
		"apps/production/kustomization.yaml:3 Deployment.apps:production/web runs Image:ghcr.io/shop/web 7",
		"apps/staging/kustomization.yaml:3 Deployment.apps:staging/web runs Image:docker.io/library/web ",
		"apps/base/web.yaml:4 Deployment.apps:web runs Image:docker.io/library/web ",
	} {
		if !slices.Contains(edges, want) {
			t.Errorf("there is no %s among\n%s", want, strings.Join(edges, "\n"))
		}
	}
	// What is not the source's is not read for it, and what it excludes is not there.
	narrow := source(t, "docs", spec.KnowledgeSourceSpec{Files: &spec.KnowledgeFiles{Include: []string{"apps/production/**", "charts/**"}, Exclude: []string{"**/values.yaml"}}})
	state := w.bring(narrow, r.here(r.git("rev-parse", "HEAD")), Indexed)
	if state.Unread != 1 || state.Problems[0].Path != "charts/cart/Chart.yaml" {
		t.Errorf("not read: %+v", state.Problems)
	}
	if strings.Contains(w.everything("docs"), "ghcr.io/shop/cart:2.0") {
		t.Error("values that are excluded are known")
	}
}

func TestAGraphMovesWithWhatIsRendered(t *testing.T) {
	r, w := newRepository(t), newWorld(t, rendering)
	all := source(t, "docs", spec.KnowledgeSourceSpec{Files: &spec.KnowledgeFiles{Include: []string{"**"}}, Graph: true})
	// Of this one the overlays are no part, so that it knows the same base as it is written.
	base := source(t, "base", spec.KnowledgeSourceSpec{Files: &spec.KnowledgeFiles{Include: []string{"apps/base/**", "charts/cart/templates/**"}}, Graph: true})
	both := []*spec.KnowledgeSource{all, base}
	values, web := shop["charts/cart/values.yaml"], shop["apps/base/web.yaml"]
	for i, files := range []map[string]string{
		shop,
		{"charts/cart/values.yaml": strings.ReplaceAll(values, "2.0", "2.1")},
		{"apps/base/web.yaml": strings.ReplaceAll(web, "image: web", "image: site")},
		{"apps/production/kustomization.yaml": ""},
		{"charts/cart/Chart.yaml": ""},
	} {
		commit := r.commit(files)
		w.keep(r.here(commit), both...)
		w.state("docs", Indexed)
		w.state("base", Indexed)
		graphs, _, err := w.keeper.Graphs(t.Context(), both)
		if err != nil || len(graphs) != 1 {
			t.Fatal(graphs, err)
		}
		w.keeper.graphs.facts.Purge()
		made, err := w.keeper.GraphAt(t.Context(), both, r.here(commit).History, commit)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := graphs[0].Edges(), made.Edges(); !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("step %d has the relations\n%v, want\n%v", i, got, want)
		}
	}
}
