package spec_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/spec"
)

func newFile(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

// hotel is a repository whose tool book is undone by cancel, at a server of its own.
func hotel(t *testing.T, undo string) (*spec.Fleet, spec.Problems) {
	t.Helper()
	root := copyOf(t, os.DirFS("testdata/complete"))
	root["tools/desk.yaml"] = newFile("apiVersion: mainstay.dev/v1alpha1\nkind: ToolServer\nmetadata: {name: desk}\nspec:\n  command: [desk]\n" +
		"  tools:\n    cancel: {effect: write}\n    look: {effect: read}\n")
	root["tools/hotel.yaml"] = newFile("apiVersion: mainstay.dev/v1alpha1\nkind: ToolServer\nmetadata: {name: hotel}\nspec:\n  command: [hotel]\n" +
		"  tools:\n    book: {effect: write, undo: " + undo + "}\n    free: {effect: write}\n")
	return spec.Load(root, spec.LoadOptions{})
}

func TestTheArgumentsOfAnUndo(t *testing.T) {
	arguments := map[string]any{"room": "${ result.id }", "nights": float64(2)}
	tests := []struct{ undo, result, want string }{
		{`{tool: free}`, `null`, `{}`},
		{`{tool: free, arguments: {id: "${ result.id }", nights: "${ arguments.nights }", note: "was $${ ${ arguments.room }"}}`, `{"id": 7}`,
			`{"id": 7, "nights": 2, "note": "was ${ ${ result.id }"}`},
		{`{server: desk, tool: cancel, arguments: {id: "${ result }"}}`, `"free text: ${ 1 + 1 }"`, `{"id": "free text: ${ 1 + 1 }"}`},
		{`{tool: free, arguments: {id: "${ result == null ? arguments.room : result.id }"}}`, ``, `{"id": "${ result.id }"}`},
		{`{tool: free, arguments: {id: "${ result.id }"}}`, ``, "the receipt holds no result"},
		{`{tool: free, arguments: {id: "${ result.id }"}}`, `{"name": "x"}`, "no such key: id"},
		{`{tool: free, arguments: {id: "${ [1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, [1,2,3,4,5,6,7,8,9].all(d, [1,2,3,4,5,6,7,8,9].all(e, [1,2,3,4,5,6,7,8,9].all(f, a+b+c+d+e+f > 0)))))) }"}}`,
			``, "cost limit exceeded"},
	}
	for _, test := range tests {
		fleet, problems := hotel(t, test.undo)
		if len(problems) > 0 {
			t.Fatalf("%s: %s", test.undo, problems)
		}
		undo, tool, ok := fleet.UndoOf("hotel", "book")
		if !ok || tool.Effect != spec.EffectWrite || tool.Name != undo.Tool || undo.Server != "" && tool.Server.Name != undo.Server {
			t.Fatalf("%s is %+v by %s of %v", test.undo, undo, tool.Name, tool.Server)
		}
		made, err := undo.Render(arguments, json.RawMessage(test.result))
		if err != nil {
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %s", test.undo, err, test.want)
			}
			continue
		}
		if made == nil {
			made = map[string]any{}
		}
		got, err := spec.Canonical(made)
		if err != nil {
			t.Fatal(err)
		}
		want, err := spec.Canonical(json.RawMessage(test.want))
		if err != nil {
			t.Fatalf("%s gives %s, want %s", test.undo, got, test.want)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s:\n%s", test.undo, diff)
		}
	}
}

// A server that undoes with a tool of another one is checked again when that one changes.
func TestAnUndoIsCheckedAgainWhenItsToolChanges(t *testing.T) {
	root := copyOf(t, os.DirFS("testdata/complete"))
	root["tools/desk.yaml"] = newFile("apiVersion: mainstay.dev/v1alpha1\nkind: ToolServer\nmetadata: {name: desk}\nspec:\n  command: [desk]\n  tools:\n    cancel: {effect: write}\n")
	root["tools/hotel.yaml"] = newFile("apiVersion: mainstay.dev/v1alpha1\nkind: ToolServer\nmetadata: {name: hotel}\nspec:\n  command: [hotel]\n  tools:\n    book: {effect: write, undo: {server: desk, tool: cancel}}\n")
	var cache spec.Cache
	if _, problems := spec.Load(withIDs(root), spec.LoadOptions{Cache: &cache}); len(problems) > 0 {
		t.Fatal(problems)
	}
	root["tools/desk.yaml"] = newFile(strings.Replace(string(root["tools/desk.yaml"].Data), "effect: write", "effect: read", 1))
	_, problems := spec.Load(withIDs(root), spec.LoadOptions{Cache: &cache})
	want := `tools/hotel.yaml:7:54: the undo calls "cancel", which is not a write tool (only a write tool takes an effect back)`
	if len(problems) != 1 || problems[0].String() != want {
		t.Errorf("%v, want %s", problems, want)
	}
}

func TestWhatAPinnedToolTakes(t *testing.T) {
	tool := spec.Tool{Server: &spec.ToolServer{Pins: map[string]spec.ToolPin{"cancel": {InputSchema: `{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}`},
		"odd": {InputSchema: `{"$schema":"urn:of-tomorrow"}`}}}, Name: "cancel"}
	if err := tool.Fits(map[string]any{"id": "b-1"}); err != nil {
		t.Error(err)
	}
	for _, wrong := range []map[string]any{nil, {}, {"id": 1}} {
		if err := tool.Fits(wrong); err == nil {
			t.Errorf("it takes %v", wrong)
		}
	}
	for _, name := range []string{"odd", "free"} {
		tool.Name = name
		if err := tool.Fits(map[string]any{"x": 1}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhichActionsAreUndos(t *testing.T) {
	const run = "01jd00000000000000000000ab"
	for id, want := range map[spec.ActionID]int{
		"clerk-" + run + "-3": 3, "a-b-c-" + run + "-1000003": 1_000_003, "clerk-" + run + "-0": 0, "clerk-" + run + "-x": 0, "clerk-" + run: 0, "": 0,
		spec.ActionID(strings.ToUpper("clerk-"+run)) + "-3": 0,
	} {
		of, n, ok := id.Origin()
		if ok != (want > 0) || ok && (n != want || of != run) {
			t.Errorf("%s is of %s, %d, %v", id, of, n, ok)
		}
		if id.IsUndo() != (want > 1_000_000) {
			t.Errorf("%s is an undo: %v", id, id.IsUndo())
		}
	}
}
