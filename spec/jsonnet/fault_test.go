package jsonnet_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/spec/jsonnet"
)

func TestFaultsSayWhereAndWhat(t *testing.T) {
	for _, c := range []struct {
		name, text string
		files      map[string]string
		want       string
	}{
		{name: "a variable that is not there", text: "local name = 1;\n{ a: nmae }",
			want: `agents/team.jsonnet:2:6: there is no variable "nmae" (did you mean "name"?)`},
		{name: "a function of the library that is not there", text: "local m = import 'mainstay.libsonnet';\n[m.agnet('a')]",
			want: `agents/team.jsonnet:2:2: there is no field "agnet" (did you mean "agent"?)`},
		{name: "a field that a format names and that is not there", text: "local service = { wat: 'search' };\n{ a: 'It is %(what)s.' % service }",
			want: `agents/team.jsonnet:2:6: the format names the field "what", which its object does not have (did you mean "wat"?)`},
		{name: "columns are characters", text: "{ a: 'äöü', b: nope }",
			want: `agents/team.jsonnet:1:16: there is no variable "nope"`},
		{name: "the library is called without a name", text: "local m = import 'mainstay.libsonnet';\n\n[m.agent({ model: 'x' })]",
			want: `agents/team.jsonnet:3:2: a resource's name comes first, and is a text: m.agent('triage', { ... })`},
		{name: "an argument that is missing", text: "local m = import 'mainstay.libsonnet';\nm.agent()",
			want: `agents/team.jsonnet:2:1: the call lacks the argument "name"`},
		{name: "what the person says", text: "assert 1 > 2 : 'one is\\nnot two'; {}",
			want: `agents/team.jsonnet:1:1: one is not two`},
		{name: "a function where a value should be", text: "{ spec: {\n  f(x): x } }",
			want: `agents/team.jsonnet:2:3: this is a function, and a resource holds only values (call it, or hide the field with ::)`},
		{name: "a comma that is missing", text: "{ a: 1\n  b: 2 }",
			want: `agents/team.jsonnet:2:3: a comma is missing before the next field`},
		{name: "a bracket that is not closed", text: "{ a: [1, 2",
			want: `agents/team.jsonnet:1:11: a comma is missing before the next array element`},
		{name: "a field that is there twice", text: "{ a: 1, a: 2 }",
			want: `agents/team.jsonnet:1:9: "a" is there twice (keep one of them)`},
		{name: "a type", text: "{ a: 1 + {} }.a.b.c",
			want: `agents/team.jsonnet:1:6: this is of the type object, and must be of the type number`},
		{name: "a file that is not there", text: "import 'bsae.libsonnet'", files: map[string]string{"agents/base.libsonnet": "{}"},
			want: `agents/team.jsonnet:1:1: there is no file "agents/bsae.libsonnet" to import (did you mean "base.libsonnet"?)`},
		{name: "a file in another folder", text: "import 'base.libsonnet'", files: map[string]string{"lib/base.libsonnet": "{}"},
			want: `agents/team.jsonnet:1:1: there is no file "agents/base.libsonnet" to import (did you mean "../lib/base.libsonnet"?)`},
		{name: "a file outside", text: "[import '../../etc/passwd']",
			want: `agents/team.jsonnet:1:2: "../../etc/passwd" is outside the repository (only files of this repository and mainstay.libsonnet can be imported)`},
		{name: "a file of the machine", text: "importstr '/etc/passwd'",
			want: `agents/team.jsonnet:1:1: "/etc/passwd" cannot be imported (only files of this repository and mainstay.libsonnet can be imported; write the path from this file's folder)`},
		{name: "an address", text: "import 'https://example.com/a.libsonnet'",
			want: `agents/team.jsonnet:1:1: "https://example.com/a.libsonnet" cannot be imported (only files of this repository and mainstay.libsonnet can be imported; write the path from this file's folder)`},
		{name: "an error in an imported file", text: "(import '../lib/x.libsonnet') + {}", files: map[string]string{"lib/x.libsonnet": "{\n  a: }"},
			want: `lib/x.libsonnet:2:6: "}" is not expected here`},
		{name: "an error that an imported file runs into", text: "(import '../lib/x.libsonnet').f(0)", files: map[string]string{"lib/x.libsonnet": "{\n  f(x): 1 / x }"},
			want: `lib/x.libsonnet:2:9: this divides by zero`},
		{name: "YAML that is imported", text: "import 'a.yaml'", files: map[string]string{"agents/a.yaml": "a: b\n"},
			want: `agents/team.jsonnet:1:1: this file is imported as Jsonnet, and is YAML (read it with std.parseYaml(importstr '...'))`},
		{name: "files in a circle", text: "import '../lib/x.libsonnet'", files: map[string]string{"lib/x.libsonnet": "import '../agents/team.jsonnet'"},
			want: `lib/x.libsonnet:1:1: calls are nested deeper than 500 (the files import one another in a circle: agents/team.jsonnet imports lib/x.libsonnet imports agents/team.jsonnet)`},
		{name: "an imported file that is not UTF-8", text: "importstr 'a.txt'", files: map[string]string{"agents/a.txt": "\xff"},
			want: `agents/team.jsonnet:1:1: "agents/a.txt" is not UTF-8 (save the file as UTF-8)`},
		{name: "the file itself is not UTF-8", text: "{ a: '\xff' }",
			want: `agents/team.jsonnet: "agents/team.jsonnet" is not UTF-8 (save the file as UTF-8)`},
		{name: "an empty file", text: "",
			want: `agents/team.jsonnet:1:1: the file ends in the middle of an expression (look for a bracket or a text that is not closed)`},
		{name: "a function as the whole", text: "function(x) x",
			want: `agents/team.jsonnet: the call lacks the argument "x"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{entry: c.text}
			maps.Copy(files, c.files)
			out := jsonnet.Evaluate(jsonnet.Input{Entry: entry, Files: files})
			if out.Fault == nil || out.Fault.Error() != c.want {
				t.Errorf("got  %v\nwant %s", out.Fault, c.want)
			}
		})
	}
}

func TestThousandsOfFilesThatImportOneAnother(t *testing.T) {
	files := map[string]string{}
	for i := range 5000 {
		files[fmt.Sprintf("lib/l%d.libsonnet", i)] = fmt.Sprintf("{ n%d: 1 } + (if %d %% 400 == 0 then {} else import 'l%d.libsonnet')", i, i, max(0, i-1))
	}
	files[entry] = "import '../lib/l4999.libsonnet'"
	files["agents/wide.jsonnet"] = "[" + strings.Repeat("import '../lib/l0.libsonnet',", 3000) + "]"
	out := jsonnet.Evaluate(jsonnet.Input{Entry: entry, Files: files})
	if out.Fault == nil && len(out.JSON) == 0 {
		t.Error("neither a value nor a fault")
	}
	if out := jsonnet.Evaluate(jsonnet.Input{Entry: "agents/wide.jsonnet", Files: files}); out.Fault != nil {
		t.Error(out.Fault)
	}
}

func TestFormatPutsAProgramInOrder(t *testing.T) {
	const text, want = "\ufefflocal m=import \"mainstay.libsonnet\";\r\n// why\r\n{a:1,\r\n b: m}", "local m = import 'mainstay.libsonnet';\n// why\n{\n  a: 1,\n  b: m,\n}\n"
	for name, format := range map[string]func(string, string) (string, error){
		"here":  jsonnet.Format,
		"there": func(name, text string) (string, error) { return child(t).Format(t.Context(), name, text) },
	} {
		if got, err := format(entry, text); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if got, err := format(entry, "{ a: "); err == nil || !strings.HasPrefix(err.Error(), entry+":1:6: the file ends") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := child(t).Format(t.Context(), entry, strings.Repeat("(", 200_000)); err == nil || !says(err.Error(), "nested too deeply|memory") {
		t.Error(err)
	}
}
