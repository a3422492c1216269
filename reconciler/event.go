package reconciler

import (
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/spec"
)

// EventType says what an [Event] tells.
type EventType string

// The types of events, in about the order in which they happen.
const (
	RevisionLoaded EventType = "RevisionLoaded" // Revision, Fleet
	RevisionBroken EventType = "RevisionBroken" // Revision, Problems
	RevisionHeld   EventType = "RevisionHeld"   // Revision, Err: its commit is not as the fleet demands
	SourceFailed   EventType = "SourceFailed"   // Err
	Planned        EventType = "Planned"        // Steps
	StepDone       EventType = "StepDone"       // Step, Text
	StepFailed     EventType = "StepFailed"     // Step, Err
	RunQueued      EventType = "RunQueued"      // Task
	RunStarted     EventType = "RunStarted"     // Run, Text
	Asked          EventType = "Asked"          // Run, Request
	Answered       EventType = "Answered"       // Run, Request, Answer
	Delta          EventType = "Delta"          // Run, Text: a piece of a model's answer as it arrives
	Proposed       EventType = "Proposed"       // Run, Proposal
	Delegated      EventType = "Delegated"      // Run, N, Request, Child: another agent gets a task
	RunWaiting     EventType = "RunWaiting"     // Run, Text: what it waits for
	RunRetrying    EventType = "RunRetrying"    // Run, Err, Text: the time until the next try
	RunFinished    EventType = "RunFinished"    // Run, Outcome
	ActionSettled  EventType = "ActionSettled"  // Action, Approval, Text; Err when it failed or was refused
	ModelChanged   EventType = "ModelChanged"   // Resource, Text: what its server does with it, or that it is there; Err: what is wrong with it
	ModelPruned    EventType = "ModelPruned"    // Resource, Text: a model that nothing names any more was deleted from its server; Err: why it was not
	// KnowledgeChanged: Resource, Text: how far it is read, or what is found of it; Err: what is wrong with it
	KnowledgeChanged EventType = "KnowledgeChanged"
	RunsForgotten    EventType = "RunsForgotten" // Text: how many finished runs were older than the fleet keeps them
	Warned           EventType = "Warned"        // Err: something needs a person and concerns no single resource
)

// Event tells a person what happens while it happens. Events are not stored; the state is.
type Event struct {
	Type     EventType
	At       time.Time
	Revision spec.Revision
	Fleet    *spec.Fleet
	Problems spec.Problems
	Steps    []plan.Step
	Step     plan.Step
	Resource spec.Ref
	Task     spec.Task
	Run      spec.RunID
	N        int
	Request  *spec.Request
	Answer   *spec.Answer
	Proposal *spec.Proposal
	Child    *spec.Task
	Outcome  *spec.Outcome
	Action   spec.ActionID
	Approval *spec.Approval
	Text     string
	Err      error
}
