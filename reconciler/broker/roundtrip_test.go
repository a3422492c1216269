package broker_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/broker/tool"
	"github.com/mainstay-dev/mainstay/spec"
)

// specs is a spec repository whose agent may call one write tool.
func specs() fstest.MapFS {
	return fstest.MapFS{
		"mainstay.yaml": {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\nspec: {defaults: {model: m}}\n")},
		"models/m.yaml": {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: m}\nspec: {provider: scripted, rules: [{text: hello}]}\n")},
		"tools/cluster.yaml": {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: ToolServer\nmetadata: {name: cluster}\nspec:\n" +
			"  command: [mainstay, x]\n  tools:\n    get: {effect: read}\n    restart:\n      effect: write\n      summary: Restart ${ arguments.name }\n" +
			"      precondition: {tool: get, arguments: {name: '${ arguments.name }'}, check: result.ready}\n")},
		"agents/triage.md": {Data: []byte("---\ntools: [{server: cluster}]\n---\nLook after the shop.\n")},
	}
}

// TestAProposedActionLoadsAsTheCallItWas holds for whatever a model puts into arguments: what is merged, and so what is
// executed, is what was asked for.
func TestAProposedActionLoadsAsTheCallItWas(t *testing.T) {
	fleet, problems := spec.Load(specs(), spec.LoadOptions{})
	if fleet == nil {
		t.Fatal(problems)
	}
	b := broker.New(broker.Options{
		Policies: func() ([]*spec.Policy, error) { return fleet.Policies, nil },
		Files:    func(spec.Revision) (fs.FS, error) { return specs(), nil },
		Redactor: broker.NewRedactor(func() []string { return nil }),
		// Nothing can be asked, for the server has no program.
		Tools: tool.New(tool.Options{Dir: t.TempDir(), Env: func(string) (string, bool) { return "", false }, Now: time.Now}),
	})
	agent := fleet.Agents["triage"]
	propose := func(arguments json.RawMessage) (broker.Reply, error) {
		body, err := plugins.Canonical(plugins.ToolCall{Name: "cluster__restart", Arguments: arguments})
		if err != nil {
			t.Fatal(err)
		}
		return b.Answer(context.Background(), broker.Call{
			Task:  spec.Task{Run: "01jd0000000000000000000000", Agent: "triage", Revision: revision},
			Agent: agent, N: 3, At: at, Expires: fleet.Expires,
			Request: spec.Request{Kind: spec.RequestTool, Body: body},
		}, nil)
	}
	if reply, err := propose([]byte("{}")); err != nil || reply.Answer == nil || !strings.Contains(reply.Answer.Error, "precondition") {
		t.Errorf("arguments that its precondition lacks: %+v, %v", reply, err)
	}
	text := rapid.OneOf(
		rapid.SampledFrom([]string{"", "yes", "null", "~", "0x10", "1e3", "010", "2026-01-31", "a: b", "- x", "# x", "${ 1 }", "$${x}", "{{ x }}",
			" x ", "x\n", "\nx\n\n", "\tx", "a\r\nb", "\u0085", "\u2028x", "\ufeffx", "!!binary x", "&a *a", "'", `"`, "|", ">", "---", "=", "<<", "a\nb", "a\n  b\n\nc\n", "a\n ", "if x; then\n\ty\nfi\n", "...\n---\n", "#a\n#b", "%a\nb", "a\u00a0\nb", ".inf", "1:30"}),
		rapid.String(),
	)
	scalar := rapid.OneOf(
		rapid.Map(text, func(s string) any { return s }),
		rapid.Map(rapid.Int64Range(-1<<53, 1<<53), func(n int64) any { return n }),
		rapid.Map(rapid.Float64Range(-1e15, 1e15), func(f float64) any { return f }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Just(any(nil)),
	)
	rapid.Check(t, func(t *rapid.T) {
		arguments := map[string]any{"name": text.Draw(t, "name")}
		for _, key := range rapid.SliceOfNDistinct(text, 0, 3, rapid.ID[string]).Draw(t, "keys") {
			if key == "name" {
				continue
			}
			if rapid.Bool().Draw(t, "deep") {
				arguments[key] = map[string]any{text.Draw(t, "inner"): []any{scalar.Draw(t, "item"), scalar.Draw(t, "item")}}
			} else {
				arguments[key] = scalar.Draw(t, "value")
			}
		}
		want, err := plugins.Canonical(arguments)
		if err != nil {
			t.Fatal(err)
		}
		reply, err := propose(want)
		if err != nil || reply.Proposal == nil {
			t.Fatalf("%s: %+v, %v", want, reply.Answer, err)
		}
		p := reply.Proposal
		merged := specs()
		merged[p.Files[0].Path] = &fstest.MapFile{Data: []byte(p.Files[0].Content)}
		loaded, problems := spec.Load(merged, spec.LoadOptions{})
		if loaded == nil {
			t.Fatalf("%s\ndoes not load: %v", p.Files[0].Content, problems)
		}
		action := loaded.Actions[p.Action]
		got, err := plugins.Canonical(action.Spec.Arguments)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Fatalf("%s\n%s", p.Files[0].Content, diff)
		}
		if diff := cmp.Diff(arguments["name"], action.Spec.Precondition.Arguments["name"]); diff != "" {
			t.Fatalf("%s\n%s", p.Files[0].Content, diff)
		}
	})
}
