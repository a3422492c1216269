package execute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// Branch is the branch of the ledger.
const Branch = "mainstay/ledger"

// While one of these is wrong nothing is executed.
var (
	// ErrNoLedger means that mainstay.yaml pins none.
	ErrNoLedger = errors.New("mainstay.yaml pins no ledger: run `mainstay ledger init`, and add what it prints")
	// ErrLedgerMissing means that the branch is gone, or another remote is watched.
	ErrLedgerMissing = errors.New("the ledger branch " + Branch + " is missing: push it again from a clone, because only it knows what was executed")
	// ErrLedgerRewritten means that the branch does not descend from the pinned first commit, or from what was seen before.
	ErrLedgerRewritten = errors.New("the ledger branch " + Branch + " was rewritten: put it back to the commit named here, and protect it from force-pushes")
	// ErrLedgerForeign means that somebody else has written to it.
	ErrLedgerForeign = errors.New("the ledger holds an entry that does not count: find out who made it; if a reconciler's key was replaced, keep the old one listed in mainstay.yaml")
	// ErrNotListed means that a key may not write an entry.
	ErrNotListed = errors.New("the key is not listed in mainstay.yaml for this")
)

// The limits of a ledger.
const (
	maxCommits = 200_000
	maxEntry   = 512 << 10 // bytes
	maxBytes   = 512 << 20 // of all entries
	maxMoved   = 200       // how often one entry is tried again because another writer was first
)

// LedgerOptions are what [OpenLedger] needs. All fields but LastTip are required.
type LedgerOptions struct {
	Remote *remote.Remote
	// Fleet returns the newest good fleet: its Ledger pins the first commit and the signers, its Approvers may resolve and
	// reject.
	Fleet func() (*spec.Fleet, error)
	// LastTip is the newest tip that this installation has seen before, if it remembers one. The branch must descend from it.
	LastTip string
	// Name and Email are the author of the entries that a reconciler makes.
	Name, Email string
	Now         func() time.Time
}

// Ledger is the orphan branch mainstay/ledger. Its first commit is pinned in mainstay.yaml. Every later one has one
// parent, is signed by a listed key, and adds one file and changes none:
//
//	actions/<id>/claim.json       a reconciler is about to start it; claim-2.json and so on take over
//	actions/<id>/started.json     the effect begins, under the claim with the same nonce; started-2.json after claim-2.json
//	actions/<id>/receipt.json     how it ended
//	actions/<id>/resolution.json  what a person decided about an unknown one, resolution-2.json after a retry; signed by an approver
//	proposals/<key>/offer.json    a reconciler has offered to undo an Action with this proposal
//	proposals/<key>/rejection.json, rejection-2.json  a person's no; signed by an approver
//
// So the tree at its tip is the state, and its history the audit log. It keeps what it has read in memory, and reads only
// what is new. It is safe for concurrent use.
type Ledger struct {
	opts LedgerOptions
	wire wire
	turn chan struct{} // holds one token while the ledger is read or written

	mu       sync.Mutex
	book     *book
	branches map[string]string // what the last fetch has shown
	stale    bool              // the next write has to read first
	broken   error             // what is wrong with the ledger, or why it was never read
	lastTip  string
}

// OpenLedger returns a ledger. It reads nothing yet.
func OpenLedger(opts LedgerOptions) *Ledger {
	return &Ledger{
		opts: opts, wire: overGit{opts.Remote}, turn: make(chan struct{}, 1), lastTip: opts.LastTip, stale: true,
		broken: errors.New("the ledger was not read yet"),
	}
}

// wire is the branch as a ledger can reach it: over Git, or in the simulation of the protocol.
type wire interface {
	Fetch(ctx context.Context) (map[string]string, error)
	Push(ctx context.Context, branch, old, new string) error
	// advance and draft do what the methods of the book say.
	advance(ctx context.Context, b *book, tip, last string) error
	draft(ctx context.Context, b *book, d draft, by author, now time.Time) (string, entry, error)
}

type overGit struct{ *remote.Remote }

func (overGit) advance(ctx context.Context, b *book, tip, last string) error {
	return b.advance(ctx, tip, last)
}

