package knowledge

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/kb/graph"
	"github.com/mainstay-dev/mainstay/spec"
)

// deployment is one that runs an image.
func deployment(name, image string) string {
	return "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: " + name + "}\nspec: {template: {spec: {containers: [{image: '" + image + "'}]}}}\n"
}

// A graph goes with its sources from commit to commit, reads what differs, and is what one made of that commit is. Whoever has it is
// answered from where it is now, and a graph at a commit stays.
func TestAGraphMoves(t *testing.T) {
	r, w := newRepository(t), newWorld(t)
	s := source(t, "docs", spec.KnowledgeSourceSpec{Graph: true, Files: &spec.KnowledgeFiles{Include: []string{"apps/**", "shared/**"}, Exclude: []string{"**/old/**"}}})
	other := source(t, "other", spec.KnowledgeSourceSpec{Graph: true, Files: &spec.KnowledgeFiles{Include: []string{"shared/**", "lib/**"}}})
	both := []*spec.KnowledgeSource{s, other}
	var former *graph.Graph
	go1 := map[string]string{"shared/s.yaml": deployment("s", "one")}
	for i := range 30 {
		go1[fmt.Sprintf("apps/%02d.yaml", i)] = deployment(fmt.Sprint("a", i), "one")
	}
	first := ""
	for i, step := range []struct {
		files map[string]string
		reads int
	}{
		{go1, 31},
		{map[string]string{"apps/03.yaml": deployment("a3", "two"), "lib/x.yaml": deployment("x", "two"), "src/y.yaml": deployment("y", "two")}, 2},
		{map[string]string{"apps/04.yaml": "", "apps/old/04.yaml": deployment("a4", "one"), "shared/s.yaml": deployment("s", "two")}, 1},
		{map[string]string{"apps/05.yaml": "", "apps/05.yaml/in.yaml": deployment("a5", "three"), "apps/notes.txt": "nothing\n"}, 1},
		{map[string]string{"README": "nothing of it\n"}, 0},
	} {
		commit := r.commit(step.files)
		if i == 0 {
			first = commit
		}
		w.keep(r.here(commit), both...)
		w.state("docs", Indexed)
		w.state("other", Indexed)
		w.keeper.graphs.facts.Purge()
		all, notes, err := w.keeper.Graphs(t.Context(), both)
		if err != nil || len(all) != 1 || len(notes) > 0 {
			t.Fatalf("%d graphs, %v: %v", len(all), notes, err)
		}
		if former != nil && all[0] != former {
			t.Errorf("step %d made another graph", i)
		}
		former = all[0]
		if n := w.keeper.graphs.facts.Len(); n != step.reads {
			t.Errorf("step %d read %d files, want %d", i, n, step.reads)
		}
		made, err := w.keeper.GraphAt(t.Context(), both, r.here(commit).History, commit)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, fmt.Sprint("step ", i), strings.Join(all[0].Files(), " "), strings.Join(made.Files(), " "))
		if got, want := all[0].Edges(), made.Edges(); !slices.Equal(got, want) {
			t.Errorf("step %d has the relations\n%v, want\n%v", i, got, want)
		}
	}

	// Back, as after a force-push, and to a repository that has not what was there before.
	w.keep(r.here(first), both...)
	w.state("docs", Indexed)
	if all, _, err := w.keeper.Graphs(t.Context(), both); err != nil || len(all[0].Files()) != 31 || all[0] != former {
		t.Fatalf("it went back to %v: %v", all, err)
	}
	r.git("checkout", "-q", "--orphan", "other")
	r.git("rm", "-rfq", "--cached", ".")
	alone := r.commit(map[string]string{"apps": "", "shared": "", "src": "", "README": "", "apps/only.yaml": deployment("only", "one"), "lib": ""})
	bare := t.TempDir()
	r.git("clone", "-q", "--single-branch", "-b", "other", "file://"+r.dir, bare)
	w.keep((&repository{t: t, dir: bare}).here(alone), both...)
	w.state("docs", Indexed)
	all, _, err := w.keeper.Graphs(t.Context(), both)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "what a force-push has left", strings.Join(all[0].Files(), " "), "apps/only.yaml")
}
