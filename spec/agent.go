package spec

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// DefaultRuntime is the reference loop, which comes with Mainstay.
const DefaultRuntime = "loop"

// IsRuntimePath reports whether a runtime is named by its path on the machine that runs mainstay, and not by a name. What is
// there is not installed with mainstay, so it runs only where a lock pins it.
func IsRuntimePath(runtime string) bool { return strings.HasPrefix(runtime, "/") }

// maxInstructions is the longest text that an agent's model is given before the conversation, in bytes.
const maxInstructions = 256 << 10

// resolveAgents follows every reference of every Agent.
func (l *loader) resolveAgents(f *Fleet, defaults Defaults, ceilings RunLimits) {
	f.Agents = make(map[AgentName]*Agent, len(l.agents))
	l.agentList = make([]*Agent, 0, len(l.agents))
	inherited := string(l.digest(f.Place, []any{defaults, ceilings, l.runtimePins()}))
	for _, e := range l.roster {
		a := resolved(l, e.document, inherited, func() (*Agent, []Ref) {
			a := l.agent(f, e, defaults, ceilings)
			// That the Fleet's defaults are not there is reported there, and not here.
			return a, append(slices.Clone(a.DependsOn), Ref{KindModel, defaults.Model}, Ref{KindPersona, defaults.Persona})
		})
		f.Agents[a.Name] = a
		l.agentList = append(l.agentList, a)
		if len(e.written.Agents) > 0 || slices.ContainsFunc(e.written.verifications(), func(v Verification) bool { return v.Agent != "" }) {
			l.delegating = append(l.delegating, e)
		}
		if len(e.written.Triggers) > 0 {
			l.triggered = append(l.triggered, e)
		}
	}
}

// agent follows every reference of one Agent.
func (l *loader) agent(f *Fleet, e *entry[AgentSpec], defaults Defaults, ceilings RunLimits) *Agent {
	w, n := e.written, e.spec
	a := &Agent{Resource: l.resource(e.document), Name: AgentName(e.name), Description: oneLine(w.Description)}
	a.Runtime = cmp.Or(w.Runtime, defaults.Runtime, DefaultRuntime)
	if a.Runtime != DefaultRuntime && l.lock != nil {
		a.RuntimePin = l.lock.Runtimes[a.Runtime]
	}
	l.underCeilings(n.get("limits"), w.Limits, ceilings)
	a.Limits = limits(w.Limits, defaults.Limits, ceilings)
	l.agentModel(f, a, e, defaults)
	l.priced(a, e)
	var who *persona
	if w.Persona != "" && known(l, n.at("persona"), KindPersona, w.Persona, l.personas) || w.Persona == "" && l.personas[defaults.Persona] != nil {
		name := cmp.Or(w.Persona, defaults.Persona)
		who = l.personasOut[name]
		a.DependsOn = append(a.DependsOn, Ref{KindPersona, name})
	}
	var filled *prompt
	if w.Prompt != nil {
		filled = l.usePrompt(e, w.Prompt)
		if l.prompts[w.Prompt.Name] != nil {
			a.DependsOn = append(a.DependsOn, Ref{KindPrompt, w.Prompt.Name})
		}
	}
	if w.Prompt == nil && strings.TrimSpace(w.Instructions) == "" {
		l.missing(e.document, n.at("instructions"), "write them below the front matter, or in a field instructions, or name a prompt", "agent %q has no instructions", e.name)
	}
	l.agentSkills(a, e)
	l.agentTools(f, a, e)
	if w.Files != nil {
		a.ReadPaths = w.Files.Read
		l.globs(n.at("files", "read"), a.ReadPaths)
	}
	if w.Proposals != nil {
		a.ProposePaths = w.Proposals.Paths
		l.globs(n.at("proposals", "paths"), a.ProposePaths)
	}
	l.agentMore(a, e)
	a.Instructions = l.instructions(e, who, filled, a.Skills)
	if who != nil {
		a.Boundaries = who.Boundaries
	}
	if filled != nil {
		a.Binding = filled.binding()
	}
	if len(a.Instructions) > maxInstructions {
		l.error(n, "move details into skills, which agents read when they need them", "the instructions of agent %q are longer than %d KiB with persona and prompt", e.name, maxInstructions>>10)
	}
	slices.SortFunc(a.DependsOn, compareRefs)
	a.DependsOn = slices.Compact(a.DependsOn)
	a.Digest = l.agentDigest(a)
	return a
}

