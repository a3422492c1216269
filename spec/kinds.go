package spec

// Kind is the kind of a resource.
type Kind string

// The kinds.
const (
	KindFleet           Kind = "Fleet"
	KindAgent           Kind = "Agent"
	KindPersona         Kind = "Persona"
	KindPrompt          Kind = "Prompt"
	KindSkill           Kind = "Skill"
	KindSkillSource     Kind = "SkillSource"
	KindModel           Kind = "Model"
	KindToolServer      Kind = "ToolServer"
	KindKnowledgeSource Kind = "KnowledgeSource"
	KindPolicy          Kind = "Policy"
	KindTrigger         Kind = "Trigger"
	KindEvaluation      Kind = "Evaluation"
	KindWorkflow        Kind = "Workflow"
	KindAction          Kind = "Action"
)

// The types below are the written form: what a person puts in a file, decoded strictly and nothing more. Only [Load]
// turns them into the trusted form in resolved.go.

// Metadata names a resource.
type Metadata struct {
	// Name is unique among the resources of its kind: up to 63 lower-case letters, digits and hyphens. An Action's is up to
	// 128 characters long.
	Name string `json:"name"`
	// Labels are free-form: Mainstay does not read them. At most 64.
	Labels map[string]string `json:"labels,omitempty" check:"max=64"`
}

// FleetSpec is the root of a spec repository, in mainstay.yaml.
type FleetSpec struct {
	// Defaults apply to every Agent that does not say otherwise.
	Defaults Defaults `json:"defaults,omitempty"`
	// Ceilings are the most that any agent may set as a limit, field by field. An agent that sets more is a problem, and so
	// is a default that is more. Default: the highest that the limit itself can be.
	Ceilings *Limits `json:"ceilings,omitempty"`
	// Approvers may merge proposals. A merge approves only when its signer is listed here at the merge's first parent.
	Approvers []Signer `json:"approvers,omitempty" check:"max=1000"`
	// Signatures say whose commits may run. Without them every commit of the branch does.
	Signatures *Signatures `json:"signatures,omitempty"`
	// Ledger pins the branch that records what was executed. Without it no Action executes.
	Ledger *LedgerSpec `json:"ledger,omitempty"`
	// Proposals are the rules for every proposal.
	Proposals ProposalRules `json:"proposals,omitempty"`
	// Windows are the times in which approved Actions are executed, for every ToolServer that has none of its own. Outside of
	// them they wait, and may expire. Default: at any time.
	Windows []Window `json:"windows,omitempty" check:"min=1,max=32" hint:"leave windows out for any time"`
	// Suspend holds everything: no run begins or goes on, and no Action is executed, until it is removed. Proposals stay
	// open and can be approved. `mainstay suspend --all` does it at once, for one daemon.
	Suspend bool `json:"suspend,omitempty"`
	// Prune deletes from their Ollama servers the models that Mainstay has pulled or had made of files, once no Model of the branch
	// has their name and no run that has not ended may ask them: as prune of a Kustomization of Flux. A model that was there before,
	// that `mainstay models pull` got, or that was replaced on the server since, is never deleted. Leave it out where others use the
	// same server, for Mainstay knows nothing of what they use.
	Prune bool `json:"prune,omitempty"`
	// Forge says where proposals become pull requests. Default: the Git remote alone, with branches and signed merges.
	Forge *Forge `json:"forge,omitempty" check:"later"`
	// Notify are webhooks that are told what waits and what fails.
	Notify []Notification `json:"notify,omitempty" check:"max=16"`
	// Store says where runs, queue and facts are kept. Default: in the state folder.
	Store *StoreSpec `json:"store,omitempty"`
	// Knowledge says where the index of the KnowledgeSources is kept. Default: in the state folder.
	Knowledge *KnowledgeIndex `json:"knowledge,omitempty"`
	// Telemetry says where traces and metrics are sent. Default: nowhere.
	Telemetry *Telemetry `json:"telemetry,omitempty" check:"later"`
}

