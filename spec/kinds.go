package spec

// Kind is the kind of a resource.
type Kind string

// The kinds that this build reconciles.
const (
	KindFleet      Kind = "Fleet"
	KindAgent      Kind = "Agent"
	KindPersona    Kind = "Persona"
	KindPrompt     Kind = "Prompt"
	KindSkill      Kind = "Skill"
	KindModel      Kind = "Model"
	KindToolServer Kind = "ToolServer"
	KindPolicy     Kind = "Policy"
	KindTrigger    Kind = "Trigger"
	KindAction     Kind = "Action"
)

// The types below are the written form: what a person puts in a file, decoded strictly and nothing more. Only [Load]
// turns them into the trusted form in resolved.go.

// Metadata names a resource.
type Metadata struct {
	// Name is unique among the resources of its kind. See [CheckName].
	Name string `json:"name"`
	// Labels are free-form; Mainstay does not read them.
	Labels map[string]string `json:"labels,omitempty"`
}

// FleetSpec is the root of a spec repository, in mainstay.yaml.
type FleetSpec struct {
	// Defaults apply to every Agent that does not say otherwise.
	Defaults Defaults `json:"defaults,omitempty"`
	// Approvers may merge proposals. A merge approves only when its signer is listed here at the merge's first parent.
	Approvers []Signer `json:"approvers,omitempty"`
	// Ledger pins the branch that records what was executed. Without it no Action executes.
	Ledger *LedgerSpec `json:"ledger,omitempty"`
	// Proposals are the rules for every proposal.
	Proposals ProposalRules `json:"proposals,omitempty"`
}

// Defaults are the values an Agent inherits.
type Defaults struct {
	// Model names the Model of agents that name none.
	Model string `json:"model,omitempty"`
	// Runtime names the runtime of agents that name none. Default: loop.
	Runtime string `json:"runtime,omitempty"`
	// Limits bound the runs of agents that set no limit of their own, field by field.
	Limits *Limits `json:"limits,omitempty"`
}

// Signer is a person or a reconciler, known by an SSH public key.
type Signer struct {
	// Name is shown to people and written into receipts.
	Name string `json:"name"`
	// Key is a line in the form of OpenSSH's authorized_keys: type, base64 key, optional comment.
	Key string `json:"key"`
}

// LedgerSpec pins the ledger branch mainstay/ledger.
type LedgerSpec struct {
	// Genesis is the id of the ledger's first commit, 40 hexadecimal characters, as `mainstay ledger init` prints it.
	Genesis string `json:"genesis"`
	// Signers are the reconcilers whose signature makes an entry of the ledger, or a record of a waiting run, count.
	Signers []Signer `json:"signers"`
}

// ProposalRules bound every proposal.
type ProposalRules struct {
	// Expires is how long an Action may wait for its approval and execution, as a Go duration. Default 72h, at most 720h.
	Expires Duration `json:"expires,omitempty"`
}

// AgentSpec declares an agent. In Markdown the front matter is this, and the body is Instructions.
type AgentSpec struct {
	// Description is one sentence for people and for other agents.
	Description string `json:"description,omitempty"`
	// Persona names a Persona, which opens the instructions.
	Persona string `json:"persona,omitempty"`
	// Prompt renders a Prompt into the instructions. An agent has a prompt, instructions, or both in this order.
	Prompt *PromptUse `json:"prompt,omitempty"`
	// Instructions are what the agent is told to do, as Markdown.
	Instructions string `json:"instructions,omitempty"`
	// Model names a Model. Default: the Fleet's.
	Model string `json:"model,omitempty"`
	// Runtime names the plugin that is the agent. Default: loop, the reference loop.
	Runtime string `json:"runtime,omitempty"`
	// Skills names Skill folders whose descriptions the agent sees, and whose text it may ask for.
	Skills []string `json:"skills,omitempty"`
	// Tools are the tools the agent may call. What is not named here does not exist for it.
	Tools []ToolUse `json:"tools,omitempty"`
	// Files are the repository's files the agent may read.
	Files *FileUse `json:"files,omitempty"`
	// Proposals are the file changes the agent may propose.
	Proposals *ProposalUse `json:"proposals,omitempty"`
	// Limits bound each run of the agent.
	Limits *Limits `json:"limits,omitempty"`
}

// PromptUse renders a Prompt with parameters.
type PromptUse struct {
	Name string            `json:"name"`
	With map[string]string `json:"with,omitempty"`
}

// ToolUse gives an agent tools of one ToolServer.
type ToolUse struct {
	// Server names a ToolServer.
	Server string `json:"server"`
	// Allow names tools that the server declares. Empty means every declared tool that is not denied.
	Allow []string `json:"allow,omitempty"`
}

// FileUse gives an agent the repository's files, at the revision its run is pinned to.
type FileUse struct {
	// Read are doublestar globs over paths from the repository's root, such as `manifests/**`.
	Read []string `json:"read"`
}

