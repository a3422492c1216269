package spec_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/mainstay-dev/mainstay/spec"
)

var update = flag.Bool("update", false, "write testdata/problems.golden anew")

// TestProblems loads each broken repository in testdata/problems and compares all that is said about them with
// testdata/problems.golden, which is meant to be read from top to bottom.
func TestProblems(t *testing.T) {
	archives, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	var got bytes.Buffer
	for i, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		root := fstest.MapFS{}
		for _, f := range archive.Files {
			root[f.Name] = &fstest.MapFile{Data: f.Data}
		}
		opts := spec.LoadOptions{Jsonnet: inProcess}
		if filepath.Base(name) == "overlays.txtar" {
			opts.Env = "prod"
		}
		fleet, problems := spec.Load(root, opts)
		if (fleet == nil) != problems.HasErrors() {
			t.Errorf("%s: a fleet is there (%t) although there are errors (%t)", name, fleet != nil, problems.HasErrors())
		}
		if i > 0 {
			fmt.Fprintln(&got)
		}
		fmt.Fprintf(&got, "# %s: %s\n\n", filepath.Base(name), strings.TrimSpace(string(archive.Comment)))
		for _, p := range problems {
			fmt.Fprintln(&got, p)
		}
	}
	const golden = "testdata/problems.golden"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("the problems are not those of %s; if they should be, run go test ./spec -run TestProblems -update\n%s", golden, diff)
	}
}
