package execute

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// errLost means that another executor is ahead; errHave that the entry is there already.
var (
	errLost = errors.New("another executor is ahead")
	errHave = errors.New("the entry is there")
)

// claim takes the Action. An expired claim, this executor's own after a restart, and an unknown start of an idempotent
// tool are taken over with a claim of the next number. After an unreadable push nothing is done: the next call finds
// this executor's own claim, or none.
func (e *Executor) claim(ctx context.Context, w Work, s State) (spec.LedgerEntry, error) {
	nonce := make([]byte, 16)
	if _, err := io.ReadFull(e.opts.Random, nonce); err != nil {
		return spec.LedgerEntry{}, fmt.Errorf("make a nonce: %w", err)
	}
	at := e.opts.Now().UTC()
	deadline := at.Add(e.opts.ClaimFor)
	shares, err := e.crowdOf(w)
	if err != nil {
		return spec.LedgerEntry{}, err
	}
	claim := spec.LedgerEntry{
		Target: shares.target, Limits: shares.names(), Step: spec.StepClaim, Action: w.Action.ID, Digest: w.Action.Digest, Nonce: hex.EncodeToString(nonce),
		Executor: e.opts.Name, At: at, Approval: s.Approval, Direct: w.Direct, Deadline: &deadline, Retry: s.again(),
	}
	return claim, e.append(ctx, claim, func(b *book, r *record) error {
		if last := r.claim(); last != nil && last.Nonce == claim.Nonce {
			return errHave
		}
		if now := r.state(e.opts.Now()); !e.mayClaim(w, now) || now.again() != claim.Retry {
			return errLost
		}
		if h := shares.crowded(b, w.Action.ID, e.opts.Now()); h.holds() {
			return &heldError{h}
		}
		return nil
	})
}

// start writes down that the effect begins. It returns only when it is known whether that has landed: a start that is
// there and not followed by its effect would leave the Action unknown for nothing.
func (e *Executor) start(ctx context.Context, w Work, claim spec.LedgerEntry) (spec.LedgerEntry, error) {
	server, tool, err := e.tool(w)
	if err != nil {
		return spec.LedgerEntry{}, err
	}
	start := claim
	start.Step, start.Approval, start.Direct, start.Retry, start.At = spec.StepStarted, nil, nil, "", e.opts.Now().UTC()
	deadline := start.At.Add(timeout(server, tool) + e.opts.Grace)
	start.Deadline = &deadline
	sent := false // and it may still land, whatever became of a later try
	for try := 0; ; try++ {
		err := e.append(ctx, start, func(_ *book, r *record) error {
			switch last := r.claim(); {
			case r.started(start.Nonce) != nil:
				return errHave
			case last == nil || last.Nonce != start.Nonce || r.checkAgain(last.Retry) != nil:
				return errLost
			}
			return nil
		})
		sent = sent || errors.Is(err, remote.ErrUncertain)
		if err == nil || errors.Is(err, errLost) || !sent {
			return start, err
		}
		if err := e.pause(ctx, try); err != nil {
			return start, err
		}
	}
}

// append adds an entry, unless decide, shown what the ledger holds about the Action, says that it is there or lost.
func (e *Executor) append(ctx context.Context, entry spec.LedgerEntry, decide func(*book, *record) error) error {
	err := e.opts.Ledger.append(ctx, author{name: e.opts.Ledger.opts.Name, email: e.opts.Ledger.opts.Email, signer: e.opts.Signer},
		func(b *book) (draft, error) {
			r := b.record(entry.Action)
			if err := decide(b, r); err != nil {
				return draft{}, err
			}
			return entryDraft(entry, r)
		})
	if errors.Is(err, errHave) {
		return nil
	}
	return err
}

// preconditionTries bounds how often a precondition's tool is called that cannot be reached.
const preconditionTries = 3

