package tool_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/broker/tool"
	"github.com/mainstay-dev/mainstay/reconciler/broker/tool/tooltest"
	"github.com/mainstay-dev/mainstay/reconciler/secret"
	"github.com/mainstay-dev/mainstay/spec"
)

func TestMain(m *testing.M) {
	tooltest.Main()
	os.Exit(m.Run())
}

// newServers returns Servers over an environment of the test's own, and their folder.
func newServers(t *testing.T, env map[string]string) (*tool.Servers, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	lookup := func(name string) (string, bool) {
		if name == "PATH" {
			return os.Getenv("PATH"), true
		}
		v, ok := env[name]
		return v, ok
	}
	secrets := secret.New(secret.Options{Env: lookup, Now: time.Now})
	servers := tool.New(tool.Options{Dir: dir, Self: self, Env: lookup, Secret: secrets.Resolve, Now: time.Now})
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Error(err)
		}
	})
	return servers, dir
}

func TestACallAnswers(t *testing.T) {
	servers, _ := newServers(t, nil)
	server := tooltest.Server("cluster")
	for _, test := range []struct {
		name, tool string
		args       map[string]any
		text       string
		isError    bool
	}{
		{"with the tool's text", "echo", map[string]any{"text": "hello"}, "hello", false},
		{"with the tool's error, which is no error of ours", "fail", nil, "the deployment is frozen", true},
		{"with the server's refusal, which is no error of ours", "refuse", nil, "not today", true},
		{"with an error where the server has no such tool", "nothing", nil, "tool 'nothing' not found: tool not found", true},
		{"with a note where there is a picture", "picture", nil, "a picture\n[image image/png of 8 bytes in base64, left out: it is no PNG, JPEG, WebP or GIF image", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := servers.Call(t.Context(), server, test.tool, test.args, tool.CallOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(got.Text, test.text) || got.IsError != test.isError {
				t.Errorf("got %+v, want text %q, error %v", got, test.text, test.isError)
			}
		})
	}
}

