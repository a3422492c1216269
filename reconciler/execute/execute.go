// Package execute carries out merged Actions: it checks who approved which bytes, claims the Action in the ledger,
// checks its precondition, writes down that it starts, makes the one tool call, and writes the receipt. A call that a policy
// rule lets through without a review goes the same way, with the rule in place of the approval ([Work].Direct).
//
// It keeps the branch mainstay/ledger ([Ledger]), where every entry is a signed commit that adds one file. An effect
// begins only after its start has landed there, so that it happens at most once, whoever else tries; where nobody can
// know whether it happened the Action is unknown and waits for a person. It never executes what was pushed directly, what
// has changed since it was approved, or anything at all while the ledger is not as it was left.
package execute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// ErrNotSent is what a [ToolCaller]'s error wraps where the call surely did not reach the tool. After any other error the
// call may have taken effect.
var ErrNotSent = errors.New("the call was not sent")

// Result is what a tool answered.
type Result struct {
	Text string
	// Structured is the structured content as JSON values; nil where there is none.
	Structured any
	// IsError says that the tool answered that it failed.
	IsError bool
}

// ToolCaller calls a tool of a server once. It keeps the tool's timeout.
type ToolCaller interface {
	Call(ctx context.Context, server *spec.ToolServer, tool string, args map[string]any, idempotencyKey string) (Result, error)
}

// The points of Options.Barrier; a space and the Action's id follow.
const (
	PointBeforeEffect = "before effect of"
	PointAfterEffect  = "after effect of"
)

// Options are what [New] needs. Fields without a default are required.
type Options struct {
	Remote *remote.Remote
	Ledger *Ledger
	// Signer signs the entries of this executor. Its key is listed in mainstay.yaml under spec.ledger.signers.
	Signer *remote.Signer
	// Branch is the branch that Actions are merged into, such as main.
	Branch string
	// Path is the folder of the repository that holds mainstay.yaml; "" is the root.
	Path string
	// Name tells executors apart. A process that is started again with the same name takes its own claims over at once.
	Name string
	// FleetAt returns the fleet at a commit. Only its Approvers and its Ledger are read, so that it is enough to load
	// mainstay.yaml.
	FleetAt func(commit string) (*spec.Fleet, error)
	// DeclaredAt returns what a commit declares, as [Declarations.At] does; none where it is broken.
	DeclaredAt func(commit string) ([]Declared, error)
	Tools      ToolCaller
	// Pinned asks a tool server what it says of its tools now, and returns why that is not what the lock pins, if it is not:
	// the Action waits then, and nothing is claimed. Of a server that cannot be asked it returns nil. May be nil, as for a fleet
	// without a lock.
	Pinned func(ctx context.Context, server *spec.ToolServer) error
	// Suspended returns why nothing is claimed or started for an Action now, or "". Nil suspends none.
	Suspended func(Work) string
	// Limits returns the limits that policies set on an Action's call, beside those of its tool. Nil sets none.
	Limits func(Work) ([]Limit, error)
	// Now, After and Random are the clock, waiting and randomness.
	Now    func() time.Time
	After  func(time.Duration) <-chan time.Time
	Random io.Reader
	// ClaimFor is how long a claim keeps others away. Default 2 minutes.
	ClaimFor time.Duration
	// Grace is added to the tool's timeout for the deadline of a start; it covers the pushes around the effect and the
	// difference of two clocks. Default 1 minute.
	Grace time.Duration
	// Drain is how long an effect, and then its receipt, may go on after the context has ended. Default 20 seconds.
	Drain time.Duration
	// Barrier is called right before and right after the effect, for tests that end the process there. May be nil.
	Barrier func(point string)
}

// Executor executes Actions. It is safe for concurrent use.
type Executor struct {
	opts  Options
	judge Judge

	mu       sync.Mutex
	busy     map[spec.ActionID]bool
	owed     map[spec.ActionID]ending // receipts that have not landed
	verdicts map[spec.ActionID]verdict
}

