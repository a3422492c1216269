package plan_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/spec"
)

func fleet(agents map[spec.AgentName]spec.Digest, actions ...spec.ActionID) *spec.Fleet {
	f := &spec.Fleet{Agents: map[spec.AgentName]*spec.Agent{}, Actions: map[spec.ActionID]*spec.Action{}}
	for name, digest := range agents {
		f.Agents[name] = &spec.Agent{Name: name, Resource: spec.Resource{Digest: digest}}
	}
	for _, id := range actions {
		f.Actions[id] = &spec.Action{ID: id, Spec: spec.ActionSpec{Summary: "do " + string(id)}}
	}
	return f
}

func TestDiff(t *testing.T) {
	tests := []struct {
		name     string
		observed plan.Observed
		fleet    *spec.Fleet
		want     []string
	}{
		{"an empty fleet over nothing does nothing", plan.Observed{}, fleet(nil), nil},
		{"a declared agent starts", plan.Observed{}, fleet(map[spec.AgentName]spec.Digest{"a": "sha256:1"}), []string{"start Agent/a"}},
		{"an unchanged agent is left alone",
			plan.Observed{Agents: map[spec.AgentName]spec.Digest{"a": "sha256:1"}},
			fleet(map[spec.AgentName]spec.Digest{"a": "sha256:1"}), nil},
		{"a changed agent is replaced",
			plan.Observed{Agents: map[spec.AgentName]spec.Digest{"a": "sha256:1"}},
			fleet(map[spec.AgentName]spec.Digest{"a": "sha256:2"}), []string{"replace Agent/a"}},
		{"agents stop before others are replaced or started, and actions come last",
			plan.Observed{Agents: map[spec.AgentName]spec.Digest{"z": "sha256:1", "b": "sha256:1"}},
			fleet(map[spec.AgentName]spec.Digest{"a": "sha256:1", "b": "sha256:2"}, "x-1"),
			[]string{"stop Agent/z", "replace Agent/b", "start Agent/a", "execute Action/x-1"}},
		{"a settled action is never a step again",
			plan.Observed{Settled: map[spec.ActionID]bool{"x-1": true}}, fleet(nil, "x-1", "x-2"), []string{"execute Action/x-2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, s := range plan.Diff(tt.observed, tt.fleet) {
				got = append(got, fmt.Sprintf("%s %s", s.Verb, s.Ref))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// Applying the steps to what is observed gives what is declared, and then nothing is left to do.
func TestApplyingThePlanConverges(t *testing.T) {
	names := rapid.SampledFrom([]spec.AgentName{"a", "b", "c", "d"})
	digests := rapid.SampledFrom([]spec.Digest{"sha256:1", "sha256:2", "sha256:3"})
	ids := rapid.SampledFrom([]spec.ActionID{"x-1", "x-2", "x-3"})
	rapid.Check(t, func(t *rapid.T) {
		running := rapid.MapOf(names, digests).Draw(t, "running")
		declared := rapid.MapOf(names, digests).Draw(t, "declared")
		settled := rapid.MapOf(ids, rapid.Just(true)).Draw(t, "settled")
		f := fleet(declared, rapid.SliceOfDistinct(ids, rapid.ID).Draw(t, "actions")...)
		observed := plan.Observed{Agents: running, Settled: settled}

		steps := plan.Diff(observed, f)
		if again := plan.Diff(observed, f); !slices.Equal(steps, again) {
			t.Fatalf("two calls differ: %v and %v", steps, again)
		}
		for _, s := range steps {
			name := spec.AgentName(s.Ref.Name)
			switch s.Verb {
			case plan.Stop:
				delete(running, name)
			case plan.Replace, plan.Start:
				if running[name] == s.To {
					t.Fatalf("%s touches an agent that runs as declared", s)
				}
				running[name] = s.To
			case plan.Execute:
				if settled[spec.ActionID(s.Ref.Name)] {
					t.Fatalf("%s executes a settled action", s)
				}
				settled[spec.ActionID(s.Ref.Name)] = true
			}
		}
		if left := plan.Diff(observed, f); len(left) != 0 {
			t.Fatalf("steps left after applying the plan: %v", left)
		}
	})
}