// ownServers are the names under which agents see Mainstay's own tools.
var ownServers = []string{AgentsServer, "knowledge", "repo", "skills"}

// AgentsServer is the name under which agents see those that they may give tasks to: the tool of the agent NAME is
// agents__NAME.
const AgentsServer = "agents"

// maxDelegate is the longest name of an agent that others may give tasks to: models take names of tools of up to 64
// characters.
const maxDelegate = maxFullName - len(AgentsServer+"__")

// agentMore checks what the agent says of knowledge, memory, delegation, output, isolation and scale.
func (l *loader) agentMore(a *Agent, e *entry[AgentSpec]) {
	w, n := e.written, e.spec
	a.Ordered, a.Suspended = w.Ordered, w.Suspend
	a.Memory, a.Output, a.Isolation, a.Scale = w.Memory, w.Output, w.Isolation, w.Scale
	for i, name := range w.Knowledge {
		if l.once(n.at("knowledge", i), "knowledge source", w.Knowledge[:i], name) && known(l, n.at("knowledge", i), KindKnowledgeSource, name, l.knowledge) {
			a.Knowledge = append(a.Knowledge, l.out.Knowledge[name])
			a.DependsOn = append(a.DependsOn, Ref{KindKnowledgeSource, name})
		}
	}
	slices.SortFunc(a.Knowledge, func(a, b *KnowledgeSource) int { return strings.Compare(a.Name, b.Name) })
	for i, name := range w.Agents {
		if l.once(n.at("agents", i), "agent", w.Agents[:i], name) { // Whether there is such an agent, checkDelegation checks.
			a.Delegates = append(a.Delegates, AgentName(name))
			if len(name) > maxDelegate {
				l.error(n.at("agents", i), fmt.Sprintf("rename the agent: use at most %d characters", maxDelegate),
					"no task can be given to %q: no model takes the name of the tool, %s__%s", name, AgentsServer, name)
			}
		}
	}
	slices.Sort(a.Delegates)
	if w.Output != nil {
		a.Check = l.output(e.document, n.at("output"), w.Output)
	}
	if w.Isolation != nil {
		l.isolation(n.at("isolation"), w.Isolation)
	}
}

// isolation checks what the agent's process is shut in by, and what it may execute.
func (l *loader) isolation(n *node, w *Isolation) {
	for part := range strings.SplitSeq(w.Require, "+") {
		if !slices.Contains(isolations, part) && w.Require != "" {
			l.error(n.at("require"), near.Hint(part, isolations, "known are "+strings.Join(isolations, ", ")+", with + between them"), "unknown isolation %q", part)
		}
	}
	byName := map[string]string{}
	for i, program := range w.Exec {
		name := path.Base(program)
		if before, twice := byName[name]; twice {
			l.error(n.at("exec", i), "keep one of them", "the agent finds executables by their names, and %q and %q have the same one", before, program)
		}
		byName[name] = program
	}
}

// isolations are what an agent's process can be shut in by.
var isolations = []string{"cgroup", "landlock", "namespaces", "seccomp", "uid"}

// once reports a name that a list holds already.
func (l *loader) once(n *node, what string, before []string, name string) bool {
	if slices.Contains(before, name) {
		l.error(n, "keep one of them", "the %s %q is named twice", what, name)
		return false
	}
	return true
}

// checkDelegation finds agents that give tasks to agents that are not there, and to each other in a circle.
func (l *loader) checkDelegation() {
	edges := map[string][]string{}
	for _, e := range l.delegating {
		for i, to := range e.written.Agents {
			if known(l, e.spec.at("agents", i), KindAgent, to, l.agents) {
				edges[e.name] = append(edges[e.name], to)
			}
		}
		for i, v := range e.written.verifications() {
			if v.Agent != "" && known(l, e.spec.at("output", "verify", i, "agent"), KindAgent, v.Agent, l.agents) {
				edges[e.name] = append(edges[e.name], v.Agent)
			}
		}
	}
	circles := cycles(edges)
	for _, path := range circles {
		l.error(l.agents[path[0]].spec.at("agents"), "remove one of these", "agent %q may give tasks to itself: %s", path[0], strings.Join(path, " -> "))
	}
	if len(circles) == 0 {
		l.checkCosts(edges)
	}
}

