package broker_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/broker/tool"
	"github.com/mainstay-dev/mainstay/reconciler/broker/tool/tooltest"
	"github.com/mainstay-dev/mainstay/reconciler/secret"
	"github.com/mainstay-dev/mainstay/spec"
)

func TestMain(m *testing.M) {
	tooltest.Main()
	os.Exit(m.Run())
}

const (
	token    = "s3cret-value"
	revision = spec.Revision("main@sha1:0123456789012345678901234567890123456789")
	run      = spec.RunID("01jd0000000000000000000000")
)

var at = time.Date(2026, 5, 4, 3, 2, 1, 500, time.FixedZone("", 7200))

// world is a broker with all that it needs, and an agent that has one of everything.
type world struct {
	t        *testing.T
	broker   *broker.Broker
	agent    *spec.Agent
	server   *spec.ToolServer
	policies []*spec.Policy
	files    fs.FS
	opts     broker.Options
	n        int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"PATH": os.Getenv("PATH"), "CLUSTER_TOKEN": token}[name]
		return v, ok
	}
	secrets := secret.New(secret.Options{Env: env, Now: time.Now})
	servers := tool.New(tool.Options{Dir: t.TempDir(), Self: self, Now: time.Now, Env: env, Secret: secrets.Resolve})
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, n: 7, server: tooltest.Server("cluster", spec.EnvVar{Name: "TOKEN", From: &spec.SecretRef{Env: "CLUSTER_TOKEN"}})}
	skill := &spec.Skill{Files: map[string][]byte{"SKILL.md": []byte("How to bump."), "logo.png": {0, 1}}}
	skill.Name = "bumps"
	w.agent = &spec.Agent{
		Name: "triage", Instructions: "Be careful.", Skills: []*spec.Skill{skill},
		ReadPaths: []string{"manifests/**", "docs/*.md"}, ProposePaths: []string{"**"},
	}
	for _, name := range []string{"echo", "raw", "environment", "get", "fail", "die", "big", "drop", "restart", "scale"} {
		w.agent.Tools = append(w.agent.Tools, spec.Tool{Server: w.server, Name: name, ToolSpec: w.server.Spec.Tools[name]})
	}
	w.files = fstest.MapFS{
		"mainstay.yaml":            {Data: []byte("kind: Fleet")},
		"manifests/web.yaml":       {Data: []byte("image: web:1\n")},
		"manifests/deep/api.yaml":  {Data: []byte("image: api:1\n")},
		"manifests/key.yaml":       {Data: []byte("token: " + token + "\n")},
		"manifests/logo.png":       {Data: []byte{0x89, 'P', 'N', 'G', 0}},
		"manifests/huge.yaml":      {Data: bytes.Repeat([]byte("x"), 513<<10)},
		"manifests/passwd":         {Data: []byte("../../etc/passwd"), Mode: fs.ModeSymlink | 0o777},
		"manifests/away":           {Data: []byte("../secrets"), Mode: fs.ModeSymlink | 0o777},
		"secrets/key.yaml":         {Data: []byte("key: value\n")},
		"docs/a.md":                {Data: []byte("# A\n")},
		"docs/deep/hidden-from.md": {Data: []byte("# B\n")},
	}
	w.opts = broker.Options{
		Tools:    servers,
		Redactor: broker.NewRedactor(secrets.Known),
		Policies: func() ([]*spec.Policy, error) { return w.policies, nil },
		Files: func(r spec.Revision) (fs.FS, error) {
			if r != revision {
				t.Errorf("asked for %s", r)
			}
			return w.files, nil
		},
		Now:    func() time.Time { return at },
		Random: bytes.NewReader(bytes.Repeat([]byte{7}, 64)),
	}
	w.broker = broker.New(w.opts)
	return w
}

// rule adds a policy with one rule.
func (w *world) rule(name, on, when, decision, reason string) {
	w.t.Helper()
	condition, err := spec.NewCondition(on, when)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &spec.Policy{Rules: []spec.Rule{{
		PolicyRule: spec.PolicyRule{Name: name, On: on, When: when, Decision: decision, Reason: reason}, Condition: condition,
	}}}
	p.Place.File = "policies/guard.yaml"
	w.policies = append(w.policies, p)
}

// script makes the agent's model a scripted one.
func (w *world) script(rules ...spec.ScriptRule) {
	w.t.Helper()
	script, err := spec.NewScript("script", rules)
	if err != nil {
		w.t.Fatal(err)
	}
	w.agent.Model = &spec.Model{Spec: spec.ModelSpec{Provider: spec.ProviderScripted}, Script: script}
	w.agent.Model.Name = "script"
}

