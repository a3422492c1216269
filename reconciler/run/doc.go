// Package run is the life of a run: one task given to one agent. The [Engine] opens a session with the agent's process,
// records each request before it is served, and each answer with whatever follows from it, and ends the run with an outcome,
// or leaves it waiting for a review with no process alive. A run is resumed by replaying its record to a new process: what
// an agent has acted upon is never asked again.
//
// An answer does nothing by itself: only the agent's next request, or its end, can have an effect. So the two are written
// at once, and a turn costs one write that reaches the disk. Where the host is killed in between, the agent that has seen
// the answer is gone with it, and the request is served again, marked as restarted.
//
// The record is all that a run keeps. The package does no I/O of its own: records, sessions, answers and proposals are
// behind the interfaces in this file, and time is an argument. It decides nothing about what an agent may do.
package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// Errors of their own, because what goes wrong around a run wraps those of the operating system: a tool server whose
// executable is missing can be put in place, and the run is to be tried again.
var (
	// ErrNoRecord means that there is no record of a run, so that there is nothing to work on.
	ErrNoRecord = errors.New("there is no record of it")
	// ErrNoAgent means that a run's agent is no longer declared, so that the run cannot go on.
	ErrNoAgent = errors.New("it is not declared")
	// ErrUnfit means that the agent's process cannot do a task, whenever it is asked.
	ErrUnfit = errors.New("it cannot do this task")
)

// Log keeps the records of runs.
type Log interface {
	// Append adds entries, all or none of them, after the position that the writer has seen last, 0 for an empty record, and
	// returns the new one. Where somebody else wrote since then, the error has a method `Conflict() bool` that returns true.
	Append(ctx context.Context, run spec.RunID, after uint64, entries ...spec.Entry) (uint64, error)
	// Record returns the entries of a run in order and the position of the last one.
	Record(ctx context.Context, run spec.RunID) ([]spec.Entry, uint64, error)
	// PutRun keeps the run's state at a glance, as [Glance] cuts it.
	PutRun(ctx context.Context, summary spec.RunSummary) error
	// ShowRun shows a newer state than the one that is kept to whoever asks in this process.
	ShowRun(summary spec.RunSummary)
	// GetRun returns what PutRun kept. Where that is nothing, the error has a method `NotFound() bool` that returns true.
	GetRun(ctx context.Context, run spec.RunID) (spec.RunSummary, error)
}

// Agents knows agents and their processes.
type Agents interface {
	// Agent returns the agent of a task as the task's revision declares it. An error that wraps [ErrNoAgent] ends the run;
	// any other one is tried again.
	Agent(ctx context.Context, task spec.Task) (*spec.Agent, error)
	// Open starts the task on the agent's process.
	Open(ctx context.Context, task spec.Task, agent *spec.Agent) (Session, error)
}

// Session is one run on an agent's process. One goroutine calls Recv; the other methods are called by others.
type Session interface {
	// Recv returns what the agent sends next. Its error says how the process ended, with its last words; Close ends it.
	// Where the host has ended the process for reasons of its own, the error has a method `OnPurpose() bool` that returns true.
	Recv() (Message, error)
	// Answer answers the request with this id, which is of this kind. It may block until Close.
	Answer(id uint64, kind string, a spec.Answer) error
	// Delta shows the agent a piece of an answer that is being made. It may block until Close.
	Delta(id uint64, text string) error
	// Cancel asks the agent to end the run.
	Cancel(reason string) error
	// Close ends the session, whatever the agent does.
	Close()
	PID() int
	Isolation() string
}

// Message is what an agent sends: exactly one of Request, Result and Failure.
type Message struct {
	// ID tells the requests of one session apart.
	ID      uint64
	Request *spec.Request
	// Stream says that the agent wants deltas.
	Stream bool
	// Result is the final answer, Failure why there is none.
	Result  *string
	Failure *string
}

