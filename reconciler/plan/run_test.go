package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/spec"
)

func TestRunsThatWouldStart(t *testing.T) {
	changed := plan.Paths{Known: true, Changed: []string{"README.md", "manifests/a.yaml"}, All: []string{"README.md", "charts/b.yaml", "manifests/a.yaml"}}
	schedule := plan.Run{Trigger: "nightly", Agent: "patcher", Mode: plan.Changed, When: plan.AtNextTime, Schedule: "0 7 * * * Europe/Berlin", Task: "Look around."}
	changes := plan.Run{Trigger: "changes", Agent: "patcher", When: plan.AtOnce, Globs: []string{"manifests/**"}, Paths: []string{"manifests/a.yaml"}, Matching: 1, Task: "Look at the changes."}
	charts := plan.Run{Trigger: "charts", Agent: "helper", Mode: plan.Added, When: plan.AtOnce, Globs: []string{"charts/**"}, Paths: []string{"charts/b.yaml"}, Matching: 1, Task: "Help."}
	unknown := changes
	unknown.When, unknown.Paths, unknown.Matching = plan.IfChanged, nil, 0
	hook := plan.Run{Trigger: "hook", Agent: "helper", Mode: plan.Added, When: plan.NotYet, Task: "Help."}
	for _, tt := range []struct {
		name  string
		edits []string
		paths plan.Paths
		want  []plan.Run
	}{
		{"a change of other files starts nothing", nil, plan.Paths{Known: true, Changed: []string{"README.md"}}, []plan.Run{}},
		{"a trigger that is as it was sees the files that change", nil, changed, []plan.Run{changes}},
		{"which files change is not known", nil, plan.Paths{}, []plan.Run{unknown}},
		{"a new trigger takes all files for changed", []string{"triggers/charts.yaml", "", "\nspec: {agent: helper, onRevision: {paths: [charts/**]}, task: Help.}"},
			plan.Paths{Known: true, All: changed.All}, []plan.Run{charts}},
		{"another schedule may be due at once", []string{"triggers/nightly.yaml", `"0 6 * * *"`, `"0 7 * * *", timeZone: Europe/Berlin`}, plan.Paths{Known: true}, []plan.Run{schedule}},
		{"what is only checked says so", []string{"triggers/hook.yaml", "", "\nspec: {agent: helper, webhook: {secret: {env: HOOK}}, task: Help.}"}, plan.Paths{Known: true}, []plan.Run{hook}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, plan.Compare(load(t, base), load(t, edited(t, tt.edits...)), tt.paths).Runs); d != "" {
				t.Error(d)
			}
		})
	}
}

// Where only digests are known, nothing is said to be as it was but what is, and all that differs is marked.
func TestDigestsTellWhatDiffersAndNotHow(t *testing.T) {
	before := load(t, base)
	c := plan.CompareDigests(before.Resources, before)
	if !c.Empty() {
		t.Errorf("a fleet differs from itself: %+v", c)
	}
	after := load(t, edited(t, "agents/helper.md", "Help.", "Help more.", "policies/guard.yaml", "", "-", "agents/new.md", "", "New.\n", "triggers/nightly.yaml", "", "-"))
	c = plan.CompareDigests(before.Resources, after)
	var got []string
	for _, r := range c.Resources {
		got = append(got, string(r.Mode)+" "+r.Ref.String())
	}
	if d := cmp.Diff([]string{"changed Agent/helper", "added Agent/new", "changed Fleet/shop", "removed Policy/guard", "removed Trigger/nightly"}, got); d != "" {
		t.Error(d)
	}
	want := "Agent/helper, Agent/new, Fleet/shop, Policy/guard may permit more: what it was before is not known"
	if d := cmp.Diff(want, strings.Join(said(c.Widened), "\n")); d != "" {
		t.Error(d)
	}
}

// A first commit is a change from nothing, and so is a last one to nothing.
func TestEitherSideMayDeclareNothing(t *testing.T) {
	f := load(t, base)
	there, back := plan.Compare(nil, f, plan.Paths{}), plan.Compare(f, nil, plan.Paths{})
	n := len(f.Resources)
	if there.Summary.Added != n || there.Summary.Changed+there.Summary.Removed > 0 || back.Summary.Removed != n || back.Summary.Changed+back.Summary.Added > 0 {
		t.Errorf("of %d resources: %+v and %+v", n, there.Summary, back.Summary)
	}
	if c := plan.Compare(nil, nil, plan.Paths{}); !c.Empty() {
		t.Errorf("%+v", c)
	}
	if c := plan.Compare(&spec.Fleet{}, &spec.Fleet{}, plan.Paths{}); !c.Empty() {
		t.Errorf("%+v", c)
	}
}
