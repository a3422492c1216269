package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
)

var (
	// ErrUnreachable means that nothing was read or written: the network, the credentials or the repository failed.
	ErrUnreachable = errors.New("the remote cannot be reached")
	// ErrMoved means that the branch is no longer where the caller last saw it: another writer was first.
	ErrMoved = errors.New("the branch has moved")
	// ErrUncertain means that a push was sent, that it is not known whether it took effect, and that it may still.
	ErrUncertain = errors.New("it is not known whether the push took effect")
	// ErrRejected means that the server refused the push, by a hook or a rule, and that the branch has not moved.
	ErrRejected = errors.New("the server refused the push")
	// ErrNotFastForward means that the new commit does not descend from the old one. Nothing was sent.
	ErrNotFastForward = errors.New("not a fast-forward")
	// ErrMissing means that a commit is not in the store, and for [Remote.FetchCommit] that the server does not give it.
	ErrMissing = errors.New("the commit is not here")
	// ErrTooLarge means that a limit of this package was passed.
	ErrTooLarge = errors.New("too large")
	// ErrInUse means that another process has the store open.
	ErrInUse = errors.New("another process uses it")
	// ErrUnsigned means that a commit or tag carries no signature.
	ErrUnsigned = errors.New("it is not signed")
	// ErrUnknownSigner means that a commit or tag is signed, but not with a listed key, or not validly.
	ErrUnknownSigner = errors.New("it is not signed with a listed key")
	// ErrMerged means that there is nothing to merge: the branch holds it already.
	ErrMerged = errors.New("already merged")
)

// EditError says that the edits of a commit cannot be made on its base, whenever it is tried.
type EditError struct{ Err error }

func (e *EditError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *EditError) Unwrap() error { return e.Err }

func badEdit(format string, args ...any) error { return &EditError{fmt.Errorf(format, args...)} }

// ConflictError says that two commits changed the same paths in different ways since they parted.
type ConflictError struct {
	// Paths are sorted. A path that is a folder on one side stands for all beneath it.
	Paths []string
}

func (e *ConflictError) Error() string {
	paths := e.Paths
	more := ""
	if len(paths) > 5 {
		paths, more = paths[:5], fmt.Sprintf(" and %d more", len(e.Paths)-5)
	}
	return "both sides changed " + strings.Join(paths, ", ") + more
}

// unreachable wraps an error of a connection, unless it is one of this machine.
func (r *Remote) unreachable(ctx context.Context, doing string, err error) error {
	_, local := errors.AsType[*fs.PathError](err)
	switch {
	case errors.Is(err, ErrTooLarge) || local:
		return fmt.Errorf("%s %s: %w", doing, r.at.url, err)
	case ctx.Err() != nil:
		return fmt.Errorf("%s %s: %w: %w", doing, r.at.url, ErrUnreachable, context.Cause(ctx))
	}
	why := r.at.clean(explain(err))
	if folder, ok := strings.CutPrefix(r.at.url, "file://"); ok && errors.Is(err, transport.ErrRepositoryNotFound) && isFolder(folder) {
		why = "this folder is no Git repository: name another, or `git init` and commit to it"
	}
	return fmt.Errorf("%s %s: %w: %s", doing, r.at.url, ErrUnreachable, why)
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