// checkPrecondition returns why the Action must not be executed, or "". An error says that ctx ended before that was known.
func (e *Executor) checkPrecondition(ctx context.Context, w Work) (failed string, err error) {
	p := w.Action.Spec.Precondition
	if p == nil {
		return "", nil
	}
	server, _, err := e.tool(w)
	if err != nil {
		return err.Error(), nil
	}
	if server.Spec.Tools[p.Tool].Effect != spec.EffectRead {
		return fmt.Sprintf("the precondition's tool %q is not a read tool of %s", p.Tool, server.Name), nil
	}
	check, err := spec.NewPrecondition(p.Check)
	if err != nil {
		return fmt.Sprintf("the precondition cannot be checked: %v", err), nil
	}
	var result Result
	for try := 0; ; try++ {
		result, err = e.opts.Tools.Call(ctx, server, p.Tool, maps.Clone(p.Arguments), "")
		if ctx.Err() != nil {
			return "", fmt.Errorf("check the precondition: %w", ctx.Err())
		}
		if err == nil || try+1 == preconditionTries {
			break
		}
		if err := e.pause(ctx, try); err != nil {
			return "", err
		}
	}
	switch {
	case err != nil:
		return fmt.Sprintf("the precondition cannot be checked: %v", err), nil
	case result.IsError:
		return fmt.Sprintf("the precondition cannot be checked: %s says: %s", p.Tool, short(result.Text)), nil
	}
	var value any = result.Text
	if result.Structured != nil {
		value = result.Structured
	}
	holds, err := check.Holds(map[string]any{"result": value})
	switch {
	case err != nil:
		return fmt.Sprintf("the precondition cannot be checked: %v", err), nil
	case !holds:
		return fmt.Sprintf("the precondition does not hold any more: %s", p.Check), nil
	}
	return "", nil
}

// effect makes the call, and writes the receipt of what is known for sure.
func (e *Executor) effect(ctx context.Context, w Work, start spec.LedgerEntry) (State, error) {
	server, tool, err := e.tool(w)
	if err != nil {
		return e.notDone(ctx, start, err.Error())
	}
	if e.opts.Now().Add(timeout(server, tool)).After(*start.Deadline) {
		return e.notDone(ctx, start, "the ledger could not be reached for so long that the effect might end after its deadline")
	}
	// A shutdown gives a call that is under way the time to end: to cut it off is to make it unknown.
	calling, cancel := e.linger(ctx)
	defer cancel()
	calling, stop := context.WithTimeout(calling, timeout(server, tool)+e.opts.Grace/2)
	defer stop()
	e.opts.Barrier(PointBeforeEffect + " " + string(w.Action.ID))
	result, err := e.opts.Tools.Call(calling, server, w.Action.Spec.Tool, maps.Clone(w.Action.Spec.Arguments), string(w.Action.ID))
	e.opts.Barrier(PointAfterEffect + " " + string(w.Action.ID))
	switch {
	case errors.Is(err, ErrNotSent):
		return e.notDone(ctx, start, short(err.Error()))
	case err != nil:
		return State{
			State: Started, Executor: start.Executor, At: start.At, Deadline: *start.Deadline,
			Message: fmt.Sprintf("%s; it becomes unknown at %s", short(err.Error()), start.Deadline.Format(time.RFC3339)),
		}, nil
	case result.IsError:
		return e.finish(ctx, ending{receipt: e.receipt(start, result, spec.OutcomeFailed, fmt.Sprintf("%s says: %s", w.Action.Spec.Tool, short(result.Text)))})
	}
	return e.finish(ctx, ending{receipt: e.receipt(start, result, spec.OutcomeDone, "")})
}

// ending is a receipt that is to be written.
type ending struct {
	receipt spec.LedgerEntry
	// notDone says that the tool was not called under this claim. That it was not done at all is only true where nobody else
	// has started it, before or since: otherwise there is no receipt, and it is unknown again.
	notDone bool
}

// notDone ends an Action whose tool was not called.
func (e *Executor) notDone(ctx context.Context, entry spec.LedgerEntry, why string) (State, error) {
	return e.finish(ctx, ending{receipt: e.receipt(entry, Result{}, spec.OutcomeFailed, why+"; nothing was done"), notDone: true})
}