func (w *world) call(kind string, body any) broker.Call {
	w.t.Helper()
	raw, err := plugins.Canonical(body)
	if err != nil {
		w.t.Fatal(err)
	}
	return broker.Call{
		Task:  spec.Task{Run: run, Agent: w.agent.Name, Text: "look after web", Revision: revision},
		Agent: w.agent, N: w.n, At: at, Expires: 72 * time.Hour,
		Request: spec.Request{Lane: spec.MainLane, Kind: kind, Body: raw},
	}
}

func (w *world) answer(kind string, body any) broker.Reply {
	w.t.Helper()
	reply, err := w.broker.Answer(w.t.Context(), w.call(kind, body), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if reply.Delegation == nil && (reply.Answer == nil) == (reply.Proposal == nil) {
		w.t.Fatalf("the reply has both or neither: %+v", reply)
	}
	return reply
}

// tool calls a tool. arguments are JSON.
func (w *world) tool(name, arguments string) broker.Reply {
	w.t.Helper()
	return w.answer(spec.RequestTool, plugins.ToolCall{ID: "call-1-0", Name: name, Arguments: json.RawMessage(arguments)})
}

// result is the tool's result in an answer without an error.
func (w *world) result(reply broker.Reply) plugins.ToolResult {
	w.t.Helper()
	if reply.Answer == nil || reply.Answer.Error != "" {
		w.t.Fatalf("no result but %+v, %+v", reply.Answer, reply.Proposal)
	}
	var result plugins.ToolResult
	if err := json.Unmarshal(reply.Answer.Body, &result); err != nil {
		w.t.Fatal(err)
	}
	return result
}

// refused checks that a reply is an error that says all of the words, and under which rule.
func (w *world) refused(reply broker.Reply, rule string, words ...string) {
	w.t.Helper()
	if reply.Answer == nil || reply.Answer.Error == "" || reply.Answer.Body != nil {
		w.t.Fatalf("not refused: %+v, a proposal: %v", reply.Answer, reply.Proposal != nil)
	}
	for _, word := range words {
		if !strings.Contains(reply.Answer.Error, word) {
			w.t.Errorf("%q does not say %q", reply.Answer.Error, word)
		}
	}
	if !strings.Contains(reply.Answer.Rule, rule) || rule == "" && reply.Answer.Rule != "" {
		w.t.Errorf("the rule is %q, want %q", reply.Answer.Rule, rule)
	}
}

func TestTimeAndRandomnessComeFromTheHost(t *testing.T) {
	w := newWorld(t)
	if got := string(w.answer(spec.RequestTime, plugins.TimeRequest{}).Answer.Body); got != `{"time":"2026-05-04T01:02:01.0000005Z"}` {
		t.Error(got)
	}
	if got := string(w.answer(spec.RequestRandom, plugins.RandomRequest{N: 3}).Answer.Body); got != `{"bytes":"BwcH"}` {
		t.Error(got)
	}
	for _, n := range []int{0, -1, plugins.MaxRandom + 1} {
		w.refused(w.answer(spec.RequestRandom, plugins.RandomRequest{N: n}), "", "1 to 1024")
	}
	w.refused(w.answer("dream", struct{}{}), "", `"dream" is not known`)
}

func TestAModelIsAskedWithWhatTheHostKnows(t *testing.T) {
	var asked struct {
		Messages []struct{ Role, Content string }
		Tools    []struct {
			Function struct{ Name, Description string }
		}
	}
	server := newOllama(t, &asked, `{"message":{"content":"my token is s3c"},"done":false}`,
		`{"message":{"content":"ret-value, keep it","tool_calls":[{"function":{"name":"cluster__get","arguments":{"name":"`+token+`"}}},{"function":{"name":"repo__read","arguments":{"path":"a"}}}]},"done":true,"prompt_eval_count":5,"eval_count":6}`)
	w := newWorld(t)
	w.agent.Model = server
	if got := w.result(w.tool("cluster__environment", `{}`)); strings.Contains(got.Text, token) || !strings.Contains(got.Text, "TOKEN=[redacted]") {
		t.Fatal(got.Text)
	}
	var shown []string
	reply, err := w.broker.Answer(t.Context(), w.call(spec.RequestModel, plugins.ModelRequest{
		Messages: []plugins.Message{{Role: plugins.RoleUser, Text: "hello"}},
		Tools:    []string{"cluster__restart", "cluster__get", "cluster__drop", "shell__exec", "repo__read"},
	}), func(piece string) { shown = append(shown, piece) })
	if err != nil {
		t.Fatal(err)
	}
	if len(asked.Messages) != 2 || asked.Messages[0].Content != "Be careful." || asked.Messages[0].Role != "system" {
		t.Errorf("asked with %+v", asked.Messages)
	}
	var names []string
	for _, f := range asked.Tools {
		names = append(names, f.Function.Name+": "+f.Function.Description)
	}
	want := []string{
		"cluster__get: Get a deployment.",
		"cluster__restart: Restart a deployment. A call is proposed to the people who review this repository; the answer comes when they have decided and it has been carried out.",
		"repo__read: Read one text file of the repository.",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"my token is ", "[redacted], keep it"}, shown); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(`{"calls":[{"arguments":{"name":"[redacted]"},"id":"call-7-0","name":"cluster__get"},{"arguments":{"path":"a"},"id":"call-7-1","name":"repo__read"}],`+
		`"finish":"calls","text":"my token is [redacted], keep it","usage":{"input":5,"output":6}}`, string(reply.Answer.Body)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&spec.Usage{Input: 5, Output: 6}, reply.Answer.Usage); diff != "" {
		t.Error(diff)
	}
}

