package render

import (
	"strings"
	"testing"
	"testing/fstest"
)

// FuzzUnits finds what is to be rendered, whatever the files say, and says that in files that are there.
func FuzzUnits(f *testing.F) {
	f.Add("name: a\ndependencies: [{name: b, repository: 'file://../b'}]\n", "resources: [../b, a.yaml]\ncomponents: [../c]\n", "type: library\n")
	f.Add("name: a\ndependencies: [{name: ../../b, repository: 'file://..'}]\n", "resources: [., .., /, ../../../x]\n", "dependencies: [{name: a, repository: 'file://../a'}]\n")
	f.Fuzz(func(t *testing.T, chart, kustomization, other string) {
		is := fstest.MapFS{"a/Chart.yaml": {Data: []byte(chart)}, "a/templates/a.yaml": {}, "k/kustomization.yaml": {Data: []byte(kustomization)}, "k/a.yaml": {},
			"b/Chart.yaml": {Data: []byte(other)}, "b/kustomization.yml": {Data: []byte(other)}, "c/Kustomization": {Data: []byte(kustomization)}}
		units, err := NewFinder().Units(t.Context(), is, all, all)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range units {
			for name, f := range u.files {
				if is[f.path] == nil || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "../") {
					t.Errorf("%s reads %s as %s", u.Head, f.path, name)
				}
			}
			for _, s := range u.Shapes {
				if is[s] == nil {
					t.Errorf("%s shapes %s", u.Head, s)
				}
			}
		}
	})
}

// FuzzLines tells lines of templates, whatever is in them.
func FuzzLines(f *testing.F) {
	f.Add("kind: A\nname: {{ .x }}\n---\nkind: A\n", "kind: A\nname: b\n")
	f.Add("{{ if }}\n", "")
	f.Fuzz(func(t *testing.T, template, object string) {
		written, lines := linesOf([]byte(template)), linesOf([]byte(object))
		at := segment(written, lines, "A", span{1, len(written)})
		if at.first < 1 || at.last > len(written) || at.first > at.last {
			t.Fatalf("the segment is %v of %d lines", at, len(written))
		}
		for _, line := range comeFrom(lines, written, at) {
			if line != 0 && (line < at.first || line > at.last) {
				t.Errorf("line %d is not in %v", line, at)
			}
		}
	})
}