// finish pushes a receipt until it lands. Where ctx ends first the receipt is kept, and the next call of Execute goes on.
func (e *Executor) finish(ctx context.Context, end ending) (State, error) {
	receipt := end.receipt
	e.owe(receipt.Action, &end)
	pushing, cancel := e.linger(ctx)
	defer cancel()
	for try := 0; ; try++ {
		err := e.append(pushing, receipt, func(_ *book, r *record) error {
			switch {
			case r.receipt != nil && r.receipt.Nonce == receipt.Nonce:
				return errHave
			case r.receipt != nil, end.notDone && r.startedElse(receipt.Nonce):
				return errLost
			}
			return nil
		})
		if err == nil || errors.Is(err, errLost) {
			e.owe(receipt.Action, nil)
			return e.opts.Ledger.state(receipt.Action, e.opts.Now())
		}
		if e.pause(pushing, try) != nil {
			return State{State: Started, Executor: receipt.Executor, Message: "the receipt has not landed in the ledger yet: " + err.Error()},
				fmt.Errorf("write the receipt of %s (outcome %s): %w", receipt.Action, receipt.Outcome, err)
		}
	}
}

// owe remembers what is to be written about an Action; nil is nothing.
func (e *Executor) owe(id spec.ActionID, end *ending) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if end != nil {
		e.owed[id] = *end
	} else {
		delete(e.owed, id)
	}
}

// linger returns a context that ends Options.Drain after ctx.
func (e *Executor) linger(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-e.opts.After(e.opts.Drain):
			cancel()
		case <-out.Done():
		}
	})
	return out, func() { stop(); cancel() }
}

// The waits between two tries: they double from first to most.
const (
	firstPause = 200 * time.Millisecond
	mostPause  = 10 * time.Second
)

func (e *Executor) pause(ctx context.Context, try int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-e.opts.After(min(firstPause<<min(try, 10), mostPause)):
		return ctx.Err()
	}
}

// timeout is how long a call of the tool may take.
func timeout(server *spec.ToolServer, tool spec.ToolSpec) time.Duration {
	if t := time.Duration(tool.Timeout); t > 0 {
		return t
	}
	return server.Timeout
}

// maxMessage bounds what a tool says in a receipt's message, in bytes.
const maxMessage = 2 << 10

func short(s string) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "") + "…"
}

// Person is somebody who decides, with a key of their own.
type Person struct {
	Name, Email string
	Signer      *remote.Signer
}

// Resolve records what a person has found out about an unknown Action: [spec.OutcomeDone] or [spec.OutcomeAbandoned], which
// are final, or [spec.OutcomeRetry], which lets one more start follow the last one, from [RetryFrom] on. The person's key must be among the
// approvers, and the reason is not empty.
func (l *Ledger) Resolve(ctx context.Context, id spec.ActionID, outcome, reason string, by Person) error {
	if !slices.Contains([]string{spec.OutcomeDone, spec.OutcomeAbandoned, spec.OutcomeRetry}, outcome) {
		return fmt.Errorf("resolve %s: the outcome %q is neither done, abandoned nor retry", id, outcome)
	}
	if strings.TrimSpace(reason) == "" {
		return fmt.Errorf("resolve %s: a resolution has a reason", id)
	}
	if err := l.Read(ctx); err != nil {
		return fmt.Errorf("resolve %s: %w", id, err)
	}
	err := l.append(ctx, author{name: by.Name, email: by.Email, signer: by.Signer}, func(b *book) (draft, error) {
		r := b.record(id)
		if _, ok := b.actions[id]; !ok {
			return draft{}, errors.New("the ledger knows no such Action: `mainstay get actions` lists those there are")
		}
		s := r.state(l.opts.Now())
		if s.State == Started || s.State == Waiting {
			return draft{}, fmt.Errorf("it is %s, and only an unknown Action is resolved: %s", s.State, s.Message)
		}
		if s.State != Unknown {
			return draft{}, fmt.Errorf("it is %s: only an unknown Action is resolved", s.State)
		}
		last := r.lastStart()
		if from := RetryFrom(*last); outcome == spec.OutcomeRetry && l.opts.Now().Before(from) {
			return draft{}, fmt.Errorf("--retry is possible from %s on: its deadline was %s, and by a clock that is an hour behind the call may be under way until then; --done and --abandon are possible now, and a tool that is declared idempotent is called again without a person",
				from.Format(time.RFC3339), last.Deadline.UTC().Format(time.RFC3339))
		}
		return entryDraft(spec.LedgerEntry{
			Step: spec.StepResolution, Action: id, Digest: last.Digest, Nonce: last.Nonce, Executor: by.Name,
			At: l.opts.Now().UTC(), Outcome: outcome, Message: short(reason),
		}, r)
	})
	if err != nil {
		return fmt.Errorf("resolve %s: %w", id, err)
	}
	return nil
}
