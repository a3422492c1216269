package ingest

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/kb"
)

// pieces are what documents are made of in properties.
var pieces = rapid.SampledFrom([]string{
	"# Title", "## Part", "### Detail", "Under", "=====", "-----", "", "", "", "word", "Two words.", "A sentence. And one more! Is it?",
	"- item", "  - inner item", "1. first", "   goes on", "> quoted", "```go", "```", "~~~", "    indented", "\ttab",
	"| a | b |", "|---|---|", "| 1 | 2 |", "<!-- note -->", "<div>", "</div>", "[ref]: https://example.com", "***", "+++", "ünïcode — “text”",
	strings.Repeat("long ", 60), strings.Repeat("x", 250), strings.Repeat("Sentence here. ", 30),
	"func f() {", "}", "def f():", "    return 1", "class A:", "type T struct {", "// comment", "/* open", "*/", "package p", "func (t *T) m() {}",
	"apiVersion: v1", "kind: ConfigMap", "metadata:", "  name: a", "key: value", "resource \"a\" \"b\" {", "FROM a AS b", "[section]", "target: dep",
})

func lineRangesHold(t *rapid.T, path string, lines []string, o Options) kb.Document {
	d, err := Read(t.Context(), path, []byte(strings.Join(lines, rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "line end"))), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range d.Chunks {
		if n := utf8.RuneCountInString(c.Text); n > o.size() {
			t.Fatalf("a chunk has %d characters of %d:\n%s", n, o.size(), c.Text)
		}
		if c.First < 1 || c.Last < c.First || c.Last > len(lines) {
			t.Fatalf("a chunk has lines %d-%d of %d", c.First, c.Last, len(lines))
		}
		own := strings.Join(lines[c.First-1:c.Last], "\n")
		if strings.Contains(own, c.Text) {
			continue
		}
		// What is left is a part of a table, which begins with the table's header.
		rows := strings.SplitN(c.Text, "\n", 3)
		if len(rows) < 3 || !strings.Contains(own, rows[2]) || !strings.Contains(strings.Join(lines, "\n"), rows[0]+"\n"+rows[1]) {
			t.Fatalf("lines %d-%d are\n%s\nand the chunk says\n%s", c.First, c.Last, own, c.Text)
		}
	}
	return d
}

func TestChunksAreWhatStandsInTheirLines(t *testing.T) {
	for _, path := range []string{"a.md", "a.txt", "a.go", "a.py", "a.ts", "a.java", "a.c", "a.rb", "a.sql", "Dockerfile", "Makefile", "a.toml", "a.tf", "CODEOWNERS"} {
		t.Run(path, rapid.MakeCheck(func(t *rapid.T) {
			lines := rapid.SliceOfN(pieces, 0, 60).Draw(t, "lines")
			size := rapid.IntRange(100, 400).Draw(t, "size")
			lineRangesHold(t, path, lines, Options{Size: size, Overlap: rapid.IntRange(0, size/2).Draw(t, "overlap")})
		}))
	}
}

// Of a text nothing is lost, and without overlap nothing is there twice.
func TestTextIsWholeInItsChunks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var lines, words []string
		for i, n := range rapid.SliceOfN(rapid.IntRange(0, 80), 0, 60).Draw(t, "lines") {
			var line []string
			for j := range n {
				line = append(line, fmt.Sprintf("w%dx%d", i, j))
			}
			words = append(words, line...)
			lines = append(lines, strings.Join(line, " "))
		}
		d := lineRangesHold(t, rapid.SampledFrom([]string{"a.txt", "a.md", "a.c", "a.rb"}).Draw(t, "path"), lines, Options{Size: rapid.IntRange(100, 300).Draw(t, "size")})
		var got []string
		for _, c := range d.Chunks {
			got = append(got, strings.Fields(c.Text)...)
		}
		if strings.Join(got, " ") != strings.Join(words, " ") {
			t.Fatalf("the words are\n%v\nand the chunks have\n%v", words, got)
		}
	})
}

// With an overlap a chunk begins with the end of the one before.
func TestChunksOverlap(t *testing.T) {
	var lines []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("This is sentence number %d of the text.", i))
	}
	for name, text := range map[string]string{"lines": strings.Join(lines, "\n"), "one line": strings.Join(lines, " ")} {
		d, err := Read(t.Context(), "a.txt", []byte(text), Options{Size: 300, Overlap: 90})
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range d.Chunks[1:] {
			before := d.Chunks[i].Text
			n := 0
			for k := range len(c.Text) {
				if strings.HasSuffix(before, c.Text[:k]) {
					n = k
				}
			}
			if n < 30 || n > 90 {
				t.Errorf("%s: of chunk %d the next one repeats %d characters:\n%s\n---\n%s", name, i, n, before, c.Text)
			}
		}
	}
}
