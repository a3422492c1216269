package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

var (
	// ErrEmpty means that the repository has no branches yet.
	ErrEmpty = errors.New("the repository is empty")
	// ErrNoBranch means that the repository has other branches, but not the watched one.
	ErrNoBranch = errors.New("there is no such branch")
	// ErrNoPath means that the folder is not in the revision.
	ErrNoPath = errors.New("there is no such folder")
)

// Options say what is watched.
type Options struct {
	Remote *remote.Remote
	// Branch is the short name of the branch, such as main.
	Branch string
	// Path is the folder that holds mainstay.yaml, relative to the root of the repository; "" or "." is the root.
	Path string
}

// Observation is a revision and its files.
type Observation struct {
	Revision spec.Revision
	Commit   remote.Commit
	// Tree is the watched folder, Root the whole repository. Neither ever changes.
	Tree fs.FS
	Root fs.FS
	// Branches are all branches of the remote and their commits, as they were at the same moment. It is nil for an
	// older revision.
	Branches map[string]string
}

// Source watches one branch. Its methods may be called concurrently.
type Source struct {
	remote *remote.Remote
	branch string
	path   string

	mu   sync.Mutex
	last Observation
}

// New returns a source that has seen nothing yet.
func New(o Options) (*Source, error) {
	p := path.Clean(strings.TrimSuffix(strings.TrimPrefix(o.Path, "./"), "/"))
	if !fs.ValidPath(p) {
		return nil, fmt.Errorf("watch %q: it is not a folder within the repository: use a relative path with no .. in it", o.Path)
	}
	if o.Branch == "" {
		return nil, errors.New("watch a branch: it has no name: give one, such as main")
	}
	return &Source{remote: o.Remote, branch: strings.TrimPrefix(o.Branch, "refs/heads/"), path: p}, nil
}

// Observe fetches and returns the newest revision.
//
// On failure it returns the last observation there was, with an error: [remote.ErrUnreachable] where the remote cannot be
// reached, [ErrEmpty], [ErrNoBranch], or [ErrNoPath], which names the revision that lacks the folder. The Revision of the
// observation is empty if there was none.
func (s *Source) Observe(ctx context.Context) (Observation, error) {
	branches, err := s.remote.Fetch(ctx)
	if err != nil {
		return s.Last(), err
	}
	commit, ok := branches[s.branch]
	switch {
	case len(branches) == 0:
		return s.Last(), fmt.Errorf("watch %s: %w: push a first commit to %s", s.remote.URL(), ErrEmpty, s.branch)
	case !ok:
		return s.Last(), fmt.Errorf("watch %s of %s: %w: push it, or name another", s.branch, s.remote.URL(), ErrNoBranch)
	}
	o, err := s.read(spec.NewRevision(s.branch, commit))
	if err != nil {
		return s.Last(), err
	}
	o.Branches = branches
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = o
	return o, nil
}

// Last returns the last observation; its Revision is empty if there was none.
func (s *Source) Last() Observation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// At returns an older revision from the store. If it is not there, it is fetched by its id; the error has
// [remote.ErrMissing] where the server does not give it.
func (s *Source) At(ctx context.Context, revision spec.Revision) (Observation, error) {
	if err := s.remote.FetchCommit(ctx, revision.Commit()); err != nil {
		return Observation{}, fmt.Errorf("read revision %s: %w", revision, err)
	}
	return s.read(revision)
}

// Changed returns the paths that differ between two revisions in the store, sorted, relative to the root of the repository.
// An empty from stands for nothing, so that every path of to is returned.
func (s *Source) Changed(ctx context.Context, from, to spec.Revision) ([]string, error) {
	return s.remote.Changed(ctx, from.Commit(), to.Commit())
}

func (s *Source) read(revision spec.Revision) (Observation, error) {
	commit, err := s.remote.Commit(revision.Commit())
	if err != nil {
		return Observation{}, fmt.Errorf("read revision %s: %w", revision, err)
	}
	root, err := s.remote.Snapshot(commit.ID)
	if err != nil {
		return Observation{}, fmt.Errorf("read revision %s: %w", revision, err)
	}
	tree := fs.FS(root)
	if s.path != "." {
		info, err := root.Stat(s.path)
		if errors.Is(err, fs.ErrNotExist) || (err == nil && !info.IsDir()) {
			return Observation{}, fmt.Errorf("read %s in %s: %w: name the one that holds mainstay.yaml", s.path, revision, ErrNoPath)
		}
		if err == nil {
			tree, err = root.Sub(s.path)
		}
		if err != nil {
			return Observation{}, fmt.Errorf("read %s in %s: %w", s.path, revision, err)
		}
	}
	return Observation{Revision: revision, Commit: commit, Tree: tree, Root: root}, nil
}
