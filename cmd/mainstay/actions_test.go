package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/spec"
)

// An action that was started by a process that is no more is unknown until a person says what became of it. Then the run
// that waits for it is told, and everything has converged.
func TestAnUnknownActionIsResolvedByAPerson(t *testing.T) {
	seed := newWorld(t)
	seed.mainstay(0, seed.once()...)
	seed.approve()
	points := copyWorld(t, seed).points()
	at := slices.IndexFunc(points, func(p string) bool { return strings.HasPrefix(p, execute.PointBeforeEffect) })
	if at < 0 {
		t.Fatalf("no point before the effect: %q", points)
	}
	seed.killedAt(at + 1)
	_, id, _ := strings.Cut(points[at], execute.PointBeforeEffect+" ")
	seed.mainstay(1, seed.resolve(id, "ada", "--done")...) // Until its deadline it may still be under way.
	if e := seed.start([]string{clockAhead + "=30m"}, seed.resolve(id, "ada", "--retry")...); e.code != exitFailed || !strings.Contains(e.stderr, "--retry is possible from ") || !strings.Contains(e.stderr, "--done and --abandon are possible now") {
		t.Fatalf("it was let start once more while another clock may take it for under way: exit code %d\n%s", e.code, e.stderr)
	}
	later := []string{clockAhead + "=2h"}

	for _, tt := range []struct {
		flag, outcome, then, state, message string
		restarts                            int
	}{
		{"--done", "done", "done", "done", "I looked", 0},
		{"--abandon", "abandoned", "abandoned", "abandoned", "I looked", 0},
		{"--retry", "retry", "pending", "done", "", 1},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			w := copyWorld(t, seed)
			if e := w.start(later, w.once()...); e.code != exitFailed || !strings.Contains(e.stderr, "Unknown") {
				t.Fatalf("exit code %d\n%s", e.code, e.stderr)
			}
			if e := w.start(later, w.resolve(id, "reconciler", tt.flag)...); e.code != exitFailed || !strings.Contains(e.stderr, "not listed") {
				t.Fatalf("the reconciler decided: exit code %d\n%s", e.code, e.stderr)
			}
			if e := w.start(later, w.resolve(id, "ada", tt.flag)...); e.code != 0 || !strings.HasPrefix(e.stdout, "resolved "+id+" as "+tt.outcome) {
				t.Fatalf("exit code %d\n%s%s", e.code, e.stdout, e.stderr)
			}
			if e := w.start(later, w.resolve(id, "ada", tt.flag)...); e.code != exitFailed || !strings.Contains(e.stderr, "it is "+tt.then) {
				t.Fatalf("it was resolved twice: exit code %d\n%s", e.code, e.stderr)
			}
			if e := w.start(later, w.once()...); e.code != 0 {
				t.Fatalf("exit code %d\n%s", e.code, e.stderr)
			}
			if runs := w.runs(); len(runs) != 1 || runs[0].Phase != spec.PhaseSucceeded {
				t.Errorf("runs: %+v", runs)
			}
			if log := w.mainstay(0, "logs", string(w.runs()[0].Run), "--state", w.path("state"), "-o", "json").stdout; !strings.Contains(log, tt.message) || !strings.Contains(log, tt.state) {
				t.Errorf("the agent was not told:\n%s", log)
			}
			var actions []reconciler.ActionStatus
			w.get("actions", &actions)
			if len(actions) != 1 || actions[0].State != tt.state || !strings.Contains(actions[0].Message, tt.message) {
				t.Errorf("actions: %+v", actions)
			}
			if n := w.restarts(); n != tt.restarts {
				t.Errorf("the effect happened %d times, not %d", n, tt.restarts)
			}
		})
	}
}

func (w world) resolve(id, key, flag string) []string {
	return []string{"actions", "resolve", id, flag, "--reason", "I looked", "--repo", w.path("remote.git"), "--key", w.path("keys/" + key),
		"--name", "Ada", "--email", "ada@example.com"}
}
