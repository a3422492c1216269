package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/broker/tool"
	"github.com/mainstay-dev/mainstay/spec"
)

// Tool is a tool as agents and models see it.
type Tool = model.Tool

// The tools that the host itself has. Their servers' names are reserved.
const (
	ListFiles     = "repo__list"
	ReadFile      = "repo__read"
	ProposeChange = "repo__propose_change"
	ReadSkill     = "skills__read"
)

// builtin is a tool of the host: what models are told about it, and its effect.
type builtin struct {
	Tool
	server, name, effect string
	// given reports whether an agent has it.
	given func(*spec.Agent) bool
	// more is what its description says besides to an agent; nil is nothing.
	more func(*spec.Agent) string
}

var builtins = append(knowledgeTools,
	builtin{
		Tool: Tool{
			Name:        ListFiles,
			Description: "List the files of the repository that may be read. The glob may use ** for any number of folders.",
			InputSchema: json.RawMessage(`{"type":"object","properties":{"glob":{"type":"string","description":"Such as manifests/**/*.yaml. Default: every file."}},"additionalProperties":false}`),
		},
		server: "repo", name: "list", effect: spec.EffectRead,
		given: func(a *spec.Agent) bool { return len(a.ReadPaths) > 0 },
	},
	builtin{
		Tool: Tool{
			Name:        ReadFile,
			Description: "Read one text file of the repository.",
			InputSchema: json.RawMessage(`{"type":"object","properties":{"path":{"type":"string","description":"The path from the repository's root."}},"required":["path"],"additionalProperties":false}`),
		},
		server: "repo", name: "read", effect: spec.EffectRead,
		given: func(a *spec.Agent) bool { return len(a.ReadPaths) > 0 },
	},
	builtin{
		Tool: Tool{
			Name: ProposeChange,
			Description: "Propose a change of files to the people who review this repository, as a pull request. " +
				"The answer comes when they have decided.",
			InputSchema: json.RawMessage(`{"type":"object","properties":{` +
				`"title":{"type":"string","description":"One plain sentence."},` +
				`"body":{"type":"string","description":"Why, in Markdown."},` +
				`"files":{"type":"array","minItems":1,"items":{"type":"object","properties":{` +
				`"path":{"type":"string","description":"The path from the repository's root."},` +
				`"content":{"type":"string","description":"The whole new content."},` +
				`"remove":{"type":"boolean","description":"Remove the file instead."}},"required":["path"],"additionalProperties":false}}},` +
				`"required":["title","files"],"additionalProperties":false}`),
		},
		server: "repo", name: "propose_change", effect: spec.EffectWrite,
		given: func(a *spec.Agent) bool { return len(a.ProposePaths) > 0 },
	},
	builtin{
		Tool: Tool{
			Name:        ReadSkill,
			Description: "Read a file of one of the skills named in the instructions.",
			InputSchema: json.RawMessage(`{"type":"object","properties":{"name":{"type":"string","description":"The skill's name."},"path":{"type":"string","description":"The file within the skill. Default: SKILL.md."}},"required":["name"],"additionalProperties":false}`),
		},
		server: "skills", name: "read", effect: spec.EffectRead,
		given: func(a *spec.Agent) bool { return len(a.Skills) > 0 },
	},
)

// writeNote follows the description of a write tool.
const writeNote = " A call is proposed to the people who review this repository; the answer comes when they have decided and it has been carried out."

// ToolList returns all tools that the agent has in a run at a revision, sorted by name: the host's own, and those its spec
// gives it, described by their servers. Servers that do not run are started. A server that cannot be asked is an [*Unavailable] error; a
// declared tool that its server does not have is refused to the agent as an answer by [Broker.Answer].
func (b *Broker) ToolList(ctx context.Context, revision spec.Revision, agent *spec.Agent) ([]Tool, error) {
	if b.opts.Described != nil {
		return b.opts.Described(agent), nil
	}
	list, err := b.delegates(ctx, revision, agent)
	if err != nil {
		return nil, err
	}
	schemas := map[spec.Digest]map[string]tool.Schema{}
	return tools(list, agent, func(t spec.Tool) (Tool, error) {
		known, asked := schemas[t.Server.Digest]
		if !asked {
			var err error
			if known, err = b.opts.Tools.Schemas(ctx, t.Server); err != nil {
				if ctx.Err() != nil {
					return Tool{}, ctx.Err()
				}
				return Tool{}, &Unavailable{What: "tool server " + t.Server.Name, Err: b.opts.Redactor.Error(err)}
			}
			schemas[t.Server.Digest] = known
		}
		schema, ok := known[t.Name]
		if !ok {
			return Tool{}, refuse("%s declares the tool %q, which the server does not have: take it out, or mend the server", t.Server.Place.File, t.Name)
		}
		input, err := b.redactJSON(schema.InputSchema)
		if err != nil {
			return Tool{}, refuse("tool server %s: the input schema of %q is no JSON: %v", t.Server.Name, t.Name, err)
		}
		return Tool{Description: b.opts.Redactor.Text(schema.Description), InputSchema: input}, nil
	})
}

// PinnedTools returns the tools that an agent of a fleet has, as the fleet's lock pins them, without asking any server. Of tools
// that it does not pin only the names are known; unpinned are their servers, sorted.
func PinnedTools(agent *spec.Agent, fleet *spec.Fleet) (list []Tool, unpinned []string) {
	for _, name := range agent.Delegates {
		description := ""
		if to := fleet.Agents[name]; to != nil {
			description = to.Description
		}
		list = append(list, delegateTool(name, description))
	}
	list, _ = tools(list, agent, func(t spec.Tool) (Tool, error) { // Nothing is asked, so that nothing fails.
		if fleet.Lock != nil {
			if pin, ok := fleet.Lock.Servers[t.Server.Name].Tools[t.Name]; ok {
				return Tool{Description: pin.Description, InputSchema: json.RawMessage(pin.InputSchema)}, nil
			}
		}
		unpinned = append(unpinned, t.Server.Name)
		return Tool{InputSchema: json.RawMessage(`{"type":"object"}`)}, nil
	})
	slices.Sort(unpinned)
	return list, slices.Compact(unpinned)
}

// tools adds to a list the tools that an agent has besides, and sorts it by name. describe says what the server of a declared
// one says of it.
func tools(list []Tool, agent *spec.Agent, describe func(spec.Tool) (Tool, error)) ([]Tool, error) {
	for _, t := range builtins {
		if t.given(agent) {
			own := t.Tool
			if t.more != nil {
				own.Description += t.more(agent)
			}
			list = append(list, own)
		}
	}
	for _, t := range agent.Tools {
		if t.Effect == spec.EffectDenied {
			continue
		}
		described, err := describe(t)
		if err != nil {
			return nil, err
		}
		described.Name = t.FullName()
		if t.Effect == spec.EffectWrite {
			described.Description += writeNote
		}
		list = append(list, described)
	}
	slices.SortFunc(list, func(a, b Tool) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}