// Defaults are the values an Agent inherits.
type Defaults struct {
	// Model names the Model of agents that name none.
	Model string `json:"model,omitempty"`
	// Runtime is the runtime of agents that name none: a name or a path, as in an Agent.
	Runtime string `json:"runtime,omitempty" check:"pattern=runtime,default=loop"`
	// Persona names the Persona of agents that name none. An agent's own persona takes its place; it may extend it.
	Persona string `json:"persona,omitempty"`
	// Limits bound the runs of agents that set no limit of their own, field by field.
	Limits *Limits `json:"limits,omitempty"`
}

// Signer is a person or a reconciler, known by a public key.
type Signer struct {
	// Name is shown to people and written into receipts. At most 128 characters.
	Name string `json:"name" check:"required,max=128" hint:"write name: WHO, in one line"`
	// Key is an SSH public key, as a line in the form of OpenSSH's authorized_keys (type, base64 key, optional comment), or an
	// OpenPGP public key, as the armored block that `gpg --armor --export` prints. DSA keys, RSA keys under 2048 bits and what
	// is bound with SHA-1 are refused. What an OpenPGP key has signed counts where it was neither expired nor replaced at the
	// time that the signature says; one that was lost is to be removed.
	Key string `json:"key" check:"required" hint:"write key: and the line of the .pub file, or key: | and what gpg --armor --export prints"`
	// CodeOwner are the names by which CODEOWNERS files know an approver: @user, @org/team, or an email address. Where the
	// CODEOWNERS file of the branch names owners for an Action, only they may approve it. For approvers.
	CodeOwner []string `json:"codeOwner,omitempty" check:"max=64,pattern=owner"`
}

// Signatures say whose commits may run. Another revision is held, and the last one that was verified goes on running. What
// counts is the demand of that one: only a commit that satisfies it can change it. The first revision ever seen, and the one
// that first makes a demand, must satisfy their own. While there is a demand the branch only goes forward: a revision that
// does not descend from the one verified last is held too, so that nobody can bring an old one back.
type Signatures struct {
	// Mode says what must be signed. head is the newest commit of the branch; tag an annotated tag of it; tagAndHead both
	// (as HEAD, Tag and TagAndHEAD of verify.mode in a GitRepository of Flux). everyCommit is every commit that the branch has
	// gone through since the revision verified last, by first parents: what a merge brings in, whoever signs the merge vouches
	// for. Where the branch has gone through that one only as what was merged, every new commit must be signed.
	Mode string `json:"mode,omitempty" check:"enum=everyCommit|head|tag|tagAndHead,default=head"`
	// Signers are the keys, as for approvers. With mode everyCommit the reconcilers' keys are among them only if what they
	// propose is merged without a merge commit.
	Signers []Signer `json:"signers" check:"required,max=1000" hint:"list the keys of those who push to the branch, each with name and key"`
	// Authors are who may be the author of a commit that must be verified: addresses such as ada@example.com, or *@example.com
	// for all of a domain. The address is what the commit says; the signer vouches for it. Default: anybody.
	Authors []string `json:"authors,omitempty" check:"min=1,max=1000,pattern=person"`
	// Committers are who may be its committer, written as authors are. A forge that merges is one of its own, such as
	// noreply@github.com. Default: anybody.
	Committers []string `json:"committers,omitempty" check:"min=1,max=1000,pattern=person"`
}

// LedgerSpec pins the ledger branch mainstay/ledger.
type LedgerSpec struct {
	// Genesis is the id of the ledger's first commit, 40 hexadecimal characters, as `mainstay ledger init` prints it.
	Genesis string `json:"genesis" check:"required,pattern=commit" hint:"write the 40 hexadecimal characters that mainstay ledger init prints"`
	// Signers are the reconcilers whose signature makes an entry of the ledger, or a record of a waiting run, count.
	Signers []Signer `json:"signers" check:"required,max=1000" hint:"list the keys of the reconcilers; without them no entry of the ledger would count"`
}

// ProposalRules bound every proposal.
type ProposalRules struct {
	// Expires is how long an Action may wait for its approval and execution, as a Go duration.
	Expires Duration `json:"expires,omitempty" check:"default=72h,min=1m,max=720h"`
	// Labels are set on every pull request. They need a forge.
	Labels []string `json:"labels,omitempty" check:"later,max=32"`
	// Reviewers are asked to review every pull request, by their names on the forge.
	Reviewers []string `json:"reviewers,omitempty" check:"later,max=32"`
	// MaxOpen is how many proposals of one agent may be open at once.
	MaxOpen int `json:"maxOpen,omitempty" check:"later,min=1,max=1000"`
}

