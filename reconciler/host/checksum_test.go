package host_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/spec"
)

// A runtime is started only while its executable is the one that the lock pins; the one that comes with Mainstay is not pinned.
func TestARuntimeIsTheOneThatIsPinned(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "mainstay-graph")
	write := func(content []byte) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path+".new", content, 0o755), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	write(raw)
	h := newHost(t, func(o *host.Options) {
		o.Runtimes = func(string) (host.Runtime, error) { return host.Runtime{Path: path, Args: []string{"honest"}}, nil }
	})
	start := func(runtime string) error {
		t.Helper()
		err := h.Start(host.Agent{Name: "a", Digest: "sha256:1", Runtime: runtime})
		if err == nil {
			do(t, h, "say x")
			if err := h.Stop(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
		}
		return err
	}
	refused := func(what string, want string) {
		t.Helper()
		err := start("graph")
		mismatch, ok := errors.AsType[*spec.LockMismatch](err)
		if !ok || mismatch.Error() != want {
			t.Fatalf("%s: %v\nwant %s", what, err, want)
		}
	}
	if err := start("graph"); err != nil {
		t.Fatal("without a lock:", err)
	}
	lock := spec.NewLock(spec.LockFile)
	h.Accept(lock)
	refused("a runtime that is not pinned", "Runtime/graph is not what mainstay.lock pins, and is refused until you run `mainstay lock` and commit the result: "+host.Platform+": not pinned")
	if err := start(spec.DefaultRuntime); err != nil {
		t.Fatal("the reference runtime:", err)
	}
	digest, err := host.Checksum(path)
	if err != nil || digest != spec.DigestBytes(raw) {
		t.Fatal(digest, err)
	}
	lock.Runtimes["graph"] = spec.RuntimePin{host.Platform: digest, "plan9/386": "sha256:0"}
	if err := start("graph"); err != nil {
		t.Fatal("the executable that is pinned:", err)
	}
	other := append(raw, '\n') // Executables may have anything at their end.
	write(other)
	refused("another executable", "Runtime/graph is not what mainstay.lock pins, and is refused until you run `mainstay lock` and commit the result: "+
		host.Platform+": [-"+string(digest)+"-]{+"+string(spec.DigestBytes(other))+"+}")
	write(raw)
	if err := start("graph"); err != nil {
		t.Fatal("the executable that is pinned, again:", err)
	}
}