func (o overGit) draft(ctx context.Context, b *book, d draft, by author, now time.Time) (string, entry, error) {
	return b.draft(ctx, o.Remote, d, by, now)
}

// InitLedger makes the branch with its first commit, signed by signer, and returns the commit's id, to be pinned in
// mainstay.yaml. Where the branch exists and signer made it, it returns that one's id.
func InitLedger(ctx context.Context, r *remote.Remote, signer *remote.Signer, name, email string, now time.Time) (string, error) {
	id, err := initLedger(ctx, r, signer, name, email, now)
	if err != nil {
		return "", fmt.Errorf("init the ledger: %w", err)
	}
	return id, nil
}

func initLedger(ctx context.Context, r *remote.Remote, signer *remote.Signer, name, email string, now time.Time) (string, error) {
	branches, err := r.Fetch(ctx)
	if err != nil {
		return "", err
	}
	if tip := branches[Branch]; tip != "" {
		first := tip
		for c, err := range r.FirstParents(tip) {
			if err != nil {
				return "", err
			}
			first = c.ID
		}
		c, err := r.Commit(first)
		if err != nil {
			return "", err
		}
		if _, err := remote.VerifyCommit(c, []spec.Key{signer.Public(name)}); err != nil {
			return "", fmt.Errorf("branch %s exists and begins with %s, which another key has made: pin that one in mainstay.yaml: %w", Branch, first, err)
		}
		return first, nil
	}
	id, err := r.WriteCommit(remote.CommitDraft{
		Edits:      []spec.FileEdit{{Path: "README.md", Content: readme}},
		Message:    "Begin the ledger of Mainstay\n\nEvery later commit adds one entry. Nothing is ever changed or removed.",
		AuthorName: name, AuthorEmail: email, When: now.UTC(), Signer: signer,
	})
	if err != nil {
		return "", err
	}
	return id, r.Push(ctx, Branch, "", id)
}

const readme = `# The ledger of Mainstay

What was claimed, started and executed, and what people rejected. Each commit adds one file and is signed.
Protect this branch: no force-push, no deletion. ` + "`git log --show-signature`" + ` is the audit log.
`

// Read brings what is known up to date with the remote, and checks every entry that is new. Its error wraps
// one of the ErrLedger errors where something is wrong with the ledger itself.
func (l *Ledger) Read(ctx context.Context) error {
	if err := l.take(ctx); err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	defer l.give()
	return l.read(ctx)
}

func (l *Ledger) read(ctx context.Context) error {
	err := l.refresh(ctx)
	if err != nil {
		err = fmt.Errorf("read the ledger: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stale = err != nil
	if l.book == nil || (!errors.Is(err, remote.ErrUnreachable) && ctx.Err() == nil) {
		l.broken = err // An outage takes nothing away from what is known.
	}
	return err
}

func (l *Ledger) refresh(ctx context.Context) error {
	branches, err := l.wire.Fetch(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.branches = branches
	l.mu.Unlock()
	fleet, err := l.opts.Fleet()
	if err != nil {
		return err
	}
	if fleet.Ledger == nil {
		return ErrNoLedger
	}
	tip := branches[Branch]
	if tip == "" {
		return ErrLedgerMissing
	}
	t := newTrust(fleet)
	l.mu.Lock()
	b := l.book
	l.mu.Unlock()
	if b == nil || !b.trust.same(t) {
		b = newBook(l.opts.Remote, t, &l.mu)
	}
	l.mu.Lock()
	last := l.lastTip
	l.mu.Unlock()
	if err := l.wire.advance(ctx, b, tip, last); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.book, l.lastTip = b, b.tip
	return nil
}

func (l *Ledger) take(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Ledger) give() { <-l.turn }

// Tip returns the newest tip that was checked, to be remembered for [LedgerOptions.LastTip]; "" before the first read.
func (l *Ledger) Tip() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.book == nil {
		return l.opts.LastTip
	}
	return l.book.tip
}

// Ignored returns one sentence for each entry of a person that does not count, because mainstay.yaml does not list the key
// that signed it.
func (l *Ledger) Ignored() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.book == nil {
		return nil
	}
	return slices.Clone(l.book.ignored)
}

// branch returns the tip of a branch, as the last fetch has shown it.
func (l *Ledger) branch(name string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.branches[name]
}

// state returns where an Action stands by the ledger alone. While something is wrong with the ledger
// it fails for all but what was settled before.
func (l *Ledger) state(id spec.ActionID, now time.Time) (State, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var s State
	if l.book != nil {
		s = l.book.record(id).state(now)
	}
	if l.broken != nil && !s.Settled() {
		return State{}, l.broken
	}
	return s, nil
}

// look shows what was read of the ledger, if anything was.
func (l *Ledger) look(at func(*book) hold) hold {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.book == nil {
		return hold{}
	}
	return at(l.book)
}

// rejected says who has rejected the proposal of an Action, and why, or "".
func (l *Ledger) rejected(id spec.ActionID) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.book == nil {
		return ""
	}
	for _, content := range l.book.rejections {
		var r struct {
			Kind     string
			Agent    spec.AgentName
			Run      spec.RunID
			Exchange int
			By       string
			Reason   string
		}
		if json.Unmarshal(content, &r) == nil && r.Kind == spec.ProposalAction && fmt.Sprintf("%s-%s-%d", r.Agent, r.Run, r.Exchange) == string(id) {
			return spec.Visible(fmt.Sprintf("rejected by %s: %s", r.By, r.Reason))
		}
	}
	return ""
}

