package graph_test

import (
	"bytes"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/mainstay-dev/mainstay/kb/graph"
)

// check holds what is true of the facts of every file.
func check(t *testing.T, path string, data []byte) {
	facts := graph.Extract(path, data)
	if again := graph.Extract(path, data); !reflect.DeepEqual(facts, again) {
		t.Fatalf("the same file declares\n%+v\nand\n%+v", facts, again)
	}
	lines := bytes.Count(data, []byte{'\n'}) + 2 // A parser may find something missing at the end.
	for _, e := range facts.Entities {
		if e.First < 1 || e.Last < e.First || e.Last > lines {
			t.Fatalf("%s is declared in lines %d to %d of %d", e.Node, e.First, e.Last, lines)
		}
	}
	for _, l := range facts.Links {
		if l.Line < 1 || l.Line > lines || l.From.Name == "" || l.To.Name == "" {
			t.Fatalf("line %d of %d says %+v", l.Line, lines, l)
		}
	}
	for _, p := range facts.Problems {
		if p.Line < 1 || p.Line > lines || p.Text == "" {
			t.Fatalf("there is a problem in line %d of %d: %q", p.Line, lines, p.Text)
		}
	}
	g := graph.New()
	g.Put(facts)
	before := written(g)
	g.Put(graph.Extract(path, data))
	if after := written(g); after != before {
		t.Fatalf("facts that came again say\n%s\nand not\n%s", after, before)
	}
	g.Remove(path)
	if entities, relations := g.Size(); entities+relations != 0 {
		t.Fatalf("%d entities and %d relations are left of no file", entities, relations)
	}
}

// fuzz begins with the files of testdata that a pattern matches.
func fuzz(f *testing.F, path, pattern string, more ...string) {
	archives, err := filepath.Glob("testdata/formats/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if match, _ := filepath.Match(pattern, filepath.Base(file.Name)); match {
				f.Add(file.Data)
			}
		}
	}
	for _, m := range more {
		f.Add([]byte(m))
	}
	f.Fuzz(func(t *testing.T, data []byte) { check(t, path, data) })
}

func FuzzManifest(f *testing.F) {
	fuzz(f, "d/a.yaml", "*.yaml", bomb(4), "--- {a: 1}\n--- # x\nb: 1\n...\n")
}
func FuzzKustomization(f *testing.F) { fuzz(f, "d/kustomization.yaml", "kustomization.yaml") }
func FuzzChart(f *testing.F)         { fuzz(f, "d/Chart.yaml", "Chart.yaml") }
func FuzzValues(f *testing.F)        { fuzz(f, "d/values.yaml", "values.yaml") }
func FuzzCompose(f *testing.F)       { fuzz(f, "d/compose.yaml", "*compose.y*ml") }
func FuzzWorkflow(f *testing.F)      { fuzz(f, ".github/workflows/a.yaml", "ci.yaml") }
func FuzzDockerfile(f *testing.F)    { fuzz(f, "d/Dockerfile", "Dockerfile", "FROM ${A:-${B}}\nRUN <<") }
func FuzzTerraform(f *testing.F)     { fuzz(f, "d/main.tf", "*.tf") }
func FuzzCodeowners(f *testing.F)    { fuzz(f, "CODEOWNERS", "CODEOWNERS") }
