package jsonnet

import (
	"strings"
	"testing"

	"github.com/google/go-jsonnet"
)

// seeds are programs of every kind that the finder follows.
var seeds = []string{
	`{ a: 1, b: [true, null, 'x'], c+: { d: self.e, e:: $.a } }`,
	`local f(x, y=2) = { x: x, y: y }; [f(i) for i in std.range(1, 3) if i != 2] + [f(x=1)]`,
	`local m = import 'mainstay.libsonnet'; m.many({ a: 1 }, function(n, v) m.agent(n, { v: v }) + m.labels({ l: n }))`,
	`{ [k]: super.x for k in ['a', 'b'] } + std.mergePatch({ a: { b: 1 } }, { a: { c: 2 } })`,
	`local a = [b], b = [a]; a`,
	`local f(x) = f(x); f(1)`,
	`std.foldl(function(a, b) a + b, [{ x: 1 }, { y: 2 }], {}) { ['z' + 1]: if self.x == 1 then 2 else error 'no' }`,
	`std.objectValues(std.mapWithKey(function(k, v) { k: k }, { b: 1, a: 2 }))`,
	`std.range(1e17, 1e17 + 64) + std.range(-1e300, 1e300) + std.makeArray(1e9, function(i) i)`,
	`local w(n) = if n == 0 then [] else w(n - 1) + w(n - 1); w(60)`,
	`(import 'a.jsonnet') + (import 'b.json') + { c: importstr 'a.jsonnet' }`,
	`std.flatMap(function(x) if std.length(x) > 3 then [x] else [], ['abcd', 'a', { length: 4 }])[0]`,
}

// FuzzPlaces looks for places in programs that are not evaluated, for outcomes that need not be theirs: it ends, does not
// panic, and says only places that there are.
func FuzzPlaces(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, `[{"a": {"b": [1, "x", {"c": null}]}, "x": 1}, {"x": 1, "y": 2}, "abcd"]`)
		f.Add(s, `{"a": 1, "b": {"c": 2, "d": [true]}, "metadata": {"labels": {"l": "a"}, "name": "a"}, "spec": {"v": 1}, "a/~": []}`)
	}
	f.Fuzz(func(t *testing.T, text, outcome string) {
		// The parser recurses into brackets, and would take the stack of the fuzzer with it.
		if len(text) > 4096 || len(outcome) > 4096 {
			t.Skip()
		}
		in := Input{Entry: "a.jsonnet", Files: map[string]string{"a.jsonnet": text, "b.json": `{"b": {"d": 1}}`}}
		p := newProgram(in)
		node, _, err := p.vm.ImportAST("", in.Entry)
		if err != nil {
			if fault := p.fault(err); fault.Summary == "" || strings.ContainsAny(fault.Error(), "\n\r") {
				t.Fatalf("the fault %q cannot be shown", fault.Error())
			}
			t.Skip()
		}
		tree, _, err := read(outcome)
		if err != nil {
			t.Skip()
		}
		places, keys := p.places(node, tree)
		if places[""] == (Place{}) {
			t.Fatal("the whole has no place")
		}
		for _, all := range []map[string]Place{places, keys} {
			for pointer, at := range all {
				lines := strings.Split(p.text(at.File), "\n")
				if _, ok := in.Files[at.File]; !ok || at.Line < 1 || at.Line > len(lines) || at.Column < 1 || at.Column > len([]rune(lines[at.Line-1]))+1 {
					t.Fatalf("%s is at %v, which is not in a file", pointer, at)
				}
			}
		}
		p.placeOf(node, []any{"a", 0, "b"})
	})
}

// FuzzFault holds for whatever the engine says: the fault is one line.
func FuzzFault(f *testing.F) {
	f.Add("Unknown variable: x")
	f.Add("Expected token \"}\" but got (IDENTIFIER, \"b\")\n\r\u2028")
	f.Add("Field does not exist: " + strings.Repeat("ä", 1000))
	f.Fuzz(func(t *testing.T, text string) {
		p := newProgram(Input{Entry: "a.jsonnet", Files: map[string]string{"a.jsonnet": "{}"}})
		fault := p.fault(jsonnet.RuntimeError{Msg: text})
		if strings.ContainsAny(fault.Error(), "\n\r\u2028") || len(fault.Error()) > 4*maxText {
			t.Fatalf("the fault %q cannot be shown", fault.Error())
		}
	})
}
