package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A socket's path has a limit that differs between systems; what listens there says only that an argument is invalid.
func TestASocketsPathThatIsTooLongSaysWhatToDo(t *testing.T) {
	short, err := os.MkdirTemp("/tmp", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(short)
	long := filepath.Join(short, strings.Repeat("x", maxSocketPath))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", short)
	for state, name := range map[string]string{short: "daemon.sock", long: ".sock"} {
		path, err := socketPath(state)
		if err != nil || !strings.HasPrefix(path, short) || !strings.HasSuffix(path, name) || len(path) > maxSocketPath {
			t.Errorf("%s: %s, %v", state, path, err)
		}
	}
	t.Setenv("TMPDIR", long)
	if path, err := socketPath(long); err == nil || !strings.Contains(err.Error(), "choose a shorter --state, or a shorter TMPDIR") {
		t.Errorf("%s, %v", path, err)
	}
}
