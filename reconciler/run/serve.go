package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/mainstay-dev/mainstay/spec"
)

// served is what has become of a request that was passed on.
type served struct {
	x     *exchange
	reply Reply
	// child is the task that a delegation makes.
	child *spec.Task
	err   error
}

// ask takes in a request: one of the record's, or a new one.
func (w *work) ask(ctx context.Context, m Message) (*spec.Outcome, error) {
	q := *m.Request
	if q.Lane == "" {
		q.Lane = spec.MainLane
	}
	if outcome := w.checkRequest(q); outcome != nil {
		return outcome, nil
	}
	x, expected := w.replay.match(q)
	if expected != nil {
		return failed(Diverged, "%s", differs(expected, q)), nil
	}
	restarted := x != nil
	switch {
	case x != nil && (x.answer != nil || x.waits()):
		x.asked, x.id, x.stream = true, m.ID, m.Stream
		if x.answer != nil {
			w.sends.answer(x)
		} else if x.child != nil {
			w.listen(x)
		}
		return nil, nil
	case x == nil:
		if outcome := w.checkLimits(q); outcome != nil {
			return outcome, nil
		}
		if outcome, err := w.checkTree(ctx, q); outcome != nil || err != nil {
			return outcome, err
		}
		n := len(w.state.exchanges) + 1
		if err := w.append(ctx, spec.Entry{Type: spec.EntryRequest, N: n, Request: &q}); err != nil {
			return nil, err
		}
		x = w.state.exchange(n)
		w.observe(Event{Type: Asked, Task: w.state.task, N: n, Request: &x.request})
	default:
		if err := w.append(ctx, spec.Entry{Type: spec.EntryRequest, N: x.n, Request: &q, Restarted: true}); err != nil {
			return nil, err
		}
	}
	x.asked, x.id, x.stream = true, m.ID, m.Stream
	w.inFlight++
	call := Call{Task: w.state.task, Agent: w.agent, N: x.n, At: x.at, Restarted: restarted, Request: x.request}
	if x.request.Kind == spec.RequestModel {
		call.Turn, call.Spent = w.state.turn(x), slices.Clone(w.state.spent)
	}
	call.Images, call.Sources = maps.Clone(w.state.images), w.state.read
	id, stream := x.id, x.stream
	w.servers.serve(func() {
		s := served{x: x}
		if s.reply, s.err = w.answer(call, id, stream); s.err == nil && s.reply.Delegation != nil {
			s.child, s.reply.Answer, s.err = w.childTask(w.cutOff, call, *s.reply.Delegation)
		}
		w.served <- s
	})
	return nil, nil
}

// answer has a request answered. It runs in a goroutine of its own.
func (w *work) answer(call Call, id uint64, stream bool) (Reply, error) {
	ctx := w.cutOff
	reply, err := w.opts.Broker.Answer(ctx, call, func(text string) {
		w.observe(Event{Type: Delta, Task: call.Task, N: call.N, Text: text})
		w.passUp(call.Task.Parent, text, call.Sources)
		if stream {
			w.sends.delta(ctx, id, text)
		}
	})
	switch {
	case err != nil:
		return Reply{}, err
	case !reply.isOne():
		return Reply{}, fmt.Errorf("exchange %d got neither an answer, a proposal nor a task for another agent, or several of them", call.N)
	case reply.Answer != nil:
		return Reply{Answer: bounded(reply.Answer)}, nil
	case reply.Delegation != nil:
		return reply, nil
	}
	encoded, err := json.Marshal(reply.Proposal)
	if err != nil {
		return Reply{}, fmt.Errorf("encode the proposal of exchange %d: %w", call.N, err)
	}
	if len(encoded) > maxProposal {
		return Reply{Answer: &spec.Answer{Error: "the proposal is too large: " + bytesText(len(encoded)) + " of at most " + bytesText(maxProposal)}}, nil
	}
	known, err := w.opts.Proposals.Open(ctx, *reply.Proposal)
	if err != nil {
		return Reply{}, fmt.Errorf("open proposal %s: %w", reply.Proposal.Key, err)
	}
	if known != nil {
		return Reply{Answer: bounded(known)}, nil
	}
	return reply, nil
}

// isOne reports whether exactly one field is set.
func (r Reply) isOne() bool {
	set := 0
	for _, is := range []bool{r.Answer != nil, r.Proposal != nil, r.Delegation != nil} {
		if is {
			set++
		}
	}
	return set == 1
}

