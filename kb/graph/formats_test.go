package graph_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/mainstay-dev/mainstay/kb/graph"
)

// TestFormats holds what is found in small files, one archive for each format, against what a person wrote down beside them.
func TestFormats(t *testing.T) {
	archives, err := filepath.Glob("testdata/formats/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("there are no archives", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			g := graph.New("https://github.com/shop/gitops")
			for _, f := range archive.Files {
				if f.Name == "want" {
					want := filepath.Join(t.TempDir(), "want")
					if err := os.WriteFile(want, f.Data, 0o600); err != nil {
						t.Fatal(err)
					}
					compare(t, written(g), wanted(t, want))
					return
				}
				g.Put(graph.Extract(f.Name, f.Data))
			}
			t.Fatal("the archive says nothing of what is wanted")
		})
	}
}
