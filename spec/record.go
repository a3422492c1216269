package spec

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// The types below outlive a process: they are written into a run's record, into commits and into the ledger, as the
// JSON their tags say. Adding a field is compatible; changing one is not.

// The kinds of requests an agent makes.
const (
	RequestModel  = "model"
	RequestTool   = "tool"
	RequestTime   = "time"
	RequestRandom = "random"
	RequestCheck  = "check"
)

// Request is one thing an agent asks its host for.
type Request struct {
	Lane Lane   `json:"lane"`
	Kind string `json:"kind"`
	// Call is the id that the host gave to the tool call in a model's answer, or the agent's own; for tool requests.
	Call string `json:"call,omitempty"`
	// Body is the request in canonical JSON: no message ids, no times, sorted keys.
	Body json.RawMessage `json:"body"`
}

// Answer is what the host replies.
type Answer struct {
	// Body is the answer in canonical JSON. Secrets are redacted already.
	Body json.RawMessage `json:"body,omitempty"`
	// Error is set instead of Body where the host refuses or fails; the agent sees it.
	Error string `json:"error,omitempty"`
	// Rule names the policy rule or default that decided, for tool requests, and the check that failed, for requests of kind
	// check.
	Rule string `json:"rule,omitempty"`
	// Usage is what the answer cost: of a model its tokens, of a run that another one gave a task to all that it used.
	Usage *Usage `json:"usage,omitempty"`
	// Model says which model gave the answer and how it came to that, for model requests; see [ModelDecision].
	Model *ModelDecision `json:"model,omitempty"`
	// Worked is how long the agents of such a run have worked, in nanoseconds.
	Worked time.Duration `json:"worked,omitempty"`
	// By is the person who decided, for the decision about a proposal, where that is known. The agent is not told.
	By string `json:"by,omitempty"`
	// Images are those that a tool gave, with their data. The agent gets their digests, which are in the body.
	Images []Image `json:"images,omitempty"`
	// Sources are the KnowledgeSources whose text is in the answer, sorted: what stands there was not written by whoever gave the
	// task.
	Sources []string `json:"sources,omitempty"`
}

// ModelDecision is how a request to a model was answered.
type ModelDecision struct {
	// Model names the Model that answered, or that was the last to fail.
	Model string `json:"model"`
	// Why says why it was not the agent's own, such as `route 1` or `fallback after unavailable`; "" where it was.
	Why string `json:"why,omitempty"`
	// Attempts are the tries that failed before, in order.
	Attempts []ModelAttempt `json:"attempts,omitempty"`
	// Repaired says what was wrong with the answer and was mended, and why the model was asked again, in order.
	Repaired []string `json:"repaired,omitempty"`
	// Compacted says what the model did not read of a conversation that is too long for it, or "".
	Compacted string `json:"compacted,omitempty"`
}

// Costs reports whether attempts that gave no answer have cost something.
func (d *ModelDecision) Costs() bool {
	return slices.ContainsFunc(d.Attempts, func(a ModelAttempt) bool { return a.Usage != nil })
}

// ModelAttempt is a try to ask a model that gave no answer.
type ModelAttempt struct {
	Model string `json:"model"`
	// Reason is a word for what went wrong, such as `rateLimited`; Error says it in full, without secrets.
	Reason string `json:"reason"`
	Error  string `json:"error"`
	// Usage is what it cost all the same, where the model has answered and its answers were of no use, or has begun to. Estimated
	// says that the server did not tell, as it is where it was left: it is what was sent and what has come, at three bytes a token.
	Usage     *Usage `json:"usage,omitempty"`
	Estimated bool   `json:"estimated,omitempty"`
}

// Usage counts tokens, as the models told them, and what they cost. Where a server does not tell, they are estimated at three bytes each.
type Usage struct {
	Input  int `json:"input"`
	Output int `json:"output"`
	// Cached are those of Input that the provider had read before, and Reasoning those of Output that are no part of the text.
	Cached    int `json:"cached,omitempty"`
	Reasoning int `json:"reasoning,omitempty"`
	// Busy is how long a model on a machine of one's own worked on it, in nanoseconds.
	Busy time.Duration `json:"busy,omitempty"`
	// Cost is in Currency, an ISO 4217 code, rounded to nine decimals. Both are left out where the model has no price.
	Cost     float64 `json:"cost,omitempty"`
	Currency string  `json:"currency,omitempty"`
}

