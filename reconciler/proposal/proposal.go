// Package proposal is what every forge has in common about a proposal: its text, the way back from the text, its diff,
// the sentence that describes it, the paths it may touch, and the [Driver] that a forge implements.
//
// Nothing about a proposal is kept anywhere but on the remote: the head of its branch carries the title, the body and,
// as trailers, where it comes from. It never decides whether an agent may propose something; package policy does.
package proposal

import (
	"context"
	"fmt"

	"github.com/mainstay-dev/mainstay/spec"
)

// State is what has become of a proposal.
type State string

// The states of a proposal.
const (
	Open     State = spec.ProposalOpen
	Merged   State = spec.ProposalMerged
	Rejected State = spec.ProposalRejected
	// Closed proposals went away without a decision: their branch was deleted, or a newer run's proposal took its place.
	Closed State = "closed"
)

// Driver opens proposals on one forge and tells what became of them. How a person approves and rejects is the forge's own
// affair, and no part of it. It keeps nothing: another process on another
// machine with the same remote answers the same.
type Driver interface {
	// Open makes p visible to people. It may be called again with the same proposal, also by another process at the same
	// time, and there is still one. A proposal of the same key from another run is replaced. It fails with a
	// [RejectedError] where a person has said no, with an [EditedError] where a person has taken the branch over, and with
	// an [InvalidError] where it can never be opened.
	Open(ctx context.Context, p spec.Proposal) error
	// List returns the open proposals, sorted by branch.
	List(ctx context.Context) ([]Listed, error)
	// Show returns the open proposal with a key, and its diff. It fails with a [NotFoundError].
	Show(ctx context.Context, key spec.ProposalKey) (Shown, error)
	// Status tells what became of a proposal that was opened before.
	Status(ctx context.Context, p spec.Proposal) (Status, error)
	// Statuses does so for many with one look at the forge. The answers are in the order of the questions.
	Statuses(ctx context.Context, ps []spec.Proposal) ([]Status, error)
}

// Listed is one open proposal.
type Listed struct {
	spec.Proposal
	State State `json:"state"`
	// Head is the commit at the tip of the branch.
	Head string `json:"head"`
	// Problem says in one sentence why this proposal cannot be approved as it stands, such as that it was edited.
	Problem string `json:"problem,omitempty"`
}

// Shown is a proposal as a reviewer reads it.
type Shown struct {
	Listed
	// Sentence describes it in one sentence, Diff as a unified diff.
	Sentence string `json:"sentence"`
	Diff     string `json:"diff"`
}

// Status is what became of a proposal.
type Status struct {
	State State `json:"state"`
	// Merge is the commit that merged it.
	Merge string `json:"merge,omitempty"`
	// By is the person who merged or rejected it.
	By string `json:"by,omitempty"`
	// Reason is why it was rejected or closed.
	Reason string `json:"reason,omitempty"`
}

// RejectedError says that a person has rejected this before. It is the answer that the agent gets.
type RejectedError struct {
	By     string
	Reason string
}

func (e *RejectedError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("%s has rejected this proposal: propose something else", e.By)
	}
	return fmt.Sprintf("%s has rejected this proposal: %s", e.By, e.Reason)
}

// EditedError says that a person has pushed to a proposal's branch, so that Mainstay leaves it alone.
type EditedError struct {
	Branch string
	// By is the author of the head.
	By string
}

func (e *EditedError) Error() string {
	return fmt.Sprintf("%s has pushed to %s: it is left alone until somebody merges or deletes it", e.By, e.Branch)
}

// InvalidError says that a proposal can never be opened as it is, whenever it is tried.
type InvalidError struct{ Err error }

func (e *InvalidError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *InvalidError) Unwrap() error { return e.Err }

// NotFoundError says that there is no open proposal with a key.
type NotFoundError struct{ Key spec.ProposalKey }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("no open proposal %s: see `mainstay proposals list`", e.Key)
}
