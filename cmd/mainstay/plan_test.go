package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/spec"
)

var update = flag.Bool("update", false, "write testdata/plan anew")

// planned is the change in testdata/plan.
func planned(t *testing.T) *plan.Change {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", "plan", "change.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	sides := map[string]fstest.MapFS{"before": {}, "after": {}}
	for _, f := range archive.Files {
		side, name, _ := strings.Cut(f.Name, "/")
		sides[side][name] = &fstest.MapFile{Data: f.Data}
	}
	load := func(side string) *spec.Fleet {
		f, problems := spec.Load(sides[side], spec.LoadOptions{})
		if problems.HasErrors() {
			t.Fatalf("%s: problems:\n%s", side, problems)
		}
		return f
	}
	paths := plan.Paths{Known: true, Changed: []string{"manifests/cart.yaml", "manifests/web.yaml"}}
	c := plan.Compare(load("before"), load("after"), paths)
	c.Before.Name, c.After.Name = "origin/main at 0123456", "."
	return c
}

func TestPlanIsWrittenForEachReader(t *testing.T) {
	c := planned(t)
	var terminal bytes.Buffer
	if err := writePlan(&terminal, c); err != nil {
		t.Fatal(err)
	}
	raw, err := encodeJSON(c)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"plan.txt": terminal.String(), "plan.md": planMarkdown(c, maxComment), "plan.json": string(raw)} {
		golden := filepath.Join("testdata", "plan", name)
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("this is not %s; if it should be, run go test ./cmd/mainstay -run TestPlanIs -update\n%s", golden, d)
		}
	}
}

// An empty plan says so, whoever reads it.
func TestAPlanOfNothing(t *testing.T) {
	c := plan.Compare(nil, nil, plan.Paths{})
	c.Before.Name, c.After.Name = "origin/main", "."
	var terminal bytes.Buffer
	if err := writePlan(&terminal, c); err != nil || terminal.String() != "nothing changes: . declares what origin/main does\n" {
		t.Errorf("%q, %v", terminal.String(), err)
	}
	if got := planMarkdown(c, maxComment); !strings.Contains(got, "nothing changes") {
		t.Errorf("%q", got)
	}
	raw, err := json.Marshal(c)
	if err != nil || strings.Contains(string(raw), "null") {
		t.Errorf("a list is not there: %s, %v", raw, err)
	}
}

// hostile draws texts that would like to be more than text in a comment.
var hostile = rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{
	"@octocat ", "#1 ", "![x](https://evil.example.com/x.png)", "[x](javascript:x)", "https://evil.example.com", "www.evil.example.com", "<img src=x>", "</details>",
	"</code>", "</summary>", "<!--", "-->", "```", "````", "`", "``", "\n", "\n\n", "# ", "> ", "- ", "| a | b |\n|---|---|\n", "~~~", "\\", "&lt;", "\x1b[2J", "\u202e", "\u2028",
	"0123456789abcdef0123456789abcdef01234567", "evil@example.com", "word ", "    ", "\t", "\r",
}), 0, 12), func(parts []string) string { return strings.Join(parts, "") })

// fleetOf is a fleet with a text wherever a text can be.
func fleetOf(t *rapid.T, text func() string) *spec.Fleet {
	root := fstest.MapFS{}
	put := func(path, kind, name string, fields map[string]any) {
		raw, err := json.Marshal(map[string]any{"apiVersion": spec.APIVersion, "kind": kind, "metadata": map[string]any{"name": name}, "spec": fields})
		if err != nil {
			t.Fatal(err)
		}
		root[path] = &fstest.MapFile{Data: raw}
	}
	line := func() string { return strings.Join(strings.Fields("x"+text()), " ") }
	root["mainstay.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\nspec: {defaults: {model: m, persona: p}}\n")}
	put("models/m.json", "Model", "m", map[string]any{"provider": "ollama", "name": "x" + text(), "parameters": map[string]any{"x" + text(): text()}})
	put("personas/p.json", "Persona", "p", map[string]any{"role": "x" + text(), "boundaries": []string{"x" + text()}})
	put("tools/t.json", "ToolServer", "t", map[string]any{"command": []string{"x" + text()}, "tools": map[string]any{"a": map[string]any{"effect": "write", "target": []string{"x" + text()}}}})
	put("agents/a.json", "Agent", "a", map[string]any{"instructions": "x" + text(), "description": text(), "tools": []any{map[string]any{"server": "t"}}})
	put("triggers/c.json", "Trigger", "c", map[string]any{"agent": "a", "onRevision": map[string]any{"paths": []string{"**"}}, "task": "x" + strings.NewReplacer("{{", "").Replace(text())})
	put("actions/a-01jcz3v5m8k2q4r6s8t0v2w4x6-3.yaml", "Action", "a-01jcz3v5m8k2q4r6s8t0v2w4x6-3", map[string]any{
		"summary": line(), "server": "t", "tool": "a", "arguments": map[string]any{"x": text()}, "expires": "2026-01-31T12:00:00Z",
		"evidence": map[string]any{"agent": "a", "run": "01jcz3v5m8k2q4r6s8t0v2w4x6", "exchange": 3, "revision": "main@sha1:0123456789abcdef0123456789abcdef01234567", "key": "0123456789abcdef"},
	})
	root["skills/s/SKILL.md"] = &fstest.MapFile{Data: []byte("---\nname: s\ndescription: S.\n---\n" + text())}
	f, problems := spec.Load(root, spec.LoadOptions{})
	if problems.HasErrors() {
		t.Skip("problems", problems)
	}
	return f
}

