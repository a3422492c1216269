package spec_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

func copyOf(t testing.TB, from fs.FS) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(from, name)
		out[name] = &fstest.MapFile{Data: content}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const agentHead = "apiVersion: mainstay.dev/v1alpha1\nkind: Agent\nmetadata: {name: a}\n"

// aliasBomb is 10^n texts in a few hundred bytes.
func aliasBomb(n int) string {
	var b strings.Builder
	b.WriteString(agentHead + "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	return b.String()
}

func TestHostileFilesAreProblems(t *testing.T) {
	many := fstest.MapFS{}
	for i := range 50_001 {
		many[fmt.Sprintf("agents/%d.yaml", i)] = &fstest.MapFile{Data: []byte("#")}
	}
	for _, tt := range []struct {
		name string
		root fstest.MapFS
		want string
	}{
		{"an alias bomb", tree("agents/a.yaml", aliasBomb(12)), "more than 100000 values (aliases count"},
		{"an alias of itself", tree("agents/a.yaml", agentHead+"spec: &s\n  tools: [*s]\n"), "nested deeper than 64 levels"},
		{"deep YAML", tree("agents/a.yaml", strings.Repeat("[", 200)+strings.Repeat("]", 200)), "agents/a.yaml:1:66: this is nested deeper than 64 levels"},
		{"very deep YAML", tree("agents/a.yaml", strings.Repeat("[", 100_000)), "this is not YAML"},
		{"deep blocks", tree("agents/a.yaml", strings.Repeat("- ", 200)+"a"), "this is nested deeper than 64 levels"},
		{"deep JSON", tree("agents/a.json", strings.Repeat("[", 200)+strings.Repeat("]", 200)), "agents/a.json:1:66: this is nested deeper than 64 levels"},
		{"very deep JSON", tree("agents/a.json", strings.Repeat(`{"a":`, 100_000)), "this is nested deeper than 64 levels"},
		{"a file of 10 MB", tree("agents/a.yaml", strings.Repeat("# line\n", 10<<20/7)), "agents/a.yaml: the file is larger than 1024 KiB"},
		{"too many files", many, "there are more than 50000 files"},
		{"many values", tree("agents/a.yaml", strings.Repeat("- a\n", 100_001)), "the file holds more than 100000 values"},
		{"text that is not UTF-8", tree("agents/a.md", "Hello.\nYou \xff.\n"), "agents/a.md:2: this is not UTF-8"},
		{"a NUL byte", tree("agents/a.yaml", "a: \x00"), "this is not YAML: control characters are not allowed"},
		{"a number too large", tree("agents/a.yaml", agentHead+"spec: {limits: {turns: 99999999999999999999}}"), `"turns" wants a whole number, not the number 99999999999999999999`},
		{"a number too large in JSON", tree("agents/a.json", `{"a": 1e999}`), "the number 1e999 is too large"},
		{"infinity", tree("models/a.yaml", "apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: a}\nspec: {provider: ollama, name: m, parameters: {top: .inf}}"), ".inf is not a number that JSON can hold"},
		{"a name that leaves the folder", tree("agents/a.yaml", "apiVersion: mainstay.dev/v1alpha1\nkind: Agent\nmetadata: {name: ../../etc}\nspec: {instructions: x}"), "is not a name"},
		{"a folder for a file", fstest.MapFS{"mainstay.yaml/x": {Data: []byte("x")}}, "mainstay.yaml: this is a folder, not a file"},
		{"an alias bomb in an overlay", tree("overlays/dev/a.yaml", aliasBomb(12)), "overlays/dev/a.yaml:4:26: the file holds more than 100000 values"},
		{"names that differ in case alone", with(tree("agents/a.yaml", "{}"), "agents/A.yaml", "agents/b.yaml"), `agents/a.yaml: this is the same file as "A.yaml" on systems that ignore case`},
		{"names of two forms of one letter", with(tree("agents/a.yaml", "{}"), "agents/caf\u00e9.md", "agents/cafe\u0301.md"), "is the same file as"},
		{"a name that reverses its end", tree("agents/a\u202elmay.md", "Hello."), "agents/a\ufffdlmay.md: the name holds a character that cannot be seen"},
		{"a name of two lines", tree("agents/a\nb.md", "Hello."), "agents/a\ufffdb.md: the name holds a character that cannot be seen"},
		{"a name of another alphabet", tree("agents/\u0430.md", "Hello."), "is not a name"},
		{"a folder of another alphabet", tree("\u0430gents/a.md", "Hello."), "\u0430gents: warning: this folder is not read, so what it declares does not exist (did you mean \"agents\"?)"},
		{"a folder in the singular", tree("agent/a.md", "Hello."), "agent: warning: this folder is not read"},
		{"agents that look alike", with(tree("agents/db-01.md", "Hello."), "agents/db-ol.md"), `agents/db-ol.md: warning: the name "db-ol" looks like "db-01"`},
		{"a submodule", fstest.MapFS{"mainstay.yaml": {Data: []byte("x")}, "agents/sub": {Mode: fs.ModeIrregular}}, "agents/sub: this is a submodule, and submodules are never read (commit the files themselves)"},
		{"a pipe", fstest.MapFS{"mainstay.yaml": {Mode: fs.ModeNamedPipe}}, "mainstay.yaml: this is not a regular file"},
		{"an expression that is too long", tree("policies/p.yaml", "apiVersion: mainstay.dev/v1alpha1\nkind: Policy\nmetadata: {name: p}\nspec: {rules: [{name: r, on: call, decision: deny, when: '"+strings.Repeat("true && ", 3000)+"true'}]}"), "the expression is longer than 16384 bytes"},
		{"an expression that is too deep", tree("policies/p.yaml", "apiVersion: mainstay.dev/v1alpha1\nkind: Policy\nmetadata: {name: p}\nspec: {rules: [{name: r, on: call, decision: deny, when: '"+strings.Repeat("(", 5000)+"true"+strings.Repeat(")", 5000)+"'}]}"), "when: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			fleet, problems := spec.Load(tt.root, spec.LoadOptions{})
			if fleet != nil && problems.HasErrors() || !strings.Contains(problems.String(), tt.want) {
				t.Errorf("the problems are\n%.2000s\nwithout %q", problems, tt.want)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
			if len(problems) > 1002 {
				t.Errorf("there are %d problems", len(problems))
			}
		})
	}
}

// with adds files with a greeting.
func with(root fstest.MapFS, names ...string) fstest.MapFS {
	for _, name := range names {
		root[name] = &fstest.MapFile{Data: []byte("Hello.")}
	}
	return root
}

func TestSymbolicLinksAreNeverFollowed(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret.md")
	if err := os.WriteFile(outside, []byte("A secret."), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, tree("agents/a.md", "Hello.")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "skills/s"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "skills/s/SKILL.md"), []byte("---\nname: s\ndescription: A skill.\n---\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"agents/file.md": outside, "agents/folder": filepath.Dir(outside), "agents/loop": ".", "agents/inside.md": "a.md",
		"skills/s/leak.md": outside, "skills/linked": "s", "tools": "agents",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Skip("this system has no symbolic links:", err)
		}
	}
	_, problems := spec.Load(os.DirFS(dir), spec.LoadOptions{})
	for _, file := range []string{"agents/file.md", "agents/folder", "agents/loop", "agents/inside.md", "skills/s/leak.md", "skills/linked", "tools"} {
		if !strings.Contains(problems.String(), file+": this is a symbolic link, and links are never followed") {
			t.Errorf("nothing is said about %s in\n%s", file, problems)
		}
	}
}

func TestThousandsOfProblemsAreCounted(t *testing.T) {
	root := fstest.MapFS{}
	for i := range 3000 {
		root[fmt.Sprintf("agents/%04d.txt", i)] = &fstest.MapFile{}
	}
	_, problems := spec.Load(root, spec.LoadOptions{})
	if last := problems[len(problems)-1].String(); len(problems) != 1001 || last != "2001 more problems are not shown" {
		t.Errorf("there are %d problems, and the last is %q", len(problems), last)
	}
}
