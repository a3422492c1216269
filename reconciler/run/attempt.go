package run

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// work is one attempt at a run: a session with an agent's process. All of it belongs to the goroutine of Execute, which is
// the only writer of the record; the reader, the sender and those who serve requests talk to it through channels.
type work struct {
	*Engine
	record
	agent   *spec.Agent
	session Session
	// left is how long the agent may still work.
	left time.Duration
	// further says that this attempt has recorded an answer or a proposal.
	further bool

	// output is the final answer that is being checked, and checking the exchange that does it.
	output   *string
	checking *exchange

	seat     *seat
	replay   *replay
	sends    *sender
	messages chan received
	served   chan served
	servers  servers
	inFlight int
	// cut ends what is being served.
	cut context.CancelFunc
	// cutOff is the context of what is being served.
	cutOff context.Context
}

// servers are the goroutines that serve a run's requests. A turn's request is taken by one that has served another, for a new one
// would have to grow its stack again, which costs as much as all that is decided about a turn.
type servers struct {
	idle chan func()
	all  sync.WaitGroup
}

// serve has a request served. Only one goroutine calls serve and end.
func (s *servers) serve(request func()) {
	select {
	case s.idle <- request:
	default:
		s.all.Go(func() {
			for ok := true; ok; request, ok = <-s.idle {
				request()
			}
		})
	}
}

// end waits until all requests are served.
func (s *servers) end() {
	close(s.idle)
	s.all.Wait()
}

type received struct {
	Message
	err error
}

// attempt serves the session until it ends, and leaves no goroutine behind.
func (w *work) attempt(ctx context.Context) (spec.RunSummary, error) {
	w.replay = newReplay(w.state.exchanges)
	w.messages, w.served = make(chan received), make(chan served, MaxOutstanding)
	w.servers = servers{idle: make(chan func())}
	w.cutOff, w.cut = context.WithCancel(context.WithoutCancel(ctx))
	w.sends = newSender(w.session)
	quit, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(read)
		w.read(quit)
	}()

	how := w.serve(ctx)
	if !how.lost {
		err := w.drain()
		if err == nil && how.outcome == nil { // An outcome is written together with what is held.
			err = w.flush(ctx)
		}
		if err != nil {
			how = *lost(err)
		}
	}
	w.cut()
	w.servers.end()
	close(quit)
	switch {
	case how.outcome != nil:
		// The outcome is recorded first, so that nothing that happens to the process matters any more.
		sum, err := w.finish(ctx, how.outcome)
		w.stop(how, read)
		return sum, err
	case how.err != nil:
		w.stop(how, read)
		return w.ended(ctx, how.err)
	}
	w.stop(how, read)
	w.forget(w.run)
	w.rise(w.run, w.seat) // Who writes into the record from now on queues the run.
	if _, err := w.catchUp(ctx); err != nil {
		return w.ended(ctx, err)
	}
	if w.state.ready() { // The last answer came while the agent was let go.
		return w.execute(ctx, w.run)
	}
	sum, err := w.keep(ctx, "")
	if err == nil {
		w.observe(Event{Type: Waiting, Task: w.state.task, Text: waitsFor(sum)})
	}
	return sum, err
}

// waitsFor says what keeps a run waiting.
func waitsFor(sum spec.RunSummary) string {
	var all []string
	direct := func(p spec.Proposal) bool { return p.Kind == spec.ProposalDirect }
	if slices.ContainsFunc(sum.Waiting, func(p spec.Proposal) bool { return !direct(p) }) {
		all = append(all, "a review")
	}
	if slices.ContainsFunc(sum.Waiting, direct) {
		all = append(all, "the end of a call without a review")
	}
	if len(sum.Children) > 0 {
		all = append(all, "another agent")
	}
	return strings.Join(all, " and ")
}

// read passes on what the agent sends until the session ends.
func (w *work) read(quit <-chan struct{}) {
	for {
		m, err := w.session.Recv()
		select {
		case w.messages <- received{m, err}:
		case <-quit:
		}
		if err != nil {
			return
		}
	}
}