// TestACommentIsOnlyText checks that nothing of a repository is more than text in a comment: nobody is mentioned, nothing is
// a link, an image or HTML, and nothing ends the code that it is in. And that no comment is too long.
func TestACommentIsOnlyText(t *testing.T) {
	markdown := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser()
	rapid.Check(t, func(t *rapid.T) {
		draw := func() string { return hostile.Draw(t, "text") }
		c := plan.Compare(fleetOf(t, draw), fleetOf(t, draw), plan.Paths{Known: true, Changed: []string{draw(), draw()}})
		if rapid.Bool().Draw(t, "from nothing") {
			c = plan.Compare(nil, fleetOf(t, draw), plan.Paths{Known: true, All: []string{draw(), draw()}})
		}
		c.Before.Name, c.Notes = draw(), []string{draw()}
		limit := rapid.SampledFrom([]int{2000, 5000, maxComment}).Draw(t, "limit")
		source := []byte(planMarkdown(c, limit))
		if len(source) > limit {
			t.Fatalf("%d bytes, and the limit is %d", len(source), limit)
		}
		if !utf8.Valid(source) || bytes.ContainsAny(source, "\x1b\u202e\r") {
			t.Fatalf("this acts on whoever reads it: %q", source)
		}
		if c.Summary.Widened > 0 && !bytes.Contains(source, []byte(fmt.Sprintf("**%s widened", count(c.Summary.Widened, "permission")))) {
			t.Fatalf("the mark is not there:\n%s", source)
		}
		open := 0
		err := ast.Walk(markdown.Parse(text.NewReader(source)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
			if !entering {
				return ast.WalkContinue, nil
			}
			switch n := n.(type) {
			case *ast.Link, *ast.AutoLink, *ast.Image:
				t.Fatalf("a link:\n%s", source)
			case *ast.CodeSpan, *ast.FencedCodeBlock:
				return ast.WalkSkipChildren, nil
			case *ast.Heading:
				if got := string(n.Lines().Value(source)); !strings.HasPrefix(got, "Mainstay plan: ") {
					t.Fatalf("a heading %q:\n%s", got, source)
				}
			case *ast.Text:
				if got := string(n.Value(source)); strings.ContainsAny(got, "@#") || strings.Contains(got, "evil") {
					t.Fatalf("text outside of code: %q\n%s", got, source)
				}
			case *ast.RawHTML, *ast.HTMLBlock:
				got := htmlOf(n, source)
				open += strings.Count(got, "<details>") - strings.Count(got, "</details>")
				plain := strings.NewReplacer("<details>", "", "</details>", "", "<summary>", "", "</summary>", "", "<code>", "", "</code>", "", planMark, "").Replace(got)
				if strings.ContainsAny(plain, "<>@") || strings.Contains(plain, "evil") {
					t.Fatalf("HTML: %q\n%s", got, source)
				}
			}
			return ast.WalkContinue, nil
		})
		if err != nil || open != 0 {
			t.Fatalf("%d foldings are left open, %v:\n%s", open, err, source)
		}
	})
}

func htmlOf(n ast.Node, source []byte) string {
	switch n := n.(type) {
	case *ast.RawHTML:
		return string(n.Segments.Value(source))
	case *ast.HTMLBlock:
		if n.HasClosure() {
			return string(n.Lines().Value(source)) + string(n.ClosureLine.Value(source))
		}
		return string(n.Lines().Value(source))
	}
	return ""
}

// A plan that is longer than a comment says what it leaves out, and the permissions are in it.
func TestALongPlanSaysWhatIsLeftOut(t *testing.T) {
	c := planned(t)
	for i := range 400 {
		c.Resources = append(c.Resources, plan.ResourceChange{Ref: spec.Ref{Kind: spec.KindPersona, Name: fmt.Sprintf("p%d", i)}, Mode: plan.Added,
			Fields: []plan.Field{{Path: "role", After: strings.Repeat("x", 280)}}})
	}
	got := planMarkdown(c, maxComment)
	if len(got) > maxComment || len(got) < maxComment-3*maxLeftOut {
		t.Errorf("%d bytes", len(got))
	}
	for _, want := range []string{"permissions widened", "Agent/triage", " resources, 2 narrowed permissions. `mainstay plan` shows all of it"} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not hold %q:\n%s", want, got[len(got)-2000:])
		}
	}
}

// Every resource of a permission is named, and a comment names the first few where all of them would fill it.
func TestAPermissionNamesItsResources(t *testing.T) {
	c := plan.Compare(nil, nil, plan.Paths{})
	list := func(n int) {
		c.Widened = []plan.Permission{{Code: "x"}}
		for i := range n {
			c.Widened[0].Resources = append(c.Widened[0].Resources, spec.Ref{Kind: spec.KindAgent, Name: fmt.Sprintf("a%d", i)})
		}
	}
	for _, tt := range []struct {
		n    int
		want string
	}{{400, "Agent/a399"}, {4000, "and 3995 more"}} {
		list(tt.n)
		if got := planMarkdown(c, maxComment); !strings.Contains(got, tt.want) || strings.Contains(got, "Left out") {
			t.Errorf("%d: %s", tt.n, got)
		}
		var terminal bytes.Buffer
		if err := writePlan(&terminal, c); err != nil || strings.Count(terminal.String(), "Agent/a") != tt.n {
			t.Errorf("%d: %v\n%s", tt.n, err, terminal.String())
		}
	}
}
