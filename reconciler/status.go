package reconciler

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/spec"
)

// Status is the whole state at a glance: what `mainstay get` and `mainstay describe` show. It is published to the store
// after every pass, so that it can be read while no daemon runs.
type Status struct {
	At time.Time `json:"at"`
	// Seen is the newest revision of the branch, Applied the newest good one: what runs.
	Seen    spec.Revision `json:"seen,omitempty"`
	Applied spec.Revision `json:"applied,omitempty"`
	// Source tells whether the remote could be read.
	Source    []metav1.Condition `json:"source,omitempty"`
	Revisions []RevisionStatus   `json:"revisions"`
	Agents    []AgentStatus      `json:"agents"`
	Models    []ModelStatus      `json:"models"`
	Resources []ResourceStatus   `json:"resources"`
	Actions   []ActionStatus     `json:"actions"`
	Proposals []ProposalStatus   `json:"proposals"`
	Runs      []spec.RunSummary  `json:"runs"`
	// Suspended is what persons have suspended at once; what Git suspends is in the conditions alone.
	Suspended []Suspension `json:"suspended,omitempty"`
	// Forgotten says which finished runs are not there any more; nil while none was forgotten for its age.
	Forgotten *Forgotten `json:"forgotten,omitempty"`
}

// Forgotten says that finished runs were forgotten because the fleet keeps them no longer.
type Forgotten struct {
	// Before is the time before which they had ended, and Retention how long they were kept.
	Before    time.Time     `json:"before"`
	Retention spec.Duration `json:"retention"`
}

// RevisionStatus is one revision that was seen.
type RevisionStatus struct {
	Revision   spec.Revision      `json:"revision"`
	At         time.Time          `json:"at"`
	Digest     spec.Digest        `json:"digest,omitempty"`
	Problems   []string           `json:"problems,omitempty"`
	Conditions []metav1.Condition `json:"conditions"`
}

// ResourceStatus is one declared resource.
type ResourceStatus struct {
	spec.Resource
	Conditions []metav1.Condition `json:"conditions"`
}

// ModelStatus is one declared model, and what its server has.
type ModelStatus struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	// Model is the provider's name of it, and Has the digest of what the server has, where that is known.
	Model string      `json:"model,omitempty"`
	Has   spec.Digest `json:"has,omitempty"`
	// Made says that Mainstay itself pulled it or had it made, so that spec.prune of the Fleet deletes it once nothing names it.
	Made bool `json:"made,omitempty"`
	// Percent is how much is there of a model that is being pulled; 100 of one that is there.
	Percent    int                `json:"percent,omitempty"`
	Conditions []metav1.Condition `json:"conditions"`
}

// AgentStatus is one agent: what is declared and what runs.
type AgentStatus struct {
	Name        spec.AgentName `json:"name"`
	Description string         `json:"description,omitempty"`
	Digest      spec.Digest    `json:"digest"`
	Revision    spec.Revision  `json:"revision"`
	Model       string         `json:"model,omitempty"`
	Runtime     string         `json:"runtime,omitempty"`
	Tools       []string       `json:"tools,omitempty"`
	// State is idle, starting, ready, backoff or stopped.
	State string `json:"state"`
	// Since is when the agent was declared, or its newest process got ready or ended.
	Since time.Time `json:"since,omitzero"`
	// RunningDigest is what runs that begin now are of.
	RunningDigest spec.Digest `json:"runningDigest,omitempty"`
	// Processes are those that answer, the oldest first. An agent without runs may have none.
	Processes []ProcessStatus `json:"processes,omitempty"`
	// Runs are under way, and Waiting are those that wait for a process.
	Runs    int `json:"runs"`
	Waiting int `json:"waiting,omitempty"`
	// Isolation names the walls around its latest process.
	Isolation string `json:"isolation,omitempty"`
	// Exec are the programs that its processes may execute.
	Exec []string `json:"exec,omitempty"`
	// Restarts counts starts after a process ended by itself or did not start.
	Restarts int `json:"restarts"`
	// LastExit and Stderr tell how the last process ended, after a crash.
	LastExit   string             `json:"lastExit,omitempty"`
	Stderr     string             `json:"stderr,omitempty"`
	Conditions []metav1.Condition `json:"conditions"`
}

// ProcessStatus is one process of an agent.
type ProcessStatus struct {
	PID   int       `json:"pid"`
	Runs  int       `json:"runs"`
	Since time.Time `json:"since"`
	// Leaving says that it takes no new runs and ends with those it has.
	Leaving bool `json:"leaving,omitempty"`
	// MemoryBytes is what it took when last measured, in whole MiB and not counting what it shares.
	MemoryBytes int64 `json:"memoryBytes,omitempty"`
}

// ActionStatus is one Action on the branch, or a call that a rule let be executed without a review.
type ActionStatus struct {
	ID      spec.ActionID `json:"id"`
	Digest  spec.Digest   `json:"digest"`
	Summary string        `json:"summary"`
	// State is pending, waiting, refused, expired, claimed, started, unknown, done, failed or abandoned.
	State string `json:"state"`
	// Settled says that no reconciler can move it on.
	Settled bool `json:"settled"`
	// Message is one sentence: the reason, or the result.
	Message string    `json:"message,omitempty"`
	Expires time.Time `json:"expires"`
	// Approval is who approved it, and Rule the policy rule that let it be executed without a review. It has one of them once
	// that is known. Executor made the newest entry in the ledger.
	Approval *spec.Approval `json:"approval,omitempty"`
	Rule     string         `json:"rule,omitempty"`
	Executor string         `json:"executor,omitempty"`
	// Undoes is the Action that this one undoes, and Undo says how this one is undone, or why not, where its tool declares it.
	Undoes     spec.ActionID      `json:"undoes,omitempty"`
	Undo       string             `json:"undo,omitempty"`
	Conditions []metav1.Condition `json:"conditions"`
}

// ProposalStatus is one proposal that is open on the remote.
type ProposalStatus struct {
	spec.Proposal
	State  string `json:"state"`
	Head   string `json:"head"`
	Branch string `json:"branch"`
	// Problem says why it cannot be approved as it stands.
	Problem string `json:"problem,omitempty"`
}

// ReasonLockMismatch is the reason of the condition Stalled where a tool server or model is not what mainstay.lock pins,
// and of what depends on it. The message says word by word what has changed, and which command accepts it.
const ReasonLockMismatch = "LockMismatch"

// The condition types, as kstatus (https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus) reads them.
const (
	ConditionReady       = "Ready"
	ConditionReconciling = "Reconciling"
	ConditionStalled     = "Stalled"
	// ConditionNotYetReconciled is True where a kind, or fields of a resource, are checked and this version does not act on
	// them. Its message says which.
	ConditionNotYetReconciled = "NotYetReconciled"
)
