package platformteam_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	platformteam "github.com/mainstay-dev/mainstay/examples/platform-team"
	"github.com/mainstay-dev/mainstay/spec"
)

// who lists the agents that have a tool.
func who(fleet *spec.Fleet, tool string) []string {
	var out []string
	for name, a := range fleet.Agents {
		if slices.ContainsFunc(a.Tools, func(t spec.Tool) bool { return t.Name == tool }) {
			out = append(out, string(name))
		}
	}
	slices.Sort(out)
	return out
}

func TestEnvironmentsDifferInWhatTheySay(t *testing.T) {
	type environment struct {
		Restarts     []string
		Models       map[string]string
		Precondition string
		Expires      time.Duration
		Triggers     int
		Clock        int // how many of the triggers are schedules
		TriageTokens int
	}
	is := func(env string) environment {
		f := load(t, platformteam.Files(), env)
		e := environment{Restarts: who(f, "restart_deployment"), Models: map[string]string{}, Expires: f.Expires, Triggers: len(f.Triggers),
			TriageTokens: f.Agents["incident-triage"].Limits.Tokens}
		for _, t := range f.Triggers {
			if t.Cron != nil {
				e.Clock++
			}
		}
		for name, m := range f.Models {
			e.Models[name] = strings.TrimSuffix(m.Spec.Provider+":"+m.Spec.Name, ":")
		}
		if p := f.Servers["cluster"].Spec.Tools["restart_deployment"].Precondition; p != nil {
			e.Precondition = p.Check
		}
		return e
	}
	all := []string{"incident-triage", "oncall-catalog", "oncall-checkout", "oncall-frontend", "rollout-watcher"}
	base := environment{Restarts: all, Models: map[string]string{"fast": "ollama:qwen3:1.7b", "default": "ollama:qwen3:8b", "deep": "ollama:qwen3:14b"},
		Precondition: "result.ready == result.replicas && result.replicas >= 2", Expires: 24 * time.Hour, Triggers: 12, Clock: 7, TriageTokens: 200000}
	dev, prod, rehearsal := base, base, base
	dev.Restarts, dev.Precondition, dev.Triggers, dev.Clock = nil, "", 5, 0
	dev.Models = map[string]string{"fast": "ollama:qwen3:0.6b", "default": "ollama:qwen3:0.6b", "deep": "ollama:qwen3:0.6b"}
	prod.Restarts, prod.Precondition = all[:4], "result.ready == result.replicas && result.replicas >= 3"
	prod.Models = map[string]string{"fast": "ollama:qwen3:4b", "default": "ollama:qwen3:14b", "deep": "ollama:qwen3:32b"}
	prod.Expires, prod.TriageTokens = 4*time.Hour, 400000
	rehearsal.Models = map[string]string{"fast": "scripted", "default": "scripted", "deep": "scripted"}
	for env, want := range map[string]environment{"": base, "dev": dev, "prod": prod, "rehearsal": rehearsal} {
		if diff := cmp.Diff(want, is(env)); diff != "" {
			t.Errorf("environment %q (-want +got):\n%s", env, diff)
		}
	}
}

// A rehearsal is of what runs: nothing but the models is different.
func TestARehearsalChangesNothingButTheModels(t *testing.T) {
	base, rehearsal := load(t, platformteam.Files(), ""), load(t, platformteam.Files(), "rehearsal")
	changed := map[spec.Kind][]string{}
	was := map[spec.Ref]spec.Digest{}
	for _, r := range base.Resources {
		was[r.Ref] = r.Digest
	}
	for _, r := range rehearsal.Resources {
		if r.Digest != was[r.Ref] && r.Kind != spec.KindAgent && r.Kind != spec.KindFleet { // Theirs are over the models'.
			changed[r.Kind] = append(changed[r.Kind], r.Name)
		}
	}
	if diff := cmp.Diff(map[spec.Kind][]string{spec.KindModel: {"deep", "default", "fast"}}, changed); diff != "" {
		t.Error(diff)
	}
	for name, a := range base.Agents {
		if diff := cmp.Diff(a.Instructions, rehearsal.Agents[name].Instructions); diff != "" {
			t.Errorf("%s is told something else:\n%s", name, diff)
		}
	}
}
