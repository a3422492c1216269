package kb

import (
	"errors"
	"fmt"
)

// ErrNotFound is returned where a source has no such document.
var ErrNotFound = errors.New("no such document")

// ErrState is returned for an update that begins with another state than the engine is in.
var ErrState = errors.New("the source is in another state than the update begins with")

// ErrBusy is returned where another process uses the same index.
var ErrBusy = errors.New("the index is in use by another process")

// LengthError says that vectors which are to be compared have not all the same length: what makes them is another model than it was, or makes
// vectors of different lengths. The index is as it was.
type LengthError struct {
	// Numbers is how many numbers a vector has, and Others how many those have that were made before.
	Numbers, Others int
}

func (e *LengthError) Error() string {
	return fmt.Sprintf("a vector has %d numbers, and those before it have %d", e.Numbers, e.Others)
}

// FullError says that there is no room on the disk that an index is kept on. The index is as it was.
type FullError struct {
	// Folder is the index's.
	Folder string
	Err    error
}

func (e *FullError) Error() string {
	return fmt.Sprintf("the disk is full that the index %s is on: free some of it, or keep the index on another one", e.Folder)
}

// Unwrap returns what failed.
func (e *FullError) Unwrap() error { return e.Err }
