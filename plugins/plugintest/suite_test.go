package plugintest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/plugins/plugintest"
)

var runtime string

// TestMain builds testdata/runtime, once.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "plugintest")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		runtime = filepath.Join(dir, "runtime")
		if out, err := exec.Command("go", "build", "-o", runtime, "./testdata/runtime").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

func TestARuntimeWithoutFaultPasses(t *testing.T) {
	for _, kind := range []string{"good", "lanes"} {
		t.Run(kind, func(t *testing.T) { plugintest.Run(t, runtime, kind) })
	}
}

// Every check is there to find something: each fault is found by the check that is named beside it, which says so.
var faults = []struct{ fault, check, got string }{
	{"says-nothing", "start", "nothing"},
	{"exits", "start", "it ended: exit status 3 before it printed the line; its last words on stderr: no graph was found"},
	{"chatters", "start", `"Welcome!\n": it must have five or more parts`},
	{"chatters-long", "start", "a line of more than 4096 bytes"},
	{"no-newline", "start", "nothing"},
	{"tcp", "start", `part 3 is "tcp" and must be "unix"`},
	{"netrpc", "start", `part 5 is "netrpc" and must be "grpc"`},
	{"version-2", "start", `part 2 is "2" and must be "1"`},
	{"elsewhere", "start", "as PLUGIN_UNIX_SOCKET_DIR says"},
	{"no-socket", "start", "no such file"},
	{"no-health", "start", "unknown service grpc.health.v1.Health"},
	{"nameless", "describe", `name ""`},
	{"speaks-2", "describe", "protocol_versions [2]"},
	{"forgets-task", "answer", `{"messages":[]`},
	{"offers-nothing", "answer", "[]"},
	{"uses-no-ids", "answer", "a request with the id 0"},
	{"breaks-rules", "answer", `the lane "a lane" is not a name`},
	{"ends-twice", "answer", `a Result "hello"`},
	{"ends-badly", "answer", "it is over"},
	{"never-ends", "answer", "nothing for"},
	{"forgets-history", "history", "And now?"},
	{"forgets-results", "tools", `"ok"`},
	{"changes-arguments", "tools", `"arguments":{}`},
	{"makes-ids", "tools", `"own-c1"`},
	{"one-by-one", "parallel", "nothing for"},
	{"turns-round", "parallel", "c18 after c19"},
	{"has-no-bound", "outstanding", "a request of kind random|another request|one of kind random"},
	{"hides-errors", "tool-errors", "It did not work."},
	{"fails-mutely", "refusals", `a Failure "an error occurred"`},
	{"never-fails", "refusals", `a Result "Sorry."`},
	{"never-checks", "check", `a Result "four"`},
	{"shows-no-image", "images", `"role":"user","text":"What is it?"}`},
	{"forgets-images", "images", `"tool":"look"}`},
	{"joins-deltas", "deltas", `a Result "`},
	{"is-strict", "unknown", "an unknown message|a Failure"},
	{"says-run-id", "run-id", "(run 01jzrunid"},
	{"counts", "replay", "(run "},
	{"first-come", "lanes", "a tool's message|c3"},
	{"says-pid", "replay-process", "(process "},
	{"resumes", "replay-middle", "(resumed)"},
	{"mixes", "concurrent", ""},
	{"takes-little", "large", "larger than max"},
	{"dies-of-size", "too-large", "exit status 4"},
	{"ignores-cancel", "cancel", "nothing for"},
	{"waits-for-ever", "half-close", "nothing for"},
	{"leaks", "cut", "MiB more"},
	{"waits-for-start", "first-message", "nothing for"},
	{"dies-of-start", "second-start", "exit status 4"},
	{"dies-of-answer", "wrong-answers", "exit status 4"},
	{"dies-of-garbage", "garbage", "exit status 4"},
	{"prints-long", "output", "bytes"},
	{"stays", "shutdown", "still there"},
	{"ignores-sigterm", "sigterm", "still there"},
}

func TestEachFaultIsFound(t *testing.T) {
	found := map[string]bool{}
	for _, f := range faults {
		found[f.check] = true
		t.Run(f.fault, func(t *testing.T) {
			t.Parallel()
			patience := time.Duration(0)
			if strings.HasPrefix(f.got, "nothing") {
				patience = 3 * time.Second // It is waited for.
			}
			results, err := plugintest.Test(t.Context(), plugintest.Options{Path: runtime, Args: []string{f.fault}, Checks: []string{f.check}, Patience: patience})
			if err != nil {
				t.Fatal(err)
			}
			last := results[len(results)-1]
			if last.Check != f.check || last.OK || last.Hint == "" {
				t.Fatalf("the check %s says ok=%v, want a failure of %s: %+v", last.Check, last.OK, f.check, last)
			}
			says := func(text string) bool {
				return slices.ContainsFunc(last.Failures, func(failure plugintest.Failure) bool {
					return failure.Expected != "" && strings.Contains(failure.Got, text)
				})
			}
			if !slices.ContainsFunc(strings.Split(f.got, "|"), says) {
				t.Errorf("it says %+v, want %q in it", last.Failures, f.got)
			}
		})
	}
	for _, name := range plugintest.Names() {
		if !found[name] {
			t.Errorf("no fault is there for the check %s to find", name)
		}
	}
}

func TestWhatIsNoRuntimeSaysWhy(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, got := range map[string]string{
		filepath.Join(dir, "missing"): "no such file",
		dir:                           "is a folder",
		plain:                         "permission denied",
	} {
		results, err := plugintest.Test(t.Context(), plugintest.Options{Path: path})
		if err != nil || len(results) != 1 || results[0].OK || !strings.Contains(results[0].Failures[0].Got, got) {
			t.Errorf("%s: %+v, %v, want %q", path, results, err, got)
		}
	}
	if _, err := plugintest.Test(t.Context(), plugintest.Options{Path: plain, Checks: []string{"beauty"}}); err == nil || !strings.Contains(err.Error(), `no check "beauty"; the checks are start, describe`) {
		t.Errorf("a check that is not there: %v", err)
	}
}

func TestTheSuiteEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	results, err := plugintest.Test(ctx, plugintest.Options{Path: runtime, Args: []string{"never-ends"}, Report: func(r plugintest.Result) {
		if r.Check == "describe" { // The next check waits for a run that never ends.
			time.AfterFunc(50*time.Millisecond, func() { cancel(enough) })
		}
	}})
	if !errors.Is(err, enough) || len(results) != 2 {
		t.Errorf("%d results, %v, want 2 and %v", len(results), err, enough)
	}
}

// A program that tests runtimes, such as mainstay, does not become one that holds Go's tests by it.
func TestTheSuiteNeedsNoPackageTesting(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{join .Imports \"\\n\"}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if imports := strings.Fields(string(out)); len(imports) < 5 || slices.Contains(imports, "testing") {
		t.Errorf("it imports %v", imports)
	}
}
