package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
)

// The test binary is the server, in a process of its own, when this variable is set.
const serveEnv = "CLUSTER_TEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveEnv) != "" {
		if err := Serve(context.Background(), os.Stdin, os.Stdout, os.Getenv); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// start starts a server process on a state file and shakes hands with it.
func start(t *testing.T, file string) *client.Client {
	t.Helper()
	c, err := client.NewStdioMCPClientWithOptions(os.Args[0], []string{serveEnv + "=1", EnvFile + "=" + file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	var req mcp.InitializeRequest
	req.Params.ProtocolVersion = "2025-11-25"
	req.Params.ClientInfo = mcp.Implementation{Name: "test", Version: "1"}
	if _, err := c.Initialize(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	return c
}

// call calls a tool and returns its structured result, or its text if it is an error.
func call(t *testing.T, c *client.Client, tool string, arguments map[string]any, key string) (result any, failed string) {
	t.Helper()
	var req mcp.CallToolRequest
	req.Params.Name = tool
	req.Params.Arguments = arguments
	if key != "" {
		req.Params.Meta = mcp.NewMetaFromMap(map[string]any{MetaKey: key})
	}
	res, err := c.CallTool(t.Context(), req)
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	text, _ := mcp.AsTextContent(res.Content[0])
	if res.IsError {
		return nil, text.Text
	}
	if want, err := json.Marshal(res.StructuredContent); err != nil || !sameJSON(string(want), text.Text) {
		t.Errorf("%s: the text %s is not the structured result %s", tool, text.Text, want)
	}
	return res.StructuredContent, ""
}

func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && cmp.Equal(x, y)
}

func readState(t *testing.T, file string) State {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTools(t *testing.T) {
	c := start(t, filepath.Join(t.TempDir(), "cluster.json"))
	tests := []struct {
		name      string
		tool      string
		arguments map[string]any
		want      any
		failed    string
	}{
		{"an advisory about an affected tag names the fix and what to restart", ToolAdvisories,
			map[string]any{"image": "registry.example.com/shop/checkout:1.4.2"},
			map[string]any{"image": "registry.example.com/shop/checkout:1.4.2", "advisories": []any{map[string]any{
				"id": "ADV-2026-0142", "severity": "high", "title": "checkout writes the key that signs sessions to its log",
				"fixedImage": "registry.example.com/shop/checkout:1.4.3",
				"restart":    []any{map[string]any{"namespace": "shop", "name": "frontend"}}}}}, ""},
		{"the fixed tag has none", ToolAdvisories,
			map[string]any{"image": "registry.example.com/shop/checkout:1.4.3"},
			map[string]any{"image": "registry.example.com/shop/checkout:1.4.3", "advisories": []any{}}, ""},
		{"an unknown image has none", ToolAdvisories,
			map[string]any{"image": "localhost:5000/else"},
			map[string]any{"image": "localhost:5000/else", "advisories": []any{}}, ""},
		{"advisories need an image", ToolAdvisories, nil, nil, "image"},
		{"a deployment tells what runs", ToolDeployment, map[string]any{"namespace": "shop", "name": "frontend"},
			map[string]any{"namespace": "shop", "name": "frontend", "image": "registry.example.com/shop/frontend:3.1.5",
				"replicas": 3.0, "ready": 3.0, "restarts": 0.0}, ""},
		{"an unknown deployment is refused with the known ones", ToolDeployment,
			map[string]any{"namespace": "shop", "name": "chekout"}, nil,
			"no deployment shop/chekout in this cluster (there are: shop/catalog, shop/checkout, shop/frontend)"},
		{"an unknown deployment is not restarted", ToolRestart,
			map[string]any{"namespace": "kube-system", "name": "frontend"}, nil, "no deployment kube-system/frontend"},
		{"a restart needs a name", ToolRestart, map[string]any{"namespace": "shop"}, nil, "name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, failed := call(t, c, tt.tool, tt.arguments, "")
			if tt.failed != "" {
				if !strings.Contains(failed, tt.failed) {
					t.Errorf("got the error %q, want one with %q", failed, tt.failed)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); failed != "" || diff != "" {
				t.Errorf("error %q, difference (-want +got):\n%s", failed, diff)
			}
		})
	}
}

func TestEveryToolSaysWhetherItWrites(t *testing.T) {
	c := start(t, filepath.Join(t.TempDir(), "cluster.json"))
	list, err := c.ListTools(t.Context(), mcp.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, tool := range list.Tools {
		got[tool.Name] = tool.Annotations.ReadOnlyHint != nil && *tool.Annotations.ReadOnlyHint
	}
	want := map[string]bool{ToolAdvisories: true, ToolDeployment: true, ToolRestart: false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read-only tools (-want +got):\n%s", diff)
	}
}

func TestRestartIsJournalledWithItsKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cluster.json")
	frontend := map[string]any{"namespace": "shop", "name": "frontend"}
	if _, failed := call(t, start(t, file), ToolRestart, frontend, "patcher-01-7"); failed != "" {
		t.Fatal(failed)
	}
	// A second process sees what the first one did.
	got, _ := call(t, start(t, file), ToolDeployment, frontend, "")
	if restarts := got.(map[string]any)["restarts"]; restarts != 1.0 {
		t.Errorf("%v restarts, want 1", restarts)
	}
	journal := readState(t, file).Journal
	if len(journal) != 1 || journal[0].Key != "patcher-01-7" || journal[0].Name != "frontend" || journal[0].At == "" {
		t.Errorf("journal is %+v", journal)
	}
}

func TestConcurrentProcessesLoseNoRestart(t *testing.T) {
	const processes = 20
	file := filepath.Join(t.TempDir(), "cluster.json")
	clients := make([]*client.Client, processes)
	for i := range clients {
		clients[i] = start(t, file)
	}
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			call(t, c, ToolRestart, map[string]any{"namespace": "shop", "name": "frontend"}, fmt.Sprint("action-", i))
		})
	}
	wg.Wait()
	state := readState(t, file)
	seen := map[string]bool{}
	for _, change := range state.Journal {
		seen[change.Key] = true
	}
	if restarts := state.Deployments[2].Restarts; restarts != processes || len(seen) != processes {
		t.Errorf("%d restarts by %d actions, want %d by %d", restarts, len(seen), processes, processes)
	}
}