// Money is the cost for people, such as `0.0123 USD`, or "" where there is no price.
func (u Usage) Money() string {
	if u.Currency == "" {
		return ""
	}
	return strconv.FormatFloat(u.Cost, 'f', -1, 64) + " " + u.Currency
}

// Add returns the sum. Both costs are of one currency: agents whose models have prices in others give each other no tasks.
func (u Usage) Add(v Usage) Usage {
	return Usage{
		Input: u.Input + v.Input, Output: u.Output + v.Output, Cached: u.Cached + v.Cached, Reasoning: u.Reasoning + v.Reasoning, Busy: u.Busy + v.Busy,
		Cost: money(u.Cost + v.Cost), Currency: cmp.Or(u.Currency, v.Currency),
	}
}

// Negative returns what takes the usage away again when it is added.
func (u Usage) Negative() Usage {
	return Usage{Input: -u.Input, Output: -u.Output, Cached: -u.Cached, Reasoning: -u.Reasoning, Busy: -u.Busy, Cost: -u.Cost, Currency: u.Currency}
}

// Spent is what one model has answered on one day.
type Spent struct {
	// Day is a date in UTC; see [Day].
	Day   string `json:"day"`
	Model string `json:"model"`
	// Answers counts them.
	Answers int   `json:"answers"`
	Usage   Usage `json:"usage"`
}

// Day is the date of a time in UTC, such as 2026-11-28.
func Day(at time.Time) string { return at.UTC().Format(time.DateOnly) }

// Parent is the exchange that a run was started for. Its record holds the run's task in an entry of type delegated.
type Parent struct {
	Run      RunID     `json:"run"`
	Agent    AgentName `json:"agent"`
	Exchange int       `json:"exchange"`
}

// Delegation is a task that a run wants another agent to do.
type Delegation struct {
	Agent AgentName `json:"agent"`
	Text  string    `json:"text"`
	// Rule names the policy rule or default that let it.
	Rule string `json:"rule,omitempty"`
	// Review says that the task is to judge an answer: the agent's own must be a [Verdict].
	Review bool `json:"review,omitempty"`
}

// Verdict is what a check says of an answer: the body of an answer to a request of kind check, and the output of a review.
type Verdict struct {
	// OK says that the answer may end the run. Problem says what is wrong with it otherwise, for a model that is to mend it.
	OK      bool   `json:"ok"`
	Problem string `json:"problem,omitempty"`
}

// Task is what a run is about. It is the first entry of a run's record and never changes.
type Task struct {
	Run   RunID     `json:"run"`
	Agent AgentName `json:"agent"`
	Text  string    `json:"text"`
	// Revision is what the run is pinned to.
	Revision Revision `json:"revision"`
	// Digest is the agent's at that revision.
	Digest Digest `json:"digest"`
	// Trigger names what started the run; empty for `mainstay ask`.
	Trigger string    `json:"trigger,omitempty"`
	At      time.Time `json:"at"`
	// Parent is set where another run gave the task, and Depth is how many runs are above this one then.
	Parent *Parent `json:"parent,omitempty"`
	Depth  int     `json:"depth,omitempty"`
	// WallTime is what was left of the parent's wall time when it gave the task, in nanoseconds; 0 where there is none. The
	// agent's own limit holds too.
	WallTime time.Duration `json:"wallTime,omitempty"`
	// Thread is the conversation that the run belongs to; most runs have none. History is what was said in it before the
	// run, oldest first. A [Compaction] in the record takes its place.
	Thread  ThreadID        `json:"thread,omitempty"`
	History []ThreadMessage `json:"history,omitempty"`
	// Review says that the task is to judge the answer of the run above: the output must be a [Verdict].
	Review bool `json:"review,omitempty"`
	// Images are those that the task is about, without their data.
	Images []Image `json:"images,omitempty"`
	// Sources are the KnowledgeSources of which whoever gave the task had read text, and so what it says may come from: the run above,
	// or earlier ones of the thread.
	Sources []string `json:"sources,omitempty"`
}

