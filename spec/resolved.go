package spec

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// The types below are the trusted form: checked, defaults applied, references followed, immutable. Only [Load] makes them.

// Place is where something was written, for people: `agents/triage.yaml:12:9`. Line and Column count from 1, Column in
// characters; 0 means the whole file.
type Place struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// Resource is what every resource of a revision has in common.
type Resource struct {
	Ref
	Digest Digest `json:"digest"`
	Place  Place  `json:"place"`
	// Labels are as written.
	Labels map[string]string `json:"labels,omitempty"`
	// DependsOn are the resources it names, sorted. They are all of the same revision.
	DependsOn []Ref `json:"dependsOn,omitempty"`
	// Later are the fields of the spec that are checked, and that this version does not reconcile yet. See
	// [Resource.NotYetReconciled].
	Later []string `json:"later,omitempty"`
}

// NotYetReconciled says in one sentence what of the resource is checked, and not reconciled by this version. It is "" where
// all of it is.
func (r Resource) NotYetReconciled() string {
	switch {
	case r.Kind.OnlyChecked():
		return fmt.Sprintf("this version checks %s, and does not act on it yet", article(r.Kind))
	case len(r.Later) > 0:
		return "this version checks these fields, and does not act on them yet: " + strings.Join(r.Later, ", ")
	}
	return ""
}

// The modes of a demand for signatures.
const (
	SignHead        = "head"
	SignEveryCommit = "everyCommit"
	SignTag         = "tag"
	SignTagAndHead  = "tagAndHead"
)

// SignatureDemand is what must hold of a commit before it may run; see [Signatures].
type SignatureDemand struct {
	Mode    string
	Signers []Key
	// Authors and Committers are addresses, or *@ and a domain. None is anybody.
	Authors    []string
	Committers []string
	// Place is where the demand is written, for messages.
	Place string
}

// IsListed reports whether who, written as `Name <address>` with one address, is one of the people listed as in
// [Signatures]. An empty list is everybody. Case does not matter.
func IsListed(listed []string, who string) bool {
	if len(listed) == 0 {
		return true
	}
	_, address, found := strings.Cut(strings.ToLower(who), "<")
	address, rest, ended := strings.Cut(address, ">")
	if !found || !ended || rest != "" || strings.Contains(address, "<") {
		return false
	}
	return slices.ContainsFunc(listed, func(one string) bool {
		one = strings.ToLower(one)
		if domain, ok := strings.CutPrefix(one, "*"); ok {
			before, found := strings.CutSuffix(address, domain)
			return found && before != "" && !strings.Contains(before, "@")
		}
		return one == address
	})
}

// Fleet is all that one revision declares.
type Fleet struct {
	Resource
	Approvers []Key
	// Signatures say whose commits may run. Nil means that every commit may.
	Signatures *SignatureDemand
	// Ledger is nil where the fleet pins none; then no Action executes.
	Ledger *Ledger
	// Expires is how long an Action may wait.
	Expires time.Duration
	// Retention is how long finished runs are kept, and StoreBytes how much the records of all runs may have; 0 is the default.
	Retention  time.Duration
	StoreBytes int64
	// KnowledgeIn is the database that has the index of the knowledge sources; nil is the state folder.
	KnowledgeIn *Postgres
	// Windows are the times in which Actions of servers that have no windows of their own are executed.
	Windows []Opening
	// Notify are the webhooks that are told what waits and what fails.
	Notify []Notification
	// Suspended says that nothing begins or goes on.
	Suspended bool
	// Prune says that models that Mainstay got, and that nothing names any more, are deleted from their servers.
	Prune bool
	// Lock is what mainstay.lock pins. Nil is a fleet without one, which pins nothing.
	Lock *Lock
	// Agents, Models and so on are keyed by name.
	Agents    map[AgentName]*Agent
	Models    map[string]*Model
	Servers   map[string]*ToolServer
	Skills    map[string]*Skill
	Knowledge map[string]*KnowledgeSource
	Actions   map[ActionID]*Action
	Policies  []*Policy  // sorted by name
	Triggers  []*Trigger // sorted by name
	// Resources lists every resource, the Fleet first, then sorted by kind and name.
	Resources []Resource

	// For [Fleet.Written].
	documents []*document
	index     sync.Once
	byRef     map[Ref]*document
}

// Ledger is a checked [LedgerSpec].
type Ledger struct {
	Genesis string
	Signers []Key
}