// bounded returns the answer, or one that says why the agent cannot have it.
func bounded(a *spec.Answer) *spec.Answer {
	switch size := len(a.Body) + len(a.Error); {
	case size > MaxBody:
		return &spec.Answer{Error: "the answer is too large: " + bytesText(size) + ", and at most " + bytesText(MaxBody) + " are passed on; ask for less"}
	case len(a.Body) > 0 && !json.Valid(a.Body):
		return &spec.Answer{Error: "the answer is no JSON and cannot be passed on"}
	}
	return a
}

const (
	// maxTries is for how many times a record says why a request has no answer now, besides those that have cost something.
	maxTries = 100
	// maxTried bounds the reason, in bytes.
	maxTried = 2000
)

// tried records why a request has no answer now, where that is news, and what it has cost.
func (w *work) tried(ctx context.Context, s served) error {
	w.inFlight--
	if w.cutOff.Err() != nil {
		return nil // The host ends.
	}
	e := spec.Entry{Type: spec.EntryTried, N: s.x.n, Error: clip(s.err.Error(), maxTried)}
	var told interface{ Tried() *spec.ModelDecision }
	if errors.As(s.err, &told) {
		e.Tried = told.Tried()
	}
	if e.Tried == nil && (s.x.delayed == e.Error || s.x.tries >= maxTries) {
		return nil
	}
	if err := w.append(ctx, e); err != nil {
		return err
	}
	_, err := w.keep(ctx, spec.PhaseRunning)
	return err
}

// settle records what has become of a request, and then lets the agent see it.
func (w *work) settle(ctx context.Context, s served) error {
	w.inFlight--
	x := s.x
	if s.child != nil {
		return w.delegate(ctx, x, *s.child, s.reply.Delegation.Rule)
	}
	if s.reply.Proposal != nil {
		if err := w.append(ctx, spec.Entry{Type: spec.EntryProposal, N: x.n, Proposal: s.reply.Proposal, Rule: s.reply.Rule}); err != nil {
			return err
		}
		w.further = true
		w.observe(Event{Type: Proposed, Task: w.state.task, N: x.n, Request: &x.request, Proposal: s.reply.Proposal})
	} else {
		if err := w.answered(ctx, x, *s.reply.Answer); err != nil {
			return err
		}
	}
	if k := x.request.Kind; k == spec.RequestTime || k == spec.RequestRandom {
		return nil // They change no summary that anyone looks at.
	}
	_, err := w.keep(ctx, spec.PhaseRunning)
	return err
}

// answered records an answer, at once or with what follows from it, and lets the agent see it, once it has asked. What others
// have waited for is never held: it is news to them, and nobody else can tell it again.
func (w *work) answered(ctx context.Context, x *exchange, answer spec.Answer) error {
	e := spec.Entry{Type: spec.EntryAnswer, At: w.opts.Now().UTC(), N: x.n, Answer: &answer}
	held := false
	if !x.waits() && x.asked {
		var err error
		if held, err = w.hold(e); err != nil {
			return err
		}
	}
	if !held {
		if err := w.append(ctx, e); err != nil {
			return err
		}
	}
	w.further = true
	w.observe(Event{Type: Answered, Task: w.state.task, N: x.n, Request: &x.request, Answer: &answer})
	if x.asked {
		w.sends.answer(x)
	}
	return nil
}

// append writes an entry, after what others have written in between.
func (w *work) append(ctx context.Context, e spec.Entry) error {
	return w.insist(ctx, func() error {
		if e.Type == spec.EntryAnswer && w.state.exchange(e.N).answer != nil {
			return nil // It is the one that was to be written: a child tells it, and who asks for it finds it.
		}
		e.At, e.Heard = w.opts.Now().UTC(), w.heard()
		return w.write(ctx, e)
	})
}

// flush writes the answers that are held.
func (w *work) flush(ctx context.Context) error {
	return w.insist(ctx, func() error {
		if len(w.held) == 0 {
			return nil
		}
		return w.put(ctx, w.held)
	})
}

// insist writes, and again after what others have written in between.
func (w *work) insist(ctx context.Context, write func() error) error {
	for {
		err := write()
		if !isConflict(err) {
			return err
		}
		count := w.count
		if err := w.takeIn(ctx); err != nil {
			return err
		}
		if w.count == count {
			return errTaken
		}
	}
}

// takeIn takes in what others have written, and lets the agent see the answers that it has asked for.
func (w *work) takeIn(ctx context.Context) error {
	decided, err := w.catchUp(ctx)
	for _, x := range decided {
		w.further = true
		if x.asked {
			w.sends.answer(x)
		}
	}
	return err
}