// Forge is where proposals become pull requests.
type Forge struct {
	// Provider is the forge's kind.
	Provider string `json:"provider" check:"required,enum=forgejo|gitea|github|gitlab"`
	// URL is that of the forge. Default: that of the provider's public service; forgejo and gitea need one.
	URL string `json:"url,omitempty" check:"pattern=url"`
	// Repository is the repository's path on the forge, such as platform/agents. Default: that of the watched remote.
	Repository string `json:"repository,omitempty" check:"max=512"`
	// Credential opens and updates proposals. It must not be able to merge them.
	Credential *SecretRef `json:"credential,omitempty"`
}

// StoreSpec is where runs, queue and facts are kept.
type StoreSpec struct {
	// URL is that of a NATS cluster with JetStream, such as nats://nats.example.com:4222. Default: embedded.
	URL string `json:"url,omitempty" check:"later,max=2048"`
	// Credential is the content of a NATS credentials file.
	Credential *SecretRef `json:"credential,omitempty" check:"later"`
	// MaxBytes bounds the records of all runs together, in bytes before they are compressed. Where it is reached, the runs that
	// finished first are forgotten, and where none has, nothing more is recorded. Default: 4 GiB.
	MaxBytes int `json:"maxBytes,omitempty" check:"min=1048576,max=1099511627776"`
	// Retention is how long finished runs are kept after their end. A run is kept longer while a proposal of it is open, an Action
	// of it is not settled, or the run that gave it its task has not ended. Default: as long as there is room.
	Retention Duration `json:"retention,omitempty" check:"min=1h,max=87600h"`
}

// Telemetry is where traces and metrics are sent, by the OpenTelemetry protocol over HTTP.
type Telemetry struct {
	// Endpoint is the base URL of an OTLP receiver, such as http://127.0.0.1:4318.
	Endpoint string `json:"endpoint" check:"required,pattern=url"`
	// Headers are sent with every export.
	Headers []Header `json:"headers,omitempty" check:"max=32"`
	// Content says whether prompts and answers are in the traces, with secrets redacted.
	Content bool `json:"content,omitempty"`
}

// Header is an HTTP header: a value, or a reference to a secret. Exactly one of them is set.
type Header struct {
	// Name is the header's, such as X-Api-Version.
	Name string `json:"name" check:"required,pattern=header"`
	// Value is the value itself.
	Value string `json:"value,omitempty" check:"max=8192"`
	// From says where the value is, if it is a secret.
	From *SecretRef `json:"from,omitempty"`
}

