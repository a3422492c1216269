package spec_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/spec"
)

// TestDigestsIgnoreFormatting writes every YAML and JSON file of a repository anew, in a random format with random
// comments and in a random order of keys, and finds the same digests. Actions are left as they are: their digest is that
// of their bytes.
func TestDigestsIgnoreFormatting(t *testing.T) {
	original := copyOf(t, os.DirFS("testdata/complete"))
	before := map[string]*spec.Fleet{"": complete(t)}
	var problems spec.Problems
	if before["prod"], problems = spec.Load(original, spec.LoadOptions{Env: "prod"}); len(problems) > 0 {
		t.Fatalf("problems:\n%s", problems)
	}
	values := map[string][]any{}
	for name, f := range original {
		if (strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".json")) && !strings.HasPrefix(name, "actions/") && !strings.HasPrefix(name, "manifests/") {
			decoder := yaml.NewDecoder(strings.NewReader(jsonAsYAML(t, name, f.Data)))
			for {
				var v any
				if decoder.Decode(&v) != nil {
					break
				}
				values[name] = append(values[name], v)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		root := fstest.MapFS{}
		for name, f := range original {
			if values[name] == nil {
				root[name] = f
			}
		}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			w := writer{t: t}
			if len(values[name]) == 1 && name != "mainstay.yaml" && rapid.Bool().Draw(t, "as JSON") {
				w.flow(values[name][0], "")
				name = strings.TrimSuffix(strings.TrimSuffix(name, ".yaml"), ".json") + ".json"
			} else {
				for _, v := range values[name] {
					w.WriteString("---\n")
					w.block(v, "")
				}
				name = strings.TrimSuffix(name, ".json")
				if !strings.HasSuffix(name, ".yaml") {
					name += ".yaml"
				}
			}
			content := w.String()
			if rapid.Bool().Draw(t, "lines of Windows") {
				content = "\ufeff" + strings.ReplaceAll(content, "\n", "\r\n")
			}
			root[name] = &fstest.MapFile{Data: []byte(content)}
		}
		env := rapid.SampledFrom([]string{"", "prod"}).Draw(t, "environment")
		after, problems := spec.Load(root, spec.LoadOptions{Env: env})
		if len(problems) > 0 {
			t.Fatalf("problems:\n%s", problems)
		}
		for i, r := range after.Resources {
			if was := before[env].Resources[i]; r.Ref != was.Ref || r.Digest != was.Digest {
				t.Fatalf("%s has the digest %s, and %s had %s; it is now\n%s", r.Ref, r.Digest, was.Ref, was.Digest, root[r.Place.File].Data)
			}
		}
	})
}

// jsonAsYAML returns the content of a file in a form that the YAML parser reads: JSON may hold pairs of surrogates.
func jsonAsYAML(t *testing.T, name string, content []byte) string {
	if !strings.HasSuffix(name, ".json") {
		return string(content)
	}
	var v any
	if err := json.Unmarshal(content, &v); err != nil {
		t.Fatal(err)
	}
	out, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// writer writes values as a person in a strange mood would.
type writer struct {
	strings.Builder
	t *rapid.T
}

func (w *writer) keys(m map[string]any) []string {
	return rapid.Permutation(slices.Sorted(maps.Keys(m))).Draw(w.t, "keys")
}

// block writes a value in lines of their own.
func (w *writer) block(v any, indent string) {
	if rapid.IntRange(0, 3).Draw(w.t, "comment") == 0 {
		w.WriteString(indent + "# A comment: with [ brackets\n\n")
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range w.keys(v) {
			w.WriteString(indent + w.text(k) + ":")
			w.nested(v[k], indent)
		}
	case []any:
		for _, item := range v {
			w.WriteString(indent + "-")
			w.nested(item, indent)
		}
	}
}

// nested writes a value behind a key or a dash.
func (w *writer) nested(v any, indent string) {
	m, isMap := v.(map[string]any)
	l, isList := v.([]any)
	text, isText := v.(string)
	switch {
	case (isMap && len(m) > 0 || isList && len(l) > 0) && rapid.Bool().Draw(w.t, "block"):
		w.WriteString("\n")
		w.block(v, indent+strings.Repeat(" ", rapid.IntRange(1, 4).Draw(w.t, "indent")))
	case isText && len(text) > 1 && !strings.HasSuffix(text, "\n") && !strings.HasPrefix(text, " ") && !strings.HasPrefix(text, "\n") && rapid.Bool().Draw(w.t, "literal"):
		w.WriteString(" |-\n" + indent + "  " + strings.ReplaceAll(text, "\n", "\n"+indent+"  ") + "\n")
	default:
		w.WriteString(" ")
		w.flow(v, indent)
		w.WriteString(rapid.SampledFrom([]string{"\n", " # why\n", "\n\n"}).Draw(w.t, "end"))
	}
}

// flow writes a value as JSON with odd spaces.
func (w *writer) flow(v any, indent string) {
	space := rapid.SampledFrom([]string{"", " ", "\n  " + indent}).Draw(w.t, "space")
	switch v := v.(type) {
	case map[string]any:
		w.WriteString("{" + space)
		for i, k := range w.keys(v) {
			if i > 0 {
				w.WriteString("," + space)
			}
			w.WriteString(w.text(k) + ": ")
			w.flow(v[k], indent)
		}
		w.WriteString(space + "}")
	case []any:
		w.WriteString("[" + space)
		for i, item := range v {
			if i > 0 {
				w.WriteString("," + space)
			}
			w.flow(item, indent)
		}
		w.WriteString(space + "]")
	case string:
		w.WriteString(w.text(v))
	default:
		raw, err := json.Marshal(v)
		if err != nil {
			w.t.Fatal(err)
		}
		w.WriteString(string(raw))
	}
}

func (w *writer) text(s string) string {
	var quoted strings.Builder
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSpace(quoted.String())
}

func TestUnknownFieldsGetSuggestions(t *testing.T) {
	for typo, want := range map[string]string{
		"modle": "model", "Model": "model", "instruction": "instructions", "skils": "skills", "tool": "tools", "personna": "persona",
	} {
		_, problems := spec.Load(tree("agents/a.md", fmt.Sprintf("---\n%s: x\n---\nHello.\n", typo)), spec.LoadOptions{})
		if got := problems.String(); !strings.Contains(got, fmt.Sprintf("agents/a.md:2:1: unknown field %q in the spec of an Agent (did you mean %q?)", typo, want)) {
			t.Errorf("%s: %s", typo, got)
		}
	}
}
