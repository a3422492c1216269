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
