// Package secret resolves references to secrets: variables, files, values that SOPS has encrypted in the repository, and
// Kubernetes Secrets. It reads a source when it is asked, and keeps what it read as long as the source says the same.
//
// It writes nothing and logs nothing. Its errors name the reference and what to do, and never what a source holds.
package secret

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// The bounds of this package.
const (
	// MaxValue is the largest secret, in bytes.
	MaxValue = 1 << 20
	// Refresh is how long a Kubernetes Secret that was read is taken for the current one.
	Refresh = 30 * time.Second

	// retry is how long a Kubernetes Secret that could not be read is not asked for again.
	retry = 5 * time.Second
	// getTimeout is how long the API server may take.
	getTimeout = 5 * time.Second
	// patience is how long reading a file may take where [Options] do not say.
	patience = 5 * time.Second
	// maxKept is how many sources are remembered, and how many values.
	maxKept = 1000
)

// Options are what [New] needs. Env, Tree and Now are required.
type Options struct {
	// Env looks up a variable of this process's environment.
	Env func(name string) (string, bool)
	// Tree returns the folder that holds mainstay.yaml at the revision that is declared now.
	Tree func() (fs.FS, error)
	// Now is the clock.
	Now func() time.Time
	// Kubernetes says how to reach the API server. Nil is [KubernetesConfig] of Env. It is asked when it is first needed,
	// and again as long as it fails.
	Kubernetes func() (*Cluster, error)
	// Patience is how long reading a file of the machine may take: one on a server that is gone never ends. Zero means five
	// seconds.
	Patience time.Duration
}

// Resolver resolves references. It is safe for concurrent use.
type Resolver struct {
	opts  Options
	files patient

	mu      sync.Mutex
	opened  map[string]*opened
	cluster *Cluster
	objects map[object]*fetched
	known   []string // the last one was resolved last
}

// New returns a Resolver.
func New(opts Options) *Resolver {
	if opts.Kubernetes == nil {
		opts.Kubernetes = func() (*Cluster, error) { return KubernetesConfig(opts.Env) }
	}
	opts.Patience = cmp.Or(opts.Patience, patience)
	return &Resolver{opts: opts, opened: map[string]*opened{}, objects: map[object]*fetched{}}
}

// Resolve returns the secret that is meant, as it is now: a Kubernetes Secret as it was at most [Refresh] ago. It asks the
// network for those alone.
func (r *Resolver) Resolve(ctx context.Context, ref spec.SecretRef) (Value, error) {
	text, err := r.read(ctx, ref)
	switch {
	case err != nil:
	case text == "":
		err = errors.New("it is empty")
	case len(text) > MaxValue:
		err = fmt.Errorf("it is larger than %d KiB", MaxValue>>10)
	}
	if err != nil {
		return Value{}, fmt.Errorf("resolve %s: %w", ref, err)
	}
	r.remember(text)
	return NewValue(text), nil
}

// remember notes a value.
func (r *Resolver) remember(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.known); n > 0 && r.known[n-1] == text {
		return
	}
	if at := slices.Index(r.known, text); at >= 0 {
		r.known = slices.Delete(r.known, at, at+1)
	}
	if r.known = append(r.known, text); len(r.known) > maxKept {
		r.known = slices.Delete(r.known, 0, 1)
	}
}

// Known returns the values that were resolved, the newest thousand of them, for whoever takes secrets out of texts. Those
// that are no longer in use are among them, since whatever was given them may still tell them.
func (r *Resolver) Known() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.known)
}

func (r *Resolver) read(ctx context.Context, ref spec.SecretRef) (string, error) {
	switch {
	case ref.Env != "":
		text, ok := r.opts.Env(ref.Env)
		if !ok {
			return "", errors.New("it is not set in the environment of mainstay: set it and start mainstay again")
		}
		return text, nil
	case ref.File != "":
		return r.file(ctx, ref.File)
	case ref.SOPS != nil:
		return r.sops(ctx, *ref.SOPS)
	case ref.Kubernetes != nil:
		return r.kubernetes(ctx, *ref.Kubernetes)
	}
	return "", errors.New("it names no source")
}

// file reads a file of the machine.
func (r *Resolver) file(ctx context.Context, path string) (string, error) {
	return r.files.read(ctx, path, r.opts.Patience, func(path string) (string, error) { return readFile(path, r.opts.Patience) })
}
