package render_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/kb/graph"
	"github.com/mainstay-dev/mainstay/kb/render"
)

// TestCatalogs holds what rendering adds to the graphs of whole repositories against what a person found in them.
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
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var wanted []string
			for line := range strings.Lines(string(content)) {
				if line = strings.TrimRight(line, "\n"); line != "" && !strings.HasPrefix(line, "#") {
					wanted = append(wanted, line)
				}
			}
			slices.Sort(wanted)
			found := added(t, os.DirFS(filepath.Join(data, "catalogs", repository)).(render.Tree))
			for _, line := range found {
				if !slices.Contains(wanted, line) {
					t.Errorf("found, and not written down: %s", line)
				}
			}
			for _, line := range wanted {
				if !slices.Contains(found, line) {
					t.Errorf("written down, and not found: %s", line)
				}
			}
		})
	}
}

// added is what files declare because they render to something, sorted.
func added(t *testing.T, of render.Tree) []string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := render.Child{Command: []string{self, "__render"}, Timeout: time.Minute}.Open()
	defer s.Close()
	units, err := render.NewFinder().Units(t.Context(), of, func(string) bool { return true }, func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, u := range units {
		files, err := u.Files(of)
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Render(t.Context(), &u, files)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range append(out.Problems, out.Lacks...) {
			all = append(all, fmt.Sprintf("%s problem: %s", u.Head, p))
		}
		var known []graph.Facts
		for _, name := range slices.Sorted(maps.Keys(files)) {
			known = append(known, graph.Extract(name, files[name]))
		}
		for _, name := range slices.Sorted(maps.Keys(out.Objects)) {
			was := told(graph.Extract(name, files[name]))
			for _, line := range told(graph.ExtractRendered(name, files[name], out.Objects[name], nil, known...)) {
				if !slices.Contains(was, line) {
					all = append(all, line)
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func told(f graph.Facts) []string {
	var all []string
	for _, e := range f.Entities {
		all = append(all, fmt.Sprintf("%s:%d-%d %s", f.Path, e.First, e.Last, e.Node))
	}
	for _, l := range f.Links {
		all = append(all, strings.TrimRight(fmt.Sprintf("%s:%d %s %s %s %s", f.Path, l.Line, l.From, l.Relation, l.To, l.Version), " "))
	}
	return all
}
