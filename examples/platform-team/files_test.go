package platformteam

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
)

// paths lists the files of a tree that belong to the spec repository.
func paths(t *testing.T, tree fs.FS) []string {
	t.Helper()
	var list []string
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == "testdata":
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
	want, got := paths(t, os.DirFS(".")), paths(t, Files())
	if !slices.Equal(want, got) {
		t.Errorf("embedded are\n%q\nthe folder holds\n%q", got, want)
	}
}
