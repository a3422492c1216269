package jsonnet_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/spec/jsonnet"
)

// entry is the file that tests evaluate.
const entry = "agents/team.jsonnet"

// at returns the place of a pointer: its own, or the nearest around it.
func at(places map[string]jsonnet.Place, pointer string) jsonnet.Place {
	for {
		if p, ok := places[pointer]; ok {
			return p
		}
		i := strings.LastIndexByte(pointer, '/')
		if i < 0 {
			return jsonnet.Place{}
		}
		pointer = pointer[:i]
	}
}

// marked takes the marks ‹name› out of texts, and returns where they stood: what is written behind a mark.
func marked(t *testing.T, files map[string]string) (clean map[string]string, marks map[string]jsonnet.Place) {
	clean, marks = map[string]string{}, map[string]jsonnet.Place{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		var lines []string
		for i, line := range strings.Split(files[name], "\n") {
			for {
				before, rest, found := strings.Cut(line, "‹")
				if !found {
					break
				}
				mark, after, _ := strings.Cut(rest, "›")
				for one := range strings.SplitSeq(mark, " ") {
					if _, twice := marks[one]; twice {
						t.Fatalf("the mark %q is there twice", one)
					}
					marks[one] = jsonnet.Place{File: name, Line: i + 1, Column: len([]rune(before)) + 1}
				}
				line = before + after
			}
			lines = append(lines, line)
		}
		clean[name] = strings.Join(lines, "\n")
	}
	return clean, marks
}