// serve is the loop of an attempt.
func (w *work) serve(ctx context.Context) end {
	err := w.append(ctx, spec.Entry{Type: spec.EntryAttempt, Attempt: &spec.Attempt{PID: w.session.PID(), Isolation: w.session.Isolation()}})
	if err == nil {
		_, err = w.keep(ctx, spec.PhaseRunning)
	}
	if err != nil {
		return *lost(err)
	}
	w.observe(Event{Type: Started, Task: w.state.task, PID: w.session.PID(), Isolation: w.session.Isolation()})
	wall := w.opts.After(w.left)
	var broken <-chan time.Time
	var sendErr error
	held := 0 // how often in a row the agent was kept because its children work
	for {
		var settled <-chan time.Time
		if waits, children := w.onlyWaits(); children {
			settled = w.opts.After(childTime)
		} else if waits {
			settled = w.opts.After(settleTime)
		}
		var hold <-chan time.Time
		if len(w.held) > 0 {
			hold = w.opts.After(holdTime)
		}
		var how *end
		select {
		case <-ctx.Done():
			how = &end{err: ctx.Err()}
		case <-wall:
			how = &end{outcome: w.outOfTime()}
		case <-hold:
			if err := w.flush(ctx); err != nil {
				how = lost(err)
			}
		case <-settled:
			if held++; held < childHold && w.childAtWork() {
				continue
			}
			select {
			case <-w.seat.poke: // A child that is not at work any more has told its end before.
				how = w.poked(ctx)
			default:
				how = &end{}
			}
		case <-w.seat.poke:
			how = w.poked(ctx)
		case sendErr = <-w.sends.failed:
			// The reader learns better why the process ended, and soon.
			broken = w.opts.After(cancelTime)
		case <-broken:
			how = &end{err: &exited{sendErr}}
		case m := <-w.messages:
			how = w.hear(ctx, m)
		case s := <-w.served:
			if s.err != nil {
				if err := w.tried(ctx, s); err != nil {
					how = lost(err)
				} else {
					how = &end{err: &unserved{s.err}}
				}
			} else if err := w.settle(ctx, s); err != nil {
				how = lost(err)
			}
		}
		if how == nil {
			how = w.judged()
		}
		if how != nil {
			return *how
		}
		held = 0
	}
}

// poked looks at what others have written into the record.
func (w *work) poked(ctx context.Context) *end {
	err := w.takeIn(ctx)
	if err == nil {
		_, err = w.keep(ctx, spec.PhaseRunning)
	}
	if err != nil {
		return lost(err)
	}
	return nil
}

// onlyWaits says that the agent has nothing to go on with but the decisions about its proposals and the ends of its children,
// and whether it waits for children.
func (w *work) onlyWaits() (waits, children bool) {
	for _, x := range w.state.exchanges {
		if x.asked && x.answer == nil {
			if !x.waits() {
				return false, false
			}
			waits, children = true, children || x.child != nil
		}
	}
	return waits, children
}

// hear takes in one message of the agent.
func (w *work) hear(ctx context.Context, m received) *end {
	switch {
	case m.err != nil && w.output != nil:
		w.messages = nil // The agent has said all, and its output is being checked.
	case m.err != nil:
		return &end{err: &exited{m.err}, over: true}
	case m.Request != nil:
		outcome, err := w.ask(ctx, m.Message)
		switch {
		case err != nil:
			return lost(err)
		case outcome != nil:
			return &end{outcome: outcome}
		}
	case m.Failure != nil:
		return &end{outcome: failed(AgentFailed, "%s", *m.Failure), over: true}
	case m.Result != nil:
		return w.result(ctx, strings.ToValidUTF8(*m.Result, "\uFFFD"))
	}
	return nil
}

// result takes in the agent's final answer. The attempt goes on where that must be checked yet.
func (w *work) result(ctx context.Context, output string) *end {
	if x := w.replay.left(); x != nil {
		return &end{outcome: failed(Diverged, "exchange %d was %s, and now the agent ends without it", x.n, name(x.request)), over: true}
	}
	if most := w.agent.Limits.OutputBytes; len(output) > most {
		return &end{outcome: w.limit("outputBytes", "the final answer has %s of at most %s", bytesText(len(output)), bytesText(most)), over: true}
	}
	if w.agent.CheckOf(w.state.task) == nil {
		return &end{outcome: succeeded(output), over: true}
	}
	return w.checkResult(ctx, output)
}

func succeeded(output string) *spec.Outcome {
	return &spec.Outcome{Phase: spec.PhaseSucceeded, Output: output}
}

// drain waits for what is being served, so that effects are recorded, but not for long.
func (w *work) drain() error {
	late := w.opts.After(drainTime)
	for w.inFlight > 0 {
		select {
		case <-late:
			return nil
		case s := <-w.served:
			if s.err != nil {
				if err := w.tried(w.cutOff, s); err != nil { // It is asked again when the run goes on.
					return err
				}
			} else if err := w.settle(w.cutOff, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// stop ends the session, asking first where the agent has not ended by itself, and waits for reader and sender.
func (w *work) stop(how end, read <-chan struct{}) {
	if !how.over && w.output == nil {
		reason := "the run waits"
		switch {
		case how.outcome != nil:
			reason = how.outcome.Message
		case errors.Is(how.err, errEnded):
			reason = w.state.outcome.Message
		case how.err != nil:
			reason = "the host stops working on the run for now"
		}
		w.sends.cancel(reason)
		select {
		case <-read:
		case <-w.opts.After(cancelTime):
		}
	}
	w.session.Close()
	<-read
	w.sends.stop()
}
