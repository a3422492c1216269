package quickstart_test

import (
	"context"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mainstay-dev/mainstay/examples/quickstart"
	"github.com/mainstay-dev/mainstay/examples/quickstart/cluster"
	"github.com/mainstay-dev/mainstay/spec"
)

func load(t *testing.T) *spec.Fleet {
	t.Helper()
	fleet, problems := spec.Load(quickstart.Files(), spec.LoadOptions{})
	if len(problems) > 0 {
		t.Fatalf("the example has problems:\n%s", problems)
	}
	return fleet
}

func TestTheExampleHasNoProblem(t *testing.T) {
	fleet := load(t)
	agent := fleet.Agents["patcher"]
	if agent == nil || len(agent.Tools) != 3 || len(agent.Skills) != 1 || agent.Model == nil || agent.Model.Script == nil {
		t.Fatalf("patcher is not what it says: %+v", agent)
	}
	for _, text := range []string{"platform engineer", "Never guess a version.", "cluster__list_advisories", "image-bumps"} {
		if !strings.Contains(agent.Instructions, text) {
			t.Errorf("the instructions do not say %q:\n%s", text, agent.Instructions)
		}
	}
	if len(fleet.Triggers) != 1 || fleet.Triggers[0].Agent != "patcher" || len(fleet.Policies) != 1 {
		t.Errorf("triggers %+v, policies %+v", fleet.Triggers, fleet.Policies)
	}
}

// connect starts the simulated cluster and returns a client of it.
func connect(t *testing.T) *client.Client {
	t.Helper()
	requests, toServer := io.Pipe()
	fromServer, answers := io.Pipe()
	file := filepath.Join(t.TempDir(), "cluster.json")
	served := make(chan error, 1)
	go func() {
		served <- cluster.Serve(context.Background(), requests, answers, func(string) string { return file })
		answers.Close()
	}()
	c := client.NewClient(transport.NewIO(fromServer, toServer, io.NopCloser(strings.NewReader(""))))
	t.Cleanup(func() {
		toServer.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		c.Close()
	})
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Initialize(t.Context(), mcp.InitializeRequest{}); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheDeclaredToolsAreTheServers(t *testing.T) {
	list, err := connect(t).ListTools(t.Context(), mcp.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, tool := range list.Tools {
		got[tool.Name] = spec.EffectWrite
		if tool.Annotations.ReadOnlyHint != nil && *tool.Annotations.ReadOnlyHint {
			got[tool.Name] = spec.EffectRead
		}
	}
	want := map[string]string{}
	for name, tool := range load(t).Servers["cluster"].Spec.Tools {
		want[name] = tool.Effect
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("effects (-declared +served):\n%s", diff)
	}
}

// world answers the calls of the model: files from a tree, tools from a real server, proposals as a case decides.
type world struct {
	files    fs.FS
	cluster  *client.Client
	change   any // the answer to the proposed change
	restart  any // the answer to the proposed restart
	broken   string
	proposed []spec.ScriptCall
}

func (w *world) call(t *testing.T, call spec.ScriptCall) any {
	t.Helper()
	if call.Tool == w.broken {
		return "the server is not there"
	}
	switch call.Tool {
	case "repo__list":
		list := []any{}
		names, err := fs.Glob(w.files, "manifests/*")
		if err != nil || call.Arguments["glob"] != "manifests/**" {
			t.Fatalf("list %v: %v", call.Arguments, err)
		}
		for _, name := range names {
			list = append(list, map[string]any{"path": name, "size": 1.0})
		}
		return map[string]any{"files": list}
	case "repo__read":
		name, _ := call.Arguments["path"].(string)
		text, err := fs.ReadFile(w.files, name)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]any{"path": name, "text": string(text)}
	case "repo__propose_change":
		w.proposed = append(w.proposed, call)
		return w.change
	case "cluster__restart_deployment":
		w.proposed = append(w.proposed, call)
		return w.restart
	}
	var req mcp.CallToolRequest
	req.Params.Name = strings.TrimPrefix(call.Tool, "cluster__")
	req.Params.Arguments = call.Arguments
	res, err := w.cluster.CallTool(t.Context(), req)
	if err != nil || res.IsError {
		t.Fatalf("%s: %v, %+v", call.Tool, err, res)
	}
	return res.StructuredContent
}

// play lets the model and the world talk until the model's answer calls no tool, and returns its text.
func (w *world) play(t *testing.T, script *spec.Script, task string) string {
	t.Helper()
	talk := spec.Conversation{Messages: []spec.Message{{Role: "user", Text: task}}}
	for range 40 {
		answer, err := script.Answer(talk)
		if err != nil {
			t.Fatal(err)
		}
		if len(answer.Calls) == 0 {
			return answer.Text
		}
		talk.Messages = append(talk.Messages, spec.Message{Role: "assistant", Text: answer.Text})
		for _, call := range answer.Calls {
			message := spec.Message{Role: "tool", Tool: call.Tool}
			switch result := w.call(t, call).(type) {
			case string:
				message.Text = result
			default:
				message.Result = result
			}
			talk.Messages = append(talk.Messages, message)
		}
	}
	t.Fatal("the model did not come to an end")
	return ""
}

const (
	oldImage = "registry.example.com/shop/checkout:1.4.2"
	newImage = "registry.example.com/shop/checkout:1.4.3"
	finding  = "ADV-2026-0142: checkout writes the key that signs sessions to its log.\n"
)

// manifests returns the example's manifests, with old replaced by new in the one of checkout, and more files beside them.
func manifests(t *testing.T, old, new string, more fstest.MapFS) fstest.MapFS {
	t.Helper()
	tree := fstest.MapFS{}
	for _, name := range []string{"catalog", "checkout", "frontend"} {
		text, err := fs.ReadFile(quickstart.Files(), "manifests/"+name+".yaml")
		if err != nil {
			t.Fatal(err)
		}
		tree["manifests/"+name+".yaml"] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(string(text), old, new))}
	}
	for name, file := range more {
		tree[name] = file
	}
	return tree
}

