package spec

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

// defaultRuntime is the reference loop.
const defaultRuntime = "loop"

// maxInstructions is the longest text that an agent's model is given before the conversation, in bytes.
const maxInstructions = 256 << 10

// resolveAgents follows every reference of every Agent.
func (l *loader) resolveAgents(f *Fleet, personas map[string]*persona, defaults Defaults) {
	for _, name := range names(l.agents) {
		e := l.agents[name]
		w, n := e.written, e.spec
		a := &Agent{Resource: l.resource(e.document), Name: AgentName(name), Description: oneLine(w.Description)}
		a.Runtime = cmp.Or(w.Runtime, defaults.Runtime, defaultRuntime)
		if err := CheckName(a.Runtime); w.Runtime != "" && err != nil {
			l.error(n.at("runtime"), "", "the runtime %s", err)
		}
		a.Limits = l.limits(n.get("limits"), w.Limits, defaults.Limits)
		l.agentModel(f, a, e, defaults)
		var who *persona
		if w.Persona != "" && known(l, n.at("persona"), KindPersona, w.Persona, l.personas) {
			who = personas[w.Persona]
			a.DependsOn = append(a.DependsOn, Ref{KindPersona, w.Persona})
		}
		prompt := ""
		if w.Prompt != nil {
			prompt = l.renderPrompt(e, w.Prompt)
			if l.prompts[w.Prompt.Name] != nil {
				a.DependsOn = append(a.DependsOn, Ref{KindPrompt, w.Prompt.Name})
			}
		}
		if w.Prompt == nil && strings.TrimSpace(w.Instructions) == "" {
			l.missing(e.document, n.at("instructions"), "write them below the front matter, or in a field instructions, or name a prompt", "agent %q has no instructions", name)
		}
		l.agentSkills(a, e)
		l.agentTools(f, a, e)
		if w.Files != nil {
			a.ReadPaths = w.Files.Read
			l.globs(e.document, n.at("files"), "read", a.ReadPaths)
		}
		if w.Proposals != nil {
			a.ProposePaths = w.Proposals.Paths
			l.globs(e.document, n.at("proposals"), "paths", a.ProposePaths)
		}
		a.Instructions = instructions(who, prompt, w.Instructions, a.Skills)
		if len(a.Instructions) > maxInstructions {
			l.error(n, "move details into skills, which agents read when they need them", "the instructions of agent %q are longer than %d KiB with persona and prompt", name, maxInstructions>>10)
		}
		slices.SortFunc(a.DependsOn, compareRefs)
		a.DependsOn = slices.Compact(a.DependsOn)
		a.Digest = l.agentDigest(a)
		f.Agents[a.Name] = a
	}
}

