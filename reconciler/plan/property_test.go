package plan_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/spec"
)

// fleets draws repositories that have much in common: each choice is one of a few.
func fleets(t *rapid.T, label string) *spec.Fleet {
	pick := func(options ...any) any { return rapid.SampledFrom(options).Draw(t, label) }
	root := fstest.MapFS{}
	put := func(path, kind, name string, fields map[string]any) {
		for field, value := range fields {
			if value == nil {
				delete(fields, field)
			}
		}
		raw, err := json.Marshal(map[string]any{"apiVersion": spec.APIVersion, "kind": kind, "metadata": map[string]any{"name": name}, "spec": fields})
		if err != nil {
			t.Fatal(err)
		}
		root[path] = &fstest.MapFile{Data: raw}
	}
	put("mainstay.yaml", "Fleet", "shop", map[string]any{"defaults": map[string]any{"model": "m", "limits": map[string]any{"turns": pick(10, 20)}}})
	put("models/m.json", "Model", "m", map[string]any{"provider": "ollama", "name": pick("a", "b"), "endpoint": pick(nil, "http://one.example.com", "http://two.example.com")})
	put("models/n.json", "Model", "n", map[string]any{"provider": "ollama", "name": "n"})
	put("personas/p.json", "Persona", "p", map[string]any{"role": pick("R", "S"), "boundaries": pick(nil, []string{"Never."}, []string{"Never.", "Nowhere."})})
	tool := func() map[string]any {
		effect := pick("read", "write", "denied")
		if effect == "write" {
			return map[string]any{"effect": effect, "idempotent": pick(true, false), "precondition": pick(map[string]any{"tool": "look", "check": "true"}, map[string]any{"tool": "look", "check": "result"})}
		}
		return map[string]any{"effect": effect}
	}
	put("tools/s.json", "ToolServer", "s", map[string]any{"command": []string{"s", pick("x", "y").(string)}, "timeout": pick(nil, "1m"),
		"tools": map[string]any{"look": map[string]any{"effect": "read"}, "a": tool(), "b": tool()}})
	root["skills/k/SKILL.md"] = &fstest.MapFile{Data: []byte("---\nname: k\ndescription: K.\n---\n" + pick("One.", "Two.").(string))}
	for _, name := range []string{"one", "two", "three"} {
		if rapid.Bool().Draw(t, label+" has "+name) {
			put("agents/"+name+".json", "Agent", name, map[string]any{
				"instructions": pick("Do.", "Do it.\nNow."), "persona": pick(nil, "p"), "model": pick(nil, "n"), "runtime": pick(nil, "other"),
				"tools": pick(nil, []any{map[string]any{"server": "s"}}, []any{map[string]any{"server": "s", "allow": []string{"look"}}}),
				"files": pick(nil, map[string]any{"read": []string{"a/**"}}, map[string]any{"read": []string{"a/b/**", "c"}}), "skills": pick(nil, []string{"k"}),
				"proposals": pick(nil, map[string]any{"paths": []string{"a/**"}}), "limits": pick(nil, map[string]any{"turns": 15}, map[string]any{"tokens": 5}),
				"memory": pick(nil, map[string]any{}, map[string]any{"scope": "fleet"}), "scale": pick(nil, map[string]any{"warm": 1}),
				"output": pick(nil, map[string]any{"verify": []string{"true"}}), "isolation": pick(nil, map[string]any{"require": "uid"}, map[string]any{"exec": []string{"jq"}}),
			})
		}
	}
	f, problems := spec.Load(root, spec.LoadOptions{})
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	return f
}

func compare(before, after *spec.Fleet) *plan.Change {
	return plan.Compare(before, after, plan.Paths{Known: true})
}

func TestAFleetIsLikeItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := fleets(t, "f")
		if c := compare(f, f); !c.Empty() {
			t.Fatalf("%+v", c)
		}
	})
}

// What one direction gains the other loses, in the same order whenever it is asked.
func TestBackIsTheOppositeOfThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := fleets(t, "a"), fleets(t, "b")
		there, back := compare(a, b), compare(b, a)
		if again := compare(a, b); asJSON(t, there) != asJSON(t, again) {
			t.Fatalf("two calls differ: %s and %s", asJSON(t, there), asJSON(t, again))
		}
		if there.Summary.Added != back.Summary.Removed || there.Summary.Changed != back.Summary.Changed || there.Summary.Removed != back.Summary.Added {
			t.Fatalf("%+v and %+v", there.Summary, back.Summary)
		}
		opposite := map[plan.Mode]plan.Mode{plan.Added: plan.Removed, plan.Removed: plan.Added, plan.Changed: plan.Changed}
		for i, x := range there.Agents {
			y := back.Agents[i]
			if x.Name != y.Name || x.Mode != opposite[y.Mode] {
				t.Fatalf("%v and %v", x, y)
			}
			if x.Mode != plan.Changed {
				continue
			}
			for _, lists := range [][2]*plan.Names{{x.Skills, y.Skills}, {x.ReadPaths, y.ReadPaths}, {x.ProposePaths, y.ProposePaths}} {
				if lists[0] == nil && lists[1] == nil {
					continue
				}
				if lists[0] == nil || lists[1] == nil || !slices.Equal(lists[0].Gained, lists[1].Lost) || !slices.Equal(lists[0].Lost, lists[1].Gained) {
					t.Fatalf("%v and %v", lists[0], lists[1])
				}
			}
			if x.Tools != nil && (y.Tools == nil || fmt.Sprint(x.Tools.Gained, x.Tools.Lost) != fmt.Sprint(y.Tools.Lost, y.Tools.Gained)) {
				t.Fatalf("%v and %v", x.Tools, y.Tools)
			}
		}
	})
}