// verifications are the checks of the agent's answers.
func (s AgentSpec) verifications() []Verification {
	if s.Output == nil {
		return nil
	}
	return s.Output.Verify
}

// checkCosts finds agents whose costs cannot be added to those of the agents that they give tasks to.
func (l *loader) checkCosts(edges map[string][]string) {
	for _, name := range names(edges) {
		above := l.out.Agents[AgentName(name)]
		if above == nil || above.Model == nil {
			continue
		}
		currency := above.Model.Spec.Price.Of(Usage{}).Currency
		for _, to := range reached(edges, name) {
			below := l.out.Agents[AgentName(to)]
			if below == nil || below.Model == nil {
				continue
			}
			its := below.Model.Spec.Price.Of(Usage{}).Currency
			switch n := l.agents[name].spec; {
			case its == "" && above.Limits.Cost > 0:
				l.error(n.at("limits", "cost"), "give the model a price; one that costs nothing has price: {input: 0}",
					"what agent %q may cost includes what it has agent %q do, and its model %q has no price", name, to, below.Model.Name)
			case its != "" && currency != "" && its != currency:
				l.error(n.at("agents"), "write all prices in one currency",
					"agent %q costs %s, and agent %q, which it has do tasks, %s: they cannot be added", name, currency, to, its)
			}
		}
	}
}

// reached are the agents that one gives tasks to, and those that these do, sorted.
func reached(edges map[string][]string, from string) []string {
	seen := map[string]bool{}
	next := slices.Clone(edges[from])
	for len(next) > 0 {
		name := next[0]
		next = next[1:]
		if !seen[name] {
			seen[name] = true
			next = append(next, edges[name]...)
		}
	}
	return names(seen)
}

func (l *loader) agentModel(f *Fleet, a *Agent, e *entry[AgentSpec], defaults Defaults) {
	name := cmp.Or(e.written.Model, defaults.Model)
	switch {
	case name == "":
		if !e.broken {
			l.absent(e.spec.at("model"), KindFleet, "write model: NAME, or defaults.model in "+rootFile, "agent %q has no model", e.name)
		}
		return
	case e.written.Model != "":
		if !known(l, e.spec.at("model"), KindModel, name, l.models) {
			return
		}
	case l.models[name] == nil:
		return // The Fleet's default is reported where it is written.
	}
	a.Model = f.Models[name]
	a.DependsOn = append(a.DependsOn, Ref{KindModel, name})
}

// priced reports a limit of what a run may cost that nothing can be counted against.
func (l *loader) priced(a *Agent, e *entry[AgentSpec]) {
	if a.Limits.Cost == 0 || a.Model == nil || a.Model.Spec.Price != nil {
		return
	}
	whose := "its limits"
	if e.written.Limits == nil || e.written.Limits.Cost == 0 {
		whose = "the Fleet's limits"
	}
	l.error(e.spec.at("limits", "cost"), "give the model a price; one that costs nothing has price: {input: 0}",
		"%s bound what a run of agent %q costs, and model %q has no price", whose, e.name, a.Model.Name)
}

func (l *loader) agentSkills(a *Agent, e *entry[AgentSpec]) {
	for i, name := range e.written.Skills {
		n := e.spec.at("skills", i)
		if l.once(n, "skill", e.written.Skills[:i], name) && known(l, n, KindSkill, name, l.skills) {
			a.Skills = append(a.Skills, l.skills[name])
			a.DependsOn = append(a.DependsOn, Ref{KindSkill, name})
		}
	}
	slices.SortFunc(a.Skills, func(x, y *Skill) int { return cmp.Compare(x.Name, y.Name) })
}

