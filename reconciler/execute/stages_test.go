package execute_test

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/spec"
)

// stages are the moments that most cases begin from, so that each is only made once.
type stages struct {
	world    *world // that has no Action yet
	id       spec.ActionID
	proposed string // the repository in which the first Action is proposed
	approved string // and where it is approved
}

func newStages(t *testing.T) *stages {
	t.Helper()
	w := newWorld(t)
	s := &stages{world: w}
	begin := w.dir
	w.dir = w.copyOf(begin)
	s.id = w.propose(1, nil)
	s.proposed = w.copyOf(w.dir)
	w.approve(1)
	s.approved, w.dir = w.dir, begin
	return s
}

// begin is a world of its own without an Action.
func (s *stages) begin(t *testing.T) *world {
	t.Helper()
	w := &world{
		TB: t, clock: &clock{at: s.world.clock.now()}, reviewer: s.world.reviewer, robot: s.world.robot, second: s.world.second,
		genesis: s.world.genesis, effects: &effects{count: maps.Clone(s.world.effects.count)}, options: func(*execute.Options) {}, stages: s,
	}
	w.dir = w.copyOf(s.world.dir)
	return w
}

// copyOf is another repository with the same content.
func (w *world) copyOf(dir string) string {
	w.Helper()
	to := filepath.Join(w.TempDir(), "remote.git")
	w.ok(os.CopyFS(to, os.DirFS(dir)))
	return to
}

// proposal is propose(1, nil) in a world where nothing was done before.
func (w *world) proposal() spec.ActionID {
	w.Helper()
	w.dir = w.copyOf(w.stages.proposed)
	return w.stages.id
}

// approval is approved(1, nil) in a world where nothing was done before.
func (w *world) approval() spec.ActionID {
	w.Helper()
	w.dir = w.copyOf(w.stages.approved)
	return w.stages.id
}
