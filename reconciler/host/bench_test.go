package host_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/spec"
)

// BenchmarkColdStart is the time from nothing to the end of an agent's first run, with the reference runtime.
func BenchmarkColdStart(b *testing.B) {
	path := filepath.Join(b.TempDir(), "mainstay-loop")
	build := exec.Command("go", "build", "-o", path, "../../plugins/loop/mainstay-loop")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	h := newHost(b, func(o *host.Options) {
		o.Runtimes = func(string) (host.Runtime, error) { return host.Runtime{Path: path}, nil }
	})
	for b.Loop() {
		start(b, h, host.Agent{Name: "a", Digest: "d", Runtime: "loop"})
		s := open(b, h, "hello")
		m, err := s.Recv()
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Answer(m.ID, m.Request.Kind, spec.Answer{Body: []byte(`{"text":"hello"}`)}); err != nil {
			b.Fatal(err)
		}
		if m, err = s.Recv(); err != nil || m.Result == nil {
			b.Fatal(m, err)
		}
		s.Close()
		b.StopTimer()
		if err := h.Stop(b.Context(), "a"); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
