package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// daemon starts `mainstay run` with a state folder of its own, and stops it when the test ends.
func (w world) daemon(state string) {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	log, err := os.Create(w.path(state + ".log"))
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(self, "run", "--repo", w.path("remote.git"), "--state", w.path(state), "--interval", "1s")
	cmd.Env = append(os.Environ(), asMainstay+"=1", "HOME="+w.dir, "CLUSTER_FILE="+w.path("cluster.json"),
		"MAINSTAY_SIGNING_KEY="+w.path("keys/reconciler"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			w.t.Errorf("%s ended with %v", state, err)
		}
		log.Close()
		if w.t.Failed() {
			b, _ := os.ReadFile(log.Name())
			w.t.Logf("%s:\n%s", state, b)
		}
	})
}

// eventually polls until done, which reads other processes' state.
func (w world) eventually(what string, done func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within a minute: %s", what)
		}
	}
}

func (w world) phases(state string) map[string]int {
	var stdout bytes.Buffer
	code := run(w.t.Context(), environment{}, []string{"get", "runs", "--state", w.path(state), "-o", "json"}, strings.NewReader(""), &stdout, io.Discard)
	var runs []spec.RunSummary
	phases := map[string]int{}
	if code == 0 && json.Unmarshal(stdout.Bytes(), &runs) == nil {
		for _, r := range runs {
			phases[r.Phase]++
		}
	}
	return phases
}

// Two reconcilers that know nothing of each other watch one remote. They make the same run, the same two proposals and,
// after the approval, one execution; both runs finish with its result.
func TestTwoReconcilersExecuteOnce(t *testing.T) {
	w := newWorld(t)
	w.daemon("one")
	w.daemon("two")
	w.eventually("both wait for the review", func() bool {
		return w.phases("one")[spec.PhaseWaiting] == 1 && w.phases("two")[spec.PhaseWaiting] == 1
	})
	if open := w.proposals(); len(open) != 2 {
		t.Fatalf("%d proposals are open, want 2", len(open))
	}
	w.approve()
	w.eventually("both runs succeed", func() bool {
		return w.phases("one")[spec.PhaseSucceeded] == 1 && w.phases("two")[spec.PhaseSucceeded] == 1
	})
	if n := w.restarts(); n != 1 {
		t.Errorf("the effect happened %d times, want 1", n)
	}
	if n := strings.Count(w.git("remote.git", "ls-tree", "-r", "--name-only", "mainstay/ledger"), "/started"); n != 1 {
		t.Errorf("the ledger has %d starts, want 1", n)
	}
}