func TestAStructuredResultComesBesideItsText(t *testing.T) {
	servers, _ := newServers(t, nil)
	got, err := servers.Call(t.Context(), tooltest.Server("cluster"), "get", map[string]any{"name": "web"}, tool.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	value, ok := got.Structured.(map[string]any)
	if !ok || value["name"] != "web" || value["replicas"] != 3.0 || got.Text != "3 replicas" {
		t.Errorf("got %+v", got)
	}
}

func TestALongResultIsCutAndSaysSo(t *testing.T) {
	servers, _ := newServers(t, nil)
	got, err := servers.Call(t.Context(), tooltest.Server("cluster"), "big", map[string]any{"bytes": 3 << 20}, tool.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Text) > tool.MaxResult+300 || !strings.Contains(got.Text, "[cut: the result is 3145728 bytes") || got.Structured != nil {
		t.Errorf("got %d bytes ending in %q, structured %v", len(got.Text), got.Text[len(got.Text)-200:], got.Structured != nil)
	}
}

func TestTheIdempotencyKeyReachesTheServer(t *testing.T) {
	servers, dir := newServers(t, nil)
	_, err := servers.Call(t.Context(), tooltest.Server("cluster"), "restart", map[string]any{"name": "web"}, tool.CallOptions{IdempotencyKey: "k-1"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "cluster", tooltest.Effects))
	if err != nil || string(got) != "web k-1\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAServerSeesOnlyItsOwnEnvironment(t *testing.T) {
	t.Setenv("MAINSTAY_TEST_LEAK", "leaked")
	servers, dir := newServers(t, map[string]string{"CLUSTER_TOKEN": "s3cret-value", "OTHER": "other"})
	server := tooltest.Server("cluster", spec.EnvVar{Name: "TOKEN", From: &spec.SecretRef{Env: "CLUSTER_TOKEN"}}, spec.EnvVar{Name: "REGION", Value: "eu"})
	got, err := servers.Call(t.Context(), server, "environment", nil, tool.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	vars := slices.DeleteFunc(strings.Split(got.Text, "\n"), func(v string) bool {
		return strings.HasPrefix(strings.ToUpper(v), "SYSTEMROOT=") // Windows starts nothing without it.
	})
	slices.Sort(vars)
	want := []string{"HOME=" + filepath.Join(dir, "cluster"), "PATH=" + os.Getenv("PATH"), "REGION=eu", "TOKEN=s3cret-value"}
	if !slices.Equal(vars, want) {
		t.Errorf("got  %q\nwant %q", vars, want)
	}
}

func TestSchemasAreWhatTheServerSays(t *testing.T) {
	servers, _ := newServers(t, nil)
	got, err := servers.Schemas(t.Context(), tooltest.Server("cluster"))
	if err != nil {
		t.Fatal(err)
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Contains(names, "restart") {
		t.Errorf("tools %q", names)
	}
	if echo := got["echo"]; echo.Description != "Say text again." || !strings.Contains(string(echo.InputSchema), `"required":["text"]`) {
		t.Errorf("echo: %s %s", echo.Description, echo.InputSchema)
	}
}

func TestErrorsTellWhatIsSureFromWhatIsNot(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	short := func(s *spec.ToolServer) {
		s.Spec.Tools["slow"] = spec.ToolSpec{Effect: spec.EffectRead, Timeout: spec.Duration(300 * time.Millisecond)}
	}
	for _, test := range []struct {
		name   string
		ctx    context.Context
		tool   string
		args   map[string]any
		change func(*spec.ToolServer)
		want   error
		says   string
	}{
		{"a server that cannot be started", nil, "echo", nil, func(s *spec.ToolServer) { s.Spec.Command = []string{"mainstay-no-such-program"} }, tool.ErrNotSent, "mainstay-no-such-program"},
		{"a server that is no MCP server", nil, "echo", nil, func(s *spec.ToolServer) { s.Spec.Command = []string{"mainstay", "-test.run=^$"} }, tool.ErrNotSent, "it ended at once"},
		{"a variable that is not set", nil, "echo", nil, func(s *spec.ToolServer) {
			s.Spec.Env = []spec.EnvVar{{Name: "TOKEN", From: &spec.SecretRef{Env: "NOT_SET"}}}
		}, tool.ErrNotSent, "variable TOKEN of tool server cluster: resolve the variable NOT_SET: it is not set"},
		{"a caller that has given up before", cancelled, "echo", nil, nil, tool.ErrNotSent, "canceled"},
		{"arguments beyond the limit", nil, "echo", map[string]any{"text": strings.Repeat("x", tool.MaxArguments)}, nil, tool.ErrNotSent, "at most 1048576"},
		{"an answer that does not come", nil, "slow", nil, short, tool.ErrUncertain, "no answer in time (300ms)"},
		{"a server that dies in the middle", nil, "die", nil, nil, tool.ErrUncertain, `exit status 3; its stderr ends with "out of luck, token [redacted]"`},
		{"a server that closes its output", nil, "close", nil, nil, tool.ErrUncertain, "ended in the middle"},
		{"a server that floods", nil, "flood", nil, nil, tool.ErrUncertain, "longer than 16777216 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			servers, _ := newServers(t, map[string]string{"CLUSTER_TOKEN": "s3cret-value"})
			server := tooltest.Server("cluster", spec.EnvVar{Name: "TOKEN", From: &spec.SecretRef{Env: "CLUSTER_TOKEN"}})
			if test.change != nil {
				test.change(server)
			}
			ctx := test.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			if test.tool == "slow" { // The call is short of time, and not the start.
				if _, err := servers.Schemas(ctx, server); err != nil {
					t.Fatal(err)
				}
			}
			_, err := servers.Call(ctx, server, test.tool, test.args, tool.CallOptions{})
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "tool server cluster") {
				t.Fatalf("got %v\nwant %v and %q", err, test.want, test.says)
			}
			if errors.Is(err, tool.ErrNotSent) == errors.Is(err, tool.ErrUncertain) {
				t.Errorf("%v is both or neither", err)
			}
			if strings.Contains(err.Error(), "s3cret-value") {
				t.Errorf("the error holds a secret: %v", err)
			}
			if test.change != nil || test.ctx != nil {
				return
			}
			again, err := servers.Call(t.Context(), server, "echo", map[string]any{"text": "again"}, tool.CallOptions{})
			if err != nil || again.Text != "again" {
				t.Errorf("the server does not come back: %+v, %v", again, err)
			}
		})
	}
}

func TestACallerThatGivesUpStopsNobodyElse(t *testing.T) {
	servers, _ := newServers(t, nil)
	server := tooltest.Server("cluster")
	if _, err := servers.Schemas(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if _, err := servers.Call(ctx, server, "slow", nil, tool.CallOptions{}); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
	for range 20 {
		wait.Go(func() {
			if got, err := servers.Call(t.Context(), server, "echo", map[string]any{"text": "x"}, tool.CallOptions{}); err != nil || got.Text != "x" {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	cancel()
	wait.Wait()
}

func TestCallsAfterCloseAreNotSent(t *testing.T) {
	servers, _ := newServers(t, nil)
	if err := servers.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := servers.Call(t.Context(), tooltest.Server("cluster"), "echo", nil, tool.CallOptions{}); !errors.Is(err, tool.ErrNotSent) {
		t.Errorf("got %v", err)
	}
}

func TestAnIdleServerIsStoppedAndComesBack(t *testing.T) {
	servers, dir := newServers(t, nil)
	server := tooltest.Server("cluster")
	for range 2 {
		if _, err := servers.Call(t.Context(), server, "restart", map[string]any{"name": "web"}, tool.CallOptions{}); err != nil {
			t.Fatal(err)
		}
		servers.StopIdle(time.Now().Add(time.Hour))
	}
	got, err := os.ReadFile(filepath.Join(dir, "cluster", tooltest.Effects))
	if err != nil || string(got) != "web \nweb \n" {
		t.Errorf("got %q, %v", got, err)
	}
}