func (l *loader) agentTools(f *Fleet, a *Agent, e *entry[AgentSpec]) {
	for i, use := range e.written.Tools {
		n := e.spec.at("tools", i)
		switch {
		case use.Server == "":
			continue
		case slices.Contains(ownServers, use.Server):
			l.error(n.at("server"), "they come with agents, files, proposals and skills: remove this", "the tools of %q are Mainstay's own", use.Server)
			continue
		case slices.ContainsFunc(e.written.Tools[:i], func(u ToolUse) bool { return u.Server == use.Server }):
			l.error(n.at("server"), "name all its tools in one place", "the tool server %q is named twice", use.Server)
			continue
		case !known(l, n.at("server"), KindToolServer, use.Server, l.servers):
			continue
		}
		server := f.Servers[use.Server]
		a.DependsOn = append(a.DependsOn, Ref{KindToolServer, use.Server})
		if v := n.get("allow"); v != nil && v.kind == nullNode {
			l.error(n.keyOf("allow"), "leave allow out for every tool, or remove the server", "\"allow\" names no tool")
		}
		given := use.Allow
		if len(given) == 0 {
			given = names(server.Spec.Tools)
			given = slices.DeleteFunc(given, func(t string) bool { return server.Spec.Tools[t].Effect == EffectDenied })
		}
		for j, tool := range given {
			at := n.at("allow", j)
			switch t, ok := server.Spec.Tools[tool]; {
			case !ok && l.servers[use.Server].broken:
			case !ok:
				l.error(at, near.Hint(tool, names(server.Spec.Tools), callable(server.Spec.Tools)), "tool server %q declares no tool %q", use.Server, tool)
			case t.Effect == EffectDenied:
				l.error(at, "remove it, or change its effect", "tool server %q denies the tool %q", use.Server, tool)
			case l.once(at, "tool", given[:j], tool):
				a.Tools = append(a.Tools, Tool{Server: server, Name: tool, ToolSpec: t})
			}
		}
	}
	slices.SortFunc(a.Tools, func(x, y Tool) int {
		return cmp.Or(cmp.Compare(x.Server.Name, y.Server.Name), cmp.Compare(x.Name, y.Name))
	})
}

