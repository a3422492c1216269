package plan

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// AgentChange is what becomes of an agent, after every reference was followed. Of an agent that is removed only its name is
// there.
type AgentChange struct {
	Name spec.AgentName `json:"name"`
	Mode Mode           `json:"mode"`
	// Model is there where the agent gets another model, or its model is another one now.
	Model *ModelChange `json:"model,omitempty"`
	Tools *ToolChanges `json:"tools,omitempty"`
	// Skills and so on are names, and ReadPaths and ProposePaths globs.
	Skills       *Names `json:"skills,omitempty"`
	Knowledge    *Names `json:"knowledge,omitempty"`
	Delegates    *Names `json:"delegates,omitempty"`
	ReadPaths    *Names `json:"readPaths,omitempty"`
	ProposePaths *Names `json:"proposePaths,omitempty"`
	// Fields are whatever else differs: runtime, limits, memory and so on, and what reaches the servers of its tools.
	Fields []Field `json:"fields,omitempty"`
	// Instructions is a unified diff of the instructions as the model gets them.
	Instructions string `json:"instructions,omitempty"`
}

// Names are what a list gains and loses. Changed are those that are on both sides, and are not what they were. Widening are
// those of Gained that permit more than what was there.
type Names struct {
	Gained   []string `json:"gained,omitempty"`
	Lost     []string `json:"lost,omitempty"`
	Changed  []string `json:"changed,omitempty"`
	Widening []string `json:"widening,omitempty"`
}

// ToolChanges are the tools that an agent gains and loses, by the names that its model sees.
type ToolChanges struct {
	Gained  []ToolUse    `json:"gained,omitempty"`
	Lost    []ToolUse    `json:"lost,omitempty"`
	Changed []ToolChange `json:"changed,omitempty"`
}

// ToolUse is a tool and its effect.
type ToolUse struct {
	Name   string `json:"name"`
	Effect string `json:"effect"`
}

// ToolChange is a tool that is declared otherwise than before.
type ToolChange struct {
	Name   string  `json:"name"`
	Fields []Field `json:"fields"`
}

// ModelChange is the model of an agent before and after. Before is nil for a new agent.
type ModelChange struct {
	Before *ModelUse `json:"before,omitempty"`
	After  *ModelUse `json:"after"`
	// Fields are those of the two models that differ.
	Fields []Field `json:"fields,omitempty"`
}

