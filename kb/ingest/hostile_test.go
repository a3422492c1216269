package ingest

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// long repeats a text until it has this many KiB.
func long(s string, kib int) string { return strings.Repeat(s, kib<<10/len(s)+1) }

func nestedLines(n int, indent, line string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(indent, i) + line + "\n")
	}
	return b.String()
}

// Nothing that can be written in a file ends the process, or takes long: each of these takes milliseconds, and what would not, hangs here.
func TestHostile(t *testing.T) {
	laughs := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'j'; c++ {
		from := string(c - 1)
		laughs += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+from+",", 9), ",") + "]\n"
	}
	for _, c := range []struct{ name, path, content, wants string }{
		{"a line of 10 MB", "a.txt", long("word ", 10<<10), ""},
		{"a line of 10 MB without spaces", "a.txt", long("x", 10<<10), ""},
		{"a line of 3 MB in Markdown", "a.md", long("word ", 3<<10), ""},
		{"a line of 3 MB in HTML", "a.html", long("word ", 3<<10), ""},
		{"a line of 1 MB in YAML", "a.yaml", "a: " + long("x", 1<<10), ""},
		{"a line of 1 MB in Go", "a.go", "package a\n// " + long("x", 1<<10), ""},
		{"a file that is too long", "a.txt", long("x", MaxSource>>10+1), "a.txt: it is longer than 12 MiB (split it, or leave it out with exclude)"},
		{"too many chunks", "a.md", long("# a\nb\n", 1<<9), "it makes more than 50000 chunks"},
		{"quotes in quotes", "a.md", long(">", 1<<10), ""},
		{"lists in lists in one line", "a.md", long("- ", 1<<10), ""},
		{"lists in lists in lines", "a.md", nestedLines(600, "  ", "- a"), ""},
		{"quotes in lists in quotes", "a.md", long("> - > - a\n", 256), ""},
		{"definitions of links", "a.md", long("[a]: b\n", 512), ""},
		{"brackets", "a.md", long("[", 512), ""},
		{"stars", "a.md", long("*", 512), ""},
		{"fences", "a.md", long("```\n", 256), ""},
		{"a fence that is never closed", "a.md", "```\n" + long("a\n", 256), ""},
		{"a table of many columns", "a.md", long("|a", 64) + "|\n" + long("|-", 64) + "|\n" + long("|1", 64) + "|\n", ""},
		{"front matter that never ends", "a.md", "---\n" + long("a: b\n", 256), ""},
		{"front matter that is a bomb", "a.md", "---\n" + laughs + "title: *j\n---\nText.\n", ""},
		{"elements in elements", "a.html", long("<div>", 512), ""},
		{"elements in elements with text", "a.html", long("<div><ul><li>a", 512), ""},
		{"tables in tables", "a.html", long("<table><tr><td>a", 512), ""},
		{"navigation that is never closed", "a.html", "<nav>" + long("a ", 64), ""},
		{"attributes without end", "a.html", "<a " + long("a=b ", 512), ""},
		{"less than", "a.html", long("<", 512), ""},
		{"billion laughs", "a.yaml", laughs, ""},
		{"billion laughs in a manifest", "a.yaml", laughs + "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: *j}\n", ""},
		{"billion laughs in an API", "a.yaml", laughs + "openapi: 3.0.0\ninfo: {title: *j}\npaths: *j\n", ""},
		{"an alias of itself", "a.yaml", "a: &a [*a]\nopenapi: '3'\npaths: &p {x: *p}\ninfo: *p\n", ""},
		{"a schema of itself", "a.yaml", "openapi: '3'\ninfo: {title: A}\ncomponents: {schemas: {A: &a {type: array, items: *a}, B: {$ref: '#/components/schemas/B'}}}\n", ""},
		{"flow in flow", "a.yaml", long("[", 64), "it cannot be parsed"},
		{"flow in flow that closes", "a.yaml", strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "nested deeper than 200"},
		{"maps in maps", "a.yaml", nestedLines(1000, " ", "a:"), "nested deeper than 200"},
		{"JSON in JSON", "a.json", strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000), "nested deeper than 200"},
		{"too many values", "a.json", "[" + strings.Repeat("1,", maxValues+1) + "1]", "it has more than 2000000 values"},
		{"YAML that is none", "b/a.yaml", "a: b\n---\na: [1\nb: 2\n", "b/a.yaml:3: it cannot be parsed"},
		{"parentheses in Go", "a.go", "package a\nvar a = " + long("(", 256), ""},
		{"blocks in Go", "a.go", "package a\nfunc f() " + long("{", 256), ""},
		{"classes in classes", "a.py", nestedLines(600, " ", "class a:"), ""},
		{"classes that never end", "a.java", long("class a {\n", 256), ""},
		{"declarations in one line", "a.c", long("int f(", 256), ""},
		{"targets", "Makefile", long("a: b\n", 128), ""},
		{"comments before a target", "Makefile", long("# a\n", 128) + "a: b\n", ""},
		{"private keys that never end", "a.txt", long("-----BEGIN PRIVATE KEY-----\n", 256), ""},
		{"private keys in one line", "a.txt", long("-----BEGIN PRIVATE KEY-----", 256), ""},
		{"passwords in one line", "a.txt", long("a://b:c@", 256), ""},
		{"tokens in one line", "a.txt", long("eyJ", 256), ""},
		{"Secrets in one text", "a.txt", long("kind: Secret\ndata:\n  a: b\n", 256), ""},
		{"NUL behind the beginning", "a.txt", long("a\n", 16) + "\x00b", ""},
		{"invalid UTF-8", "a.md", "# \xff\xfe\xfd\n\nabc \xc3\x28 def ghi jkl mno pqr stu vwx yz, and so on for a while.\n", ""},
		{"nothing", "a.md", "", ""},
		{"nothing in YAML", "a.yaml", "---\n---\n", ""},
		{"nothing in HTML", "a.html", " ", ""},
		{"only line feeds", "a.go", long("\n", 256), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read(t.Context(), c.path, []byte(c.content), Options{Overlap: 100})
			if c.wants == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var problem *Error
			if !errors.As(err, &problem) || !strings.Contains(err.Error(), c.wants) {
				t.Fatalf("got %v, and %q was expected", err, c.wants)
			}
		})
	}
}