// ProposalUse lets an agent propose file changes.
type ProposalUse struct {
	// Paths are doublestar globs over paths from the repository's root. Whatever they say, [Protected] paths are refused.
	Paths []string `json:"paths"`
}

// Limits bound one run. A run that reaches one ends with that reason.
type Limits struct {
	// Turns is the number of model answers. Default 24, at most 1000.
	Turns int `json:"turns,omitempty"`
	// ToolCalls is the number of tool calls. Default 100, at most 10000.
	ToolCalls int `json:"toolCalls,omitempty"`
	// WallTime is the time the agent may work, not counting waits for a review. Default 10m, at most 24h.
	WallTime Duration `json:"wallTime,omitempty"`
	// OutputBytes is the size of the final answer. Default 262144, at most 1048576.
	OutputBytes int `json:"outputBytes,omitempty"`
}

// PersonaSpec declares who an agent is.
type PersonaSpec struct {
	// Extends names a Persona that this one adds to: role and tone are replaced when set, goals and boundaries are
	// appended.
	Extends    string   `json:"extends,omitempty"`
	Role       string   `json:"role,omitempty"`
	Tone       string   `json:"tone,omitempty"`
	Goals      []string `json:"goals,omitempty"`
	Boundaries []string `json:"boundaries,omitempty"`
}

// PromptSpec is a template with parameters. In Markdown the body is Text.
type PromptSpec struct {
	// Text holds `{{ name }}` where a parameter goes.
	Text string `json:"text,omitempty"`
	// Parameters are all the names that Text may use.
	Parameters map[string]Parameter `json:"parameters,omitempty"`
}

// Parameter is one parameter of a Prompt.
type Parameter struct {
	Description string `json:"description,omitempty"`
	// Default is used where a user of the prompt sets nothing. A parameter without a default is required.
	Default *string `json:"default,omitempty"`
}

// The providers of models.
const (
	// ProviderScripted answers by the rules in the Model itself.
	ProviderScripted = "scripted"
	// ProviderOllama asks an Ollama server.
	ProviderOllama = "ollama"
)

// ModelSpec declares a model and who serves it.
type ModelSpec struct {
	// Provider is `scripted` (deterministic rules, in this file) or `ollama` (a server's model).
	Provider string `json:"provider"`
	// Name is the provider's name of the model, such as `qwen3:4b`. Required for ollama.
	Name string `json:"name,omitempty"`
	// Endpoint is the base URL of the server. Default for ollama: OLLAMA_HOST in Mainstay's
	// own environment, or else http://127.0.0.1:11434.
	Endpoint string `json:"endpoint,omitempty"`
	// Parameters are passed to the provider as they are, such as temperature, seed or num_ctx for ollama.
	Parameters map[string]any `json:"parameters,omitempty"`
	// Rules are the answers of a scripted model: the first rule whose When holds answers.
	Rules []ScriptRule `json:"rules,omitempty"`
}

// ScriptRule is one rule of a scripted model. Strings may hold `${ CEL }`; the variables are those of [Conversation].
type ScriptRule struct {
	// When is a CEL expression of type bool. Empty always holds.
	When string `json:"when,omitempty"`
	// Text is the answer's text.
	Text string `json:"text,omitempty"`
	// Calls are the answer's tool calls.
	Calls []ScriptCall `json:"calls,omitempty"`
}

// ScriptCall is one tool call of a scripted answer.
type ScriptCall struct {
	// Tool is the name the agent sees, such as `cluster__restart_deployment`.
	Tool string `json:"tool"`
	// Arguments are JSON values; each string in them is a template.
	Arguments map[string]any `json:"arguments,omitempty"`
}

// ToolServerSpec declares an MCP server that the host starts and agents may call through it.
type ToolServerSpec struct {
	// Command is the server's executable and its arguments; it speaks MCP on stdin and stdout. A first element
	// `mainstay` is this very executable. The server runs in a private folder of the state folder.
	Command []string `json:"command"`
	// Env is the server's whole environment besides PATH and HOME.
	Env []EnvVar `json:"env,omitempty"`
	// Tools are the server's tools that agents may be given. A tool that is not here is denied.
	Tools map[string]ToolSpec `json:"tools"`
	// Timeout bounds each call. Default 30s, at most 1h.
	Timeout Duration `json:"timeout,omitempty"`
}

// EnvVar is one variable of a tool server's environment: a value, or a reference that the host resolves when it starts
// the server. Referenced values are secrets: they are redacted wherever they would appear.
type EnvVar struct {
	Name string `json:"name"`
	// Value is the value itself. Exactly one of Value and FromEnv is set.
	Value string `json:"value,omitempty"`
	// FromEnv names a variable of Mainstay's own environment.
	FromEnv string `json:"fromEnv,omitempty"`
}