func TestStory(t *testing.T) {
	script := load(t).Models["default"].Script
	merged := map[string]any{"state": "merged", "merge": "c0ffee"}
	done := map[string]any{"state": "merged", "outcome": "done", "result": map[string]any{"namespace": "shop", "name": "frontend"}}
	more := fstest.MapFS{
		"manifests/a-namespace.yaml": {Data: []byte("kind: Namespace\n")},
		"manifests/payments.yaml":    {Data: []byte("  - image: registry.example.com/shop/payments:9\r\n")},
	}
	tests := []struct {
		name      string
		task      string
		files     fs.FS
		change    any
		restart   any
		broken    string
		proposals int
		want      string
	}{
		{name: "both proposals are approved and done", files: manifests(t, "", "", nil), change: merged, restart: done, proposals: 2,
			want: finding + "The manifest now uses the fixed image.\nDeployment shop/frontend was restarted."},
		{name: "files without an image and unknown images are passed over", files: manifests(t, "", "", more), change: merged,
			restart: done, proposals: 2,
			want: finding + "The manifest now uses the fixed image.\nDeployment shop/frontend was restarted."},
		{name: "both are declined", files: manifests(t, "", "", nil), proposals: 2,
			change:  map[string]any{"state": "rejected", "reason": "not before Monday"},
			restart: map[string]any{"state": "rejected", "reason": ""},
			want: finding + "Changing the manifest was declined (not before Monday); the affected image stays.\n" +
				"Restarting the deployment was declined."},
		{name: "the restart is approved and fails", files: manifests(t, "", "", nil), change: merged, proposals: 2,
			restart: map[string]any{"state": "merged", "outcome": "failed", "reason": "the precondition does not hold"},
			want: finding + "The manifest now uses the fixed image.\n" +
				"Restarting the deployment was approved, but it did not succeed (the precondition does not hold)."},
		{name: "policy refuses the restart", files: manifests(t, "", "", nil), change: merged, restart: "denied by guardrails", proposals: 2,
			want: finding + "The manifest now uses the fixed image.\nRestarting the deployment was refused: denied by guardrails"},
		{name: "after the fix there is nothing to do", files: manifests(t, oldImage, newImage, nil),
			want: "No image in the manifests has an advisory. There is nothing to do."},
		{name: "without manifests there is nothing to do", files: fstest.MapFS{},
			want: "No image in the manifests has an advisory. There is nothing to do."},
		{name: "a tool fails", files: manifests(t, "", "", nil), broken: "cluster__list_advisories",
			want: "I stopped and changed nothing, because a tool failed: the server is not there"},
		{name: "somebody asks who it is", task: "Hello, who are you?", files: fstest.MapFS{},
			want: "I am patcher. I look for images with known advisories in the shop's manifests and propose the fix; a person decides."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{files: tt.files, cluster: connect(t), change: tt.change, restart: tt.restart, broken: tt.broken}
			got := w.play(t, script, tt.task)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("the last answer (-want +got):\n%s", diff)
			}
			if len(w.proposed) != tt.proposals {
				t.Fatalf("%d proposals, want %d", len(w.proposed), tt.proposals)
			}
			if tt.proposals > 0 {
				checkProposals(t, tt.files, w.proposed)
			}
		})
	}
}

// checkProposals checks that the image's tag is all that changes, and that the restart is the advisory's.
func checkProposals(t *testing.T, files fs.FS, proposed []spec.ScriptCall) {
	t.Helper()
	before, err := fs.ReadFile(files, "manifests/checkout.yaml")
	if err != nil {
		t.Fatal(err)
	}
	after := strings.Replace(string(before), oldImage, newImage, 1)
	wantFiles := []any{map[string]any{"path": "manifests/checkout.yaml", "content": after}}
	if diff := cmp.Diff(wantFiles, proposed[0].Arguments["files"]); diff != "" || after == string(before) {
		t.Errorf("proposed files (-want +got):\n%s", diff)
	}
	if want := "Use " + newImage + " to fix ADV-2026-0142"; proposed[0].Arguments["title"] != want {
		t.Errorf("title is %q, want %q", proposed[0].Arguments["title"], want)
	}
	if diff := cmp.Diff(map[string]any{"namespace": "shop", "name": "frontend"}, proposed[1].Arguments); diff != "" {
		t.Errorf("restart (-want +got):\n%s", diff)
	}
}
