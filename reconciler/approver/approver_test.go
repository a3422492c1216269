package approver_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/crypto/ssh"

	"github.com/mainstay-dev/mainstay/reconciler/approver"
	"github.com/mainstay-dev/mainstay/spec"
)

const file = "actions/triage-01jd00000000000000000000ab-1.yaml"

// public is a key that is only compared.
type public string

func (p public) Type() string                        { return ssh.KeyAlgoED25519 }
func (p public) Marshal() []byte                     { return []byte(p) }
func (p public) Verify([]byte, *ssh.Signature) error { return nil }

func key(name string, owns ...string) spec.Key {
	return spec.Key{Name: name, SSH: public(name), CodeOwner: owns}
}

// question is Ada's, who may.
func question() approver.Question {
	ada := key("Ada", "@ada", "@shop/sre")
	return approver.Question{
		Action: spec.ActionSpec{Server: "cluster", Tool: "restart", Arguments: map[string]any{"name": "shop"}, Evidence: spec.Evidence{Agent: "triage"}},
		File:   file, By: ada, Proposer: key("robot"), Approvers: []spec.Key{ada, key("Bob")}, Reconcilers: []spec.Key{key("robot")},
		Tree: fstest.MapFS{},
	}
}

func owners(name, text string) func(*approver.Question) {
	return func(q *approver.Question) { q.Tree = fstest.MapFS{name: {Data: []byte(text)}} }
}

func rule(t *testing.T, when string, names ...string) func(*approver.Question) {
	t.Helper()
	condition, err := spec.NewCondition(spec.OnCall, when)
	if err != nil {
		t.Fatal(err)
	}
	p := &spec.Policy{Rules: []spec.Rule{{Condition: condition, PolicyRule: spec.PolicyRule{Name: "team", On: spec.OnCall, When: when,
		Decision: spec.DecisionPropose, Approvers: names, Reason: "They know it."}}}}
	p.Place.File = "policies/p.yaml"
	return func(q *approver.Question) { q.Policies = append(q.Policies, p) }
}

func touches(paths ...string) func(*approver.Question) {
	return func(q *approver.Question) {
		q.Server = &spec.ToolServer{Spec: spec.ToolServerSpec{Tools: map[string]spec.ToolSpec{"restart": {Effect: spec.EffectWrite, Touches: paths}}}}
		q.Server.Place.File = "tools/cluster.yaml"
	}
}

