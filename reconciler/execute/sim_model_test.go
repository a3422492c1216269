package execute

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// tick is by how much the true clock moves at once. A claim expires within it, and a start becomes unknown.
const tick = 61 * time.Second

var (
	m0    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	names = [2]string{"one", "two"}
)

// model is one world to be searched: two executors, a person, a ledger, a tool and one merged Action.
type model struct {
	// skew is how far each executor's clock is ahead of the true one.
	skew [2]time.Duration
	// personSkew is the same for the person, who resolves what her clock shows as unknown.
	personSkew time.Duration
	// retries says that the person lets it start once more, instead of giving it up.
	retries    bool
	idempotent bool
	unapproved bool          // the Action was pushed directly
	expires    time.Duration // after the beginning
	faults     int8          // crashes and lost messages in one history
	ticks      int16         // that pass in one history
	broken     broken

	store    *remote.Remote
	signers  [2]*remote.Signer
	reviewer *remote.Signer
	main     string
	genesis  string
	work     Work
	verdicts map[spec.ActionID]verdict

	waiting   chan *process // for one of the goroutines that are idle
	idle      int
	roots     map[seed]*node
	parked    []*node
	nodes     int
	books     map[string]*book
	commits   map[string]*commit
	decisions map[decision]string
	ends      map[state]*violation
}

func newModel(t *testing.T, m model) *model {
	t.Helper()
	ok := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	var err error
	m.store, err = remote.Open(context.Background(), remote.Options{URL: t.TempDir()})
	ok(err)
	keys := t.TempDir()
	for i, into := range []**remote.Signer{&m.signers[0], &m.signers[1], &m.reviewer} {
		*into, err = remote.GenerateSigner(filepath.Join(keys, fmt.Sprint(i)), "")
		ok(err)
	}
	m.genesis = "genesis"
	write := func(d remote.CommitDraft) string {
		d.AuthorName, d.AuthorEmail, d.When = "Someone", "someone@example.com", m0
		id, err := m.store.WriteCommit(d)
		ok(err)
		return id
	}
	server := &spec.ToolServer{Timeout: 30 * time.Second}
	server.Name, server.Spec.Tools = "cluster", map[string]spec.ToolSpec{
		"restart": {Effect: spec.EffectWrite, Idempotent: m.idempotent || m.broken == unknownIsRetried},
	}
	fleet := &spec.Fleet{
		Approvers: []spec.Key{m.reviewer.Public("Ada")},
		Ledger: &spec.Ledger{Genesis: m.genesis, Signers: []spec.Key{
			m.signers[0].Public(names[0]), m.signers[1].Public(names[1]),
		}},
		Servers: map[string]*spec.ToolServer{"cluster": server},
	}
	action := &spec.Action{ID: "triage-run-1", Expires: m0.Add(m.expires)}
	action.Spec = spec.ActionSpec{Server: "cluster", Tool: "restart", Evidence: spec.Evidence{
		Agent: "triage", Run: "run", Exchange: 1, Revision: "main@sha1:", Key: "0123456789abcdef",
	}}
	file := spec.FileEdit{Path: "actions/triage-run-1.yaml", Content: "kind: Action\n"}
	action.Digest = spec.DigestBytes([]byte(file.Content))
	m.main = write(remote.CommitDraft{Edits: []spec.FileEdit{{Path: "mainstay.yaml", Content: "kind: Fleet\n"}}, Message: "Begin"})
	head := remote.CommitDraft{
		Base: m.main, Parents: []string{m.main}, Edits: []spec.FileEdit{file},
		Message: "Restart\n\nMainstay-Action: triage-run-1\nMainstay-Proposal: 0123456789abcdef", Signer: m.signers[0],
	}
	proposed := write(head)
	m.main = write(remote.CommitDraft{Base: proposed, Parents: []string{m.main, proposed}, Message: "Merge", Signer: m.reviewer})
	if m.unapproved {
		m.main = proposed
	}
	m.work = Work{Action: action, Revision: spec.NewRevision("main", m.main), Fleet: fleet}

	m.roots, m.books, m.commits = map[seed]*node{}, map[string]*book{}, map[string]*commit{m.genesis: {}}
	m.verdicts, m.waiting = map[spec.ActionID]verdict{}, make(chan *process)
	m.decisions, m.ends = map[decision]string{}, map[state]*violation{}
	first := m.start(seed{}) // What it finds out about the approval, all others know.
	<-first.asks
	_, err = first.executor.approval(m.work)
	ok(err)
	m.verdicts = first.executor.verdicts
	first.kill()
	t.Cleanup(func() {
		for _, n := range m.parked {
			if n.live != nil {
				n.live.kill()
			}
		}
		close(m.waiting)
		ok(m.store.Close())
	})
	return &m
}