// The effects of a tool.
const (
	// EffectRead tools change nothing and are called directly.
	EffectRead = "read"
	// EffectWrite tools change the world; a call becomes an Action that a person approves.
	EffectWrite = "write"
	// EffectDenied tools cannot be called.
	EffectDenied = "denied"
)

// ToolSpec declares what a tool does to the world.
type ToolSpec struct {
	// Effect is read, write or denied.
	Effect string `json:"effect"`
	// Summary is the sentence a reviewer reads, with `${ CEL }` over `arguments`, such as
	// `Restart deployment ${ arguments.name }`. For write tools.
	Summary string `json:"summary,omitempty"`
	// Target names the arguments that say what the call is about. Two calls with the same target are the same proposal.
	// Empty means all arguments. For write tools.
	Target []string `json:"target,omitempty"`
	// Idempotent says that a second call with the same arguments changes nothing more. For write tools.
	Idempotent bool `json:"idempotent,omitempty"`
	// Precondition is checked right before the effect. For write tools.
	Precondition *Precondition `json:"precondition,omitempty"`
	// Timeout is how long the call may take; a start without a receipt is unknown after it. Default: the server's.
	Timeout Duration `json:"timeout,omitempty"`
}

// Precondition is a call of a read tool of the same server, and a check of its result.
type Precondition struct {
	// Tool is a read tool of the same server.
	Tool string `json:"tool"`
	// Arguments are JSON values; in a ToolServer each string in them is a template over `arguments`.
	Arguments map[string]any `json:"arguments,omitempty"`
	// Check is a CEL expression of type bool over `result`: the tool's structured result, or else its text.
	Check string `json:"check"`
}

// The decisions of a policy.
const (
	// DecisionAllow lets a call through. It is the default for read tools; no rule grants it to a write tool.
	DecisionAllow = "allow"
	// DecisionPropose turns a call into a proposal. It is the default for write tools.
	DecisionPropose = "propose"
	// DecisionDeny refuses.
	DecisionDeny = "deny"
)

// PolicySpec are rules over what agents ask for. Of all rules that hold the strictest decision wins: deny, then propose.
type PolicySpec struct {
	Rules []PolicyRule `json:"rules"`
}

// The things a policy rule may be about.
const (
	OnCall   = "call"
	OnChange = "change"
)

// PolicyRule is one rule.
type PolicyRule struct {
	// Name is shown wherever the rule decides. Unique within its policy.
	Name string `json:"name"`
	// On is `call` for tool calls or `change` for proposed file changes.
	On string `json:"on"`
	// When is a CEL expression of type bool over `call` (agent, server, tool, effect, arguments) or `change` (agent,
	// paths). An error while it is evaluated denies. Empty always holds.
	When string `json:"when,omitempty"`
	// Decision is propose (for calls) or deny.
	Decision string `json:"decision"`
	// Reason is told to the agent and to people.
	Reason string `json:"reason,omitempty"`
}

// TriggerSpec starts runs.
type TriggerSpec struct {
	// Agent is given the task.
	Agent string `json:"agent"`
	// Schedule starts a run at the times of a cron expression. Exactly one of Schedule and OnRevision is set.
	Schedule *Schedule `json:"schedule,omitempty"`
	// OnRevision starts a run when a new revision changes paths.
	OnRevision *OnRevision `json:"onRevision,omitempty"`
	// Task is what the agent is told. `{{ revision }}` and `{{ changed }}` (the changed paths that match, one per line)
	// are filled in.
	Task string `json:"task"`
}

// Schedule is a cron schedule.
type Schedule struct {
	// Cron has five fields (minute, hour, day of month, month, day of week) or is a descriptor such as @hourly.
	Cron string `json:"cron"`
	// TimeZone is an IANA name. Default UTC.
	TimeZone string `json:"timeZone,omitempty"`
}

// OnRevision selects revisions by what they change.
type OnRevision struct {
	// Paths are doublestar globs over paths from the repository's root. The first revision ever seen changes all paths.
	Paths []string `json:"paths"`
}

// ActionSpec is one approved tool call. Agents propose Actions; merging one is its approval.
type ActionSpec struct {
	// Summary is one sentence for the reviewer.
	Summary string `json:"summary"`
	// Server names a ToolServer, Tool one of its write tools.
	Server    string         `json:"server"`
	Tool      string         `json:"tool"`
	Arguments map[string]any `json:"arguments,omitempty"`
	// Evidence says where the Action comes from.
	Evidence Evidence `json:"evidence"`
	// Precondition holds literal arguments here. It is checked right before the effect.
	Precondition *Precondition `json:"precondition,omitempty"`
	// Expires is when the approval ends, in RFC 3339. Required.
	Expires string `json:"expires"`
}

// Evidence links an Action to the run that asked for it.
type Evidence struct {
	Agent    AgentName `json:"agent"`
	Run      RunID     `json:"run"`
	Exchange int       `json:"exchange"`
	Revision Revision  `json:"revision"`
	// Key is the proposal's key.
	Key ProposalKey `json:"key"`
}
