package kb

import "errors"

// ErrNotFound is returned where a source has no such document.
var ErrNotFound = errors.New("no such document")

// ErrState is returned for an update that begins with another state than the engine is in.
var ErrState = errors.New("the source is in another state than the update begins with")

// ErrBusy is returned where another process uses the same index.
var ErrBusy = errors.New("the index is in use by another process")