// AgentSpec declares an agent. In Markdown the front matter is this, and the body is Instructions.
type AgentSpec struct {
	// Description is one sentence for people and for other agents.
	Description string `json:"description,omitempty"`
	// Persona names a Persona, which opens the instructions. Default: the Fleet's.
	Persona string `json:"persona,omitempty"`
	// Prompt renders a Prompt into the instructions. An agent has a prompt, instructions, or both in this order.
	Prompt *PromptUse `json:"prompt,omitempty"`
	// Instructions are what the agent is told to do, as Markdown.
	Instructions string `json:"instructions,omitempty"`
	// Model names a Model. Default: the Fleet's.
	Model string `json:"model,omitempty"`
	// Runtime says which plugin is the agent: loop is the reference loop, another NAME the executable mainstay-NAME beside
	// mainstay, and an absolute path an executable on the machine that runs mainstay, which mainstay.lock must pin. Default:
	// the Fleet's.
	Runtime string `json:"runtime,omitempty" check:"pattern=runtime"`
	// Skills names Skill folders whose descriptions the agent sees, and whose text it may ask for.
	Skills []string `json:"skills,omitempty"`
	// Tools are the tools the agent may call. What is not named here does not exist for it.
	Tools []ToolUse `json:"tools,omitempty" check:"max=64"`
	// Files are the repository's files the agent may read.
	Files *FileUse `json:"files,omitempty"`
	// Knowledge names the KnowledgeSources that the agent may search. It sees no other.
	Knowledge []string `json:"knowledge,omitempty" check:"max=64"`
	// Memory lets the agent keep facts from one run to the next.
	Memory *MemoryUse `json:"memory,omitempty" check:"later"`
	// Agents names the agents that this one may give tasks to, each with a tool agents__NAME. Delegation goes one way: it has no
	// cycles. What they use counts for this agent's limits too.
	Agents []string `json:"agents,omitempty" check:"max=64"`
	// Triggers start runs of this agent. Each is a Trigger of its own, named after the agent and itself.
	Triggers []AgentTrigger `json:"triggers,omitempty" check:"max=32"`
	// Proposals are the file changes the agent may propose.
	Proposals *ProposalUse `json:"proposals,omitempty"`
	// Limits bound each run of the agent.
	Limits *Limits `json:"limits,omitempty"`
	// Output is what the final answer must be.
	Output *Output `json:"output,omitempty"`
	// Isolation is what the agent's process must be shut in by, and what it may execute there.
	Isolation *Isolation `json:"isolation,omitempty"`
	// Scale says how many processes the agent has, and for how long. Without runs it has none.
	Scale *Scale `json:"scale,omitempty"`
	// Ordered has write calls that the agent makes at once executed in the order in which it made them: each Action names the
	// one before it, of which the agent had no answer when it asked, under after. Without it they are executed in the order in
	// which they are approved.
	Ordered bool `json:"ordered,omitempty"`
	// Suspend holds the agent: nothing starts a run of it, its runs wait, those at work before their next request, and its
	// approved Actions are not executed. `mainstay suspend agent/NAME` does it at once, for one daemon.
	Suspend bool `json:"suspend,omitempty"`
}

// MemoryUse lets an agent keep facts.
type MemoryUse struct {
	// Scope says who shares the facts.
	Scope string `json:"scope,omitempty" check:"enum=agent|fleet,default=agent"`
	// MaxFacts is how many facts are kept; the oldest go first.
	MaxFacts int `json:"maxFacts,omitempty" check:"default=1000,min=1,max=100000"`
	// Expires is how long a fact is kept. Default: until it is replaced.
	Expires Duration `json:"expires,omitempty" check:"min=1m,max=87600h"`
}

// Output is what the final answer of a run must be. An agent whose answer is something else is told what is wrong and mends
// it, as often as Repairs says; then the run fails with the reason OutputRejected.
type Output struct {
	// Schema is a JSON Schema (draft 2020-12, or draft-07 where it says so) of the answer. The answer is then JSON and nothing
	// else: one in a code fence, or with words around it, is to be mended like any other.
	Schema map[string]any `json:"schema,omitempty"`
	// Verify are checks of an answer that fits the schema. They are tried in this order, up to the first that fails.
	Verify []Verification `json:"verify,omitempty" check:"max=32"`
	// Repairs is how often a run may be told what is wrong with its answer. The next answer that is wrong ends the run.
	Repairs int `json:"repairs,omitempty" check:"default=2,min=1,max=10"`
	// Escalate is the path of a Markdown file, such as docs/attention/triage.md. A run whose answer is refused in the end opens
	// a proposal that writes a report there, for a person to act on: an agent has one such proposal, and a later run
	// replaces the report in it. Who rejects it is told no more until the file changes. Default: no proposal, and the failed
	// run is all that tells.
	Escalate string `json:"escalate,omitempty" check:"max=1024"`
}

