package execute

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// The simulation runs the real Executor over the real Ledger. All that either cannot decide alone, it asks for: to fetch, to
// push, to call the tool. What it asks for next depends only on what it was answered since it started, because the clock
// and the nonces are arguments. So a process is unrolled into a tree, lazily and once: a node is the answers so far, and
// what is asked for then. The search walks over pairs of nodes, and seldom has to run anything.

type askKind int8

const (
	askFetch askKind = iota
	askPush
	askCall
	askAgain // Execute has returned
)

// ask is what a process waits for.
type ask struct {
	kind     askKind
	old, new string // of a push: where the branch should be, and the commit
	force    bool   // of a push: wherever the branch is
	state    Phase  // that Execute returned
	owes     bool   // a receipt that has not landed: the process goes on, and is not like a new one
}

type answerKind int8

const (
	isOK          answerKind = iota
	isMoved                  // a push: the branch is elsewhere
	isUnreachable            // a fetch or a push: nothing was sent
	isRefused                // a push: by the server
	isUncertain              // a push: sent, and the answer was lost
	isNotSent                // a call: it did not reach the tool
	isNoAnswer               // a call: nobody knows
	isKilled
)

// answer is what a process is told, and when by the true clock.
type answer struct {
	kind answerKind
	tip  string // that a fetch shows
	tick int16
}

// seed is how a process begins: everything that it does follows from it and from the answers.
type seed struct {
	who   int8
	draws int8 // the nonces that earlier processes of this name have drawn
}

// node is a process after some answers.
type node struct {
	m      *model
	seed   seed
	parent *node
	via    answer
	ask    ask
	draws  int8
	next   map[answer]*node
	live   *process // a process that waits here, if one is left
}

// root is a process that has just begun.
func (m *model) root(s seed) *node {
	n := m.roots[s]
	if n == nil {
		p := m.start(s)
		n = &node{m: m, seed: s, draws: s.draws, next: map[answer]*node{}, ask: <-p.asks}
		m.park(n, p)
		m.roots[s] = n
	}
	return n
}

// after is the process once it was given an answer.
func (n *node) after(a answer) *node {
	if c := n.next[a]; c != nil {
		return c
	}
	p := n.live
	n.live = nil
	if p == nil {
		p = n.replay()
	}
	c := &node{m: n.m, seed: n.seed, parent: n, via: a, next: map[answer]*node{}}
	c.ask = p.tell(a)
	c.draws = p.draws
	n.next[a] = c
	n.m.nodes++
	n.m.park(c, p)
	return c
}

// replay runs a new process up to this node.
func (n *node) replay() *process {
	var path []*node
	for c := n; c.parent != nil; c = c.parent {
		path = append(path, c)
	}
	p := n.m.start(n.seed)
	<-p.asks
	for _, c := range slices.Backward(path) {
		if got := p.tell(c.via); got != c.ask {
			panic(fmt.Sprintf("the same answers led to %+v and to %+v: something else than the answers decides", c.ask, got))
		}
	}
	return p
}

// maxParked bounds the processes that wait at a node, for memory's sake.
const maxParked = 2000

func (m *model) park(n *node, p *process) {
	n.live = p
	m.parked = append(m.parked, n)
	if len(m.parked) > maxParked {
		if old := m.parked[0]; old.live != nil {
			old.live.kill()
			old.live = nil
		}
		m.parked = m.parked[1:]
	}
}

// process runs an executor that waits for the search at everything it asks.
type process struct {
	m        *model
	seed     seed
	executor *Executor
	asks     chan ask
	answers  chan answer
	ended    chan struct{}
	tick     int16
	draws    int8
	called   *answer // by a broken one, before its start was pushed
}

type killed struct{}

func (m *model) start(s seed) *process {
	p := &process{
		m: m, seed: s, draws: s.draws, tick: -1,
		asks: make(chan ask), answers: make(chan answer), ended: make(chan struct{}),
	}
	ledger := OpenLedger(LedgerOptions{
		Remote: m.store, Name: names[s.who], Email: names[s.who] + "@example.com", Now: p.now,
		Fleet: func() (*spec.Fleet, error) { return m.work.Fleet, nil },
	})
	ledger.wire = p
	ledger.book = m.book(m.genesis).clone(&ledger.mu)
	p.executor = New(Options{
		Remote: m.store, Ledger: ledger, Signer: m.signers[s.who], Branch: "main", Name: names[s.who], Tools: p,
		FleetAt:    func(string) (*spec.Fleet, error) { return m.work.Fleet, nil },
		DeclaredAt: func(string) ([]Declared, error) { return []Declared{{Fleet: m.work.Fleet}}, nil },
		Now:        p.now, After: p.after, Random: p, ClaimFor: time.Minute, Grace: 30 * time.Second,
	})
	p.executor.verdicts = maps.Clone(m.verdicts)
	if m.idle > 0 {
		m.idle--
		m.waiting <- p
	} else {
		go func() {
			p.main()
			for p := range m.waiting {
				p.main()
			}
		}()
	}
	return p
}

