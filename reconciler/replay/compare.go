package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/diff"
	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/spec"
)

// added is what the host adds to what an agent asks its model.
type added struct {
	agent *spec.Agent
	tools []broker.Tool
	// unpinned are the servers whose tools are not described.
	unpinned []string
}

// compare compares what the host adds to a request that repeats an exchange, and what it decides. It reports whether a model
// would be told something else.
func (p *player) compare(x *run.Exchange, q spec.Request) bool {
	switch q.Kind {
	case spec.RequestModel:
		return p.compareTold(x, q)
	case spec.RequestTool:
		p.compareVerdict(x)
	}
	return false
}

func (p *player) compareTold(x *run.Exchange, q spec.Request) bool {
	var offered, offers plugins.ModelRequest
	_ = json.Unmarshal(x.Request.Body, &offered) // What is no request offers no tools.
	_ = json.Unmarshal(q.Body, &offers)
	all := diffs("the tools offered", lines(offered.Tools), lines(offers.Tools))
	if p.before != nil {
		was, is := p.before.agent, p.after.agent
		all = slices.Concat(diffs("instructions", was.Instructions, is.Instructions), diffs("model", modelText(was.Model), modelText(is.Model)), all)
		for _, name := range offers.Tools {
			before, ok := p.before.tool(name)
			after, still := p.after.tool(name)
			if ok && still {
				all = append(all, diffs("tool "+name, before, after)...)
			}
		}
	}
	if len(all) == 0 {
		return false
	}
	what := make([]string, len(all))
	for i, d := range all {
		what[i] = d.What
	}
	p.differ(Difference{Exchange: x.N, Lane: x.Request.Lane, Kind: Told, Diffs: all,
		Text: "from here on the model would be told something else: " + strings.Join(what, ", ") + "."})
	return true
}

// tool is what a model is told of a tool, and false where that is not known.
func (a *added) tool(name string) (string, bool) {
	if server, _, _ := strings.Cut(name, "__"); slices.Contains(a.unpinned, server) {
		return "", false
	}
	i := slices.IndexFunc(a.tools, func(t broker.Tool) bool { return t.Name == name })
	if i < 0 {
		return "", false
	}
	return a.tools[i].Description + "\n" + indented(a.tools[i].InputSchema) + "\n", true
}

func modelText(m *spec.Model) string {
	if m == nil {
		return ""
	}
	raw, err := spec.Canonical(m.Spec)
	if err != nil {
		return m.Name
	}
	return "name: " + m.Name + "\n" + indented(raw) + "\n"
}

// compareVerdict compares what policy decided about a tool call with what it would decide now.
func (p *player) compareVerdict(x *run.Exchange) {
	if p.Is == nil {
		return
	}
	is, ok := broker.Verdict(p.agent, x.Request.Body, p.is.Fleet.Policies, p.is.Root)
	was := recordedDecision(x)
	if was == "" && p.before != nil {
		before, known := broker.Verdict(p.before.agent, x.Request.Body, p.Was.Fleet.Policies, p.Was.Root)
		was, ok = before.Decision, ok && known
	}
	if !ok || was == "" || was == is.Decision {
		return
	}
	d := Difference{Exchange: x.N, Lane: x.Request.Lane, Kind: Decided, Was: verb(was), Is: verb(is.Decision) + " by " + is.Rule}
	if x.Rule != "" {
		d.Was += " by " + x.Rule
	}
	d.Text = fmt.Sprintf("%s was %s, and would now be %s.", run.Name(x.Request), d.Was, d.Is)
	if is.Reason != "" {
		d.Text = strings.TrimSuffix(d.Text, ".") + ": " + is.Reason
	}
	p.differ(d)
}

// recordedDecision is what was decided about a tool call, as far as its record tells.
func recordedDecision(x *run.Exchange) string {
	switch {
	case x.Proposal != nil:
		return spec.DecisionPropose
	case x.Answer == nil || x.Rule == "":
		return ""
	case x.Answer.Error != "" && (strings.Contains(x.Answer.Error, " is denied by "+x.Rule) || strings.HasSuffix(x.Rule, " are denied")):
		return spec.DecisionDeny
	case strings.HasSuffix(x.Rule, " are proposed"):
		return spec.DecisionPropose // It could not be opened, or was rejected before.
	}
	return spec.DecisionAllow
}

func verb(decision string) string {
	switch decision {
	case spec.DecisionAllow:
		return "allowed"
	case spec.DecisionPropose:
		return "proposed"
	}
	return "denied"
}

// onlyTools says that two requests for a model's answer are the same but for the tools that they offer.
func onlyTools(a, b spec.Request) bool {
	var was, is plugins.ModelRequest
	if a.Kind != spec.RequestModel || b.Kind != a.Kind || json.Unmarshal(a.Body, &was) != nil || json.Unmarshal(b.Body, &is) != nil {
		return false
	}
	was.Tools, is.Tools = nil, nil
	one, err := spec.Canonical(was)
	other, err2 := spec.Canonical(is)
	return err == nil && err2 == nil && bytes.Equal(one, other)
}

// asked says in one sentence what is asked for in place of something else.
func asked(expected, q spec.Request) string {
	was, is := run.Name(expected), run.Name(q)
	if was == is {
		return "the agent asks for the same kind of thing with something else in it: " + is + "."
	}
	return "it was " + was + ", and now the agent asks for " + is + "."
}

// requestDiffs shows how a request is not the expected one, where both are of one kind.
func requestDiffs(expected, q spec.Request) []Diff {
	if expected.Kind != q.Kind {
		return nil
	}
	if q.Kind == spec.RequestModel {
		var was, is plugins.ModelRequest
		if json.Unmarshal(expected.Body, &was) == nil && json.Unmarshal(q.Body, &is) == nil {
			all := diffs("the conversation", conversation(was.Messages), conversation(is.Messages))
			all = append(all, diffs("the tools offered", lines(was.Tools), lines(is.Tools))...)
			return append(all, diffs("the output schema", indented(was.OutputSchema), indented(is.OutputSchema))...)
		}
	}
	return diffs("the request", indented(expected.Body)+"\n", indented(q.Body)+"\n")
}

func conversation(messages []plugins.Message) string {
	var b strings.Builder
	for _, m := range messages {
		fmt.Fprintf(&b, "%s:\n", strings.TrimSpace(m.Role+" "+m.Tool))
		for l := range strings.Lines(m.Text) {
			b.WriteString("  " + strings.TrimSuffix(l, "\n") + "\n")
		}
		for _, c := range m.Calls {
			fmt.Fprintf(&b, "  calls %s %s\n", c.Name, c.Arguments)
		}
	}
	return b.String()
}

func lines(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return strings.Join(names, "\n") + "\n"
}

func indented(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return string(raw)
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if enc.Encode(v) != nil {
		return string(raw)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// diffs is one diff, or none where the texts are the same.
func diffs(what, before, after string) []Diff {
	text, err := diff.Unified(before, after)
	if err != nil {
		text = "they differ\n"
	}
	if text == "" {
		return nil
	}
	return []Diff{{What: what, Text: text}}
}
