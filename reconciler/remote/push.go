package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/client"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
)

const (
	// readBack bounds how long the branch is read after a push that failed, also when the caller's context has ended.
	readBack = 20 * time.Second
	// proposals is where branches may be replaced. The ledger and the records of runs lie there too, and may not.
	proposals = "mainstay/"
)

// Push moves a branch forward from old to new, a commit in the store that descends from it. An empty old means that the
// branch must not exist yet. The server itself compares old with its branch, so of two pushes exactly one succeeds.
//
// After any error once the push was sent, the branch is read back. If it is at new, or has moved on from there, the
// answer is nil. Otherwise the error has [ErrMoved], [ErrRejected] or [ErrUncertain]; with [ErrUnreachable] or
// [ErrNotFastForward] nothing was sent.
func (r *Remote) Push(ctx context.Context, branch, old, new string) error {
	if old != "" {
		forward, err := r.IsAncestor(old, new)
		if err != nil {
			return fmt.Errorf("push %s: %w", branch, err)
		}
		if !forward {
			return fmt.Errorf("push %s from %s to %s: %w", branch, old, new, ErrNotFastForward)
		}
	}
	return r.push(ctx, branch, old, new)
}

// ReplaceBranch moves the branch of a proposal (`mainstay/<agent>/<key>`) from old to a new that need not descend from
// it. It answers like [Remote.Push].
func (r *Remote) ReplaceBranch(ctx context.Context, branch, old, new string) error {
	parts := strings.Split(branch, "/")
	if len(parts) != 3 || !strings.HasPrefix(branch, proposals) || parts[1] == "ledger" || parts[1] == "runs" {
		return fmt.Errorf("replace %s: only the branch of a proposal, mainstay/<agent>/<key>, may be replaced", branch)
	}
	if old == "" {
		return fmt.Errorf("replace %s: name the commit that it is at", branch)
	}
	return r.push(ctx, branch, old, new)
}

// Delete removes a branch that is still at old. It answers like [Remote.Push]; a branch that is gone already is deleted.
func (r *Remote) Delete(ctx context.Context, branch, old string) error {
	if old == "" {
		return fmt.Errorf("delete %s: name the commit that it is at", branch)
	}
	return r.push(ctx, branch, old, "")
}

// update is one move of one branch; the zero hash stands for no branch.
type update struct {
	branch   string
	old, new plumbing.Hash
}

func (u update) String() string {
	if u.new.IsZero() {
		return "delete " + u.branch
	}
	return "push " + u.branch
}

func (r *Remote) push(ctx context.Context, branch, old, new string) error {
	u := update{branch: branch}
	for _, id := range []struct {
		text string
		into *plumbing.Hash
	}{{old, &u.old}, {new, &u.new}} {
		if id.text == "" {
			continue
		}
		h, err := parseID(id.text)
		if err != nil {
			return fmt.Errorf("%s: %w", u, err)
		}
		*id.into = h
	}
	if err := checkBranch(branch); err != nil {
		return err
	}
	if new != "" {
		if _, err := r.Commit(new); err != nil {
			return fmt.Errorf("%s: %w", u, err)
		}
	}
	if r.opts.Barrier != nil {
		r.opts.Barrier(PointBeforePush + " " + branch)
		defer r.opts.Barrier(PointAfterPush + " " + branch)
	}
	return r.send(ctx, u)
}

func checkBranch(name string) error {
	if err := plumbing.ReferenceName(heads + name).Validate(); err != nil || strings.HasPrefix(name, "-") {
		return fmt.Errorf("push %q: it cannot name a branch", name)
	}
	return nil
}

// outcome is what is known of an update right after it was tried.
type outcome int

const (
	done    outcome = iota
	unsent          // nothing reached the server that could move the branch
	refused         // the server said no
	unknown         // its answer did not arrive
)

// send tries an update, and finds out what became of it unless the server plainly says.
func (r *Remote) send(ctx context.Context, u update) error {
	sending, cancel := r.bounded(ctx)
	defer cancel()
	came, err := r.attempt(sending, u)
	switch {
	case came == done:
		return nil
	case came == unsent && err != nil:
		return r.unreachable(sending, u.String()+" to", err)
	}
	return r.settle(ctx, u, came, err)
}

// attempt runs an exchange, and goes on when ctx ends. A local server whose hook hangs would hold the exchange up, and
// with it the caller, until the hook ends; the exchange is left behind then, and ends with the hook.
func (r *Remote) attempt(ctx context.Context, u update) (outcome, error) {
	type answer struct {
		outcome
		error
	}
	answers := make(chan answer, 1)
	var sent atomic.Bool // set by the first of both sides, and then the other one knows
	go func() {
		came, err := r.exchange(ctx, u, func() bool { return sent.CompareAndSwap(false, true) })
		answers <- answer{came, err}
	}()
	select {
	case a := <-answers:
		return a.outcome, a.error
	case <-ctx.Done():
	}
	if sent.CompareAndSwap(false, true) {
		return unsent, ctx.Err()
	}
	select { // It may have ended at the same time.
	case a := <-answers:
		return a.outcome, a.error
	default:
		return unknown, ctx.Err()
	}
}

