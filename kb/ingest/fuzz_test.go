package ingest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/kb"
)

// fuzz reads what comes as a file of this name, beginning with the files in testdata that are of its kind.
func fuzz(f *testing.F, name string, extensions ...string) {
	err := filepath.WalkDir(filepath.Join("testdata", "golden"), func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !slices.Contains(extensions, filepath.Ext(file)) {
			return err
		}
		content, err := os.ReadFile(file)
		f.Add(content)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		o := Options{Size: 100 + len(content)%200, Overlap: len(content) % 50}
		d, err := Read(ctx, name, content, o)
		var problem *Error
		if err != nil && !errors.Is(err, ErrSkip) && (!errors.As(err, &problem) || strings.Contains(err.Error(), "its parser failed")) {
			t.Fatal(err)
		}
		lines := strings.Count(string(content), "\n") + 1
		for _, c := range d.Chunks {
			if utf8.RuneCountInString(c.Text) > o.size() || !utf8.ValidString(c.Text) || c.Last < c.First || d.Kind != kb.KindDOCX && (c.First < 1 || c.Last > lines) {
				t.Fatalf("%d lines made the chunk %+v", lines, c)
			}
		}
	})
}

func FuzzMarkdown(f *testing.F)  { fuzz(f, "a.md", ".md") }
func FuzzHTML(f *testing.F)      { fuzz(f, "a.html", ".html") }
func FuzzYAML(f *testing.F)      { fuzz(f, "a.yaml", ".yaml", ".json") }
func FuzzGo(f *testing.F)        { fuzz(f, "a.go", ".go") }
func FuzzCode(f *testing.F)      { fuzz(f, "a.ts", ".ts", ".java", ".c", ".kt") }
func FuzzTerraform(f *testing.F) { fuzz(f, "a.tf", ".tf", ".toml") }
