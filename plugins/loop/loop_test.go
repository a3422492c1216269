package loop_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/mainstay-dev/mainstay/plugins/plugintest"
)

func TestLoopIsARuntime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mainstay-loop")
	if out, err := exec.Command("go", "build", "-o", path, "./mainstay-loop").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	plugintest.Run(t, path)
}
