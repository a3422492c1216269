package plan_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/reconciler/plan"
)

// What is widened without an overlay is not told for an environment again, and what is the same in two of them is told once.
func TestWhatIsWidenedInEnvironments(t *testing.T) {
	with := func(turns, toolCalls string) *plan.Change {
		after := maps.Clone(base)
		after["agents/patcher.md"] = strings.Replace(base["agents/patcher.md"], "turns: 40", "turns: "+turns+", toolCalls: "+toolCalls, 1)
		return plan.Compare(load(t, base), load(t, after), plan.Paths{})
	}
	c := with("60", "100")
	c.AddEnvironment("dev", with("60", "100"))
	c.AddEnvironment("prod", with("60", "300"))
	c.AddEnvironment("stage", with("80", "300"))
	var got []string
	for _, p := range c.Widened {
		got = append(got, strings.Join(p.Env, "+")+" "+p.Resources[0].Name+" "+p.Text)
	}
	want := []string{
		" patcher loosened limits.turns from 40 to 60",
		"prod+stage patcher loosened limits.toolCalls from 100 to 300",
		"stage patcher loosened limits.turns from 40 to 80",
	}
	if d := cmp.Diff(want, got); d != "" || c.Summary.Widened != len(want) {
		t.Errorf("%d: %s", c.Summary.Widened, d)
	}
}