// commit is one of the ledger's, without Git: what it adds to which.
type commit struct {
	parent  string
	path    string
	content []byte
	signer  spec.Key // of a person
	drafted entry    // as whoever drafted it has checked it
	read    *entry   // as whoever read it first has
}

// step is what it adds: claim, claim-2, started, receipt or resolution.
func (c commit) step() string { return strings.TrimSuffix(path.Base(c.path), ".json") }

// draft makes a commit, and checks it as the ledger does: once, because all that counts for it is in its id.
func (m *model) draft(b *book, d draft, by author) (string, entry, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, b.tip, d.path, by.name)
	sum.Write(d.content)
	id := hex.EncodeToString(sum.Sum(nil)[:20])
	if c, ok := m.commits[id]; ok {
		return id, c.drafted, nil
	}
	e, err := b.parse(d.path, d.content)
	if err != nil {
		return "", entry{}, err
	}
	if e.place.byPerson() {
		e.signer = by.signer.Public(by.name)
	}
	m.commits[id] = &commit{parent: b.tip, path: d.path, content: d.content, signer: e.signer, drafted: e}
	return id, e, nil
}

// advance reads and checks what is new up to tip, as the ledger does. What a commit says on top of its parent is read once.
func (m *model) advance(b *book, tip string) error {
	var news []string
	for at := tip; at != b.tip; at = m.commits[at].parent {
		if at == m.genesis {
			return ErrLedgerRewritten
		}
		news = append(news, at)
	}
	for _, id := range slices.Backward(news) {
		c := m.commits[id]
		if c.read == nil {
			e, err := b.parse(c.path, c.content)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrLedgerForeign, err)
			}
			e.signer = c.signer
			c.read = &e
		}
		b.add(id, *c.read)
	}
	return nil
}

// book is the ledger at a tip.
func (m *model) book(tip string) *book {
	if b := m.books[tip]; b != nil {
		return b
	}
	b := newBook(nil, newTrust(m.work.Fleet), &sync.Mutex{})
	b.tip = m.genesis
	if tip != m.genesis {
		b = m.book(m.commits[tip].parent).clone(&sync.Mutex{})
		if err := m.advance(b, tip); err != nil {
			panic(fmt.Sprintf("what was pushed stops everybody: %v", err))
		}
	}
	m.books[tip] = b
	return b
}

func (b *book) clone(lock sync.Locker) *book {
	c := *b
	c.lock, c.actions, c.rejections, c.offers = lock, map[spec.ActionID]*record{}, maps.Clone(b.rejections), maps.Clone(b.offers)
	for id, r := range b.actions {
		of := *r
		of.claims, of.starts, of.signers = slices.Clone(r.claims), slices.Clone(r.starts), maps.Clone(r.signers)
		c.actions[id] = &of
	}
	return &c
}

func (m *model) record(tip string) *record { return m.book(tip).record(m.work.Action.ID) }

// decision is what a person decides when she sees a tip.
type decision struct {
	tip     string
	tick    int16
	outcome string
}

// resolve returns the tip that a person's decision leads to.
func (m *model) resolve(d decision) string {
	if tip, ok := m.decisions[d]; ok {
		return tip
	}
	at := &atOnce{m: m, tip: d.tip}
	l := OpenLedger(LedgerOptions{
		Remote: m.store, Now: func() time.Time { return m0.Add(time.Duration(d.tick) * tick).Add(m.personSkew) },
		Fleet: func() (*spec.Fleet, error) { return m.work.Fleet, nil },
	})
	l.wire, l.book = at, m.book(d.tip).clone(&l.mu)
	ada := Person{Name: "Ada", Email: "ada@example.com", Signer: m.reviewer}
	err := l.Resolve(context.Background(), m.work.Action.ID, d.outcome, "I looked", ada)
	if err != nil && d.outcome != spec.OutcomeRetry { // That is refused while it is too early.
		panic(err)
	}
	m.decisions[d] = at.tip
	return at.tip
}

// atOnce is a remote that answers at once.
type atOnce struct {
	m   *model
	tip string
}

func (a *atOnce) Fetch(context.Context) (map[string]string, error) {
	return map[string]string{Branch: a.tip, "main": a.m.main}, nil
}

func (a *atOnce) Push(_ context.Context, _, _, new string) error {
	a.tip = new
	return nil
}

func (a *atOnce) advance(_ context.Context, b *book, tip, _ string) error { return a.m.advance(b, tip) }

func (a *atOnce) draft(_ context.Context, b *book, d draft, by author, _ time.Time) (string, entry, error) {
	return a.m.draft(b, d, by)
}
