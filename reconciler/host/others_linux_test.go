package host_test

import (
	"os/exec"
	"runtime"
	"testing"
)

// The thread that starts an agent's process and waits for it may have started another one before, for a goroutine that waits for
// that elsewhere.
func TestAProcessOfSomeoneElseIsLeftToThem(t *testing.T) {
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	h := newHost(t, nil, "honest")
	a := agentA
	a.Scale.IsolateRuns = true
	start(t, h, a)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // One thread after the other runs goroutines.
	for range 20 {
		other := exec.Command(cat)
		in, err := other.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		s := open(t, h, "echo hello")
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := other.Wait(); err != nil {
			t.Errorf("somebody else has waited for it: %v", err)
		}
		s.Close()
	}
}