// ModelUse is a Model: Name is the resource's, and Model the provider's.
type ModelUse struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	Model    string `json:"model,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
}

// agent compares an agent before and after. One of them may be nil.
func (x *comparison) agent(before, after *spec.Agent) {
	switch {
	case after == nil:
		x.narrowed.add(before.Ref, "agent", "left the fleet")
		x.Agents = append(x.Agents, AgentChange{Name: before.Name, Mode: Removed})
		return
	case before == nil:
		x.widened.add(after.Ref, "agent", "joined the fleet, with the model %s", modelName(after.Model))
	}
	c := AgentChange{Name: after.Name, Mode: Changed}
	if before == nil {
		c.Mode = Added
		before = &spec.Agent{Limits: after.Limits, Runtime: after.Runtime}
		c.Fields = append(c.Fields, Field{Path: "runtime", After: after.Runtime})
		for _, d := range differences(spec.KindAgent, nil, map[string]any{"limits": x.agentTree(x.after, after)["limits"]}) {
			c.Fields = append(c.Fields, d.field())
		}
	}
	x.agentModel(&c, before, after)
	x.agentTools(&c, before, after)
	c.Skills = skills(before.Skills, after.Skills)
	c.Knowledge = x.names(after.Ref, before.KnowledgeNames(), after.KnowledgeNames(), nil,
		"knowledge", "gained the knowledge %s", "lost the knowledge %s")
	x.sources(&c, before, after)
	c.Delegates = x.names(after.Ref, plain(before.Delegates), plain(after.Delegates), nil,
		"delegate", "gained the agent %s to give tasks to", "lost the agent %s to give tasks to")
	c.ReadPaths = x.names(after.Ref, before.ReadPaths, after.ReadPaths, covered,
		"path", "gained the files %s to read", "lost the files %s to read")
	c.ProposePaths = x.names(after.Ref, before.ProposePaths, after.ProposePaths, covered,
		"path", "gained the files %s to propose changes of", "lost the files %s to propose changes of")
	x.boundaries(before, after)
	if before.Runtime != after.Runtime {
		c.Fields = append(c.Fields, Field{Path: "runtime", Before: before.Runtime, After: after.Runtime, Widens: true})
		x.widened.add(after.Ref, "runtime", "changed the runtime from %s to %s", before.Runtime, after.Runtime)
	} else if c.Mode == Changed {
		for _, f := range x.pinned[lockedRuntime(after.Runtime)] {
			f.Path = "runtime." + f.Path
			c.Fields = append(c.Fields, f)
		}
	}
	c.Fields = append(c.Fields, x.judged(after.Ref, spec.KindAgent, x.agentTree(x.before, before), x.agentTree(x.after, after))...)
	c.Instructions = unified(before.Instructions, after.Instructions)
	x.Agents = append(x.Agents, c)
}

func modelName(m *spec.Model) string {
	if m == nil {
		return ""
	}
	return m.Name
}

// resolvedFields are the fields of an agent's spec that are compared after every reference was followed.
var resolvedFields = []string{
	"agents", "description", "files", "instructions", "isolation", "knowledge", "limits", "memory", "model", "output", "persona", "prompt", "proposals",
	"runtime", "scale", "skills", "tools", "triggers",
}

// agentTree is what [judges] say something about: of the resolved form what has fields of its own, and of the written form
// whatever else is there.
func (x *comparison) agentTree(side *fleetSide, a *spec.Agent) map[string]any {
	tree := map[string]any{}
	if a.Kind != "" {
		for name, value := range side.tree(a.Resource) {
			if !slices.Contains(resolvedFields, name) {
				tree[name] = value
			}
		}
	}
	resolved := map[string]any{
		"limits": map[string]any{"turns": a.Limits.Turns, "toolCalls": a.Limits.ToolCalls, "wallTime": spec.Duration(a.Limits.WallTime),
			"outputBytes": a.Limits.OutputBytes},
	}
	if a.Limits.Tokens != 0 {
		resolved["limits"].(map[string]any)["tokens"] = a.Limits.Tokens
	}
	if a.Limits.Cost != 0 {
		resolved["limits"].(map[string]any)["cost"] = a.Limits.Cost
	}
	if a.Description != "" {
		resolved["description"] = a.Description
	}
	for name, part := range map[string]any{"memory": a.Memory, "output": a.Output, "isolation": a.Isolation, "scale": a.Scale} {
		resolved[name] = part
	}
	raw, err := json.Marshal(resolved)
	if err != nil {
		return tree // An output's schema was read from JSON, and can be written as such.
	}
	var plain map[string]any
	if json.Unmarshal(raw, &plain) == nil {
		for name, value := range plain {
			if value != nil {
				tree[name] = value
			}
		}
	}
	return tree
}

func (x *comparison) agentModel(c *AgentChange, before, after *spec.Agent) {
	was, is := before.Model, after.Model
	if is == nil || was != nil && was.Name == is.Name && was.Digest == is.Digest {
		return
	}
	c.Model = &ModelChange{Before: modelUse(was), After: modelUse(is)}
	if was == nil {
		return
	}
	to := comparison{} // What the model's own fields permit is told of the model.
	if was.Name != is.Name {
		x.widened.add(after.Ref, "model", "changed the model from %s to %s", described(was), described(is))
	}
	c.Model.Fields = to.judged(is.Ref, spec.KindModel, x.before.tree(was.Resource), x.after.tree(is.Resource))
	if was.Name == is.Name {
		c.Model.Fields = append(c.Model.Fields, x.pinned[lockedModel(is.Name)]...)
	}
}

func modelUse(m *spec.Model) *ModelUse {
	if m == nil {
		return nil
	}
	return &ModelUse{Name: m.Name, Provider: m.Spec.Provider, Model: m.Spec.Name, Endpoint: m.Spec.Endpoint}
}

// described is a model as it stands in a sentence.
func described(m *spec.Model) string {
	var parts []string
	for _, part := range []string{m.Spec.Provider, m.Spec.Name, m.Spec.Endpoint} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return m.Name + " (" + strings.Join(parts, " ") + ")"
}

func (x *comparison) agentTools(c *AgentChange, before, after *spec.Agent) {
	var t ToolChanges
	was := map[string]spec.Tool{}
	for _, tool := range before.Tools {
		was[tool.FullName()] = tool
	}
	servers := map[string]bool{}
	for _, tool := range after.Tools {
		name := tool.FullName()
		old, ok := was[name]
		delete(was, name)
		if !ok {
			t.Gained = append(t.Gained, ToolUse{name, tool.Effect})
			x.widened.add(after.Ref, "tool", "gained the "+tool.Effect+" tool %s", name)
			continue
		}
		if old.Server.Digest == tool.Server.Digest {
			continue
		}
		own, server := x.toolFields(old, tool)
		own = append(own, x.pinned[lockedTool(tool.Server.Name, tool.Name)]...)
		if len(own) > 0 {
			t.Changed = append(t.Changed, ToolChange{name, own})
		}
		if !servers[tool.Server.Name] {
			servers[tool.Server.Name] = true
			c.Fields = append(c.Fields, server...)
		}
	}
	for _, tool := range before.Tools {
		if name := tool.FullName(); contains(was, name) {
			t.Lost = append(t.Lost, ToolUse{name, tool.Effect})
			x.narrowed.add(after.Ref, "tool", "lost the "+tool.Effect+" tool %s", name)
		}
	}
	if len(t.Gained)+len(t.Lost)+len(t.Changed) > 0 {
		c.Tools = &t
	}
}

func contains[V any](m map[string]V, name string) bool { _, ok := m[name]; return ok }

// toolFields are the fields that differ of a tool, and of its server beside its tools. What they permit is told of the
// server.
func (x *comparison) toolFields(before, after spec.Tool) (own, server []Field) {
	to := comparison{}
	prefix := "tools." + joined([]string{after.Name}) + "."
	for _, f := range to.judged(after.Server.Ref, spec.KindToolServer, x.before.tree(before.Server.Resource), x.after.tree(after.Server.Resource)) {
		if name, ok := strings.CutPrefix(f.Path, prefix); ok {
			f.Path = name
			own = append(own, f)
		} else if !strings.HasPrefix(f.Path, "tools") {
			f.Path = "servers." + after.Server.Name + "." + f.Path
			server = append(server, f)
		}
	}
	return own, server
}

func skills(before, after []*spec.Skill) *Names {
	var n Names
	was := map[string]spec.Digest{}
	for _, s := range before {
		was[s.Name] = s.Digest
	}
	for _, s := range after {
		switch digest, ok := was[s.Name]; {
		case !ok:
			n.Gained = append(n.Gained, s.Name)
		case digest != s.Digest:
			n.Changed = append(n.Changed, s.Name)
		}
		delete(was, s.Name)
	}
	for name := range was {
		n.Lost = append(n.Lost, name)
	}
	slices.Sort(n.Lost)
	return n.orNil()
}

// sources notes which of an agent's knowledge is other than it was.
func (x *comparison) sources(c *AgentChange, before, after *spec.Agent) {
	for _, source := range after.Knowledge {
		i := slices.IndexFunc(before.Knowledge, func(s *spec.KnowledgeSource) bool { return s.Name == source.Name })
		if i >= 0 && before.Knowledge[i].Digest != source.Digest {
			if c.Knowledge == nil {
				c.Knowledge = &Names{}
			}
			c.Knowledge.Changed = append(c.Knowledge.Changed, source.Name)
		}
	}
}

// names compares two lists of which each item permits something. covered, which may be nil, reports whether other items
// permit as much.
func (x *comparison) names(ref spec.Ref, before, after []string, covered func(string, []string) bool, code, gained, lost string) *Names {
	var n Names
	for _, item := range slices.Sorted(slices.Values(after)) {
		if slices.Contains(before, item) || slices.Contains(n.Gained, item) {
			continue
		}
		n.Gained = append(n.Gained, item)
		if covered == nil || !covered(item, before) {
			n.Widening = append(n.Widening, item)
			x.widened.add(ref, code, gained, shortened(item))
		}
	}
	for _, item := range slices.Sorted(slices.Values(before)) {
		if slices.Contains(after, item) || slices.Contains(n.Lost, item) {
			continue
		}
		n.Lost = append(n.Lost, item)
		if covered == nil || !covered(item, after) {
			x.narrowed.add(ref, code, lost, shortened(item))
		}
	}
	return n.orNil()
}

func (n Names) orNil() *Names {
	if len(n.Gained)+len(n.Lost)+len(n.Changed) == 0 {
		return nil
	}
	return &n
}

func plain(names []spec.AgentName) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = string(name)
	}
	return out
}

// boundaries notes what an agent is no longer told never to do, and which binding sections are not as they were.
func (x *comparison) boundaries(before, after *spec.Agent) {
	for _, list := range []struct {
		was, is []string
		what    string
	}{{before.Boundaries, after.Boundaries, "boundary"}, {before.Binding, after.Binding, "binding section"}} {
		for _, item := range list.was {
			if !slices.Contains(list.is, item) {
				x.widened.add(after.Ref, "boundary", "lost the "+list.what+" %s", shortened(oneLine(item)))
			}
		}
		for _, item := range list.is {
			if !slices.Contains(list.was, item) && before.Kind != "" {
				x.narrowed.add(after.Ref, "boundary", "gained the "+list.what+" %s", shortened(oneLine(item)))
			}
		}
	}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// skillFiles are the files of a skill that differ. before may be nil.
func skillFiles(before, after *spec.Skill) []FileChange {
	was := map[string][]byte{}
	if before != nil {
		was = before.Files
	}
	var out []FileChange
	for path, content := range after.Files {
		old, ok := was[path]
		switch {
		case !ok:
			out = append(out, FileChange{Path: path, Mode: Added, Diff: unified("", string(content))})
		case string(old) != string(content):
			out = append(out, FileChange{Path: path, Mode: Changed, Diff: unified(string(old), string(content))})
		}
	}
	for path := range was {
		if _, ok := after.Files[path]; !ok {
			out = append(out, FileChange{Path: path, Mode: Removed})
		}
	}
	slices.SortFunc(out, func(a, b FileChange) int { return cmp.Compare(a.Path, b.Path) })
	return out
}