// ThreadMessage is one message of a thread: what a person has asked, or an agent's final answer to it.
type ThreadMessage struct {
	// Role is user or assistant.
	Role string `json:"role"`
	Text string `json:"text"`
}

// The roles of the messages of a thread.
const (
	RoleUser      = "user"
	RoleAssistant = "assistant"
)

// Compaction is what a task's history has become, because all of it is more than the agent's model reads.
type Compaction struct {
	// History takes the place of the task's.
	History []ThreadMessage `json:"history"`
	// Left is how many of the oldest messages are not in it any more. Summarized says that a summary of them is.
	Left       int  `json:"left"`
	Summarized bool `json:"summarized,omitempty"`
	// Usage is what the summary cost, and Model how it came about.
	Usage *Usage         `json:"usage,omitempty"`
	Model *ModelDecision `json:"model,omitempty"`
}

// The types of entries in a run's record.
const (
	EntryTask       = "task"       // the first one
	EntryCompaction = "compaction" // the history has become another one; before the first attempt
	EntryAttempt    = "attempt"    // a process took the run up
	EntryRequest    = "request"    // before it is served
	EntryTried      = "tried"      // the request has no answer now, and is asked again
	EntryAnswer     = "answer"     // before anything follows from it
	EntryProposal   = "proposal"   // the request has become an open proposal; its answer comes with the decision
	EntryDelegated  = "delegated"  // the request has become another agent's task, before its run exists; its answer comes with the run's end
	EntryFinished   = "finished"   // the last one
)

// Entry is one entry of a run's record. N numbers requests from 1 within the run; answers and proposals carry their
// request's N, and so do tasks for other agents.
type Entry struct {
	Type string    `json:"type"`
	At   time.Time `json:"at"`
	N    int       `json:"n,omitempty"`
	Task *Task     `json:"task,omitempty"`
	// Images are those of the task, with their data.
	Images     []Image     `json:"images,omitempty"`
	Compaction *Compaction `json:"compaction,omitempty"`
	Attempt    *Attempt    `json:"attempt,omitempty"`
	Request    *Request    `json:"request,omitempty"`
	// Error says in an entry of type tried why there is no answer, and Tried which models gave none, where that has cost something.
	Error    string         `json:"error,omitempty"`
	Tried    *ModelDecision `json:"tried,omitempty"`
	Answer   *Answer        `json:"answer,omitempty"`
	Proposal *Proposal      `json:"proposal,omitempty"`
	// Child is the task that another agent gets, in an entry of type delegated.
	Child   *Task    `json:"child,omitempty"`
	Outcome *Outcome `json:"outcome,omitempty"`
	// Heard are KnowledgeSources whose text may have reached the agent since the entry before, sorted: it had listened to a child at work.
	Heard []string `json:"heard,omitempty"`
	// Restarted marks a request that is asked again because a crash cut its answer off.
	Restarted bool `json:"restarted,omitempty"`
	// Rule names the policy rule or default that made a request a proposal, or another agent's task.
	Rule string `json:"rule,omitempty"`
}

// Attempt says which process took a run up.
type Attempt struct {
	PID       int    `json:"pid"`
	Isolation string `json:"isolation"`
}

// The phases of a run.
const (
	PhaseQueued    = "queued"
	PhaseRunning   = "running"
	PhaseWaiting   = "waiting" // for a review, or for runs that it gave tasks to; no process is needed
	PhaseSucceeded = "succeeded"
	PhaseFailed    = "failed"
)

// Phases lists the phases of a run, in the order in which it goes through them.
func Phases() []string {
	return []string{PhaseQueued, PhaseRunning, PhaseWaiting, PhaseSucceeded, PhaseFailed}
}

