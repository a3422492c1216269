package ingest

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkRead tells the bytes of each format that are read in a second, on one core. The files are those of testdata, repeated to a
// hundred kilobytes where what comes of it is still one of its kind.
func BenchmarkRead(b *testing.B) {
	for _, name := range []string{"runbook.md", "notes.txt", "page.html", "deploy.yaml", "values.yaml", "petstore.yaml", "swagger.json", "main.tf", "server.go", "worker.py", "app.ts"} {
		content, err := os.ReadFile(filepath.Join("testdata", "golden", name))
		if err != nil {
			b.Fatal(err)
		}
		n := 100<<10/len(content) + 1
		switch path.Ext(name) {
		case ".json":
			n = 1
		case ".yaml":
			if name == "deploy.yaml" {
				content = append(content, "---\n"...)
			} else {
				n = 1
			}
		case ".html":
			main := bytes.Index(content, []byte("<h1>"))
			end := bytes.Index(content, []byte("</main>"))
			content, n = []byte(string(content[:main])+strings.Repeat(string(content[main:end]), n)+string(content[end:])), 1
		case ".go":
			content, n = []byte("package server\n\n"+strings.Repeat(string(content[bytes.Index(content, []byte("// Limit")):]), n)), 1
		}
		content = bytes.Repeat(content, n)
		bench(b, name, content)
	}
	bench(b, "handbook.docx", packed(b, handbook))
}

func bench(b *testing.B, name string, content []byte) {
	b.Run(name, func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		b.ReportAllocs()
		for b.Loop() {
			if d, err := Read(b.Context(), name, content, Options{}); err != nil || len(d.Chunks) == 0 {
				b.Fatal(err)
			}
		}
	})
}