// exchange checks that the branch is at old and sends the update. An update that is unsent without an error is so because
// the branch is elsewhere already. It asks may before it sends.
func (r *Remote) exchange(ctx context.Context, u update, may func() bool) (outcome, error) {
	session, err := r.connect(ctx)
	if err != nil {
		return unsent, err
	}
	defer session.Close() // Its error says nothing about the branch.
	adv, err := session.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		adv, err = packp.NewAdvRefs(), nil
	}
	if err != nil {
		return unsent, err
	}
	if adv.References[heads+u.branch] != u.old {
		return unsent, nil
	}
	said := &progress{}
	req, err := r.request(adv, u, said)
	if err != nil {
		return unsent, err
	}
	if !may() {
		return unsent, context.Cause(ctx)
	}
	report, err := session.ReceivePack(ctx, req)
	if err == nil && report != nil {
		return done, nil
	}
	if err == nil {
		err = errors.New("the server did not say what became of it")
	}
	if text := said.String(); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	if report != nil || denied(err) {
		return refused, err
	}
	return unknown, err
}

// denied reports whether a web server turned the request away before Git saw it.
func denied(err error) bool {
	if e, ok := errors.AsType[*plumbing.UnexpectedError](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*http.Err](err); ok {
		return e.StatusCode() >= 400 && e.StatusCode() < 500
	}
	return errors.Is(err, transport.ErrAuthenticationRequired) || errors.Is(err, transport.ErrAuthorizationFailed) ||
		errors.Is(err, transport.ErrRepositoryNotFound)
}

func (r *Remote) connect(ctx context.Context) (transport.ReceivePackSession, error) {
	auth, err := r.at.login(ctx)
	if err != nil {
		return nil, err
	}
	ep, err := transport.NewEndpoint(r.at.url)
	if err != nil {
		return nil, err
	}
	c, err := client.NewClient(ep)
	if err != nil {
		return nil, err
	}
	return c.NewReceivePackSession(ep, auth)
}

// request makes the command and the objects that the server lacks.
func (r *Remote) request(adv *packp.AdvRefs, u update, said *progress) (*packp.ReferenceUpdateRequest, error) {
	req := packp.NewReferenceUpdateRequestFromCapabilities(adv.Capabilities)
	req.Commands = []*packp.Command{{Name: plumbing.ReferenceName(heads + u.branch), Old: u.old, New: u.new}}
	if adv.Capabilities.Supports(capability.Sideband64k) {
		if err := req.Capabilities.Set(capability.Sideband64k); err != nil {
			return nil, err
		}
		req.Progress = said
	}
	if u.new.IsZero() {
		if !adv.Capabilities.Supports(capability.DeleteRefs) {
			return nil, errors.New("the server does not let branches be deleted")
		}
		return req, req.Capabilities.Set(capability.DeleteRefs)
	}
	pack, err := r.packFor(u, adv)
	req.Packfile = pack
	return req, err
}

// maxPush bounds the objects of one push, in bytes. They are in memory, because a push over HTTP is repeated from there.
const maxPush = 512 << 20

// packFor makes a pack of what the server lacks: the commits that its branches do not reach, and of their trees what
// differs from their parents'.
func (r *Remote) packFor(u update, adv *packp.AdvRefs) (io.ReadCloser, error) {
	have := []plumbing.Hash{u.old}
	for _, h := range adv.References {
		have = append(have, h)
	}
	commits, err := r.missing(u.new, have)
	if err != nil {
		return nil, err
	}
	need := newNeeded(r)
	for _, h := range commits {
		if err := need.commit(h); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	if _, err := packfile.NewEncoder(&b, adapter{s: r.store}, false).Encode(need.hashes, 0); err != nil {
		return nil, err
	}
	return io.NopCloser(&b), nil
}

// settle reads the branch back to find out what became of an update.
func (r *Remote) settle(ctx context.Context, u update, came outcome, cause error) error {
	reading, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(readBack, r.opts.Timeout))
	defer cancel()
	fail := func(kind error, why string) error { return fmt.Errorf("%s to %s: %w: %s", u, r.at.url, kind, why) }
	why := "another writer was first"
	if cause != nil {
		why = r.at.clean(explain(cause))
	}
	branches, err := r.Fetch(reading)
	at := branches[u.branch]
	holds := false
	if err == nil {
		holds, err = r.holds(u, at)
	}
	if err != nil && came == unsent {
		return err
	}
	if err != nil {
		return fail(ErrUncertain, why+"; and reading it back: "+err.Error())
	}
	if holds {
		return nil
	}
	if at == "" {
		at = "nowhere"
	}
	old := u.old.String()
	if u.old.IsZero() {
		old = "nowhere"
	}
	switch {
	case at != old || came == unsent:
		return fail(ErrMoved, "it is at "+at+" and not at "+old+": "+why)
	case came == unknown:
		return fail(ErrUncertain, why)
	case strings.Contains(why, "lock") || strings.Contains(why, "failed to update ref"):
		// Another writer held the branch just then, and is about to move it.
		return fail(ErrMoved, why)
	}
	return fail(ErrRejected, why)
}

// holds reports whether a branch that is at a commit, or nowhere, shows that the update took effect.
func (r *Remote) holds(u update, at string) (bool, error) {
	if u.new.IsZero() || at == "" {
		return u.new.IsZero() && at == "", nil
	}
	return r.IsAncestor(u.new.String(), at)
}

// progress keeps the beginning of what a server says beside its answer, such as why a hook refuses.
type progress struct{ bytes.Buffer }

var _ sideband.Progress = (*progress)(nil)

func (p *progress) Write(b []byte) (int, error) {
	const most = 4096
	if room := most - p.Len(); room > 0 {
		p.Buffer.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}

func (p *progress) String() string { return strings.TrimSpace(p.Buffer.String()) }
