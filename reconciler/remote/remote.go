package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/memory"
)

const (
	heads   = "refs/heads/"
	tracked = "refs/remotes/origin/"
	wanted  = "refs/wanted/"
	// maxBranches bounds the branches of a remote.
	maxBranches = 20_000
)

// Options say which remote, and how to reach it. Zero fields take the defaults they name.
type Options struct {
	// URL is a path, or a URL with https, http, ssh, git or file, or user@host:path. Credentials in it are used and
	// never shown.
	URL string
	// Dir is the folder of the bare store. One process uses it at a time. Empty keeps everything in memory.
	Dir  string
	Auth Auth
	// Timeout bounds each exchange with the remote; 5 minutes by default. A server that has not answered at all is given up after one.
	Timeout time.Duration
	// MaxFetch bounds what one fetch may bring, in bytes; 4 GiB by default, 512 MiB in memory.
	MaxFetch int64
	// MaxFile bounds a file that is read, in bytes; 16 MiB by default.
	MaxFile int64
	// Barrier is called with a [PointBeforePush] and a [PointAfterPush] around every push, so that a test can end the
	// process there.
	Barrier func(point string)
}

// The points of Options.Barrier; a space and the name of the branch follow.
const (
	PointBeforePush = "before push of"
	PointAfterPush  = "after push of"
)

// Remote is one Git remote and the local store of what it holds. Its methods may be called concurrently.
type Remote struct {
	opts     Options
	at       *address
	store    *store
	reader   reader
	parents  *parentCache
	git      adapter
	fetching chan struct{} // holds one token while a fetch or repack runs; guards git's refs
}

// Open creates or opens the store. It does not need the network. A damaged store is emptied, for the next fetch to fill.
func Open(ctx context.Context, o Options) (*Remote, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	at, err := parseAddress(o.URL, o.Auth)
	if err != nil {
		return nil, err
	}
	boundRefs()
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Minute
	}
	if o.MaxFile <= 0 {
		o.MaxFile = 16 << 20
	}
	if o.MaxFetch <= 0 {
		o.MaxFetch = 4 << 30
		if o.Dir == "" {
			o.MaxFetch = 512 << 20
		}
	}
	s, refs, err := openStore(o.Dir, o.MaxFetch)
	if err != nil {
		return nil, err
	}
	r := &Remote{
		opts: o, at: at, store: s, reader: reader{objects: s, trees: newTreeCache(), raw: &rawTrees{}, maxFile: o.MaxFile}, parents: newParentCache(),
		git:      adapter{Storage: memory.NewStorage(), s: s},
		fetching: make(chan struct{}, 1),
	}
	for name, h := range refs {
		r.git.ReferenceStorage[plumbing.ReferenceName(name)] = plumbing.NewHashReference(plumbing.ReferenceName(name), h)
	}
	return r, nil
}

// Close gives the store free for another process. It waits for a fetch that runs. Nothing may be read afterwards.
func (r *Remote) Close() error {
	r.fetching <- struct{}{}
	defer func() { <-r.fetching }()
	return r.store.close()
}

// URL returns the remote's URL without credentials.
func (r *Remote) URL() string { return r.at.url }

// Fetch brings every branch with its whole history, drops branches that are gone, and returns the commit of each. What
// is in the store already is not sent again. On failure it returns an error with [ErrUnreachable], and the store is as
// it was.
func (r *Remote) Fetch(ctx context.Context) (map[string]string, error) {
	release, err := r.acquire(ctx)
	if err != nil {
		return nil, r.unreachable(ctx, "fetch", err)
	}
	defer release()
	if r.store.suspect.Load() {
		if err := r.rebuild(); err != nil {
			return nil, err
		}
	}
	before := r.refs()
	if err := r.fetch(ctx, "+"+heads+"*:"+tracked+"*", true); err != nil {
		return nil, err
	}
	after := r.refs()
	if len(after) > maxBranches {
		return nil, fmt.Errorf("fetch %s: %w: it has more than %d branches: remove old ones", r.at.url, ErrTooLarge, maxBranches)
	}
	branches := make(map[string]string, len(after))
	for name, h := range after {
		if !r.store.has(h) {
			r.store.suspect.Store(true)
			return nil, fmt.Errorf("fetch %s: %w: %s was not sent", r.at.url, ErrUnreachable, h)
		}
		branches[strings.TrimPrefix(name, tracked)] = h.String()
	}
	if !sameRefs(before, after) {
		if err := r.store.saveRefs(after); err != nil {
			return nil, err
		}
	}
	return branches, r.store.repack()
}