// New returns an executor. It reads nothing yet.
func New(opts Options) *Executor {
	if opts.ClaimFor <= 0 {
		opts.ClaimFor = 2 * time.Minute
	}
	if opts.Grace <= 0 {
		opts.Grace = time.Minute
	}
	if opts.Drain <= 0 {
		opts.Drain = 20 * time.Second
	}
	if opts.Suspended == nil {
		opts.Suspended = func(Work) string { return "" }
	}
	if opts.Limits == nil {
		opts.Limits = func(Work) ([]Limit, error) { return nil, nil }
	}
	if opts.Barrier == nil {
		opts.Barrier = func(string) {}
	}
	return &Executor{
		opts: opts, judge: Judge{History: opts.Remote, Branch: opts.Branch, Path: opts.Path, FleetAt: opts.FleetAt, DeclaredAt: opts.DeclaredAt}, busy: map[spec.ActionID]bool{}, owed: map[spec.ActionID]ending{},
		verdicts: map[spec.ActionID]verdict{},
	}
}

// Work is one merged Action, at the revision that is declared.
type Work struct {
	Action   *spec.Action
	Revision spec.Revision
	// Fleet is what the revision declares. The Action's tool server is looked up there.
	Fleet *spec.Fleet
	// Trusted lists the approvers and the ledger that count now, whatever an older or newer revision says: who approves
	// must be listed there too. Nil means Fleet.
	Trusted *spec.Fleet
	// Policies are those that count now. Nil are the Fleet's.
	Policies []*spec.Policy
	// Direct is set for an Action that a policy rule lets be executed without a review, as [NewDirect] returns it.
	Direct *spec.DirectCall
}

func (w Work) policies() []*spec.Policy {
	if w.Policies != nil {
		return w.Policies
	}
	return w.Fleet.Policies
}

func (w Work) trusted() *spec.Fleet {
	if w.Trusted != nil {
		return w.Trusted
	}
	return w.Fleet
}

// Execute brings an Action as far as it can go now, and returns where it stands: done or failed with its receipt, or
// what it waits for, or why it is refused. It may be called again at any time, by any number of executors. An error says
// that the remote or the ledger could not be read or written, and that a later call goes on from here.
func (e *Executor) Execute(ctx context.Context, w Work) (State, error) {
	id := w.Action.ID
	e.mu.Lock()
	if e.busy[id] {
		e.mu.Unlock()
		return State{State: Waiting, Message: "this process is executing it"}, nil
	}
	e.busy[id] = true
	end, owed := e.owed[id]
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.busy, id)
	}()
	if owed {
		return e.finish(ctx, end)
	}
	state, err := e.execute(ctx, w)
	if err != nil {
		return state, fmt.Errorf("execute %s: %w", id, err)
	}
	return state, nil
}

func (e *Executor) execute(ctx context.Context, w Work) (State, error) {
	if err := e.opts.Ledger.Read(ctx); err != nil {
		return State{State: Waiting, Message: err.Error()}, err
	}
	state, err := e.State(w)
	if err != nil || !e.mayClaim(w, state) {
		return state, err
	}
	if w.Direct == nil {
		if err := e.stillMerged(w); err != nil {
			return State{State: Waiting, Message: err.Error()}, nil
		}
	}
	if server, _, err := e.tool(w); err == nil && e.opts.Pinned != nil {
		if err := e.opts.Pinned(ctx, server); err != nil {
			return State{State: Waiting, Message: err.Error()}, nil
		}
	}
	if state.State == Unknown { // What is held is not tried again either, and stays unknown.
		if h, err := e.held(w); err != nil || h.holds() {
			return state, err
		}
		// It may have happened, and so is not begun again for nothing.
		if failed, err := e.checkPrecondition(ctx, w); err != nil || failed != "" {
			if err != nil {
				failed = err.Error()
			}
			state.Message = failed + "; " + state.Message
			return state, nil
		}
	}
	claim, err := e.claim(ctx, w, state)
	if err != nil {
		return e.lost(w, err)
	}
	if w.Direct != nil { // Others may have claimed it by other policies. With the receipt all know that nothing is done.
		if d := Decide(w); d.Decision != spec.DecisionAllow {
			return e.notDone(ctx, claim, join("the newest policy does not let it through any more: "+d.Rule, d.Reason))
		}
	}
	if failed, err := e.checkPrecondition(ctx, w); err != nil {
		return State{State: Claimed, Message: err.Error()}, nil
	} else if failed != "" {
		return e.notDone(ctx, claim, failed)
	}
	if !e.opts.Now().Before(w.Action.Expires) {
		return e.State(w)
	}
	if h, err := e.held(w); err != nil || h.holds() {
		return h.state(state), err // The claim is kept while it lasts: it is this executor's turn where that ends sooner.
	}
	start, err := e.start(ctx, w, claim)
	if err != nil {
		return e.lost(w, err)
	}
	return e.effect(ctx, w, start)
}