// main executes again and again, as the reconciler does.
func (p *process) main() {
	defer close(p.ended)
	defer func() {
		if r := recover(); r != nil && r != (killed{}) {
			panic(r)
		}
	}()
	for {
		s, _ := p.executor.Execute(context.Background(), p.m.work)
		_, owes := p.executor.owed[p.m.work.Action.ID]
		p.ask(ask{kind: askAgain, state: s.State, owes: owes})
	}
}

// ask waits for an answer.
func (p *process) ask(a ask) answer {
	p.asks <- a
	got := <-p.answers
	if got.kind == isKilled {
		panic(killed{})
	}
	p.tick = got.tick
	return got
}

// tell answers, and returns what is asked next.
func (p *process) tell(a answer) ask {
	p.answers <- a
	return <-p.asks
}

func (p *process) kill() {
	p.answers <- answer{kind: isKilled}
	<-p.ended
	p.m.idle++
}

func (p *process) now() time.Time {
	if p.tick < 0 {
		panic("the clock is read before anything was asked: a new process is not the same at any time")
	}
	return m0.Add(time.Duration(p.tick) * tick).Add(p.m.skew[p.seed.who])
}

func (*process) after(time.Duration) <-chan time.Time {
	fired := make(chan time.Time, 1)
	fired <- time.Time{}
	return fired
}

// Read makes the nonces.
func (p *process) Read(b []byte) (int, error) {
	p.draws++
	if p.m.broken == alikeNonces {
		return len(b), nil
	}
	sum := sha256.Sum256([]byte{byte(p.seed.who), byte(p.draws)})
	return copy(b, sum[:]), nil
}

func (p *process) Fetch(context.Context) (map[string]string, error) {
	a := p.ask(ask{kind: askFetch})
	if a.kind != isOK {
		return nil, remote.ErrUnreachable
	}
	return map[string]string{Branch: a.tip, "main": p.m.main}, nil
}

func (p *process) advance(_ context.Context, b *book, tip, _ string) error {
	return p.m.advance(b, tip)
}

func (p *process) draft(_ context.Context, b *book, d draft, by author, _ time.Time) (string, entry, error) {
	return p.m.draft(b, d, by)
}

func (p *process) Push(_ context.Context, _, old, new string) error {
	starts := strings.HasPrefix(p.m.commits[new].step(), spec.StepStarted)
	switch {
	case starts && p.m.broken == startAfterEffect:
		called := p.ask(ask{kind: askCall})
		p.called = &called
	case starts && p.m.broken == clockAsFence:
		if claim := p.m.book(old).record(p.m.work.Action.ID).claim(); p.now().Before(*claim.Deadline) {
			return nil
		}
	}
	a := p.ask(ask{kind: askPush, old: old, new: new, force: p.m.broken == forcedPush})
	if a.kind == isUncertain && p.m.broken == lostIsRefused {
		a.kind = isRefused
	}
	switch a.kind {
	case isMoved:
		return remote.ErrMoved
	case isUnreachable:
		return remote.ErrUnreachable
	case isRefused:
		return remote.ErrRejected
	case isUncertain:
		return remote.ErrUncertain
	}
	return nil
}

func (p *process) Call(context.Context, *spec.ToolServer, string, map[string]any, string) (Result, error) {
	a := p.called
	if a == nil {
		got := p.ask(ask{kind: askCall})
		a = &got
	}
	if a.kind == isNoAnswer && p.m.broken == lostIsNotSent {
		a = &answer{kind: isNotSent}
	}
	switch a.kind {
	case isNotSent:
		return Result{}, ErrNotSent
	case isNoAnswer:
		return Result{}, context.DeadlineExceeded
	}
	return Result{Text: "restarted"}, nil
}