// An agent whose digest is another one has a difference that can be seen, and one whose digest is the same has none. Whatever
// it can do that it could not do before is marked.
func TestNothingOfAnAgentIsHidden(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := fleets(t, "a"), fleets(t, "b")
		c := compare(a, b)
		told := map[spec.AgentName]plan.AgentChange{}
		for _, one := range c.Agents {
			told[one.Name] = one
		}
		marked := strings.Join(said(c.Widened), "\n")
		for name, after := range b.Agents {
			before := a.Agents[name]
			one, ok := told[name]
			if before == nil {
				if one.Mode != plan.Added || !strings.Contains(marked, "Agent/"+string(name)) {
					t.Fatalf("%s is new: %+v", name, one)
				}
				before = &spec.Agent{}
			} else if (before.Digest != after.Digest) != ok {
				t.Fatalf("%s had the digest %s, has %s, and is told of: %v", name, before.Digest, after.Digest, ok)
			}
			if ok && one.Model == nil && one.Tools == nil && one.Skills == nil && one.ReadPaths == nil && one.ProposePaths == nil && len(one.Fields) == 0 && one.Instructions == "" {
				t.Fatalf("%s is another one, and nothing is shown", name)
			}
			for _, tool := range after.Tools {
				i := slices.IndexFunc(before.Tools, func(old spec.Tool) bool { return old.Name == tool.Name })
				direct := i >= 0 && before.Tools[i].Effect == spec.EffectWrite && tool.Effect == spec.EffectRead
				if i < 0 && !strings.Contains(marked, "gained the "+tool.Effect+" tool "+tool.FullName()) || direct && !strings.Contains(marked, "changed the tool "+tool.Name+" from write to read") {
					t.Fatalf("%s may call %s (%s), and it is not marked:\n%s", name, tool.Name, tool.Effect, marked)
				}
				if i >= 0 && before.Tools[i].Precondition != nil && tool.Effect == spec.EffectWrite && before.Tools[i].Precondition.Check != tool.Precondition.Check && !strings.Contains(marked, "tools."+tool.Name+".precondition") {
					t.Fatalf("the precondition of %s is another one, and it is not marked:\n%s", tool.Name, marked)
				}
			}
			if before.Kind != "" && after.Limits.Turns > before.Limits.Turns && !strings.Contains(marked, "loosened limits.turns") {
				t.Fatalf("%s has more turns, and it is not marked:\n%s", name, marked)
			}
			for _, boundary := range before.Boundaries {
				if !slices.Contains(after.Boundaries, boundary) && !strings.Contains(marked, boundary) {
					t.Fatalf("%s lost %q, and it is not marked:\n%s", name, boundary, marked)
				}
			}
		}
	})
}

func asJSON(t *rapid.T, v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// BenchmarkCompare is the comparison of two fleets that differ in one agent. What is alike is not looked into, so that ten
// times the agents cost a microsecond for each more, where one that differs costs a hundred.
func BenchmarkCompare(b *testing.B) {
	for _, agents := range []int{1_000, 10_000} {
		root := func(changed string) fstest.MapFS {
			files := fstest.MapFS{
				"mainstay.yaml": {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: many}\nspec: {defaults: {model: m}}\n")},
				"models/m.yaml": {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: m}\nspec: {provider: ollama, name: m}\n")},
			}
			for i := range agents {
				files[fmt.Sprintf("agents/a%d.md", i)] = &fstest.MapFile{Data: []byte(fmt.Sprintf("Look after service %d.\n", i))}
			}
			files["agents/a17.md"] = &fstest.MapFile{Data: []byte(changed)}
			return files
		}
		before, _ := spec.Load(root("Look.\n"), spec.LoadOptions{})
		after, _ := spec.Load(root("Look again.\n"), spec.LoadOptions{})
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			for b.Loop() {
				if c := compare(before, after); len(c.Agents) != 1 {
					b.Fatal(c.Agents)
				}
			}
		})
	}
}