// Outcome is how a run ended.
type Outcome struct {
	// Phase is succeeded or failed.
	Phase string `json:"phase"`
	// Reason is one CamelCase word for a failure: AgentFailed, AgentExited, LimitReached, OutputRejected, Diverged, HostFailed,
	// Cancelled.
	Reason string `json:"reason,omitempty"`
	// Message is one sentence for people.
	Message string `json:"message,omitempty"`
	// Output is the agent's final answer; where the reason is OutputRejected, the one that was refused last.
	Output string `json:"output,omitempty"`
	// Done says what a run that failed had done until then, in a few lines for people.
	Done string `json:"done,omitempty"`
	// Escalated is the key of the proposal that brings the failure before a person.
	Escalated ProposalKey `json:"escalated,omitempty"`
	// By names who cancelled the run: a person, or the run above it.
	By string `json:"by,omitempty"`
}

// RunSummary is the state of a run at a glance, derived from its record.
type RunSummary struct {
	Task
	Phase string `json:"phase"`
	// Attempts counts processes that took the run up; Turns counts model answers, ToolCalls tool requests.
	Attempts  int       `json:"attempts"`
	Turns     int       `json:"turns"`
	ToolCalls int       `json:"toolCalls"`
	Usage     Usage     `json:"usage"`
	Updated   time.Time `json:"updated"`
	// Read are the KnowledgeSources whose text the run has read, with those of its task, sorted.
	Read []string `json:"read,omitempty"`
	// Spent is what the run itself has asked of models, by day and model; Usage has that of its children too.
	Spent []Spent `json:"spent,omitempty"`
	// Entries is how many entries of the record it is derived from. A summary of fewer never takes the place of one of more.
	Entries int `json:"entries"`
	// Waiting are the open proposals the run waits for.
	Waiting []Proposal `json:"waiting,omitempty"`
	// Delayed says why a request of the run has no answer yet and is asked again, or "".
	Delayed string `json:"delayed,omitempty"`
	// Children are the tasks that it gave to other agents whose runs have not ended.
	Children []ChildRun `json:"children,omitempty"`
	Outcome  *Outcome   `json:"outcome,omitempty"`
}

// ChildRun is a run that another one waits for.
type ChildRun struct {
	Run      RunID     `json:"run"`
	Agent    AgentName `json:"agent"`
	Exchange int       `json:"exchange"`
}

// The kinds of proposals.
const (
	ProposalChange = "change" // edits files
	ProposalAction = "action" // adds one Action file
	// ProposalDirect is no proposal on the remote: an Action that a rule lets be executed without a review. A run has one
	// only while it is not known how that ended.
	ProposalDirect = "direct"
	// ProposalRollback brings spec files back as they were. A person makes it, and no agent.
	ProposalRollback = "rollback"
)

// The states of a proposal.
const (
	ProposalOpen     = "open"
	ProposalMerged   = "merged"
	ProposalRejected = "rejected"
)

// Proposal is what an agent wants changed: file edits, or an Action. On a remote it is the branch [Proposal.Branch] with
// one commit on top of Base.
type Proposal struct {
	Key      ProposalKey `json:"key"`
	Kind     string      `json:"kind"`
	Agent    AgentName   `json:"agent"`
	Run      RunID       `json:"run"`
	Exchange int         `json:"exchange"`
	Base     Revision    `json:"base"`
	// Title is one plain sentence. Body is Markdown.
	Title string `json:"title"`
	Body  string `json:"body,omitempty"`
	// Files are the edits, sorted by path. For kind action it is the one file of the Action.
	Files []FileEdit `json:"files,omitempty"`
	// Action is set for kind action.
	Action ActionID `json:"action,omitempty"`
	// At is when the agent asked for it.
	At time.Time `json:"at"`
	// Expires is when an Action's approval ends.
	Expires time.Time `json:"expires,omitzero"`
	// Direct is set for kind direct.
	Direct *DirectCall `json:"direct,omitempty"`
}

// RollbackAgent stands for the agent in a rollback, which has none. No agent can have the name.
const RollbackAgent AgentName = "rollback"

