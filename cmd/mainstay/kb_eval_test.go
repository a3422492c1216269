package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// told is what a person is told, who asks to stop as soon as it begins with this.
type told struct {
	bytes.Buffer
	stop func()
}

func (w *told) Write(b []byte) (int, error) {
	w.stop()
	return w.Buffer.Write(b)
}

// A signal ends a measurement wherever it is, and nothing that was measured in part is told as the whole.
func TestAMeasurementIsInterrupted(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"corpus.jsonl": `{"_id":"a","text":"pod"}`, "queries.jsonl": `{"_id":"1","text":"pod"}`, "qrels.tsv": "1\ta\t1\n1\tb\t1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, early := range map[string]bool{"while documents are read": true, "when all was asked": false} {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		if early {
			stop()
		}
		var stdout bytes.Buffer
		stderr := &told{stop: stop}
		if code := run(ctx, environment{}, []string{"kb", "eval", dir}, strings.NewReader(""), &stdout, stderr); code != exitFailed {
			t.Errorf("%s: exit code %d", name, code)
		}
		if got := stderr.String(); stdout.Len() > 0 || !strings.HasSuffix(got, "mainstay: interrupted\n") {
			t.Errorf("%s: stdout %q, stderr %q", name, &stdout, got)
		}
	}
}

// An error may quote what somebody else has written.
func TestAnErrorTellsATerminalNothing(t *testing.T) {
	var stderr bytes.Buffer
	if code := run(t.Context(), environment{}, []string{"kb", "eval", "no\x1b[31mwhere"}, strings.NewReader(""), &stderr, &stderr); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if got := stderr.String(); !strings.HasPrefix(got, "mainstay: collection no\uFFFD[31mwhere: ") {
		t.Errorf("got %q", got)
	}
}
