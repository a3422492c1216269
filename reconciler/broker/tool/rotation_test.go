package tool_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/broker/tool"
	"github.com/mainstay-dev/mainstay/reconciler/broker/tool/tooltest"
	"github.com/mainstay-dev/mainstay/spec"
)

// fromFile is a server that gets a secret from a file, and a function that writes that.
func fromFile(t *testing.T) (*spec.ToolServer, string, func(string)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tooltest.Server("cluster", spec.EnvVar{Name: "TOKEN", From: &spec.SecretRef{File: file}}), file, write
}

func token(t *testing.T, servers *tool.Servers, server *spec.ToolServer) string {
	t.Helper()
	got, err := servers.Call(t.Context(), server, "environment", nil, tool.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(got.Text, "\n") {
		if value, ok := strings.CutPrefix(line, "TOKEN="); ok {
			return value
		}
	}
	return ""
}

// TestARotatedSecretIsUsedByTheNextCall rotates a secret while a call is under way: that one ends on the old process.
func TestARotatedSecretIsUsedByTheNextCall(t *testing.T) {
	servers, _ := newServers(t, nil)
	server, _, write := fromFile(t)
	write("the-first-token\n")
	if got := token(t, servers, server); got != "the-first-token" {
		t.Fatalf("got %q", got)
	}
	open := filepath.Join(t.TempDir(), "open")
	var during sync.WaitGroup
	during.Go(func() {
		got, err := servers.Call(t.Context(), server, "wait", map[string]any{"path": open}, tool.CallOptions{})
		if err != nil || got.Text != "the-first-token" {
			t.Errorf("the call under way: %+v, %v", got, err)
		}
	})
	for {
		if _, err := os.Stat(open + ".waiting"); err == nil {
			break
		}
		time.Sleep(time.Millisecond) // Polling another process.
	}
	write("the-second-token\n")
	if runs, err := servers.CheckSecrets(t.Context(), server); !runs || err != nil {
		t.Errorf("runs %t, %v", runs, err)
	}
	for range 2 {
		if got := token(t, servers, server); got != "the-second-token" {
			t.Errorf("got %q", got)
		}
	}
	if err := os.WriteFile(open, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	during.Wait()
	if got := token(t, servers, server); got != "the-second-token" {
		t.Errorf("after the old call: %q", got)
	}
}

// TestManyCallsDuringARotation makes calls while a secret changes again and again: each gets an answer, with one of the
// values.
func TestManyCallsDuringARotation(t *testing.T) {
	servers, _ := newServers(t, nil)
	server, file, write := fromFile(t)
	write("token-number-0")
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 5 {
				if got := token(t, servers, server); !strings.HasPrefix(got, "token-number-") {
					t.Errorf("got %q", got)
				}
			}
		})
	}
	for _, n := range []string{"1", "2", "3"} {
		// In one step, as whoever rotates a secret does it: a file that is half written is another secret.
		if err := os.WriteFile(file+".new", []byte("token-number-"+n), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	wait.Wait()
	if got := token(t, servers, server); got != "token-number-3" {
		t.Errorf("in the end %q", got)
	}
}

// TestASourceThatIsGoneStopsNothing takes the file away: the server that runs goes on, and says so when asked. Once it is
// stopped it cannot be started.
func TestASourceThatIsGoneStopsNothing(t *testing.T) {
	servers, _ := newServers(t, nil)
	server, file, write := fromFile(t)
	write("the-first-token")
	token(t, servers, server)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if got := token(t, servers, server); got != "the-first-token" {
		t.Errorf("got %q", got)
	}
	if runs, err := servers.CheckSecrets(t.Context(), server); !runs || err == nil || !strings.Contains(err.Error(), "resolve the file "+file+": there is no such file") {
		t.Errorf("runs %t, %v", runs, err)
	}
	if _, err := servers.Call(t.Context(), server, "die", nil, tool.CallOptions{}); !errors.Is(err, tool.ErrUncertain) {
		t.Fatalf("got %v", err)
	}
	_, err := servers.Call(t.Context(), server, "environment", nil, tool.CallOptions{})
	if !errors.Is(err, tool.ErrNotSent) || !strings.Contains(err.Error(), "variable TOKEN of tool server cluster: resolve the file "+file+": there is no such file") {
		t.Errorf("got %v", err)
	}
	if runs, err := servers.CheckSecrets(t.Context(), server); runs || err == nil {
		t.Errorf("runs %t, %v", runs, err)
	}
	write("the-second-token")
	if got := token(t, servers, server); got != "the-second-token" {
		t.Errorf("got %q", got)
	}
}

func TestASecretWithANULByteStartsNothing(t *testing.T) {
	servers, _ := newServers(t, nil)
	server, _, write := fromFile(t)
	write("two\x00halves")
	_, err := servers.Call(t.Context(), server, "environment", nil, tool.CallOptions{})
	if !errors.Is(err, tool.ErrNotSent) || !strings.Contains(err.Error(), "holds a NUL byte") || strings.Contains(err.Error(), "halves") {
		t.Errorf("got %v", err)
	}
}

func TestASecretThatIsTooLongForAVariableStartsNothing(t *testing.T) {
	servers, _ := newServers(t, nil)
	server, file, write := fromFile(t)
	longest := strings.Repeat("x", 128<<10-len("TOKEN=")-1)
	write(longest)
	if got := token(t, servers, server); got != longest {
		t.Errorf("got %d bytes of %d", len(got), len(longest))
	}
	if _, err := servers.Call(t.Context(), server, "die", nil, tool.CallOptions{}); err == nil || !strings.Contains(err.Error(), `its stderr ends with "out of luck, token [redacted]"`) {
		t.Errorf("got %.200v", err)
	}
	write(longest + "x")
	_, err := servers.Call(t.Context(), server, "environment", nil, tool.CallOptions{})
	if !errors.Is(err, tool.ErrNotSent) || !strings.Contains(err.Error(), "variable TOKEN of tool server cluster: the file "+file+" is too long for a variable") {
		t.Errorf("got %.200v", err)
	}
}
