package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ollama/ollama/api"
)

// asksOllama makes a repository whose agent asks the server, and returns the command that gives it a task.
func asksOllama(t *testing.T, server string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"mainstay.yaml":     "apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\nspec: {defaults: {model: small}}\n",
		"models/small.yaml": "apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: small}\nspec: {provider: ollama, name: \"small:1b\", endpoint: \"" + server + "\"}\n",
		"agents/reader.md":  "---\nfiles: {read: [\"notes/**\"]}\n---\nRead the notes.\n",
		"notes/today.md":    "All is well.\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgSign=false", "commit", "-q", "-m", "notes"}} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	cmd := exec.Command(filepath.Join(executables(t), "mainstay"), "ask", "reader", "What is in the notes?", "--repo", dir)
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+t.TempDir())
	return cmd
}

// says answers a chat with pieces of text.
func says(w io.Writer, pieces ...string) {
	for i, text := range pieces {
		_ = json.NewEncoder(w).Encode(api.ChatResponse{Message: api.Message{Role: "assistant", Content: text}, Done: i == len(pieces)-1, DoneReason: "stop"})
	}
}

// TestASmallModelThatWritesItsCallsAsTextIsUnderstood is what a person sees of one: the call is made, and is not shown as text.
func TestASmallModelThatWritesItsCallsAsTextIsUnderstood(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked api.ChatRequest
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		if last := asked.Messages[len(asked.Messages)-1]; last.Role == "tool" {
			says(w, "The notes say: ", last.Content)
			return
		}
		says(w, "I read.\n", "<tool_", "call>\n{\"name\": \"repo__read\", \"arg", "uments\": {\"path\": \"notes/today.md\"}}\n</tool_call>")
	}))
	defer server.Close()
	cmd := asksOllama(t, server.URL)
	var told strings.Builder
	cmd.Stderr = &told
	out, err := cmd.Output()
	if err != nil || string(out) != "The notes say: {\"path\":\"notes/today.md\",\"text\":\"All is well.\\n\"}\n" {
		t.Errorf("%v, %q\n%s", err, out, told.String())
	}
	if !strings.Contains(told.String(), "I read.\n· repo__read {\"path\":\"notes/today.md\"}\n") || strings.Contains(told.String(), "tool_call") {
		t.Errorf("told is %s", told.String())
	}
}

// TestWhatAServerSendsOutOfTurnIsNotShown checks that nothing but an answer comes to the person's terminal: what follows one on its
// connection was seen by nobody who takes secrets out of it.
func TestWhatAServerSendsOutOfTurnIsNotShown(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		var answer strings.Builder
		says(&answer, "It is all ", "well.")
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n%sAuthorization: Bearer hunter2\n", answer.Len(), answer.String())
		_, _ = io.Copy(io.Discard, conn) // Until the client has left.
	}))
	defer server.Close()
	cmd := asksOllama(t, server.URL)
	var told strings.Builder
	cmd.Stderr = &told
	out, err := cmd.Output()
	if err != nil || string(out) != "It is all well.\n" {
		t.Errorf("%v, %q", err, out)
	}
	if strings.Contains(told.String(), "hunter2") {
		t.Errorf("told is %s", told.String())
	}
}

// TestThePersonReadsAlongAndMayLeave checks that the first piece of an answer is shown before the server makes the second, and that
// Ctrl-C reaches the server.
func TestThePersonReadsAlongAndMayLeave(t *testing.T) {
	left := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintln(w, `{"message":{"role":"assistant","content":"The first piece"},"done":false}`)
		w.(http.Flusher).Flush()
		<-r.Context().Done() // There is no second one.
		close(left)
	}))
	defer server.Close()
	cmd := asksOllama(t, server.URL)
	told, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	in := bufio.NewReader(told)
	var seen strings.Builder
	for !strings.HasSuffix(seen.String(), "The first piece") {
		c, err := in.ReadByte()
		if err != nil {
			t.Fatalf("%v after %q", err, seen.String())
		}
		seen.WriteByte(c)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(in)
	if err := cmd.Wait(); err == nil || !strings.Contains(string(rest), "interrupted") {
		t.Errorf("%v, %q", err, rest)
	}
	select {
	case <-left:
	case <-time.After(patience):
		t.Error("the server is still asked")
	}
}
