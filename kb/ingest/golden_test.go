package ingest

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/kb"
)

var update = flag.Bool("update", false, "write what becomes of the files in testdata/golden")

// shown is a document for people.
func shown(d kb.Document) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q\n", d.Kind, d.Title)
	for _, c := range d.Chunks {
		fmt.Fprintf(&b, "\n=== %d-%d %s\n%s\n", c.First, c.Last, strings.Join(c.Heading, " > "), c.Text)
	}
	return b.String()
}

// Each file in testdata/golden is read in chunks of 400 characters, and FILE.golden shows what becomes of it.
func TestGolden(t *testing.T) {
	root := filepath.Join("testdata", "golden")
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".golden") {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		t.Run(filepath.ToSlash(rel), func(t *testing.T) {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			document, err := Read(t.Context(), filepath.ToSlash(rel), content, Options{Size: 400})
			if err != nil {
				t.Fatal(err)
			}
			got := shown(document)
			if *update {
				if err := os.WriteFile(name+".golden", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name + ".golden")
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("it became:\n%s\nand %s.golden says:\n%s\n(go test ./kb/ingest -run Golden -update writes it)", got, name, want)
			}
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
