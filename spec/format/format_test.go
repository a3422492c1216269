package format_test

import (
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/examples/quickstart"
	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/format"
	"github.com/mainstay-dev/mainstay/spec/jsonnet"
)

// childArg makes the test binary evaluate Jsonnet.
const childArg = "__jsonnet"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == childArg {
		if err := jsonnet.ServeChild(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func formatter(t testing.TB) *format.Formatter {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &format.Formatter{Jsonnet: &jsonnet.Child{Command: []string{self, childArg}}}
}

// formatted formats what must be possible to format.
func formatted(t testing.TB, name, text string) string {
	t.Helper()
	out, problems, err := formatter(t).File(t.Context(), name, []byte(text))
	if err != nil || problems != nil {
		t.Fatalf("%v%v", problems, err)
	}
	return string(out)
}

func TestWhatAPersonWouldHaveWritten(t *testing.T) {
	messy, err := os.ReadFile("testdata/messy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/messy.golden")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), formatted(t, "agents/a.yaml", string(messy))); d != "" {
		t.Errorf("-testdata/messy.golden +formatted:\n%s", d)
	}
}

func TestFormat(t *testing.T) {
	for name, test := range map[string]struct{ file, in, want string }{
		"lists in maps":           {"a.yaml", "a:\n- b\n-   c\n", "a:\n  - b\n  - c\n"},
		"lists in lists":          {"a.yaml", "- - a\n  -   b\n-\n      c: d\n", "- - a\n  - b\n-\n  c: d\n"},
		"four spaces":             {"a.yaml", "a:\n    b:\n        c: d\n", "a:\n  b:\n    c: d\n"},
		"blank lines":             {"a.yaml", "\n\na: 1\n\n\n\nb: 2\n\n", "a: 1\n\nb: 2\n"},
		"no newline at the end":   {"a.yaml", "a: 1", "a: 1\n"},
		"lines of Windows":        {"a.yaml", "\ufeffa: 1\r\nb:   2\r\n", "a: 1\nb: 2\n"},
		"nothing":                 {"a.yaml", "", ""},
		"comments alone":          {"a.yaml", "\n# a\n\n\n# b", "# a\n\n# b\n"},
		"a comment at the end":    {"a.yaml", "a:\n    b: 1\n    # of a\n# of all\n", "a:\n  b: 1\n  # of a\n# of all\n"},
		"a comment in a list":     {"a.yaml", "a:\n- b\n# of c\n- c\n", "a:\n  - b\n  # of c\n  - c\n"},
		"comments in a column":    {"a.yaml", "a:   1  # x\nbb:  22 # y\n", "a: 1   # x\nbb: 22 # y\n"},
		"a comment for nothing":   {"a.yaml", "a:\n    # nothing yet\nb: 1\n", "a:\n  # nothing yet\nb: 1\n"},
		"order":                   {"a.yaml", "# top\n\nspec: {}\n# of kind\nkind: A\napiVersion: v\n# end\n", "# top\n\napiVersion: v\n# of kind\nkind: A\nspec: {}\n# end\n"},
		"order of two":            {"a.yaml", "kind: A\napiVersion: v\n---\n\nkind: B\napiVersion: v\n", "apiVersion: v\nkind: A\n---\napiVersion: v\nkind: B\n"},
		"anchors keep the order":  {"a.yaml", "spec: &x {a: 1}\nkind: *x\n", "spec: &x {a: 1}\nkind: *x\n"},
		"other fields keep it":    {"a.yaml", "b: 1\nstatus: 1\nspec: 2\n", "b: 1\nstatus: 1\nspec: 2\n"},
		"a merge key":             {"a.yaml", "a: &x\n    b: 1\nc:\n    <<:   *x\n", "a: &x\n  b: 1\nc:\n  <<: *x\n"},
		"an alias as a key":       {"a.yaml", "a: &x b\n*x :  c\n", "a: &x b\n*x : c\n"},
		"text that keeps its end": {"a.yaml", "a: |+\n    x\n\n\nb: |\n    y\n\n\n\nc: >-\n  z\n\n", "a: |+\n  x\n\n\nb: |\n  y\n\nc: >-\n  z\n"},
		"text with spaces":        {"a.yaml", "a: |\n    x  \n      \n   \n    y\n", "a: |\n  x  \n    \n\n  y\n"},
		"text in a list":          {"a.yaml", "- |\n x\n- a: >\n       y\n        z\n", "- |\n  x\n- a: >\n    y\n     z\n"},
		"text without an end":     {"a.yaml", "a: |\n    x\n    y", "a: |\n  x\n  y"},
		"stripped text":           {"a.yaml", "a: |-\n    x\n    y", "a: |-\n  x\n  y\n"},
		"plain over lines":        {"a.yaml", "a: b\n     c\n\n     d\ne: f\n", "a: b\n  c\n\n  d\ne: f\n"},
		"a value below its key":   {"a.yaml", "a:\n      b\n      c\nd:\n    \"e\"\n", "a:\n  b\n  c\nd:\n  \"e\"\n"},
		"what looks like more":    {"a.yaml", "a: 'b: c # d'\ne: f#g\nh: http://x:1/#y\n", "a: 'b: c # d'\ne: f#g\nh: http://x:1/#y\n"},
		"brackets":                {"a.yaml", "a: [ b ,c,  {d:  e} , { f: g  }, {}, [ ], {  }]\n", "a: [b, c, {d: e}, { f: g }, {}, [], {}]\n"},
		"no value":                {"a.yaml", "a: {b: , c:}\nd:\n", "a: {b: , c:}\nd:\n"},
		"comments go on":          {"a.yaml", "a:\n    b: 1    # x\n            # y\n    c:   2\n", "a:\n  b: 1    # x\n          # y\n  c: 2\n"},
		"brackets over lines":     {"a.yaml", "a: [\n b,  # why\n\n\n c ]\n", "a: [\n  b,  # why\n\n  c]\n"},
		"a bracket in a list":     {"a.yaml", "a:\n- [\n  b,\n  ]\n", "a:\n  - [\n      b,\n    ]\n"},
		"JSON":                    {"a.json", "\ufeff{\"a\":1,\r\n\t\"b\" : [\"x\",{ }],\n\n\n\"c\": {\"d\":\"\\ud83d\\ude00 # {\"\n}\n}", "{\"a\": 1,\n  \"b\": [\"x\", {}],\n\n  \"c\": {\"d\": \"\\ud83d\\ude00 # {\"\n  }\n}\n"},
		"front matter":            {"a.md", "\ufeff--- \nb:   1\na: [x,y]\n---\t\n\n\n# Hello  \n", "---\nb: 1\na: [x, y]\n---\n\n\n# Hello  \n"},
		"Markdown of Windows":     {"a.md", "---\r\nb:   1\r\n---\r\nHello.\r\n", "---\r\nb: 1\r\n---\r\nHello.\r\n"},
		"no front matter":         {"a.md", "Hello.  \n\n\n", "Hello.  \n\n\n"},
		"nothing but it":          {"a.md", "---\na:  1\n---", "---\na: 1\n---"},
		"Jsonnet":                 {"a.jsonnet", "# why\n{a:1,\n b: \"x\"}", "// why\n{\n  a: 1,\n  b: 'x',\n}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := formatted(t, "agents/"+test.file, test.in)
			if got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// What cannot be read, or cannot be kept, is a problem with its place, and nothing is written.
func TestProblems(t *testing.T) {
	for name, test := range map[string]struct{ file, in, want string }{
		"YAML":     {"a.yaml", "a: [1\n", "agents/a.yaml:1: this is not YAML"},
		"twice":    {"a.yaml", "a: 1\na: 2\n", `agents/a.yaml:2:1: "a" is written twice`},
		"JSON":     {"a.json", "{\"a\": }", "agents/a.json:1:7: this is not JSON"},
		"a list":   {"a.json", "7", "a resource is a map of fields"},
		"Markdown": {"a.md", "---\na: 1\n", "agents/a.md:1:1: the front matter has no end"},
		"bytes":    {"a.yaml", "a: 1\nb: \xff\n", "agents/a.yaml:2: this is not UTF-8"},
		"size":     {"a.yaml", strings.Repeat("# x\n", 1<<19), "larger than 1024 KiB"},
		"Jsonnet":  {"a.jsonnet", "{\n  a: \n}", "agents/a.jsonnet:3:1: "},
		"? keys":   {"a.yaml", "? a\n: b\n", "agents/a.yaml:1:1: a key behind `?` cannot be formatted"},
		"an alias bomb": {"a.yaml", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n" +
			"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e]\n", "more than 100000 values"},
		"an Action": {"a.yaml", "apiVersion: mainstay.dev/v1alpha1\nkind:  Action\n", "an Action is approved as it stands"},
		// To the parser U+2028 ends a line, to people and editors it does not.
		"a line that nobody sees": {"a.yaml", "a: |\n    x\u2028    y\n", "cannot be formatted"},
	} {
		t.Run(name, func(t *testing.T) {
			out, problems, err := formatter(t).File(t.Context(), "agents/"+test.file, []byte(test.in))
			if err != nil || out != nil || len(problems) != 1 || !strings.Contains(problems.String(), test.want) {
				t.Errorf("%q, %v, %v; want %q", out, problems, err, test.want)
			}
		})
	}
}

// The examples, and the repository with everything in it, are what the formatter writes already.
func TestRepositoriesAreFormatted(t *testing.T) {
	for name, root := range repositories() {
		for _, file := range files(t, root) {
			raw, err := fs.ReadFile(root, file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(raw), formatted(t, file, string(raw))); d != "" {
				t.Errorf("%s/%s: -as it is +formatted\n%s", name, file, d)
			}
		}
	}
}

func repositories() map[string]fs.FS {
	return map[string]fs.FS{"testdata/complete": os.DirFS("../testdata/complete"), "examples/quickstart": quickstart.Files()}
}

func files(t testing.TB, root fs.FS) []string {
	t.Helper()
	names, err := format.Files(root)
	if err != nil || len(names) < 5 {
		t.Fatalf("%v, %v", names, err)
	}
	return names
}

func TestFiles(t *testing.T) {
	root := fstest.MapFS{}
	for _, name := range []string{
		"mainstay.yaml", "mainstay.lock", "README.md", "manifests/a.yaml", "agents/a.md", "agents/README.md", "agents/.hidden.yaml", "agents/.git/a.yaml",
		"agents/team/b.jsonnet", "agents/lib/c.libsonnet", "agents/notes.txt", "actions/x-1.yaml", "skills/source.yaml", "skills/loose.md",
		"skills/s/SKILL.md", "skills/s/data/a.yaml", ".agents/skills/s/SKILL.md", ".agents/skills/source.yaml", "overlays/prod/a.json", ".github/workflows/ci.yaml",
	} {
		root[name] = &fstest.MapFile{Data: []byte("a: 1\n")}
	}
	root["agents/link.yaml"] = &fstest.MapFile{Data: []byte("../manifests/a.yaml"), Mode: fs.ModeSymlink | 0o777}
	root["prompts"] = &fstest.MapFile{Data: []byte("manifests"), Mode: fs.ModeSymlink | 0o777}
	got, err := format.Files(root)
	want := []string{"agents/a.md", "agents/lib/c.libsonnet", "agents/team/b.jsonnet", "mainstay.yaml", "overlays/prod/a.json", "skills/source.yaml"}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("-want +got: %s%v", d, err)
	}
	linked := fstest.MapFS{"mainstay.yaml": {Data: []byte("other.yaml"), Mode: fs.ModeSymlink | 0o777}, "other.yaml": {}}
	if got, err := format.Files(linked); len(got) > 0 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	for _, name := range slices.Sorted(maps.Keys(root)) {
		if err := format.Check(root, name); (err == nil) != slices.Contains(want, name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"actions/x-1.yaml": "an Action is approved as it stands", "agents/link.yaml": "symbolic link", "skills/s/data/a.yaml": "belongs to a skill",
		"manifests/a.yaml": "it is no resource", "agents/README.md": "a README", "agents/gone.yaml": "no such file|file does not exist",
	} {
		if err := format.Check(root, name); err == nil || !slices.ContainsFunc(strings.Split(want, "|"), func(w string) bool { return strings.Contains(err.Error(), w) }) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// A program that would evaluate to something else is found, and one that is broken may stay so.
func TestPrograms(t *testing.T) {
	before := map[string]string{"agents/a.jsonnet": "(import 'b.libsonnet') + {x:1}", "agents/b.libsonnet": "{y:1}", "agents/c.jsonnet": "error 'broken'"}
	same := map[string]string{"agents/a.jsonnet": "(import 'b.libsonnet') + { x: 1 }\n", "agents/b.libsonnet": "{ y: 1 }\n", "agents/c.jsonnet": "error 'broken'\n"}
	if problems, err := formatter(t).Programs(t.Context(), before, same); err != nil || problems != nil {
		t.Errorf("%v, %v", problems, err)
	}
	same["agents/b.libsonnet"] = "{ y: 2 }\n"
	problems, err := formatter(t).Programs(t.Context(), before, same)
	if err != nil || len(problems) != 1 || problems[0].File != "agents/a.jsonnet" {
		t.Errorf("%v, %v", problems, err)
	}
}

func documents(t testing.TB, name, text string) []any {
	t.Helper()
	values, problems := spec.Documents(name, []byte(text))
	if problems != nil {
		t.Fatalf("%s\n%s", problems, text)
	}
	return values
}

// checkSame holds for every text that is formatted: it means the same, and formatting it again changes nothing.
func checkSame(t testing.TB, name, before, after string) {
	t.Helper()
	if !reflect.DeepEqual(documents(t, name, before), documents(t, name, after)) {
		t.Fatalf("it does not mean the same:\n%s\n----\n%s", before, after)
	}
	if again := formatted(t, name, after); again != after {
		t.Fatalf("formatted again it is something else:\n%s\n----\n%s\n----\n%s", before, after, again)
	}
}

func FuzzFormat(f *testing.F) {
	for _, root := range repositories() {
		for _, name := range files(f, root) {
			raw, err := fs.ReadFile(root, name)
			if err != nil {
				f.Fatal(err)
			}
			if !strings.HasSuffix(name, "sonnet") {
				f.Add(name[strings.LastIndex(name, "."):], string(raw))
			}
		}
	}
	messy, err := os.ReadFile("testdata/messy.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(".yaml", string(messy))
	f.Add(".md", "---\n"+string(messy)+"---\nHello.\n")
	f.Add(".yaml", "? [a]\n: b\n--- |\n x\n...\n%YAML 1.1\n--- {a: b}\n")
	f.Fuzz(func(t *testing.T, extension, text string) {
		if len(text) > 64<<10 || !slices.Contains([]string{".yaml", ".json", ".md"}, extension) {
			t.Skip()
		}
		out, problems, err := new(format.Formatter).File(t.Context(), "agents/a"+extension, []byte(text))
		switch {
		case err != nil:
			t.Fatal(err)
		case problems != nil:
			if p := problems[0]; out != nil || len(problems) > 1 || strings.ContainsAny(p.String(), "\n\r") || p.Line > strings.Count(strings.ReplaceAll(text, "\r", "\n"), "\n")+1 {
				t.Fatalf("%q, %q", out, problems)
			}
		default:
			checkSame(t, "agents/a"+extension, text, string(out))
		}
	})
}
