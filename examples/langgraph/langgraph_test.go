package langgraph

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/spec"
)

// paths lists the files of a tree that belong to the example.
func paths(t *testing.T, tree fs.FS) []string {
	t.Helper()
	var list []string
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "dist"):
			return fs.SkipDir
		case !d.IsDir() && !strings.HasSuffix(name, ".go"):
			list = append(list, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestFilesAreAllOfTheFolderButGoCode(t *testing.T) {
	if want, got := paths(t, os.DirFS(".")), paths(t, Files()); !slices.Equal(want, got) {
		t.Errorf("embedded are\n%q\nthe folder holds\n%q", got, want)
	}
}

// The story langgraph_story of cmd/mainstay runs the example; here it is enough that it has no problem.
func TestTheExampleHasNoProblem(t *testing.T) {
	fleet, problems := spec.Load(Files(), spec.LoadOptions{})
	if len(problems) > 0 {
		t.Fatalf("the example has problems:\n%s", problems)
	}
	if agent := fleet.Agents["incident"]; agent == nil || agent.Runtime != "incident" || len(agent.Tools) != 3 {
		t.Fatalf("incident is not what it says: %+v", agent)
	}
}