func TestPlacesAreWhereThePersonWroteTheValue(t *testing.T) {
	for _, c := range []struct {
		name string
		// text holds marks: ‹/0/kind› stands before what the pointer's place is to be, ‹key:/0/spec› before its name.
		text  string
		files map[string]string
	}{
		{name: "a plain object", text: `‹/›{
  ‹key:/kind›kind: ‹/kind›'Agent',
  "metadata"‹›: ‹/metadata›{ ‹key:/metadata/name›name: ‹/metadata/name›"a" },
  spec: ‹/spec›{ 'ünïcode': 'ä', tools: ‹/spec/tools›[‹/spec/tools/0›'é', ‹/spec/tools/1›{ 'a/b~c': ‹/spec/tools/1/a~1b~0c›1 }] },
}`},
		{name: "a list comprehension", text: `
local agent(name, model='small') = {
  kind: ‹/0/kind /1/kind›'Agent',
  metadata: { name: name },
  spec: ‹/0/spec›{ ‹key:/0/spec/model›model: model },
};
‹/›[‹/0 /1›agent(n) for n in [‹/0/metadata/name›'web', ‹/1/metadata/name›'shop']] + [‹/2›agent(‹/2/metadata/name›'last', model=‹/2/spec/model›'large')]`},
		{name: "a merge", text: `
local base = { kind: ‹/kind›'Agent', spec: { model: ‹/spec/model›'m', limits: { turns: ‹/spec/limits/turns›3, calls: 4 } } };
‹/›base { ‹key:/spec›spec+: ‹/spec›{ ‹key:/spec/limits›limits+: ‹/spec/limits›{ ‹key:/spec/limits/clals›clals: ‹/spec/limits/clals›5, calls: ‹/spec/limits/calls›super.calls + 1 } } }`},
		{name: "an imported function", text: `
local team = import '../lib/team.libsonnet';
[‹/0›team.agent(‹/0/metadata/name›'a', { model: ‹/0/spec/model›'x' }), team.base]`,
			files: map[string]string{"lib/team.libsonnet": `{
  base:: ‹/1›self.agent(‹/1/metadata/name›'base'),
  agent(name, spec={}):: {
    kind: ‹/0/kind /1/kind›'Agnet',
    metadata: { name: name },
    spec: { prompt: ‹/0/spec/prompt›'p' } + spec,
  },
}`}},
		{name: "the library", text: `
local m = import 'mainstay.libsonnet';
[
  ‹/0 /0/kind /0/apiVersion /0/metadata›m.agent(‹/0/metadata/name›'a', ‹/0/spec›{ ‹key:/0/spec/modle›modle: ‹/0/spec/modle›'x' }),
  ‹/1›m.agent(‹/1/metadata/name›'b') { ‹key:/1/spec›spec+: { tools: ‹/1/spec/tools›[] } } + m.labels({ team: ‹/1/metadata/labels/team›'web' }),
] + m.many([‹/2/metadata/name›'c'], function(name) ‹/2›m.agent(name, { persona: ‹/2/spec/persona›'p' }))
+ m.many({ ‹/3/metadata/name›d: ‹/3/spec/model›'large' }, function(name, model) ‹/3›m.agent(name, { model: model }))`},
		{name: "conditions", text: `
local env = 'prod';
local has(x) = std.length(std.split(x, 'a')) > 1; // not followed
{
  spec: {
    model: if env == 'prod' then ‹/spec/model›'large' else 'small',
    persona: if has('xxx') then 'yes' else ‹/spec/persona›'no',
    limits: { turns: ‹/spec/limits/turns›3 } + (if has('xax') then { calls: ‹/spec/limits/calls›1 } else {}),
    [if env == 'dev' then 'left']: 1,
    [if env == 'prod' then ‹key:/spec/right›'right']: ‹/spec/right›1,
  },
}`},
		{name: "what a condition leaves out", text: `
local names = [‹/0/n›'a', 'bb', ‹/1/n›'c', 'dd', ‹/2/n›'e'];
[{ n: n } for n in names if std.length(n) == 1]`},
		{name: "what a condition that is not followed leaves out", text: `
local names = ['aa', ‹/0/n›'b', 'cc', ‹/1/n›'d'];
[{ n: n } for n in names if std.asciiUpper(n) != n && std.split(n, 'x')[0] == n && std.length(n) == 1]`},
		{name: "functions of std", text: `
local agents = { web: { model: ‹/0/model›'x' }, shop: { model: ‹/1/model›'y' } };
std.map(function(name) ‹/0 /1›{ name: name, model: agents[name].model }, [‹/0/name›'web', ‹/1/name›'shop'])`,
			files: map[string]string{}},
		{name: "self, super and $", text: `
{
  local at = self,
  name:: ‹/spec/a /spec/b /spec/c›'n',
  spec: { a: $.name, b: at.name } + { c: super.b },
}`},
		{name: "an object comprehension", text: `
{ tools: { [t]: { effect: ‹/tools/get/effect /tools/put/effect›'read' } for t in [‹key:/tools/get›'get', ‹key:/tools/put›'put'] } }`},
		{name: "a fold and a patch", text: `
local all = std.foldl(function(acc, x) acc { [x]: x }, [‹/a/y key:/a/y›'y'], {});
{ a: all, b: std.mergePatch({ x: { y: ‹/b/x/y›1, z: 2 } }, { x: { z: ‹/b/x/z›3 } }) }`},
		{name: "keys and values of objects", text: `
local agents = { b: { n: ‹/1/n›1 }, a: { n: ‹/0/n›2 } };
std.objectValues(agents) + std.objectValues(std.mapWithKey(function(k, v) { k: k, n: v.n }, { ‹/2/k›q: { n: ‹/2/n›3 } }))`},
		{name: "JSON that is imported", text: `
local base = import 'base.json';
base + { spec+: { model: ‹/spec/model›'m' } }`,
			files: map[string]string{"agents/base.json": `{"kind": ‹/kind›"Agent", "spec": {"persona": ‹/spec/persona›"p"}}`}},
		{name: "texts that are put together", text: `
local who = 'you';
{ spec: { a: ‹/spec/a›'hello ' + who, b: ‹/spec/b›'hello %s' % who, c: ‹/spec/c›|||
  Say hello.
|||, d: ‹/spec/d›importstr 'hello.md' } }`, files: map[string]string{"agents/hello.md": "Hi.\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{entry: c.text}
			maps.Copy(files, c.files)
			clean, marks := marked(t, files)
			out := jsonnet.Evaluate(jsonnet.Input{Entry: entry, Files: clean})
			if out.Fault != nil {
				t.Fatal(out.Fault)
			}
			if out.Places[""] == (jsonnet.Place{}) {
				t.Error("the whole has no place")
			}
			delete(marks, "")
			for _, mark := range slices.Sorted(maps.Keys(marks)) {
				places, pointer := out.Places, mark
				if key, ok := strings.CutPrefix(mark, "key:"); ok {
					places, pointer = out.Keys, key
				} else if mark == "/" {
					pointer = ""
				}
				if got := at(places, pointer); got != marks[mark] {
					t.Errorf("%s is at %s, and not at %s", mark, show(got), show(marks[mark]))
				}
			}
			if t.Failed() {
				t.Logf("%s\n%v", out.JSON, out.Places)
			}
		})
	}
}

func show(p jsonnet.Place) string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

func TestPlacesInALongLineAreFoundQuickly(t *testing.T) {
	const n = 60_000
	text := "[" + strings.Repeat("'ää',", n) + "{ x: 1 }]"
	out := jsonnet.Evaluate(jsonnet.Input{Entry: entry, Files: map[string]string{entry: text}})
	if out.Fault != nil {
		t.Fatal(out.Fault)
	}
	for i, pointer := range map[int]string{0: "/0", 1: "/1", n - 1: fmt.Sprintf("/%d", n-1)} {
		if got, want := out.Places[pointer], (jsonnet.Place{File: entry, Line: 1, Column: 2 + 5*i}); got != want {
			t.Errorf("%s is at %s, and not at %s", pointer, show(got), show(want))
		}
	}
}