// MayGoOn reports whether Execute would bring an Action in that state any further.
func (e *Executor) MayGoOn(w Work, s State) bool { return !s.Settled() || e.mayClaim(w, s) }

// mayClaim reports whether the state is one that this executor goes on from.
func (e *Executor) mayClaim(w Work, s State) bool {
	switch s.State {
	case Pending:
		return true
	case Claimed: // Whoever let it start again may count no more.
		return s.Executor == e.opts.Name && (s.again() != spec.RetryIdempotent || e.idempotent(w))
	case Unknown:
		refused, _, err := e.mayExecute(w, s)
		return err == nil && refused == "" && !s.disputed && e.idempotent(w) && e.opts.Now().Before(w.Action.Expires)
	}
	return false
}

func (e *Executor) idempotent(w Work) bool {
	_, tool, err := e.tool(w)
	return err == nil && tool.Idempotent
}

// tool returns the Action's tool as the newest revision declares it.
func (e *Executor) tool(w Work) (*spec.ToolServer, spec.ToolSpec, error) {
	a := w.Action.Spec
	server, ok := w.Fleet.Servers[a.Server]
	if !ok {
		return nil, spec.ToolSpec{}, fmt.Errorf("tool server %q is not declared any more", a.Server)
	}
	tool, ok := server.Spec.Tools[a.Tool]
	if !ok || tool.Effect != spec.EffectWrite {
		return nil, spec.ToolSpec{}, fmt.Errorf("%s declares no write tool %q any more", server.Place.File, a.Tool)
	}
	return server, tool, nil
}

// stillMerged reports whether the branch, as the last fetch has shown it, still holds the Action as it was merged.
func (e *Executor) stillMerged(w Work) error {
	tip := e.opts.Ledger.branch(e.opts.Branch)
	file := e.judge.File(w.Action.ID)
	now, err := e.judge.object(tip, file)
	if err != nil {
		return err
	}
	was, err := e.judge.object(w.Revision.Commit(), file)
	if err != nil {
		return err
	}
	if now != was {
		return fmt.Errorf("%s has been changed or removed on %s meanwhile", file, e.opts.Branch)
	}
	return nil
}

// lost is what becomes of an Action that this executor could not take the next step with.
func (e *Executor) lost(w Work, err error) (State, error) {
	if errors.Is(err, errLost) {
		return e.State(w)
	}
	if h, ok := asHeld(err); ok {
		return h.state(State{}), nil
	}
	return State{State: Waiting, Message: err.Error()}, err
}

// maxResult bounds the result that a receipt keeps, in bytes of JSON.
const maxResult = 256 << 10

// receipt writes down how an Action ended.
func (e *Executor) receipt(of spec.LedgerEntry, r Result, outcome, message string) spec.LedgerEntry {
	entry := spec.LedgerEntry{
		Step: spec.StepReceipt, Action: of.Action, Digest: of.Digest, Nonce: of.Nonce, Executor: of.Executor,
		At: e.opts.Now().UTC(), Outcome: outcome, Message: message,
	}
	value := r.Structured
	if value == nil && r.Text != "" {
		value = r.Text
	}
	if value == nil {
		return entry
	}
	b, err := json.Marshal(value)
	if err == nil && len(b) > maxResult {
		err = fmt.Errorf("it has %d bytes, and the limit is %d", len(b), maxResult)
	}
	if err != nil {
		entry.Message = join(entry.Message, fmt.Sprintf("the result is left out: %v", err))
		return entry
	}
	entry.Result = b
	return entry
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
