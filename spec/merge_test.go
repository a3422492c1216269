package spec

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMergeIsJSONMergePatch holds the examples of RFC 7386, appendix A.
func TestMergeIsJSONMergePatch(t *testing.T) {
	for _, tt := range []struct{ base, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		base, patch := parsed(t, "base.json", tt.base), parsed(t, "patch.json", tt.patch)
		got, err := json.Marshal(merge(base, patch).json())
		if err != nil || string(got) != tt.want {
			t.Errorf("%s changed by %s is %s (%v), not %s", tt.base, tt.patch, got, err, tt.want)
		}
		for _, kept := range []struct {
			n    *node
			text string
		}{{base, tt.base}, {patch, tt.patch}} {
			if text, _ := json.Marshal(kept.n.json()); string(text) != kept.text {
				t.Errorf("merging changed %s to %s", kept.text, text)
			}
		}
	}
}

func TestMergedNodesKeepTheirPlaces(t *testing.T) {
	n := merge(
		parsed(t, "base.json", `{"kept": 1, "replaced": 2, "removed": 3, "inner": {"kept": 4}}`),
		parsed(t, "patch.json", `{"replaced": {"x": 5}, "removed": null, "inner": {"added": 6}}`))
	got := map[string]string{
		"kept": n.at("kept").place().String(), "replaced": n.at("replaced").place().String(), "in replaced": n.at("replaced", "x").place().String(),
		"removed": n.at("removed").place().String(), "inner": n.at("inner").place().String(), "inner kept": n.at("inner", "kept").place().String(),
		"inner added": n.at("inner", "added").place().String(), "missing": n.at("inner", "nothing").place().String(),
		"key of replaced": n.keyOf("replaced").place().String(), "key of inner": n.keyOf("inner").place().String(),
	}
	want := map[string]string{
		"kept": "base.json:1:10", "replaced": "patch.json:1:14", "in replaced": "patch.json:1:20", "removed": "patch.json:1:35",
		"inner": "base.json:1:51", "inner kept": "base.json:1:60", "inner added": "patch.json:1:60", "missing": "base.json:1:51",
		"key of replaced": "patch.json:1:2", "key of inner": "base.json:1:42",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n.has("removed") || n.get("removed") != nil {
		t.Error("what is removed is there")
	}
}

func parsed(t *testing.T, name, text string) *node {
	t.Helper()
	n, err := parseJSON(&file{path: name, text: text})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
