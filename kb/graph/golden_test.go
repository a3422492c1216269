package graph_test

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pmezard/go-difflib/difflib"

	"github.com/mainstay-dev/mainstay/kb/graph"
)

// read makes the graph of a folder.
func read(t testing.TB, dir string) *graph.Graph {
	t.Helper()
	g := graph.New()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if d.Type().IsRegular() && graph.Reads(name) {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			g.Put(graph.Extract(name, data))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// written tells a graph as golden files do: by file, and by line in it.
func written(g *graph.Graph) string {
	type line struct {
		file  string
		first int
		text  string
	}
	var lines []line
	for _, e := range g.Entities() {
		for _, p := range e.Declared {
			where := fmt.Sprint(p.First)
			if p.Last > p.First {
				where = fmt.Sprintf("%d-%d", p.First, p.Last)
			}
			lines = append(lines, line{p.File, p.First, fmt.Sprintf("  %s %s", where, e.Node)})
		}
	}
	for _, e := range g.Edges() {
		lines = append(lines, line{e.File, e.Line, strings.TrimRight(fmt.Sprintf("  %d %s %s %s %s", e.Line, e.From, e.Relation, e.To, e.Version), " ")})
	}
	for _, f := range g.Files() {
		for _, p := range g.Problems(f) {
			lines = append(lines, line{f, p.Line, fmt.Sprintf("  %d problem: %s", p.Line, p.Text)})
		}
	}
	slices.SortFunc(lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.first, b.first), cmp.Compare(a.text, b.text))
	})
	var b strings.Builder
	file := ""
	for _, l := range lines {
		if l.file != file {
			file = l.file
			fmt.Fprintf(&b, "\n%s\n", file)
		}
		fmt.Fprintln(&b, l.text)
	}
	return b.String()
}

// wanted is a golden file without comments, in the order of written.
func wanted(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var sections []string
	for section := range strings.SplitSeq(string(data), "\n\n") {
		var kept []string
		for l := range strings.SplitSeq(strings.TrimRight(section, "\n"), "\n") {
			if !strings.HasPrefix(l, "#") {
				kept = append(kept, l)
			}
		}
		if len(kept) < 2 {
			continue
		}
		slices.SortStableFunc(kept[1:], func(a, b string) int {
			var x, y int
			fmt.Sscan(a, &x)
			fmt.Sscan(b, &y)
			return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
		})
		sections = append(sections, "\n"+strings.Join(kept, "\n")+"\n")
	}
	slices.Sort(sections)
	return strings.Join(sections, "")
}

func compare(t testing.TB, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	diff, _ := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: difflib.SplitLines(want), B: difflib.SplitLines(got), FromFile: "written by hand", ToFile: "found", Context: 1})
	t.Error(diff)
}

// TestCatalogs holds whole repositories against what a person found in them.
func TestCatalogs(t *testing.T) {
	data := os.Getenv("MAINSTAY_TEST_DATA")
	if data == "" {
		t.Skip("SKIPPED: MAINSTAY_TEST_DATA names no folder with catalogs, so no real repository is held against what a person found in it")
	}
	files, err := filepath.Glob("testdata/catalogs/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no golden files", err)
	}
	for _, file := range files {
		repository := strings.TrimSuffix(filepath.Base(file), ".golden")
		t.Run(repository, func(t *testing.T) {
			compare(t, written(read(t, filepath.Join(data, "catalogs", repository))), wanted(t, file))
		})
	}
}