// Verification is one check of an answer: exactly one of cel, contains, excludes, matches and agent. Text alone is the cel.
type Verification struct {
	// CEL is an expression of type bool over `output`: the JSON value where there is a schema, and else the text. An error
	// while it is evaluated fails the check.
	CEL string `json:"cel,omitempty" check:"bare"`
	// Contains is a text that the answer holds, in any case of letters.
	Contains string `json:"contains,omitempty" check:"max=4096"`
	// Excludes is a text that the answer does not hold, in any case of letters.
	Excludes string `json:"excludes,omitempty" check:"max=4096"`
	// Matches is a regular expression in RE2's syntax that the answer matches.
	Matches string `json:"matches,omitempty" check:"max=4096"`
	// Agent names another agent that reviews the answer, in a run of its own that counts like any task that this agent gives.
	// It is the last check: only an answer that passes the others is worth a review. It is given the task and the answer as
	// data, and must answer with JSON: ok, which is true or false, and problem, which says what is wrong.
	Agent string `json:"agent,omitempty"`
	// Task is what the reviewer is told, before the task and the answer. Default: to judge whether the answer does what the
	// task asks.
	Task string `json:"task,omitempty" check:"max=16384"`
	// Message is what the agent is told where the check fails, for the checks that know no better. Default: a sentence that
	// shows the check.
	Message string `json:"message,omitempty" check:"max=1000"`
}

// Isolation is what an agent's process must be shut in by, and what it may execute there.
type Isolation struct {
	// Require are the walls without which the agent is not started: any of cgroup, landlock, namespaces, seccomp and uid, with +
	// between them. Every agent gets all that the machine allows, as `mainstay get agents` shows; reconciler/host tells what
	// each of them needs.
	Require string `json:"require,omitempty" check:"max=128"`
	// Exec are the programs that the agent's process may execute, and no other: absolute paths on the machine that runs
	// mainstay, or names that are looked up in the PATH of mainstay, such as jq. They run behind the same walls, and read and write
	// no file but those of their libraries: what they work on comes through pipes. Each run has a process of its own, and what it
	// has started ends with it. It needs landlock and seccomp, and namespaces or cgroup. Default: nothing is executed.
	Exec []string `json:"exec,omitempty" check:"max=32,pattern=executable"`
}

// Scale says how many processes an agent has.
type Scale struct {
	// Warm is how many processes with room for a run are kept ready, so that a run need not wait for a start. Default: none.
	// They are ended all the same where another agent's runs need their room.
	Warm int `json:"warm,omitempty" check:"min=0,max=64"`
	// Idle is how long a process that no run needs is kept.
	Idle Duration `json:"idle,omitempty" check:"default=5m,min=1s,max=24h"`
	// Concurrency is how many runs share one process at the same time. More runs get more processes.
	Concurrency int `json:"concurrency,omitempty" check:"default=8,min=1,max=256"`
	// IsolateRuns gives every run a process of its own, which ends with it.
	IsolateRuns bool `json:"isolateRuns,omitempty"`
}

// ToolUse gives an agent tools of one ToolServer.
type ToolUse struct {
	// Server names a ToolServer.
	Server string `json:"server" check:"required" hint:"write server: NAME"`
	// Allow names tools that the server declares. Default: every declared tool that is not denied.
	Allow []string `json:"allow,omitempty" check:"min=1,max=1000" hint:"leave allow out for every tool, or remove the server"`
}

// FileUse gives an agent the repository's files, at the revision its run is pinned to.
type FileUse struct {
	// Read are doublestar globs over paths from the repository's root, such as `manifests/**`.
	Read []string `json:"read" check:"required,max=256" hint:"write read: [\"manifests/**\"]"`
}

// ProposalUse lets an agent propose file changes.
type ProposalUse struct {
	// Paths are doublestar globs over paths from the repository's root. Whatever they say, [Protected] paths are refused.
	Paths []string `json:"paths" check:"required,max=256" hint:"write paths: [\"manifests/**\"]"`
}

// Limits bound one run. A run that reaches one ends with that reason.
type Limits struct {
	// Turns is the number of model answers.
	Turns int `json:"turns,omitempty" check:"default=24,min=1,max=1000"`
	// ToolCalls is the number of tool calls.
	ToolCalls int `json:"toolCalls,omitempty" check:"default=100,min=1,max=10000"`
	// WallTime is the time the agent may work, not counting waits for a review.
	WallTime Duration `json:"wallTime,omitempty" check:"default=10m,min=1s,max=24h"`
	// OutputBytes is the size of the final answer, in bytes.
	OutputBytes int `json:"outputBytes,omitempty" check:"default=262144,min=1,max=1048576"`
	// Tokens is how many tokens the model may read and write in all turns together. Default: as many as the turns need.
	Tokens int `json:"tokens,omitempty" check:"min=1,max=1000000000"`
	// Cost is what the model's answers may cost in all turns together, in the currency of the model's price. Once it is
	// reached, no request to the model starts. The model needs a price; one that costs nothing has `price: {input: 0}`.
	// Default: no limit.
	Cost float64 `json:"cost,omitempty" check:"min=0.000001,max=1000000"`
}

