// Package ollamatest runs a real Ollama server for tests, on models whose answers are written by hand: a GGUF file of a few
// megabytes is made for each [Script], whose weights say which token follows which. Nothing is downloaded, and the same question always gets
// the same answer.
//
// The server is the executable that MAINSTAY_TEST_OLLAMA names. `.ci/run` builds one; where there is none the tests are skipped.
package ollamatest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/ollama/ollama/api"
)

// Variable names the executable of Ollama.
const Variable = "MAINSTAY_TEST_OLLAMA"

// patience bounds how long a server takes to start, on a machine that does much else.
const patience = 2 * time.Minute

// Server is an Ollama server on 127.0.0.1, with models of its own.
type Server struct {
	// URL is where it listens. It stays the same when it is started again.
	URL string
	// Dir holds all that it keeps.
	Dir string

	t    testing.TB
	path string
	cmd  *exec.Cmd
	// ended is closed once the process is gone.
	ended chan struct{}
}

// Start starts a server that ends with the test, or skips the test where this machine has none.
func Start(t testing.TB) *Server {
	t.Helper()
	path := os.Getenv(Variable)
	if path == "" {
		t.Skipf("SKIPPED: %s is not set; .ci/run builds a real Ollama server and sets it", Variable)
	}
	s := &Server{Dir: t.TempDir(), t: t, path: path}
	s.start("127.0.0.1:0")
	t.Cleanup(s.Kill)
	return s
}

// Restart starts a server again that was killed, at the same address and with the models that it had.
func (s *Server) Restart() {
	s.t.Helper()
	at, err := url.Parse(s.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	s.start(at.Host)
}

var listening = regexp.MustCompile(`Listening on (127\.0\.0\.1:\d+)`)

func (s *Server) start(at string) {
	s.t.Helper()
	s.cmd = exec.Command(s.path, "serve")
	// Models are run by a process of their own, which must not outlive the server.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.Getenv("TMPDIR"), "HOME=" + s.Dir, "OLLAMA_HOST=" + at,
		"OLLAMA_MODELS=" + filepath.Join(s.Dir, "models"), "OLLAMA_NUM_PARALLEL=1", "OLLAMA_NO_CLOUD=1"}
	log, err := s.cmd.StderrPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		s.t.Fatalf("start %s: %v", s.path, err)
	}
	found, ended := make(chan string, 1), make(chan struct{})
	s.ended = ended
	go func() {
		defer close(ended)
		lines := bufio.NewReader(log)
		for {
			line, err := lines.ReadString('\n')
			if m := listening.FindStringSubmatch(line); m != nil {
				found <- m[1]
			}
			if err != nil {
				break
			}
		}
		_ = s.cmd.Wait() // It is killed, which is an error.
	}()
	select {
	case host := <-found:
		s.URL = "http://" + host
	case <-ended:
		s.t.Fatalf("%s serve ended before it listened", s.path)
	case <-time.After(patience):
		s.t.Fatalf("%s serve does not listen after %s", s.path, patience)
	}
	// It listens before it has looked for its processors, and answers only then.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Client().Heartbeat(ctx); err != nil {
		s.t.Fatal(err)
	}
}

// Kill ends the server and all that it has started, as the loss of power would. Killing it twice is no error.
func (s *Server) Kill() {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // It may be gone.
	<-s.ended
}

// Client returns a client of the server.
func (s *Server) Client() *api.Client {
	at, err := url.Parse(s.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	return api.NewClient(at, http.DefaultClient)
}

// Create makes a model of a script, in the way of `ollama create`.
func (s *Server) Create(name string, script Script) {
	s.t.Helper()
	file, err := script.GGUF()
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(file))
	if err := s.Client().CreateBlob(ctx, digest, bytes.NewReader(file)); err != nil {
		s.t.Fatal(err)
	}
	err = s.Client().Create(ctx, &api.CreateRequest{Model: name, Files: map[string]string{"script.gguf": digest}, Template: script.Template(),
		Parameters: map[string]any{"temperature": 0, "num_ctx": 1024, "num_thread": 1}}, func(api.ProgressResponse) error { return nil })
	if err != nil {
		s.t.Fatal(err)
	}
}

// Forget deletes a model, and what of it no other model has.
func (s *Server) Forget(name string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Client().Delete(ctx, &api.DeleteRequest{Model: name}); err != nil {
		s.t.Fatal(err)
	}
}

// Write writes a script's GGUF file and its Modelfile into a folder: NAME.gguf and NAME.Modelfile.
func Write(dir, name string, script Script) error {
	file, err := script.GGUF()
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, name+".gguf"), file, 0o644),
		os.WriteFile(filepath.Join(dir, name+".Modelfile"), []byte(script.Modelfile(name+".gguf")), 0o644))
}