// Broker answers requests.
type Broker interface {
	// Answer serves one request. What the agent is refused is an answer too; an error means that there is no answer now,
	// and the run is tried again later. Given the same call it makes the same proposal. It calls delta with pieces of the
	// answer as they come, and not after it has returned.
	Answer(ctx context.Context, call Call, delta func(text string)) (Reply, error)
	// Escalate makes the proposal that brings a run before a person whose answer was refused, as its agent's output says. The
	// call is the check that refused it. An answer means that nothing is to be proposed, and says why.
	Escalate(ctx context.Context, call Call, outcome spec.Outcome) (Reply, error)
}

// Call is one request of one run.
type Call struct {
	Task  spec.Task
	Agent *spec.Agent
	// N is the request's number within the run.
	N int
	// At is when the request was recorded for the first time.
	At time.Time
	// Restarted says that the request was served before and cut off, so that it may have had its effect.
	Restarted bool
	// Turn is, for a request to a model, which one of the run this is, from 1. Spent is what the run has asked of models before.
	Turn    int
	Spent   []spec.Spent
	Request spec.Request
	// Images are those of the run until now, with their data.
	Images map[spec.Digest]spec.Image
	// Sources are the knowledge sources whose text the run has read before.
	Sources []string
}

// Reply is an answer, or what the request has become: a proposal, or a task for another agent. Exactly one of the three is
// set.
type Reply struct {
	Answer     *spec.Answer
	Proposal   *spec.Proposal
	Delegation *spec.Delegation
	// Rule names the policy rule or default that made it a proposal.
	Rule string
}

// Proposals shows proposals to people.
type Proposals interface {
	// Open opens a proposal. To open the same one again, of the same key, run and exchange, does nothing. An answer means
	// that none was opened, because the decision is known already, or because it can never be opened.
	Open(ctx context.Context, p spec.Proposal) (*spec.Answer, error)
}

// Children are the runs that other runs give tasks to. To have a request of any kind answered by another agent, a Broker
// needs to do no more than reply with a [spec.Delegation], and Concluded to make the answer of what that agent said.
type Children interface {
	// Start records a task as a run and queues it. To start the same one again only queues it again. An answer means that it
	// may not start, and says why.
	Start(ctx context.Context, task spec.Task) (*spec.Answer, error)
	// Wake queues a run that has the answers of its children.
	Wake(ctx context.Context, run spec.RunID) error
	// Concluded is the answer to a request whose child has ended. It is a function of its arguments.
	Concluded(request spec.Request, child spec.Task, outcome spec.Outcome) spec.Answer
}

// RetryAfter is the error of a run that could not go on now and should be executed again after a delay.
type RetryAfter struct {
	Delay time.Duration
	Err   error
}

// Error says why.
func (r *RetryAfter) Error() string { return r.Err.Error() }

// Unwrap returns the reason.
func (r *RetryAfter) Unwrap() error { return r.Err }

// EventType says what an [Event] tells.
type EventType string

// The types of events.
const (
	Started   EventType = "Started"   // an agent's process took the run up: PID, Isolation
	Asked     EventType = "Asked"     // the agent asked for something new: N, Request
	Delta     EventType = "Delta"     // a piece of an answer arrived: N, Text
	Answered  EventType = "Answered"  // a new answer is there: N, Request, Answer
	Proposed  EventType = "Proposed"  // a request became an open proposal: N, Request, Proposal
	Delegated EventType = "Delegated" // a request became another agent's task: N, Request, Child
	Waiting   EventType = "Waiting"   // the run waits for what Text says, without a process
	Retrying  EventType = "Retrying"  // the run is tried again later: Err, Delay
	Finished  EventType = "Finished"  // the run ended: Outcome
)

// Event tells a person what happens while it happens. What is replayed is not told again.
type Event struct {
	Type      EventType
	At        time.Time
	Task      spec.Task
	N         int
	Request   *spec.Request
	Answer    *spec.Answer
	Proposal  *spec.Proposal
	Child     *spec.Task
	Outcome   *spec.Outcome
	PID       int
	Isolation string
	Text      string
	Delay     time.Duration
	Err       error
}

