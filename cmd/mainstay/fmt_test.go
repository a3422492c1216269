package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Every example is what `mainstay fmt` writes.
func TestExamplesAreFormatted(t *testing.T) {
	roots, err := filepath.Glob("../../examples/*/mainstay.yaml")
	if err != nil || len(roots) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, root := range roots {
		if out, err := exec.Command(filepath.Join(executables(t), "mainstay"), "fmt", "--diff", "--check", filepath.Dir(root)).CombinedOutput(); err != nil {
			t.Errorf("run `mainstay fmt %s`: %v\n%s", filepath.Dir(root), err, out)
		}
	}
}
