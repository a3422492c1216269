package reconciler

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/spec"
)

func TestConditionsSayOneThing(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	later := begin.Add(time.Hour)
	tests := []struct {
		name string
		say  []verdict
		want map[string]string
	}{
		{"ready is ready alone", []verdict{ready("Loaded", "")}, map[string]string{"Ready": "True"}},
		{"reconciling is not ready", []verdict{reconciling("Starting", "")}, map[string]string{"Ready": "False", "Reconciling": "True"}},
		{"stalled takes the place of reconciling", []verdict{reconciling("Starting", ""), stalled("Failed", "")},
			map[string]string{"Ready": "False", "Stalled": "True"}},
		{"ready clears both", []verdict{stalled("Failed", ""), reconciling("Starting", ""), ready("Loaded", "")}, map[string]string{"Ready": "True"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := conditions(nil, begin, tt.say[0])
			for _, v := range tt.say[1:] {
				got = conditions(got, later, v)
			}
			kinds := map[string]string{}
			for _, c := range got {
				kinds[c.Type] = string(c.Status)
			}
			if d := cmp.Diff(tt.want, kinds); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTheTimeOfATransitionIsKeptWhileNothingChanges(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	first := conditions(nil, begin, ready("Loaded", "at main@1111111"))
	again := conditions(first, begin.Add(time.Hour), ready("Loaded", "at main@2222222"))
	if got := again[0].LastTransitionTime.Time; !got.Equal(begin) {
		t.Errorf("the transition is told as of %v", got)
	}
	if again[0].Message != "at main@2222222" {
		t.Errorf("the message is %q", again[0].Message)
	}
	fell := conditions(again, begin.Add(2*time.Hour), stalled("Failed", ""))
	for _, c := range fell {
		if !c.LastTransitionTime.Time.Equal(begin.Add(2 * time.Hour)) {
			t.Errorf("%s changed at %v", c.Type, c.LastTransitionTime)
		}
	}
}

func TestResourcesComeAfterWhatTheyDependOn(t *testing.T) {
	ref := func(kind spec.Kind, name string) spec.Ref { return spec.Ref{Kind: kind, Name: name} }
	resources := []spec.Resource{
		{Ref: ref(spec.KindTrigger, "nightly"), DependsOn: []spec.Ref{ref(spec.KindAgent, "a")}},
		{Ref: ref(spec.KindAgent, "a"), DependsOn: []spec.Ref{ref(spec.KindModel, "a"), ref(spec.KindToolServer, "z")}},
		{Ref: ref(spec.KindModel, "a")}, // The same name as the agent: the kind tells them apart.
		{Ref: ref(spec.KindToolServer, "z")},
	}
	sorted, err := inOrder(resources)
	if err != nil {
		t.Fatal(err)
	}
	at := map[spec.Ref]int{}
	for i, r := range sorted {
		at[r.Ref] = i
	}
	if len(at) != len(resources) {
		t.Fatalf("%d resources came back, want %d", len(at), len(resources))
	}
	for _, r := range resources {
		for _, dep := range r.DependsOn {
			if at[dep] > at[r.Ref] {
				t.Errorf("%s comes before %s, which it depends on", r.Ref, dep)
			}
		}
	}
}
