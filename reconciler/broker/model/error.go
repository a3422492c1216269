package model

import (
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// Reason is why a model gave no answer, for those who decide what to do about it.
type Reason string

// The reasons.
const (
	// Unavailable is a server that cannot be reached, fails, or breaks off in the middle of the answer.
	Unavailable Reason = "unavailable"
	// RateLimited is a server that asks to wait.
	RateLimited Reason = "rateLimited"
	// QuotaExceeded is a server whose owner must pay or allow more before it answers again.
	QuotaExceeded Reason = "quotaExceeded"
	// TimedOut is an answer that does not come in time.
	TimedOut Reason = "timedOut"
	// ContextExceeded is a conversation that is longer than the model reads.
	ContextExceeded Reason = "contextExceeded"
	// OutOfMemory is a server that has no room for the model.
	OutOfMemory Reason = "outOfMemory"
	// Missing is a server that does not have the model.
	Missing Reason = "missing"
	// NoTools is a model that cannot call tools, and was offered some.
	NoTools Reason = "noTools"
	// NoVision is a model that cannot be shown images, and was to be shown one.
	NoVision Reason = "noVision"
	// Unauthorized is a key that the server does not accept, or that is missing.
	Unauthorized Reason = "unauthorized"
	// BudgetExceeded is a budget of the model that is used up. This package has none.
	BudgetExceeded Reason = "budgetExceeded"
	// Refused is everything else that the same request would meet again.
	Refused Reason = "failed"
)

// Case returns the word of [spec.Fallback.On] for a reason.
func (r Reason) Case() string {
	switch r {
	case Unavailable, RateLimited, TimedOut, ContextExceeded, BudgetExceeded:
		return string(r)
	case OutOfMemory:
		return string(Unavailable)
	case QuotaExceeded:
		return string(RateLimited)
	}
	return string(Refused)
}

// Error is why a model gave no answer. Its text says what to do about it, and holds no secret.
type Error struct {
	Reason Reason
	// RetryAfter is how long the server asks to wait before the next try; 0 where it does not say.
	RetryAfter time.Duration
	// Used is what answers took that were of no use, without its cost.
	Used spec.Usage
	Err  error
}

// Error returns the text of Err.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// AskError says which model an error is of.
type AskError struct {
	Model string
	Err   error
}

// Error names the model and says what went wrong.
func (e *AskError) Error() string { return "ask model " + e.Model + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *AskError) Unwrap() error { return e.Err }

func failed(reason Reason, format string, args ...any) error {
	return &Error{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// ReasonOf returns the reason of an error of this package, [Refused] where it names none.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return Refused
}

// Later says whether the same request may succeed later.
func Later(err error) bool {
	switch ReasonOf(err) {
	case Unavailable, RateLimited, TimedOut, OutOfMemory:
		return true
	}
	return false
}
