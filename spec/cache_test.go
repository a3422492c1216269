package spec_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/spec"
)

// identified is a folder whose files and folders have ids, as those of a Git commit have.
type identified struct {
	fstest.MapFS
	ids map[string]string
}

func withIDs(files fstest.MapFS) identified {
	sums := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sum := sha1.Sum(files[name].Data)
		sums[name] = hex.EncodeToString(sum[:])
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			sum := sha1.Sum([]byte(sums[dir] + "\n" + name + " " + sums[name]))
			sums[dir] = hex.EncodeToString(sum[:])
		}
	}
	return identified{files, sums}
}

func (i identified) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := i.MapFS.ReadDir(name)
	for n, e := range entries {
		entries[n] = entryWithID{e, i.ids[path.Join(name, e.Name())]}
	}
	return entries, err
}

type entryWithID struct {
	fs.DirEntry
	id string
}

func (e entryWithID) ID() string { return e.id }

// changes are texts that a change of a repository replaces. Some of what they make is broken.
var changes = [][2]string{
	{"Say what", "Tell what"}, {"Tell what", "Say what"}, {"name: triage", "name: reader"}, {"name: reader", "name: triage"},
	{"model: default", "model: defualt"}, {"defualt", "default"}, {"Never guess.", "Never lie."}, {"Never lie.", "Never guess."},
	{"effect: write", "effect: read"}, {"effect: read", "effect: write"}, {"wallTime: 5m", "wallTime: 6m"}, {"wallTime: 6m", "wallTime: 5m"},
	{"turns: 30", "turns: 2000"}, {"turns: 2000", "turns: 30"}, {"seed: 1", "seed: 2"}, {"seed: 2", "seed: 1"},
	{"carefully", "{{ missing }}"}, {"{{ missing }}", "carefully"}, {"spec:", "sepc:"}, {"sepc:", "spec:"}, {"kind: Agent", "kind: Agnet"}, {"kind: Agnet", "kind: Agent"},
	{"-w", "-l"}, {"-l", "-w"}, {"> 3", "> 4"}, {"> 4", "> 3"}, {"extends: colleague", "extends: engineer"}, {"extends: engineer", "extends: colleague"},
	{"Robin", "Sam"}, {"Sam", "Robin"}, {"daily", "nightly"}, {"nightly", "daily"},
}

// TestTheCacheChangesNothing changes a repository again and again, and compares what is loaded with what is loaded without
// a cache.
func TestTheCacheChangesNothing(t *testing.T) {
	base := copyOf(t, os.DirFS("testdata/complete"))
	rapid.Check(t, func(t *rapid.T) {
		files := maps.Clone(base)
		var cache spec.Cache
		for range rapid.IntRange(2, 12).Draw(t, "revisions") {
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				name := rapid.SampledFrom(slices.Sorted(maps.Keys(files))).Draw(t, "file")
				switch rapid.IntRange(0, 5).Draw(t, "how") {
				case 0:
					delete(files, name)
				case 1: // It is there again, or twice.
					from := rapid.SampledFrom(slices.Sorted(maps.Keys(base))).Draw(t, "copied")
					files[path.Join(path.Dir(from), "copy-"+path.Base(from))] = base[from]
				case 2:
					from := rapid.SampledFrom(slices.Sorted(maps.Keys(base))).Draw(t, "restored")
					files[from] = base[from]
				default:
					change := rapid.SampledFrom(changes).Draw(t, "change")
					files[name] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(string(files[name].Data), change[0], change[1]))}
				}
				if len(files) == 0 {
					files = maps.Clone(base)
				}
			}
			env := rapid.SampledFrom([]string{"", "", "dev", "prod", "none"}).Draw(t, "env")
			with, problems := spec.Load(withIDs(files), spec.LoadOptions{Env: env, Cache: &cache})
			without, want := spec.Load(files, spec.LoadOptions{Env: env})
			if diff := cmp.Diff(want, problems, cmpopts.EquateComparable(spec.Problem{})); diff != "" {
				t.Fatalf("the problems are others: %s", diff)
			}
			if diff := cmp.Diff(summary(without), summary(with)); diff != "" {
				t.Fatalf("the fleet is another one: %s", diff)
			}
		}
	})
}

// summary is all of a fleet that can be compared.
func summary(f *spec.Fleet) any {
	if f == nil {
		return nil
	}
	agents, triggers := map[string]any{}, []any{}
	for name, a := range f.Agents {
		agents[string(name)] = []any{a.Resource, a.Description, a.Instructions, a.Model.Resource, a.Limits, len(a.Tools), len(a.Skills), a.ReadPaths, f.Models[a.Model.Name] == a.Model}
	}
	for _, t := range f.Triggers {
		triggers = append(triggers, t.Resource, t.Task, t.Paths)
	}
	return []any{f.Digest, f.Resources, agents, triggers, f.Expires, len(f.Policies), len(f.Actions)}
}

// BenchmarkLoadAfterOneChange is to load thousands of resources again of which one has changed.
func BenchmarkLoadAfterOneChange(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("resources=%d", n), func(b *testing.B) {
			files := manyAgents(n)
			var cache spec.Cache
			spec.Load(withIDs(files), spec.LoadOptions{Cache: &cache})
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				files["agents/team-1/agent-70.md"] = &fstest.MapFile{Data: fmt.Appendf(nil, "Look after it, for the %dth time.\n", i)}
				root := withIDs(files)
				b.StartTimer()
				if _, problems := spec.Load(root, spec.LoadOptions{Cache: &cache}); len(problems) > 0 {
					b.Fatal(problems)
				}
			}
		})
	}
}

// manyAgents is a repository with this many resources.
func manyAgents(resources int) fstest.MapFS {
	files := fstest.MapFS{"mainstay.yaml": {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: many}\nspec: {defaults: {model: m0}}\n")}}
	for i := range resources / 100 {
		files[fmt.Sprintf("models/m%d.yaml", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: m%d}\nspec: {provider: ollama, name: qwen3}\n", i)}
	}
	for i := range resources - resources/100 - 1 {
		files[fmt.Sprintf("agents/team-%d/agent-%d.md", i/50, i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "---\ndescription: Agent %d.\nmodel: m%d\n---\nLook after service %d.\n", i, i%(resources/100), i)}
	}
	return files
}