// Entries reads the ledger and returns the files beneath a folder that count, by their path.
func (l *Ledger) Entries(ctx context.Context, folder string) (map[string][]byte, error) {
	if err := l.Read(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	files := map[string][]byte{}
	for name, content := range l.book.rejections {
		if strings.HasPrefix(name, strings.TrimSuffix(folder, "/")+"/") {
			files[name] = content
		}
	}
	return files, nil
}

// Append adds one file of a person, such as a rejection, in one commit signed with signer. The error has [fs.ErrExist]
// where the path is taken, and [ErrNotListed] where the key may not write it.
func (l *Ledger) Append(ctx context.Context, path string, content []byte, message, name, email string, signer *remote.Signer) error {
	return l.append(ctx, author{name: name, email: email, signer: signer}, func(b *book) (draft, error) {
		if _, taken := b.rejections[path]; taken {
			return draft{}, fmt.Errorf("%s: %w", path, fs.ErrExist)
		}
		return draft{path: path, content: content, message: message}, nil
	})
}

// author makes an entry.
type author struct {
	name, email string
	signer      *remote.Signer
}

// append adds one entry on top of all others. Decide is shown what the ledger holds, and again after another writer was
// first. The entry is checked like those of others before it is pushed: a wrong one would stop everybody.
func (l *Ledger) append(ctx context.Context, by author, decide func(*book) (draft, error)) error {
	if err := l.take(ctx); err != nil {
		return fmt.Errorf("write to the ledger: %w", err)
	}
	defer l.give()
	var moved error
	for range maxMoved {
		l.mu.Lock()
		stale := l.stale
		l.mu.Unlock()
		if stale {
			if err := l.read(ctx); err != nil {
				return err
			}
		}
		l.mu.Lock()
		b := l.book
		d, err := decide(b)
		l.mu.Unlock()
		if err != nil {
			return err
		}
		id, e, err := l.wire.draft(ctx, b, d, by, l.opts.Now())
		if err != nil {
			return fmt.Errorf("write %s to the ledger: %w", d.path, err)
		}
		err = l.wire.Push(ctx, Branch, b.tip, id)
		if err == nil {
			b.add(id, e)
			l.mu.Lock()
			l.lastTip = id
			l.mu.Unlock()
			return nil
		}
		l.mu.Lock()
		l.stale = true
		l.mu.Unlock()
		if !errors.Is(err, remote.ErrMoved) {
			return fmt.Errorf("write %s to the ledger: %w", d.path, err)
		}
		moved = err
	}
	return fmt.Errorf("write to the ledger: other writers were first %d times in a row: try again when fewer write: %w", maxMoved, moved)
}