// checkGlob says what is wrong with a glob over paths from the repository's root, and what to do.
func checkGlob(pattern string) (fault, hint string) {
	switch {
	case pattern == "":
		return "is empty", "write one, such as manifests/**"
	case len(pattern) > 1024:
		return "is longer than 1024 bytes", ""
	case path.IsAbs(pattern):
		return "begins with /", "globs are over paths from the repository's root: leave the / out"
	case strings.Contains(pattern, `\`):
		return "holds a backslash", "separate folders with /"
	case slices.Contains(strings.Split(pattern, "/"), ".."):
		return "leaves the repository", "remove the .."
	case strings.HasPrefix(pattern, "./"):
		return "begins with ./", "leave the ./ out"
	case strings.HasSuffix(pattern, "/"):
		return "ends with /, and so matches no file", "write ** behind it"
	case !doublestar.ValidatePattern(pattern):
		return "is not valid", "check its brackets and braces"
	}
	return "", ""
}

// Limits that hold where nothing else is set, and the most that can be set.
var (
	defaultLimits = RunLimits{Turns: 24, ToolCalls: 100, WallTime: 10 * time.Minute, OutputBytes: 262144}
	maxLimits     = RunLimits{Turns: 1000, ToolCalls: 10000, WallTime: 24 * time.Hour, OutputBytes: 1048576, Tokens: 1_000_000_000, Cost: 1_000_000}
)

// underCeilings reports limits that are over the Fleet's ceilings. n holds them, and may be nil.
func (l *loader) underCeilings(n *node, written *Limits, most RunLimits) {
	if n == nil || written == nil {
		return
	}
	for _, c := range []struct {
		field             string
		value, most, ever int
	}{
		{"turns", written.Turns, most.Turns, maxLimits.Turns},
		{"toolCalls", written.ToolCalls, most.ToolCalls, maxLimits.ToolCalls},
		{"outputBytes", written.OutputBytes, most.OutputBytes, maxLimits.OutputBytes},
		{"tokens", written.Tokens, most.Tokens, maxLimits.Tokens},
	} {
		if c.value > c.most && c.value <= c.ever { // What no Fleet can allow is reported already.
			l.error(n.at(c.field), "lower it, or raise ceilings in "+rootFile, "%q is %d, and the Fleet allows at most %d", c.field, c.value, c.most)
		}
	}
	if written.Cost > most.Cost && written.Cost <= maxLimits.Cost {
		l.error(n.at("cost"), "lower it, or raise ceilings in "+rootFile, `"cost" is %v, and the Fleet allows at most %v`, written.Cost, most.Cost)
	}
	if d := time.Duration(written.WallTime); d > most.WallTime && d <= maxLimits.WallTime {
		l.error(n.at("wallTime"), "lower it, or raise ceilings in "+rootFile, `"wallTime" is %s, and the Fleet allows at most %s`, written.WallTime, Duration(most.WallTime))
	}
}

// over returns base with the limits that are set.
func over(base RunLimits, set *Limits) RunLimits {
	if set == nil {
		return base
	}
	return RunLimits{
		Turns: cmp.Or(set.Turns, base.Turns), ToolCalls: cmp.Or(set.ToolCalls, base.ToolCalls),
		WallTime: cmp.Or(time.Duration(set.WallTime), base.WallTime), OutputBytes: cmp.Or(set.OutputBytes, base.OutputBytes),
		Tokens: cmp.Or(set.Tokens, base.Tokens), Cost: cmp.Or(set.Cost, base.Cost),
	}
}

// limits returns the limits of an agent: its own, or else the Fleet's, or else the built-in ones, field by field. What
// nobody has set is never over a ceiling.
func limits(own, fleet *Limits, ceilings RunLimits) RunLimits {
	out := over(over(defaultLimits, fleet), own)
	out.Turns = min(out.Turns, ceilings.Turns)
	out.ToolCalls = min(out.ToolCalls, ceilings.ToolCalls)
	out.WallTime = min(out.WallTime, ceilings.WallTime)
	out.OutputBytes = min(out.OutputBytes, ceilings.OutputBytes)
	if ceilings.Tokens < maxLimits.Tokens {
		out.Tokens = min(cmp.Or(out.Tokens, ceilings.Tokens), ceilings.Tokens)
	}
	if ceilings.Cost < maxLimits.Cost {
		out.Cost = min(cmp.Or(out.Cost, ceilings.Cost), ceilings.Cost)
	}
	return out
}

// agentDigest is over all that shapes the agent's behaviour. Names of resources and descriptions for people do not. What it
// shares with other agents is in it as a digest, which is made once. All in it has one form already, but for the schema.
func (l *loader) agentDigest(a *Agent) Digest {
	content := struct {
		Instructions  string
		Model         Digest
		Runtime       string
		Skills        map[string]Digest
		Tools         []Digest
		Read, Propose []string
		Limits        RunLimits
		Knowledge     []Digest        `json:",omitempty"`
		Delegates     []AgentName     `json:",omitempty"`
		Memory        *MemoryUse      `json:",omitempty"`
		Output        json.RawMessage `json:",omitempty"`
		Isolation     *Isolation      `json:",omitempty"`
		Scale         *Scale          `json:",omitempty"`
		RuntimePin    RuntimePin      `json:",omitempty"`
		Ordered       bool            `json:",omitempty"`
		Suspended     bool            `json:",omitempty"`
	}{
		Instructions: a.Instructions, Runtime: a.Runtime, Skills: map[string]Digest{},
		Read: slices.Sorted(slices.Values(a.ReadPaths)), Propose: slices.Sorted(slices.Values(a.ProposePaths)), Limits: a.Limits,
		Delegates: a.Delegates, Memory: a.Memory, Isolation: a.Isolation, Scale: a.Scale, RuntimePin: a.RuntimePin,
		Ordered: a.Ordered, Suspended: a.Suspended,
	}
	if a.Model != nil {
		content.Model = a.Model.Digest
	}
	for _, s := range a.Skills {
		content.Skills[s.Name] = s.Digest
	}
	for _, s := range a.Knowledge {
		content.Knowledge = append(content.Knowledge, s.Digest)
	}
	for _, t := range a.Tools {
		content.Tools = append(content.Tools, t.Server.toolDigests[t.Name])
	}
	var err error
	if a.Output != nil {
		content.Output, err = Canonical(a.Output)
	}
	raw, marshalErr := json.Marshal(content)
	if err = errors.Join(err, marshalErr); err != nil {
		l.errorAt(a.Place, "", "%s", oneLine(err.Error()))
	}
	return DigestBytes(raw)
}
