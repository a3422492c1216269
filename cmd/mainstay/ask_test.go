package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheNameOfAnImageIsHarmlessInAnError(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a\x1b[31m.png")
	if err := os.WriteFile(name, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readImages([]string{name}); err == nil || strings.Contains(err.Error(), "\x1b") || !strings.Contains(err.Error(), "it is no PNG") {
		t.Errorf("%q", err)
	}
}