// Agent is an agent with every reference followed. Its digest is over all that shapes its behaviour: the rendered
// instructions, its model, tools with their effects, skills, files, proposal paths, runtime and limits.
type Agent struct {
	Resource
	Name        AgentName
	Description string
	// Instructions is the exact text the model is given before the conversation: persona, prompt, instructions, and the
	// list of skills.
	Instructions string
	// Boundaries are what its persona says that it never does, and Binding are its prompt's locked sections, each with its
	// heading, as the agent is told them. Both are part of Instructions.
	Boundaries []string
	Binding    []string
	Model      *Model
	// Runtime names the plugin that is the agent, and RuntimePin is what the fleet's lock pins of it; nil where it pins
	// nothing.
	Runtime    string
	RuntimePin RuntimePin
	Skills     []*Skill
	// Tools are sorted by server and name; each is there because the agent names its server and the server declares it.
	Tools     []Tool
	ReadPaths []string
	// ProposePaths are globs; [Protected] paths are refused whatever they say.
	ProposePaths []string
	Limits       RunLimits
	// Knowledge are the sources that the agent may search, and Delegates the agents that it may give tasks to; both sorted by
	// name.
	Knowledge []*KnowledgeSource
	Delegates []AgentName
	// Memory, Output, Isolation and Scale are as written; nil where nothing is.
	Memory    *MemoryUse
	Output    *Output
	Isolation *Isolation
	Scale     *Scale
	// Ordered has write calls that it makes at once executed in their order.
	Ordered bool
	// Suspended says that no run of it begins or goes on, and none of its Actions is executed.
	Suspended bool
	// Check is Output, compiled; nil where the answer may be anything.
	Check *OutputCheck
}

// KnowledgeNames are the names of the sources that the agent may search, sorted.
func (a *Agent) KnowledgeNames() []string {
	var names []string
	for _, s := range a.Knowledge {
		names = append(names, s.Name)
	}
	return names
}

// Tool is one tool that an agent may call.
type Tool struct {
	Server *ToolServer
	Name   string
	ToolSpec
}

// FullName is the name that models see: `<server>__<tool>`.
func (t Tool) FullName() string { return t.Server.Name + "__" + t.Name }

// RunLimits are [Limits] with every default applied.
type RunLimits struct {
	Turns       int           `json:"turns"`
	ToolCalls   int           `json:"toolCalls"`
	WallTime    time.Duration `json:"wallTime"`
	OutputBytes int           `json:"outputBytes"`
	// Tokens is 0 where the run may use as many as its turns need.
	Tokens int `json:"tokens,omitempty"`
	// Cost is 0 where the run may cost whatever its turns do.
	Cost float64 `json:"cost,omitempty"`
}

// Model is a checked [ModelSpec].
type Model struct {
	Resource
	Spec ModelSpec
	// Script is set for provider scripted: the rules, compiled.
	Script *Script
	// Recorded is set for provider replay: what the recording holds, in order. The digest covers it.
	Recorded []Recorded
	// Pin is the digest that the fleet's lock pins for it, or "".
	Pin Digest
	// Routing are the conditions of Spec.Routes, compiled.
	Routing []*Condition
	// Others are the models that its fallbacks, routes and split name, by name. The digest covers theirs.
	Others []*Model
}

// Other returns the model of this name among those that may be asked in this one's place, itself included; nil where there is none.
func (m *Model) Other(name string) *Model {
	if name == m.Name {
		return m
	}
	for _, other := range m.Others {
		if other.Name == name {
			return other
		}
	}
	return nil
}

// KnowledgeSource is a checked [KnowledgeSourceSpec]. Its digest covers that of the model that makes vectors.
type KnowledgeSource struct {
	Resource
	Spec KnowledgeSourceSpec
	// Embed is the model that makes vectors of the text, Rerank the one that puts what is found in order, and Rewrite the one that says
	// questions in other ways; nil where none does.
	Embed, Rerank, Rewrite *Model
}

// ToolServer is a checked [ToolServerSpec].
type ToolServer struct {
	Resource
	Spec    ToolServerSpec
	Timeout time.Duration
	// Windows are its own times in which Actions are executed; see [Fleet.WindowsOf].
	Windows []Opening
	// LockFile is the fleet's lock, from the folder that holds mainstay.yaml; "" is a fleet without one. Pins are the tools
	// that it pins of those that agents may call; what is not there is refused.
	LockFile string
	Pins     map[string]ToolPin

	// toolDigests are over all that shapes a call of a tool, by the tool's name.
	toolDigests map[string]Digest
}

// Policy is a checked [PolicySpec].
type Policy struct {
	Resource
	Rules []Rule
}

// Rule is a checked [PolicyRule], its condition compiled.
type Rule struct {
	PolicyRule
	Condition *Condition
}

// Trigger is a checked [TriggerSpec].
type Trigger struct {
	Resource
	Agent AgentName
	Task  string
	// Paths is set for onRevision, Cron for schedule.
	Paths []string
	Cron  CronSchedule
	// Suspended says that it starts no run.
	Suspended bool
}

// CronSchedule tells the next time after t at which a schedule is due.
type CronSchedule interface {
	Next(t time.Time) time.Time
}

// Action is a checked [ActionSpec]. Its digest is over the bytes of its file.
type Action struct {
	Resource
	ID      ActionID
	Spec    ActionSpec
	Expires time.Time
}

// Skill is an Agent Skills folder (https://agentskills.io/specification).
type Skill struct {
	Resource
	Description string
	// Files are all files of the folder by their path within it; SKILL.md is the entry.
	Files map[string][]byte
}
