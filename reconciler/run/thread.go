package run

import (
	"context"

	"github.com/mainstay-dev/mainstay/spec"
)

// Continue returns what the next run of a thread begins with, after the run of this record: its own history, and then,
// where it has succeeded, its task and its final answer. What a run did on the way there is not repeated, and of one that
// failed or was cancelled nothing is: a question without an answer would be asked again with each message.
func Continue(entries []spec.Entry) []spec.ThreadMessage {
	st, _ := fold(entries) // To report damage is the engine's part.
	history := append([]spec.ThreadMessage{}, st.task.History...)
	if st.outcome != nil && st.outcome.Phase == spec.PhaseSucceeded {
		history = append(history, spec.ThreadMessage{Role: spec.RoleUser, Text: st.task.Text},
			spec.ThreadMessage{Role: spec.RoleAssistant, Text: st.outcome.Output})
	}
	return history
}

// compact makes the history fit before the first attempt, and records what it has become. From then on it is fixed.
func (w *work) compact(ctx context.Context) (*spec.Outcome, error) {
	if w.opts.Compact == nil || w.state.compacted || w.state.attempts > 0 || len(w.state.task.History) == 0 {
		return nil, nil
	}
	asking, cut := context.WithCancel(ctx)
	defer cut()
	poked := make(chan struct{})
	go func() {
		defer close(poked)
		select {
		case <-w.seat.poke: // There is nothing to decide yet, so that the run was cancelled.
			cut()
		case <-asking.Done():
		}
	}()
	c, refused, err := w.opts.Compact(asking, w.state.task, w.agent)
	cut()
	<-poked
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if _, ended := w.catchUp(ctx); ended != nil {
		return nil, ended
	}
	switch {
	case err != nil:
		return nil, &unserved{err}
	case refused != "":
		return failed(LimitReached, "%s", refused), nil
	case c == nil:
		return nil, nil
	}
	return nil, w.append(ctx, spec.Entry{Type: spec.EntryCompaction, Compaction: c})
}