func TestTheSameScriptedQuestionHasTheSameAnswer(t *testing.T) {
	w := newWorld(t)
	w.script(spec.ScriptRule{Text: "hello ${ task }", Calls: []spec.ScriptCall{{Tool: "repo__list", Arguments: map[string]any{"glob": "**"}}}})
	ask := plugins.ModelRequest{Messages: []plugins.Message{{Role: plugins.RoleUser, Text: "world"}}}
	first, second := w.answer(spec.RequestModel, ask), w.answer(spec.RequestModel, ask)
	if !bytes.Equal(first.Answer.Body, second.Answer.Body) || !strings.Contains(string(first.Answer.Body), "hello world") {
		t.Errorf("got %s, then %s", first.Answer.Body, second.Answer.Body)
	}
}

func TestWhatALaterTryMayMendIsNoAnswer(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, test := range []struct {
		name   string
		change func(*world)
		kind   string
		body   any
		what   string
	}{
		{"a model server that is away", func(w *world) {
			w.agent.Model = &spec.Model{Spec: spec.ModelSpec{Provider: spec.ProviderOllama, Name: "m", Endpoint: gone.URL}}
			w.agent.Model.Name = "local"
		}, spec.RequestModel, plugins.ModelRequest{}, "model local"},
		{"a tool server that does not start", func(w *world) { w.server.Spec.Command = []string{"mainstay-no-such-program"} },
			spec.RequestTool, plugins.ToolCall{Name: "cluster__get"}, "tool server cluster"},
		{"a tool server whose schemas are needed", func(w *world) { w.server.Spec.Command = []string{"mainstay-no-such-program"}; w.script() },
			spec.RequestModel, plugins.ModelRequest{Tools: []string{"cluster__get"}}, "tool server cluster"},
		{"files that cannot be read", func(w *world) {
			w.opts.Files = func(spec.Revision) (fs.FS, error) { return nil, errors.New("token " + token + " refused") }
		}, spec.RequestTool, plugins.ToolCall{Name: "repo__list"}, "files at main@0123456"},
		{"policies that are not known", func(w *world) {
			w.opts.Policies = func() ([]*spec.Policy, error) { return nil, errors.New("no revision") }
		}, spec.RequestTool, plugins.ToolCall{Name: "repo__list"}, "policies"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.opts.Redactor = broker.NewRedactor(func() []string { return []string{token} })
			test.change(w)
			reply, err := broker.New(w.opts).Answer(t.Context(), w.call(test.kind, test.body), nil)
			var unavailable *broker.Unavailable
			if !errors.As(err, &unavailable) || unavailable.What != test.what || reply != (broker.Reply{}) {
				t.Errorf("got %+v, %v", reply, err)
			}
			if strings.Contains(err.Error(), token) {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestWhatNoTryMendsIsAnAnswer(t *testing.T) {
	w := newWorld(t)
	w.refused(w.answer(spec.RequestModel, plugins.ModelRequest{}), "", "has no model")
	w.script(spec.ScriptRule{When: "turn == 9"})
	w.refused(w.answer(spec.RequestModel, plugins.ModelRequest{}), "", "no rule of model")
	w.refused(w.answer(spec.RequestModel, plugins.ModelRequest{Messages: []plugins.Message{{Role: "boss"}}}), "", `role "boss"`)
	w.refused(w.answer(spec.RequestModel, []int{1}), "", "malformed")
	w.agent.Tools = append(w.agent.Tools, spec.Tool{Server: w.server, Name: "missing", ToolSpec: spec.ToolSpec{Effect: spec.EffectRead}})
	w.refused(w.answer(spec.RequestModel, plugins.ModelRequest{Tools: []string{"cluster__get"}}), "", "tools/cluster.yaml", `"missing"`)
}

func TestToolListIsWhatTheAgentHas(t *testing.T) {
	w := newWorld(t)
	names := func() (names []string) {
		list, err := w.broker.ToolList(t.Context(), revision, w.agent)
		if err != nil {
			t.Fatal(err)
		}
		for _, tool := range list {
			if tool.Description == "" || !json.Valid(tool.InputSchema) {
				t.Errorf("%s is not described: %q, %s", tool.Name, tool.Description, tool.InputSchema)
			}
			names = append(names, tool.Name)
		}
		return names
	}
	if diff := cmp.Diff([]string{
		"cluster__big", "cluster__die", "cluster__echo", "cluster__environment", "cluster__fail", "cluster__get",
		"cluster__raw", "cluster__restart", "cluster__scale", "repo__list", "repo__propose_change", "repo__read", "skills__read",
	}, names()); diff != "" {
		t.Error(diff)
	}
	w.agent.Tools, w.agent.ReadPaths, w.agent.ProposePaths, w.agent.Skills = nil, nil, nil, nil
	if got := names(); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

func TestATaskForAnotherAgentIsADelegation(t *testing.T) {
	w := newWorld(t)
	w.agent.Delegates = []spec.AgentName{"reader"}
	list, err := w.broker.ToolList(t.Context(), revision, w.agent)
	if err != nil || list[0].Name != "agents__reader" || !json.Valid(list[0].InputSchema) {
		t.Fatalf("%+v, %v", list[0], err)
	}
	reply := w.tool("agents__reader", `{"task":"Read."}`)
	if want := (spec.Delegation{Agent: "reader", Text: "Read.", Rule: "default: read tools are allowed"}); reply.Delegation == nil || *reply.Delegation != want {
		t.Errorf("got %+v", reply)
	}
	w.refused(w.tool("agents__reader", `{"task":" "}`), "default: read tools are allowed", "the task for reader is empty")
	w.refused(w.tool("agents__reader", `{"task":"`+strings.Repeat("x", 65<<10)+`"}`), "default: read tools are allowed", "at most 65536 are allowed")
	w.refused(w.tool("agents__reader", `{"task":"Read.","as":"admin"}`), "default: read tools are allowed", "do not fit")
	w.refused(w.tool("agents__writer", `{"task":"Write."}`), "default: undeclared tools are denied", "not declared")
}

func TestTheEndOfARunIsTheAnswer(t *testing.T) {
	child := spec.Task{Run: "01x", Agent: "reader"}
	done := broker.Concluded(spec.Request{Kind: spec.RequestTool}, child, spec.Outcome{Phase: spec.PhaseSucceeded, Output: "<b>"})
	if string(done.Body) != `{"text":"<b>"}` || done.Error != "" {
		t.Errorf("got %s %q", done.Body, done.Error)
	}
	failed := broker.Concluded(spec.Request{Kind: spec.RequestTool}, child, spec.Outcome{Phase: spec.PhaseFailed, Reason: "LimitReached", Message: "too long"})
	if failed.Error != "agent reader did not do the task (run 01x): LimitReached: too long" {
		t.Errorf("got %q", failed.Error)
	}
}

func TestADecisionIsTheResultOfTheCall(t *testing.T) {
	w := newWorld(t)
	w.tool("cluster__get", `{"name":"web"}`)
	got := w.broker.Decided(spec.Proposal{}, json.RawMessage(`{"state":"merged", "message":"`+token+`"}`))
	if diff := cmp.Diff(spec.Answer{Body: json.RawMessage(`{"structured":{"message":"[redacted]","state":"merged"}}`)}, got); diff != "" {
		t.Error(diff)
	}
	if got := w.broker.Decided(spec.Proposal{Key: "k"}, json.RawMessage(`{`)); !strings.Contains(got.Error, "cannot be read") {
		t.Errorf("got %+v", got)
	}
}