func TestLinesAreThoseOfTheFileHoweverTheyEnd(t *testing.T) {
	const text = "# A\n\nSome text.\n\n## B\n\nMore.\n"
	want, err := Read(t.Context(), "a.md", []byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	wide := []byte{0xff, 0xfe}
	for _, b := range []byte(text) {
		wide = append(wide, b, 0)
	}
	for name, content := range map[string]string{
		"CRLF": strings.ReplaceAll(text, "\n", "\r\n"), "BOM": "\ufeff" + text, "UTF-16": string(wide), "no line feed at the end": strings.TrimSpace(text),
	} {
		got, err := Read(t.Context(), "a.md", []byte(content), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if shown(got) != shown(want) {
			t.Errorf("%s: got\n%s\nand not\n%s", name, shown(got), shown(want))
		}
	}
}

func TestWhatIsNoDocumentIsSkipped(t *testing.T) {
	for path, content := range map[string]string{
		"a.png": "x", "go.sum": "x", "web/package-lock.json": "{}", "web/node_modules/a/README.md": "# A", "vendor/a/a.go": "package a", "a.min.js": "x",
		"a.js": long("var a=1;", 32), "api/a.pb.go": "package a", "gen.go": "// Code generated by protoc. DO NOT EDIT.\npackage a\n", "program": "\x7fELF\x00\x01",
		".env": "A=b", "key.pem": "x", "terraform.tfstate": "{}", "noise": string([]byte{0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87}),
	} {
		if d, err := Read(t.Context(), path, []byte(content), Options{}); !errors.Is(err, ErrSkip) || len(d.Chunks) > 0 {
			t.Errorf("%s: got %v", path, err)
		}
	}
	for path := range map[string]string{"docs/env.md": "", "locks.md": "", ".env.example": "", "vendors/a.md": "", "a.lock.md": ""} {
		if reason := Skip(path); reason != "" {
			t.Errorf("%s is skipped, since %s", path, reason)
		}
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, "a.md", []byte("# A\n\nText.\n"), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{Size: 99}, {Overlap: -1}, {Size: 200, Overlap: 200}} {
		if _, err := Read(t.Context(), "a.md", nil, o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	if a, b := (Options{}).Format(), (Options{Size: DefaultSize}).Format(); a != b {
		t.Errorf("the default is %q, and %q says the same", a, b)
	}
	if a, b := (Options{}).Format(), (Options{Overlap: 1}).Format(); a == b {
		t.Errorf("%q does not tell options apart", a)
	}
}
