package broker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/spec"
)

func TestAWriteToolBecomesAnAction(t *testing.T) {
	w := newWorld(t)
	got := w.tool("cluster__restart", `{"name":"web","grace":30}`).Proposal
	want := &spec.Proposal{
		Kind: spec.ProposalAction, Agent: "triage", Run: run, Exchange: 7, Base: revision, At: at,
		Title: "Restart deployment web", Action: "triage-01jd0000000000000000000000-7",
		Files: []spec.FileEdit{{Path: "actions/triage-01jd0000000000000000000000-7.yaml", Content: `# Restart deployment web
# Merging this file approves this one call. It is made once, before it expires.
apiVersion: mainstay.dev/v1alpha1
kind: Action
metadata:
  name: triage-01jd0000000000000000000000-7
spec:
  arguments:
    grace: 30
    name: web
  evidence:
    agent: triage
    exchange: 7
    key: "KEY"
    revision: "main@sha1:0123456789012345678901234567890123456789"
    run: "01jd0000000000000000000000"
  expires: "2026-05-07T01:02:01Z"
  precondition:
    arguments:
      name: web
    check: "result.replicas > 0"
    tool: get
  server: cluster
  summary: Restart deployment web
  tool: restart
`}},
		Expires: time.Date(2026, 5, 7, 1, 2, 1, 0, time.UTC),
		Body: "Agent triage asks to call `restart` of tool server `cluster`. Merging approves exactly this call: it is made once, before 2026-05-07T01:02:01Z.\n\n" +
			"| argument | value |\n|---|---|\n| `grace` | `30` |\n| `name` | `\"web\"` |\n\n" +
			"Right before the call, `get` with `{\"name\":\"web\"}` must give a result for which `result.replicas > 0` holds; else nothing is done.\n\n" +
			"---\nRun 01jd0000000000000000000000, request 7, on main@sha1:0123456789012345678901234567890123456789. Task: `look after web`\n",
	}
	if got == nil || len(got.Key) != 16 {
		t.Fatalf("got %+v", got)
	}
	want.Key = got.Key
	want.Files[0].Content = strings.Replace(want.Files[0].Content, "KEY", string(got.Key), 1)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnActionsKeyIsItsTarget(t *testing.T) {
	w := newWorld(t)
	key := func(name, arguments string) spec.ProposalKey {
		reply := w.tool(name, arguments)
		if reply.Proposal == nil {
			t.Fatalf("refused: %+v", reply.Answer)
		}
		return reply.Proposal.Key
	}
	first := key("cluster__restart", `{"name":"web","grace":30}`)
	w.n = 8
	for _, test := range []struct {
		name, tool, arguments string
		same                  bool
	}{
		{"another argument than the target's", "cluster__restart", `{"name":"web","grace":60}`, true},
		{"another form of the same", "cluster__restart", ` { "grace" : 3e1, "name" : "web" } `, true},
		{"another target", "cluster__restart", `{"name":"api","grace":30}`, false},
		{"another tool", "cluster__scale", `{"name":"web"}`, false},
	} {
		if got := key(test.tool, test.arguments); (got == first) != test.same {
			t.Errorf("%s: %s, and first %s", test.name, got, first)
		}
	}
	if key("cluster__scale", `{"name":"web","replicas":1}`) == key("cluster__scale", `{"name":"web","replicas":2}`) {
		t.Error("a tool without a target has all arguments as its target")
	}
}

func TestAnActionIsFoundBeneathTheRootOfTheSpecs(t *testing.T) {
	w := newWorld(t)
	w.opts.Root = "clusters/prod"
	w.broker = broker.New(w.opts)
	if got := w.tool("cluster__restart", `{"name":"web"}`).Proposal.Files[0].Path; got != "clusters/prod/actions/triage-01jd0000000000000000000000-7.yaml" {
		t.Error(got)
	}
}

func TestASummaryIsOnePlainSentence(t *testing.T) {
	w := newWorld(t)
	w.agent.Tools = append(w.agent.Tools, spec.Tool{Server: w.server, Name: "rename", ToolSpec: spec.ToolSpec{
		Effect: spec.EffectWrite, Summary: "Rename it to ${ arguments.to }",
	}})
	for _, test := range []struct{ name, tool, arguments, want string }{
		{"without a template", "cluster__scale", `{"name":"web","replicas":2}`, `Call cluster scale with {"name":"web","replicas":2}`},
		{"where the template cannot be rendered", "cluster__rename", `{"name":"web"}`, `Call cluster rename with {"name":"web"}`},
		{"however the argument looks", "cluster__restart", `{"name":"web\n# approved\u001b[2K\u202e\nspec: {}"}`, "Restart deployment web # approved[2K spec: {}"},
	} {
		reply := w.tool(test.tool, test.arguments)
		if reply.Proposal == nil || reply.Proposal.Title != test.want {
			t.Errorf("%s: %+v", test.name, reply.Proposal)
			continue
		}
		var action struct{ Spec spec.ActionSpec }
		content := reply.Proposal.Files[0].Content
		if err := yaml.Unmarshal([]byte(content), &action); err != nil || action.Spec.Summary != test.want {
			t.Errorf("%s: %v in\n%s", test.name, err, content)
		}
		if !strings.HasPrefix(content, "# "+test.want+"\n# Merging") {
			t.Errorf("%s: the comment is\n%s", test.name, content)
		}
	}
}

func TestWhatAReviewerReadsIsNotMarkup(t *testing.T) {
	w := newWorld(t)
	body := w.tool("cluster__scale", "{\"name\":\"`a` | <b> ``` @team\"}").Proposal.Body
	if want := "| `name` | ```` \"`a` \\| <b> ``` @team\" ```` |"; !strings.Contains(body, want) {
		t.Errorf("%s\nhas no\n%s", body, want)
	}
}

func TestACallThatCannotBeAnActionIsRefused(t *testing.T) {
	w := newWorld(t)
	w.knowSecret()
	for _, test := range []struct{ name, arguments, says string }{
		{"because it does not fit the tool's schema", `{}`, "the arguments of cluster__restart do not fit its schema: the object lacks the required property"},
		{"because a number would lose digits", `{"name":"web","id":9007199254740993}`, "arguments.id of cluster__restart is a number with more digits"},
		{"because a number is beyond all", `{"name":"web","ids":[1,1e300]}`, "arguments.ids[1]"},
		{"because it holds a secret", `{"name":"` + token + `"}`, "hold a secret"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.t = t
			w.refused(w.tool("cluster__restart", test.arguments), "default: write tools are proposed", test.says)
		})
	}
}

func TestAPolicyDeniesAWrite(t *testing.T) {
	w := newWorld(t)
	w.rule("frozen", spec.OnCall, `call.tool == "restart" && call.arguments.name == "web"`, spec.DecisionDeny, "Frozen.")
	w.refused(w.tool("cluster__restart", `{"name":"web"}`), "policies/guard.yaml#frozen", "Frozen.")
	if got := w.tool("cluster__restart", `{"name":"api"}`); got.Proposal == nil {
		t.Errorf("got %+v", got.Answer)
	}
}