func TestWhoMayApprove(t *testing.T) {
	by := func(k spec.Key) func(*approver.Question) { return func(q *approver.Question) { q.By = k } }
	for _, test := range []struct {
		name   string
		change []func(*approver.Question)
		why    string // "" may
	}{
		{"a listed person", nil, ""},
		{"somebody else", []func(*approver.Question){by(key("Mallory"))}, "none of spec.approvers"},
		{"somebody with a listed name and another key", []func(*approver.Question){by(spec.Key{Name: "Ada", SSH: public("other")})}, "none of spec.approvers"},
		{"a reconciler, even if it is listed as an approver", []func(*approver.Question){by(key("robot")), func(q *approver.Question) { q.Approvers = append(q.Approvers, key("robot")) }}, "a reconciler's"},
		{"whoever has proposed it", []func(*approver.Question){func(q *approver.Question) { q.Proposer = q.By }}, "has proposed it"},
		{"an approver called like the agent", []func(*approver.Question){by(key("Triage")), func(q *approver.Question) { q.Approvers = append(q.Approvers, key("Triage")) }}, "like the agent"},

		{"CODEOWNERS names the person", []func(*approver.Question){owners("CODEOWNERS", "* @nobody\n/actions/ @bob @ADA\n")}, ""},
		{"CODEOWNERS names the person's team", []func(*approver.Question){owners(".github/CODEOWNERS", "* @shop/sre\n")}, ""},
		{"CODEOWNERS names somebody else", []func(*approver.Question){owners("docs/CODEOWNERS", "# people\n* @shop/dba bob@example.com\n")}, "docs/CODEOWNERS line 2 gives " + file + " to @shop/dba and bob@example.com, and Ada is none of them"},
		{"the last rule that matches counts", []func(*approver.Question){owners("CODEOWNERS", "* @ada\nactions/** @shop/dba\n")}, "to @shop/dba"},
		{"a rule without owners lets everybody", []func(*approver.Question){owners("CODEOWNERS", "* @shop/dba\nactions/\n")}, ""},
		{"CODEOWNERS about something else", []func(*approver.Question){owners("CODEOWNERS", "/manifests/ @shop/dba\n")}, ""},
		{"the first CODEOWNERS counts", []func(*approver.Question){func(q *approver.Question) {
			q.Tree = fstest.MapFS{".github/CODEOWNERS": {Data: []byte("* @shop/dba\n")}, "CODEOWNERS": {Data: []byte("* @ada\n")}}
		}}, ".github/CODEOWNERS"},
		{"a CODEOWNERS that cannot be read", []func(*approver.Question){owners("CODEOWNERS", "* not an owner\n")}, "who owns it is not known: CODEOWNERS"},
		{"a CODEOWNERS rule about /", []func(*approver.Question){owners("CODEOWNERS", "* @ada\n\n/ @ada\n")}, "CODEOWNERS line 3: the pattern / can be meant in two ways"},

		{"the owners of what it touches", []func(*approver.Question){owners("CODEOWNERS", "* @shop/dba\n/manifests/shop.yaml @ada\n"), touches("manifests/${ arguments.name }.yaml")}, ""},
		{"not the owners of what it touches", []func(*approver.Question){owners("CODEOWNERS", "* @ada\n/manifests/ @shop/dba\n"), touches("manifests/${ arguments.name }.yaml")}, "gives manifests/shop.yaml to @shop/dba"},
		{"an owner of one of two paths", []func(*approver.Question){owners("CODEOWNERS", "/a @ada\n/b @bob\n"), touches("a", "b")}, "gives b to @bob"},
		{"a path that leads out", []func(*approver.Question){owners("CODEOWNERS", "* @ada\n"), touches("../${ arguments.name }")}, "is not the path of a file"},
		{"a path that cannot be rendered", []func(*approver.Question){owners("CODEOWNERS", "* @ada\n"), touches("${ arguments.namespace }")}, "touches of restart in tools/cluster.yaml"},

		{"a rule that names the person", []func(*approver.Question){rule(t, `call.arguments.name == "shop"`, "Ada")}, ""},
		{"a rule that names others", []func(*approver.Question){rule(t, `call.agent == "triage"`, "Bob", "Grace")}, "policies/p.yaml#team lets Bob or Grace approve it, and not Ada: They know it."},
		{"a rule about another call", []func(*approver.Question){rule(t, `call.tool == "scale"`, "Bob")}, ""},
		{"two rules, of which one names the person", []func(*approver.Question){rule(t, "", "Ada"), rule(t, "", "Bob")}, "and not Ada"},
		{"a rule that cannot be evaluated", []func(*approver.Question){rule(t, `call.arguments.namespace == "x"`, "Ada")}, "lets nobody approve it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := question()
			for _, change := range test.change {
				change(&q)
			}
			got := approver.Check(q)
			if (got == "") != (test.why == "") || !strings.Contains(got, test.why) {
				t.Errorf("got %q, want %q", got, test.why)
			}
		})
	}
}

// However a CODEOWNERS file is written, it never lets anybody approve who could not without it.
func FuzzCodeOwners(f *testing.F) {
	f.Add("* @ada\n", "@ada")
	f.Add("/actions/*.yaml @shop/sre # who", "@shop/sre")
	f.Add("/ @ada\n// @ada\n", "@ada")
	f.Add("[Section] @x\n\\#a\\ b ada@example.com", "ada@example.com")
	f.Fuzz(func(t *testing.T, text, owner string) {
		q := question()
		q.By.CodeOwner = []string{owner}
		owners("CODEOWNERS", text)(&q)
		approver.Check(q)
		q.By = key("Mallory", owner)
		if approver.Check(q) == "" {
			t.Fatal("somebody who is not listed may approve")
		}
	})
}