// ScriptRule is one rule of a scripted model. Strings may hold `${ CEL }`; the variables are those of [Conversation].
type ScriptRule struct {
	// When is a CEL expression of type bool. Empty always holds.
	When string `json:"when,omitempty"`
	// Text is the answer's text.
	Text string `json:"text,omitempty"`
	// Calls are the answer's tool calls.
	Calls []ScriptCall `json:"calls,omitempty"`
	// Usage is how many tokens the answer counts as, to try limits and prices with. Default: none.
	Usage *ScriptUsage `json:"usage,omitempty"`
}

// ScriptUsage is how many tokens a scripted answer counts as.
type ScriptUsage struct {
	// Input is how many tokens are read.
	Input int `json:"input,omitempty" check:"min=0,max=1000000000"`
	// Output is how many tokens are written.
	Output int `json:"output,omitempty" check:"min=0,max=1000000000"`
}

// ScriptCall is one tool call of a scripted answer.
type ScriptCall struct {
	// Tool is the name the agent sees, such as `cluster__restart_deployment`.
	Tool string `json:"tool" check:"required" hint:"write the name the agent sees, such as repo__read"`
	// Arguments are JSON values; each string in them is a template.
	Arguments map[string]any `json:"arguments,omitempty"`
}

// ActionSpec is one approved tool call. Agents propose Actions; merging one is its approval.
type ActionSpec struct {
	// Summary is one sentence for the reviewer.
	Summary string `json:"summary" check:"required,max=1000" hint:"write one sentence that says what it does"`
	// Server names a ToolServer.
	Server string `json:"server" check:"required" hint:"write server: NAME"`
	// Tool is one of the server's write tools.
	Tool string `json:"tool" check:"required" hint:"write tool: NAME"`
	// Arguments are what the tool is called with.
	Arguments map[string]any `json:"arguments,omitempty"`
	// Evidence says where the Action comes from.
	Evidence Evidence `json:"evidence" check:"required" hint:"actions are proposed by agents, with the run they come from"`
	// Precondition holds literal arguments here. It is checked right before the effect.
	Precondition *Precondition `json:"precondition,omitempty"`
	// After names Actions that must be done before this one is executed. Where one of them failed, expired or was abandoned,
	// this one is refused. It is set where the Agent is ordered.
	After []ActionID `json:"after,omitempty" check:"min=1,max=64" hint:"leave after out where the action waits for none"`
	// Expires is when the approval ends, in RFC 3339.
	Expires string `json:"expires" check:"required" hint:"write a time such as 2026-01-31T12:00:00Z"`
}

// Evidence links an Action to the run that asked for it.
type Evidence struct {
	// Agent is who asked.
	Agent AgentName `json:"agent" check:"required,pattern=name"`
	// Run is the run it asked in, a ULID in lower case.
	Run RunID `json:"run" check:"required"`
	// Exchange is the number of the request in the run, from 1.
	Exchange int `json:"exchange" check:"required,min=1" hint:"it is the number of the agent's request in its run, from 1"`
	// Revision is what the run was pinned to.
	Revision Revision `json:"revision" check:"required,pattern=revision"`
	// Key is the proposal's key.
	Key ProposalKey `json:"key" check:"required,pattern=key"`
	// Undoes is the Action of the same run that this one undoes. Mainstay sets it where a tool declares an undo; the exchange is
	// then 1000000 more than that of the Action.
	Undoes ActionID `json:"undoes,omitempty"`
	// Failed says what failed after that Action.
	Failed string `json:"failed,omitempty" check:"max=1000"`
	// Sources are the KnowledgeSources whose text the run had read when it asked. Mainstay sets them.
	Sources []string `json:"sources,omitempty" check:"max=1000"`
}