func (l *loader) agentModel(f *Fleet, a *Agent, e *entry[AgentSpec], defaults Defaults) {
	name := cmp.Or(e.written.Model, defaults.Model)
	switch {
	case name == "":
		l.missing(e.document, e.spec.at("model"), "write model: NAME, or defaults.model in "+rootFile, "agent %q has no model", e.name)
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

func (l *loader) agentSkills(a *Agent, e *entry[AgentSpec]) {
	for i, name := range e.written.Skills {
		n := e.spec.at("skills", i)
		if slices.Contains(e.written.Skills[:i], name) {
			l.error(n, "keep one of them", "the skill %q is named twice", name)
		} else if known(l, n, KindSkill, name, l.skills) {
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
			l.missing(e.document, n, "write server: NAME", "the tools have no server")
			continue
		case use.Server == "repo" || use.Server == "skills":
			l.error(n.at("server"), "they come with files, proposals and skills: remove this", "the tools of %q are Mainstay's own", use.Server)
			continue
		case slices.ContainsFunc(e.written.Tools[:i], func(u ToolUse) bool { return u.Server == use.Server }):
			l.error(n.at("server"), "name all its tools in one place", "the tool server %q is named twice", use.Server)
			continue
		case !known(l, n.at("server"), KindToolServer, use.Server, l.servers):
			continue
		}
		server := f.Servers[use.Server]
		a.DependsOn = append(a.DependsOn, Ref{KindToolServer, use.Server})
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
				l.error(at, didYouMean(tool, names(server.Spec.Tools), callable(server.Spec.Tools)), "tool server %q declares no tool %q", use.Server, tool)
			case t.Effect == EffectDenied:
				l.error(at, "remove it, or change its effect", "tool server %q denies the tool %q", use.Server, tool)
			case slices.Contains(given[:j], tool):
				l.error(at, "keep one of them", "the tool %q is named twice", tool)
			default:
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
	maxLimits     = RunLimits{Turns: 1000, ToolCalls: 10000, WallTime: 24 * time.Hour, OutputBytes: 1048576}
)

// checkLimits reports limits that are out of range. n holds them, and may be nil.
func (l *loader) checkLimits(n *node, written *Limits) {
	if n == nil || written == nil {
		return
	}
	for _, c := range []struct {
		field       string
		value, most int
	}{
		{"turns", written.Turns, maxLimits.Turns},
		{"toolCalls", written.ToolCalls, maxLimits.ToolCalls},
		{"outputBytes", written.OutputBytes, maxLimits.OutputBytes},
	} {
		v, _ := n.at(c.field).value.(int64)
		if _, isInt := n.at(c.field).value.(int64); isInt && n.has(c.field) && (v < 1 || v > int64(c.most)) {
			l.error(n.at(c.field), "", "%q is %d, and not between 1 and %d", c.field, v, c.most)
		}
	}
	if n.has("wallTime") && n.at("wallTime").value != "" {
		d := time.Duration(written.WallTime)
		if _, err := ParseDuration(fmt.Sprint(n.at("wallTime").value)); err == nil && (d < time.Second || d > maxLimits.WallTime) {
			l.error(n.at("wallTime"), "", `"wallTime" is %s, and not between 1s and 24h`, written.WallTime)
		}
	}
}

// limits returns the limits of an agent: its own, or else the Fleet's, or else the built-in ones, field by field.
func (l *loader) limits(n *node, own, fleet *Limits) RunLimits {
	l.checkLimits(n, own)
	out := defaultLimits
	for _, set := range []*Limits{fleet, own} {
		if set == nil {
			continue
		}
		out.Turns = cmp.Or(set.Turns, out.Turns)
		out.ToolCalls = cmp.Or(set.ToolCalls, out.ToolCalls)
		out.OutputBytes = cmp.Or(set.OutputBytes, out.OutputBytes)
		out.WallTime = cmp.Or(time.Duration(set.WallTime), out.WallTime)
	}
	return out
}

// agentDigest is over all that shapes the agent's behaviour. Names of resources and descriptions for people do not.
func (l *loader) agentDigest(a *Agent) Digest {
	type tool struct {
		Server  string
		Command []string
		Env     []EnvVar
		Name    string
		Spec    ToolSpec
	}
	content := struct {
		Instructions  string
		Model         *ModelSpec
		Runtime       string
		Skills        map[string]Digest
		Tools         []tool
		Read, Propose []string
		Limits        RunLimits
	}{
		Instructions: a.Instructions, Runtime: a.Runtime, Skills: map[string]Digest{},
		Read: slices.Sorted(slices.Values(a.ReadPaths)), Propose: slices.Sorted(slices.Values(a.ProposePaths)), Limits: a.Limits,
	}
	if a.Model != nil {
		content.Model = &a.Model.Spec
	}
	for _, s := range a.Skills {
		content.Skills[s.Name] = s.Digest
	}
	for _, t := range a.Tools {
		content.Tools = append(content.Tools, tool{t.Server.Name, t.Server.Spec.Command, t.Server.Spec.Env, t.Name, t.ToolSpec})
	}
	return l.digest(a.Place, content)
}