// FetchCommit brings one commit and its history that no branch may reach any more, if it is not in the store and the
// server gives it; otherwise the error has [ErrMissing].
func (r *Remote) FetchCommit(ctx context.Context, id string) error {
	h, err := parseID(id)
	if err != nil {
		return err
	}
	if r.store.has(h) {
		return nil
	}
	release, err := r.acquire(ctx)
	if err != nil {
		return r.unreachable(ctx, "fetch", err)
	}
	defer release()
	defer delete(r.git.ReferenceStorage, wanted+plumbing.ReferenceName(id))
	err = r.fetch(ctx, id+":"+wanted+id, false)
	if errors.Is(err, git.ErrExactSHA1NotSupported) || (err == nil && !r.store.has(h)) {
		return fmt.Errorf("fetch %s: %w: no branch holds %s, and the server gives only what branches hold", r.at.url, ErrMissing, id)
	}
	return err
}

// Tips asks the remote for its branches, without fetching anything.
func (r *Remote) Tips(ctx context.Context) (map[string]string, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	auth, err := r.at.login(ctx)
	if err != nil {
		return nil, r.unreachable(ctx, "list", err)
	}
	refs, err := git.NewRemote(memory.NewStorage(), r.config()).ListContext(ctx, &git.ListOptions{Auth: auth})
	if err != nil && !errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return nil, r.unreachable(ctx, "list", err)
	}
	branches := map[string]string{}
	for _, ref := range refs {
		if name, ok := strings.CutPrefix(ref.Name().String(), heads); ok && ref.Type() == plumbing.HashReference {
			branches[name] = ref.Hash().String()
		}
	}
	return branches, nil
}

// fetch runs one fetch. The caller holds the token.
func (r *Remote) fetch(ctx context.Context, spec string, prune bool) error {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	auth, err := r.at.login(ctx)
	if err != nil {
		return r.unreachable(ctx, "fetch", err)
	}
	err = git.NewRemote(r.git, r.config()).FetchContext(ctx, &git.FetchOptions{
		RefSpecs: []config.RefSpec{config.RefSpec(spec)}, Auth: auth, Tags: git.NoTags, Force: true, Prune: prune,
	})
	switch {
	case err == nil || errors.Is(err, git.NoErrAlreadyUpToDate):
		return nil
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		clear(r.git.ReferenceStorage)
		return nil
	case errors.Is(err, git.ErrExactSHA1NotSupported):
		return err
	}
	return r.unreachable(ctx, "fetch", err)
}

// bounded is a context for one exchange with the remote.
func (r *Remote) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, r.opts.Timeout, fmt.Errorf("it was not done after %s: %w", r.opts.Timeout, context.DeadlineExceeded))
}

func (r *Remote) config() *config.RemoteConfig {
	return &config.RemoteConfig{Name: git.DefaultRemoteName, URLs: []string{r.at.url}}
}

func (r *Remote) acquire(ctx context.Context) (release func(), err error) {
	select {
	case r.fetching <- struct{}{}:
		return func() { <-r.fetching }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *Remote) rebuild() error {
	clear(r.git.ReferenceStorage)
	return r.store.wipe()
}

func (r *Remote) refs() map[string]plumbing.Hash {
	refs := map[string]plumbing.Hash{}
	for name, ref := range r.git.ReferenceStorage {
		if strings.HasPrefix(name.String(), tracked) {
			refs[name.String()] = ref.Hash()
		}
	}
	return refs
}

func sameRefs(a, b map[string]plumbing.Hash) bool {
	if len(a) != len(b) {
		return false
	}
	for name, h := range a {
		if b[name] != h {
			return false
		}
	}
	return true
}

// explain turns the commonest errors of go-git into sentences that say what to do.
func explain(err error) string {
	switch {
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return "there is no such repository, or these credentials may not see it"
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return "it asks for credentials, or refuses the given ones"
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return "these credentials may not do this"
	}
	return err.Error()
}

func parseID(id string) (plumbing.Hash, error) {
	if len(id) != 40 || !plumbing.IsHash(id) {
		return plumbing.ZeroHash, fmt.Errorf("%q is not a commit id: use 40 hexadecimal characters", id)
	}
	return plumbing.NewHash(id), nil
}
