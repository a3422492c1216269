package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler"
)

// Ctrl-C at a question is no answer.
func TestCtrlCAtTheDemosQuestion(t *testing.T) {
	w := world{t, t.TempDir()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "demo", "--dir", w.path("demo"))
	cmd.Env = append(os.Environ(), asMainstay+"=1", "HOME="+w.dir)
	stdin, err := cmd.StdinPipe() // Stays open: nobody types anything.
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for b := make([]byte, 4096); !strings.Contains(said.String(), "approve?"); {
		n, err := stdout.Read(b)
		said.Write(b[:n])
		if err != nil {
			t.Fatalf("it never asked: %v\n%s%s", err, said.String(), stderr.String())
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(&said, stdout)
	_ = cmd.Wait() // The exit code tells.
	if code := cmd.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	if got, want := stderr.String(), fmt.Sprintf("mainstay: interrupted; %s stays as it is\n", w.path("demo")); got != want {
		t.Errorf("stderr is %q, want %q", got, want)
	}
}

// A signal that comes before anything runs ends it without a word about what could not be started.
func TestInterruptedAtTheStart(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err := wire(ctx, environment{}, wiring{repo: repoFlags{repo: t.TempDir(), ref: "main"}, state: stateFlags{dir: t.TempDir()},
		log: slog.New(slog.DiscardHandler), observe: func(reconciler.Event) {}, getenv: os.LookupEnv})
	var stderr strings.Builder
	if code := report(ctx, err, &stderr); code != exitFailed || stderr.String() != "mainstay: interrupted\n" {
		t.Errorf("exit code %d: %v\n%s", code, err, stderr.String())
	}
}

// Neither does one that comes before anything was looked at.
func TestInterruptedBeforeTheFirstLook(t *testing.T) {
	w := world{t, t.TempDir()}
	path := w.path(filepath.Join("repo", "mainstay.yaml"))
	text := "apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\nspec: {}\n"
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
	w.git("repo", "init", "-q", "-b", "main")
	w.git("repo", "add", "-A")
	w.git("repo", "commit", "-q", "-m", "A fleet")
	all, err := wire(t.Context(), environment{}, wiring{repo: repoFlags{repo: w.path("repo"), ref: "main"}, state: stateFlags{dir: w.path("state")}, travels: true,
		log: slog.New(slog.DiscardHandler), getenv: os.LookupEnv, observe: func(e reconciler.Event) {
			if e.Err != nil {
				t.Errorf("%s: %v", e.Type, e.Err)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	err = errors.Join(all.Once(ctx), all.close(t.Context()))
	var stderr strings.Builder
	if code := report(ctx, err, &stderr); code != exitFailed || stderr.String() != "mainstay: interrupted\n" {
		t.Errorf("exit code %d: %v\n%s", code, err, stderr.String())
	}
}

// What a program cannot be asked any more is no problem of the files.
func TestInterruptedWhileFilesAreLoaded(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "agents"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"mainstay.yaml":       "apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\nspec: {}\n",
		"agents/many.jsonnet": "[]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for _, args := range [][]string{{"validate", dir}, {"validate", dir, "--env", "prod"}, {"build", dir}, {"plan", dir}, {"plan", dir, "--against", dir}, {"lock", dir, "--check"}} {
		var stdout, stderr strings.Builder
		if code := run(ctx, environment{}, args, strings.NewReader(""), &stdout, &stderr); code != exitFailed || stdout.String() != "" || stderr.String() != "mainstay: interrupted\n" {
			t.Errorf("%s: exit code %d\n%s%s", args, code, stdout.String(), stderr.String())
		}
	}
}

func TestHintsOfGitAndSSH(t *testing.T) {
	for said, advice := range map[string]string{
		"fatal: detected dubious ownership in repository at '/x'":                           "safe.directory",
		"error creating SSH agent: \"SSH agent requested but SSH_AUTH_SOCK not-specified\"": "ssh-add",
		"ssh: handshake failed: ssh: unable to authenticate":                                "ssh-add",
		"no such repository": "",
	} {
		var stderr strings.Builder
		report(t.Context(), fmt.Errorf("fetch: %s", said), &stderr)
		if !strings.Contains(stderr.String(), advice) || strings.Count(stderr.String(), "\n") != 1+min(len(advice), 1) {
			t.Errorf("%s", stderr.String())
		}
	}
}

// Ctrl-C ends an ask with all runs beneath it, and waits for no answer.
func TestCtrlCEndsAnAskAndItsChildren(t *testing.T) {
	asked, given := make(chan struct{}, 10), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // Then the server sees the client leave.
		asked <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-given:
		}
	}))
	defer server.Close()
	defer close(given)
	w := world{t, t.TempDir()}
	for name, text := range map[string]string{
		"mainstay.yaml": "apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\nspec: {defaults: {model: slow}}\n",
		"models/boss.yaml": "apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: boss}\nspec:\n  provider: scripted\n" +
			"  rules:\n  - calls: [{tool: agents__deputy, arguments: {task: Think about it.}}]\n",
		"models/slow.yaml": "apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: slow}\nspec:\n  provider: ollama\n" +
			"  name: m\n  endpoint: " + server.URL + "\n",
		"agents/boss.md":   "---\nmodel: boss\nagents: [deputy]\n---\nYou are the boss.\n",
		"agents/deputy.md": "You think.\n",
	} {
		path := w.path(filepath.Join("repo", name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	w.git("repo", "init", "-q", "-b", "main")
	w.git("repo", "add", "-A")
	w.git("repo", "commit", "-q", "-m", "Two agents")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "ask", "boss", "Have it thought about.", "--repo", w.path("repo"))
	cmd.Env = append(os.Environ(), asMainstay+"=1", "HOME="+w.dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // The exit code tells.
	if code := cmd.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	for _, want := range []string{"  · deputy: Cancelled", "\nmainstay: interrupted\n"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("stderr has no %q:\n%s", want, stderr.String())
		}
	}
}