// Branch is the branch that carries the proposal.
func (p Proposal) Branch() string { return "mainstay/" + string(p.Agent) + "/" + string(p.Key) }

// ProposalDecision is the answer an agent gets to a request that became a proposal, as JSON.
type ProposalDecision struct {
	// State is merged, rejected, closed, refused or expired.
	State string `json:"state"`
	// Reason is a person's for rejected, Mainstay's for refused and expired.
	Reason string `json:"reason,omitempty"`
	// Merge is the commit that merged the proposal.
	Merge string `json:"merge,omitempty"`
	// Outcome is done, failed or abandoned, for an action; Result is what its tool returned, Message what went wrong.
	Outcome string          `json:"outcome,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Message string          `json:"message,omitempty"`
}

// FileEdit sets the content of a file, or removes it.
type FileEdit struct {
	Path    string `json:"path"`
	Content string `json:"content,omitempty"`
	Remove  bool   `json:"remove,omitempty"`
}

// The steps of an Action in the ledger, in order. Each is a file actions/<id>/<step>.json.
const (
	StepClaim      = "claim"
	StepStarted    = "started"
	StepReceipt    = "receipt"
	StepResolution = "resolution"
)

// LedgerEntry is one file of the ledger. Every entry names the bytes it is about. A resolution has the nonce of the start
// that it is about.
type LedgerEntry struct {
	Step   string   `json:"step"`
	Action ActionID `json:"action"`
	Digest Digest   `json:"digest"`
	// Nonce tells two executors' entries apart: 16 random bytes in hexadecimal.
	Nonce    string    `json:"nonce"`
	Executor string    `json:"executor"`
	At       time.Time `json:"at"`
	// Target is what the call is about, as a digest, and Limits names the limits that it counts against. They are set in a
	// claim and a start.
	Target Digest   `json:"target,omitempty"`
	Limits []string `json:"limits,omitempty"`
	// Approval is set in a claim of an Action that was merged, Direct in one of an Action that a rule lets through.
	Approval *Approval   `json:"approval,omitempty"`
	Direct   *DirectCall `json:"direct,omitempty"`
	// Retry says, in a claim of an Action that was started before, why it may start again: idempotent or resolution. Ledgers
	// of earlier versions leave it out for an idempotent tool.
	Retry string `json:"retry,omitempty"`
	// Deadline is when a claim may be taken over, or a start without a receipt becomes unknown.
	Deadline *time.Time `json:"deadline,omitempty"`
	// Outcome, Result and Message are set in a receipt or a resolution.
	Outcome string          `json:"outcome,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Message string          `json:"message,omitempty"`
}

// The outcomes of an Action.
const (
	OutcomeDone      = "done"      // the effect happened
	OutcomeFailed    = "failed"    // the tool said that it failed
	OutcomeAbandoned = "abandoned" // a person decided so
	OutcomeRetry     = "retry"     // a person lets it start once more; only in a resolution
)

// Why an Action that was started may start again.
const (
	RetryIdempotent = "idempotent" // its tool is declared so
	RetryResolved   = "resolution" // a person lets it, in a resolution with the outcome retry about the last start
)

// DirectCall is an Action that a policy rule lets be executed without a review. No file on the branch holds it, so its
// claim does.
type DirectCall struct {
	// Rule is the policy rule that let it through, such as policies/tickets.yaml#comments, and Revision the newest one of the
	// branch then, which holds that rule.
	Rule     string   `json:"rule"`
	Revision Revision `json:"revision"`
	// File is what would have been the Action's file. The entry's digest is over these bytes; in them are server, tool,
	// arguments and evidence.
	File string `json:"file"`
}

// Approval says who approved which bytes, where.
type Approval struct {
	// Merge is the commit that brought the Action to the branch, Head its second parent.
	Merge    string `json:"merge"`
	Head     string `json:"head"`
	Approver string `json:"approver"`
	// Key is the fingerprint of the approver's key, as ssh-keygen -l prints it.
	Key string `json:"key"`
}
