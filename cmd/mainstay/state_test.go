package main

import (
	"errors"
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

// Whoever owns the folder of a socket can put another one in its place.
func TestASocketsFolderOfAnotherUserIsRefused(t *testing.T) {
	short, err := os.MkdirTemp("/tmp", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(short)
	t.Setenv("TMPDIR", short)
	long := filepath.Join(short, strings.Repeat("x", maxSocketPath))
	path, err := socketPath(long)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := socketPath(long); err == nil || !strings.Contains(err.Error(), "is not a private folder of this user") {
		t.Errorf("a folder that anybody may write to: %v", err)
	}
	if os.Getuid() != 0 {
		return // Only root can give a folder away.
	}
	if err := errors.Join(os.Chmod(filepath.Dir(path), 0o700), os.Chown(filepath.Dir(path), 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	if _, err := socketPath(long); err == nil || !strings.Contains(err.Error(), "is not a private folder of this user") {
		t.Errorf("a folder of somebody else: %v", err)
	}
}
