package spec

// The decisions of a policy.
const (
	// DecisionAllow lets a call through without a review. It is the default for read tools. A rule grants it to a write tool.
	DecisionAllow = "allow"
	// DecisionPropose turns a call into a proposal. It is the default for write tools.
	DecisionPropose = "propose"
	// DecisionDeny refuses.
	DecisionDeny = "deny"
	// DecisionLimit lets a number of calls of write tools be executed; the others wait.
	DecisionLimit = "limit"
)

// PolicySpec are rules over what agents ask for. Of all rules that hold the strictest decision wins: deny, then limit, propose
// and allow.
type PolicySpec struct {
	// Rules are the rules. Their order does not matter.
	Rules []PolicyRule `json:"rules" check:"required,max=1000" hint:"write rules, each with name, on and decision"`
}

// The things a policy rule may be about.
const (
	OnCall   = "call"
	OnChange = "change"
	OnRun    = "run"
)

// PolicyRule is one rule.
type PolicyRule struct {
	// Name is shown wherever the rule decides. Unique within its policy.
	Name string `json:"name" check:"required,pattern=name" hint:"write name: what-it-guards, which is shown where it decides"`
	// On is what the rule is about: tool calls, proposed file changes, or runs that are about to start.
	On string `json:"on" check:"required,enum=call|change|run" hint:"write on: call for tool calls, on: change for file changes, or on: run for runs"`
	// When is a CEL expression of type bool over `call` (agent, server, tool, effect, arguments, sources), `change` (agent, paths) or
	// `run` (agent, task, trigger). An error while it is evaluated denies. Empty always holds.
	When string `json:"when,omitempty"`
	// Decision is deny; allow, propose and limit are for calls. Allow lets a call of a write tool be made without a review, and
	// counts only where an approver has signed the commit that brought the policy's file to the branch as it is. It is never
	// stronger than another rule, and opens no tool that is denied or not declared; where its condition cannot be evaluated it
	// allows nothing.
	Decision string `json:"decision" check:"required,enum=allow|deny|limit|propose" hint:"write decision: deny or propose"`
	// Approvers are the names of those of the Fleet's approvers who may approve the calls, and nobody else may. Of several such
	// rules an approver must be in each. For decision propose.
	Approvers []string `json:"approvers,omitempty" check:"min=1,max=1000"`
	// Trusts names KnowledgeSources. A rule that allows calls without a review says nothing of one by a run that has read text of
	// any other source, because what stands there may be why the agent makes the call; it is then proposed. For decision allow.
	Trusts []string `json:"trusts,omitempty" check:"min=1,max=1000"`
	// Limit is how many calls of write tools decision limit lets be executed. They become proposals as ever, and approved
	// Actions beyond the limit wait, or are refused where it is for one run. It is counted in the ledger under the name of the
	// rule, so it holds across restarts and executors. Calls of read tools are not counted, and denied where the rule is about
	// them: write `call.effect == "write"` into when.
	Limit *RuleLimit `json:"limit,omitempty"`
	// Reason is told to the agent and to people.
	Reason string `json:"reason,omitempty" check:"max=1000"`
}

// RuleLimit is how many calls a rule lets through.
type RuleLimit struct {
	// Calls is how many.
	Calls int `json:"calls" check:"required,min=1,max=1000000" hint:"write calls: 10"`
	// Per is in what time. Default: in one run.
	Per Duration `json:"per,omitempty" check:"min=1s,max=8760h"`
}

// TriggerSpec starts runs. Exactly one of Schedule, OnRevision, OnRun, OnGit and Webhook is set.
type TriggerSpec struct {
	// Agent is given the task.
	Agent string `json:"agent" check:"required" hint:"write agent: NAME"`
	TriggerOn
}

// AgentTrigger is a trigger that stands in its agent's own file.
type AgentTrigger struct {
	// Name tells the agent's triggers apart. The Trigger's own name is the agent's, a hyphen and this.
	Name string `json:"name" check:"required,pattern=name" hint:"write name: WHEN, such as nightly"`
	TriggerOn
}

// TriggerOn says when a trigger starts a run, and what the agent is told.
type TriggerOn struct {
	// Schedule starts a run at the times of a cron expression.
	Schedule *Schedule `json:"schedule,omitempty"`
	// OnRevision starts a run when a new revision changes paths.
	OnRevision *OnRevision `json:"onRevision,omitempty"`
	// OnRun starts a run when a run of another agent ends.
	OnRun *RunEnded `json:"onRun,omitempty" check:"later"`
	// OnGit starts a run when a tag or branch of the repository appears or moves.
	OnGit *RefMoved `json:"onGit,omitempty" check:"later"`
	// Webhook starts a run when a signed request arrives.
	Webhook *Webhook `json:"webhook,omitempty" check:"later"`
	// Task is what the agent is told. `{{ revision }}` and, for onRevision, `{{ changed }}` (the changed paths that match,
	// one per line) are filled in.
	Task string `json:"task" check:"required" hint:"write what the agent is told"`
	// Suspend holds the trigger: it starts no run. What it missed starts one run once it is resumed. `mainstay suspend
	// trigger/NAME` does it at once, for one daemon.
	Suspend bool `json:"suspend,omitempty"`
}

// Schedule is a cron schedule.
type Schedule struct {
	// Cron has five fields (minute, hour, day of month, month, day of week) or is a descriptor such as @hourly.
	Cron string `json:"cron" check:"required,max=256" hint:"write cron: \"0 6 * * *\" for six in the morning"`
	// TimeZone is an IANA name.
	TimeZone string `json:"timeZone,omitempty" check:"default=UTC,max=64"`
}

// OnRevision selects revisions by what they change.
type OnRevision struct {
	// Paths are doublestar globs over paths from the repository's root. The first revision ever seen changes all paths.
	Paths []string `json:"paths" check:"required,max=256" hint:"write paths: [\"manifests/**\"]"`
}

// RunEnded selects runs that have ended.
type RunEnded struct {
	// Agents names the agents whose runs count.
	Agents []string `json:"agents" check:"required,max=64" hint:"write agents: [NAME]"`
	// Phase is how the run must have ended. Default: in any way.
	Phase string `json:"phase,omitempty" check:"enum=failed|succeeded"`
}

// RefMoved selects what happens to the repository's refs.
type RefMoved struct {
	// Refs says which refs count.
	Refs string `json:"refs" check:"required,enum=branches|tags" hint:"write refs: tags"`
	// Names are doublestar globs over the short names of refs, such as v*.
	Names []string `json:"names" check:"required,max=256" hint:"write names: [\"v*\"]"`
}

// Webhook selects requests that reach the reconciler's HTTP address.
type Webhook struct {
	// Secret is the key of the request's HMAC-SHA256 signature, as GitHub and Gitea sign.
	Secret *SecretRef `json:"secret" check:"required" hint:"write secret: {env: NAME}; an unsigned request starts nothing"`
	// When is a CEL expression of type bool over `event`, the JSON body of the request. Empty always holds.
	When string `json:"when,omitempty"`
}
