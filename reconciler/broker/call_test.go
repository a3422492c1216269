package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

func TestAReadToolIsCalled(t *testing.T) {
	w := newWorld(t)
	reply := w.tool("cluster__get", `{"name":"web"}`)
	got := w.result(reply)
	if got.Text != "3 replicas" || string(got.Structured) != `{"name":"web","replicas":3}` || got.IsError {
		t.Errorf("got %+v", got)
	}
	if reply.Answer.Rule != "default: read tools are allowed" {
		t.Errorf("the rule is %q", reply.Answer.Rule)
	}
	if got := w.result(w.tool("cluster__fail", `{}`)); !got.IsError || got.Text != "the deployment is frozen" {
		t.Errorf("got %+v", got)
	}
}

func TestEveryDigitOfANumberReachesAReadTool(t *testing.T) {
	w := newWorld(t)
	if got := w.result(w.tool("cluster__raw", `{"id":9007199254740993}`)); got.Text != `{"id":9007199254740993}` {
		t.Errorf("got %+v", got)
	}
}

func TestASecretDoesNotReachTheAgent(t *testing.T) {
	w := newWorld(t)
	if got := w.result(w.tool("cluster__environment", `{}`)); strings.Contains(got.Text, token) || !strings.Contains(got.Text, "TOKEN=[redacted]") {
		t.Errorf("got %s", got.Text)
	}
	if got := w.result(w.tool("repo__read", `{"path":"manifests/key.yaml"}`)); string(got.Structured) != `{"path":"manifests/key.yaml","text":"token: [redacted]\n"}` {
		t.Errorf("got %s", got.Structured)
	}
	w.refused(w.tool("cluster__die", `{}`), "default: read tools are allowed", "exit status 3", "token [redacted]")
}

func TestWhatIsNotDeclaredIsDenied(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"shell__exec", "cluster__missing", "cluster", "", "repo__delete"} {
		w.refused(w.tool(name, `{}`), "default: undeclared tools are denied", `tool "`+name+`" is not declared for agent "triage"`)
	}
	w.refused(w.tool("cluster__drop", `{}`), "default: denied tools are denied", "cluster__drop")
	w.agent.ReadPaths, w.agent.ProposePaths, w.agent.Skills = nil, nil, nil
	for _, name := range []string{"repo__list", "repo__read", "repo__propose_change", "skills__read"} {
		w.refused(w.tool(name, `{}`), "default: undeclared tools are denied", name)
	}
}

func TestAPolicyDeniesByName(t *testing.T) {
	w := newWorld(t)
	w.rule("no-web", spec.OnCall, `call.tool == "get" && call.arguments.name == "web"`, spec.DecisionDeny, "Leave web alone.")
	w.rule("ask-for-echo", spec.OnCall, `call.tool == "echo"`, spec.DecisionPropose, "")
	w.rule("no-docs", spec.OnCall, `call.server == "repo" && call.tool == "read" && call.arguments.path.startsWith("docs/")`, spec.DecisionDeny, "")
	w.refused(w.tool("cluster__get", `{"name":"web"}`), "policies/guard.yaml#no-web", "policies/guard.yaml#no-web", "Leave web alone.")
	w.result(w.tool("cluster__get", `{"name":"api"}`))
	w.refused(w.tool("cluster__get", `{}`), "policies/guard.yaml#no-web", "could not be evaluated")
	w.refused(w.tool("cluster__echo", `{"text":"x"}`), "policies/guard.yaml#ask-for-echo", "only write tools can be proposed")
	w.refused(w.tool("repo__read", `{"path":"docs/a.md"}`), "policies/guard.yaml#no-docs")
}

func TestMalformedArgumentsAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct{ name, arguments, says string }{
		{"cluster__get", `[1]`, "not a JSON object"},
		{"cluster__get", `"name"`, "not a JSON object"},
		{"cluster__get", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, "at most 1048576"},
		{"repo__read", `{"file":"x"}`, `unknown field "file"`},
		{"repo__read", `{"path":3}`, "do not fit"},
		{"repo__propose_change", `{"title":"x","files":"all"}`, "do not fit"},
	} {
		reply := w.tool(test.name, test.arguments)
		if reply.Answer == nil || !strings.Contains(reply.Answer.Error, test.says) {
			t.Errorf("%s: %+v does not say %q", test.name, reply.Answer, test.says)
		}
	}
	call := w.call(spec.RequestTool, plugins.ToolCall{})
	for _, body := range []string{``, `{`, `{"name":"cluster__get","arguments":{}`, `7`} {
		call.Request.Body = json.RawMessage(body)
		reply, err := w.broker.Answer(t.Context(), call, nil)
		if err != nil || reply.Answer == nil || !strings.Contains(reply.Answer.Error, "malformed") {
			t.Errorf("%q: %+v, %v", body, reply.Answer, err)
		}
	}
	// No arguments are an empty object.
	w.result(w.tool("repo__list", `null`))
}

func TestACallWhoseRunEndsIsNoAnswer(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.broker.Answer(ctx, w.call(spec.RequestTool, plugins.ToolCall{Name: "cluster__get"}), nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzAToolRequestGetsAReply(f *testing.F) {
	for _, body := range []string{
		`{"id":"c","name":"repo__list","arguments":{"glob":"**"}}`, `{"name":"repo__read","arguments":{"path":"../x"}}`,
		`{"name":"skills__read","arguments":{"name":"bumps"}}`, `{"name":"cluster__restart","arguments":{"name":{"a":[1e400]}}}`,
		`{"name":"repo__propose_change","arguments":{"title":"t","files":[{"path":"a","content":"b"}]}}`, `{`, `null`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		w := newWorld(t)
		w.agent.Tools = w.agent.Tools[:0]
		w.agent.Tools = append(w.agent.Tools, spec.Tool{Server: w.server, Name: "restart", ToolSpec: w.server.Spec.Tools["restart"]})
		call := w.call(spec.RequestTool, plugins.ToolCall{})
		call.Request.Body = body
		reply, err := w.broker.Answer(t.Context(), call, nil)
		if err != nil || (reply.Answer == nil) == (reply.Proposal == nil) {
			t.Fatalf("got %+v, %v", reply, err)
		}
		if p := reply.Proposal; p != nil {
			for _, e := range p.Files {
				if p.Kind == spec.ProposalChange && spec.Protected(e.Path) {
					t.Fatalf("%q is protected", e.Path)
				}
			}
		}
	})
}