// The bounds of a run, besides those of its agent.
const (
	// MaxBody is the largest request or answer, in bytes.
	MaxBody = 4 << 20
	// MaxOutstanding is how many requests of a run may wait for their answers at once.
	MaxOutstanding = 64
	// extraRequests is how many requests for time and randomness a run may make besides its turns and tool calls.
	extraRequests = 1000
	// maxProposal bounds a proposal, in bytes of JSON.
	maxProposal = 6 << 20
	// maxLane and maxCall bound the names that an agent gives, in bytes.
	maxLane = 64
	maxCall = 256
	// maxExits is how many times in a row an agent may end without an outcome or a new answer.
	maxExits = 3
	// maxOpens is how many times in a row opening a session may fail.
	maxOpens = 10
	// maxIdle is how many attempts in a row a run may make without a new answer, over all restarts of the host.
	maxIdle = 100
	// MaxDepth is how many runs may be above one: a task is handed on that often.
	MaxDepth = 5
	// MaxChildren is how many tasks of one run other agents may work on at once, and MaxDelegations how many it may give them
	// in all. Each child has the limits of its own agent, so that without these two a run could multiply what it may do.
	MaxChildren    = 8
	MaxDelegations = 32
	// maxHeld bounds the answers that are written at once with what follows, in bytes.
	maxHeld = 1 << 20
	// maxMessage bounds an outcome's message, in bytes.
	maxMessage = 4 << 10
)

const (
	// settleTime is how long an agent must be quiet, with nothing but reviews to wait for, before it is let go.
	settleTime = 300 * time.Millisecond
	// childTime and childHold are for an agent that waits for others. While one of these is at work here, the agent is kept for
	// about childTime * childHold: that is a few turns of a model, which is what most tasks need, and within it the agent goes on
	// at once. To let it go costs a process and the replay of its record, later and whenever; to keep it longer costs memory and
	// one of the places in which runs are worked on. Where no child is at work after childTime, because it waits itself or found
	// no place, the agent gives its place away.
	childTime = time.Second
	childHold = 30
	// drainTime is how long answers under way are waited for when the work on a run ends early.
	drainTime = 5 * time.Second
	// cancelTime is how long an agent has to end by itself.
	cancelTime = 2 * time.Second
	// keepTime is how old the summary on the disk of a run that works may be. Others in this process see a newer one.
	keepTime = 10 * time.Second
	// holdTime is how long an answer waits for what the agent does with it, before it is written alone.
	holdTime = 100 * time.Millisecond
	// appendTime is how long one write may take.
	appendTime = 30 * time.Second
)

// Backoff is the delay before the next try after a number of failures in a row: one second, doubled each time, at most
// five minutes.
func Backoff(failures int) time.Duration {
	const longest = 5 * time.Minute
	if failures > 9 {
		return longest
	}
	return min(time.Second<<max(failures-1, 0), longest)
}

// failed makes the outcome of a run that failed: a reason and a sentence.
func failed(reason, format string, args ...any) *spec.Outcome {
	return &spec.Outcome{Phase: spec.PhaseFailed, Reason: reason, Message: clip(fmt.Sprintf(format, args...), maxMessage)}
}

// The reasons of failed runs.
const (
	AgentFailed  = "AgentFailed"  // the agent says so
	AgentExited  = "AgentExited"  // its process ended, again and again
	LimitReached = "LimitReached" // the message names the limit and what to change
	// OutputRejected is the reason where the agent's answer is not what the agent's output must be, and it could not mend it.
	OutputRejected = "OutputRejected"
	Cancelled      = "Cancelled"  // a person said so, or the run that gave the task has ended
	Diverged       = "Diverged"   // replayed, the agent asked for something else
	HostFailed     = "HostFailed" // the run could not be worked on
)
