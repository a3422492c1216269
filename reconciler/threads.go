package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// ThreadStatus is a thread at a glance.
type ThreadStatus struct {
	ID    spec.ThreadID  `json:"id"`
	Agent spec.AgentName `json:"agent"`
	// State is the phase of the last run.
	State string `json:"state"`
	// Messages counts those of the person and the agent's answers, Runs the runs that the store has of them.
	Messages int       `json:"messages"`
	Runs     int       `json:"runs"`
	Created  time.Time `json:"created"`
	// Used is when something was last said.
	Used time.Time `json:"used"`
	// Revision is what the last run is pinned to. The next one has the newest.
	Revision spec.Revision `json:"revision"`
}

// Thread is a conversation in full, as far as the store has its runs.
type Thread struct {
	ThreadStatus
	Turns []ThreadTurn `json:"turns"`
}

// ThreadTurn is one message of a person and what became of it.
type ThreadTurn struct {
	Run      spec.RunID    `json:"run"`
	At       time.Time     `json:"at"`
	Revision spec.Revision `json:"revision"`
	Said     string        `json:"said"`
	Phase    string        `json:"phase"`
	// Answer is set where the run has succeeded. Failure says why one has failed, and Waiting lists what one waits for.
	Answer  string             `json:"answer,omitempty"`
	Failure string             `json:"failure,omitempty"`
	Waiting []spec.ProposalKey `json:"waiting,omitempty"`
	// Left is how many messages the agent was not shown any more, because all were more than its model reads.
	Left int `json:"left,omitempty"`
}

// Threads lists the threads of a store, the one that was used last first.
func Threads(ctx context.Context, st *store.Store) ([]ThreadStatus, error) {
	keys, err := st.Keys(ctx, "thread")
	if err != nil {
		return nil, err
	}
	runs, err := runsOfThreads(ctx, st)
	if err != nil {
		return nil, err
	}
	list := []ThreadStatus{}
	for _, key := range keys {
		id := spec.ThreadID(strings.TrimPrefix(key, "thread/"))
		_, t, entries, err := readThread(ctx, st, id)
		if err != nil {
			return nil, err
		}
		if t != nil {
			list = append(list, threadStatus(id, *t, entries, runs[id]))
		}
	}
	slices.SortFunc(list, func(a, b ThreadStatus) int { return cmp.Or(b.Used.Compare(a.Used), cmp.Compare(a.ID, b.ID)) })
	return list, nil
}

// runsOfThreads returns the runs of all threads, each thread's in the order in which they began.
func runsOfThreads(ctx context.Context, st *store.Store) (map[spec.ThreadID][]spec.RunSummary, error) {
	all, err := st.Runs(ctx)
	if err != nil {
		return nil, err
	}
	runs := map[spec.ThreadID][]spec.RunSummary{}
	for _, s := range all {
		if s.Thread != "" {
			runs[s.Thread] = append(runs[s.Thread], s)
		}
	}
	for _, of := range runs {
		slices.SortFunc(of, func(a, b spec.RunSummary) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Run, b.Run)) })
	}
	return runs, nil
}

// threadStatus puts together what is known of a thread: entries is the record of its last run.
func threadStatus(id spec.ThreadID, t thread, entries []spec.Entry, runs []spec.RunSummary) ThreadStatus {
	last := run.Summarize(entries)
	s := ThreadStatus{ID: id, Agent: t.Agent, State: last.Phase, Created: t.Created, Used: t.Created, Revision: last.Revision, Runs: len(runs)}
	if t.Deleted {
		s.State = "deleted"
	}
	for _, r := range runs {
		s.Messages++
		if r.Phase == spec.PhaseSucceeded {
			s.Messages++
		}
		if r.Updated.After(s.Used) {
			s.Used = r.Updated
		}
	}
	return s
}

// ReadThread returns a thread of a store. The error wraps [ErrNoThread].
func ReadThread(ctx context.Context, st *store.Store, id spec.ThreadID) (Thread, error) {
	_, t, entries, err := readThread(ctx, st, id)
	if err == nil && t == nil {
		err = fmt.Errorf("thread %s: %w", id, ErrNoThread)
	}
	if err != nil {
		return Thread{}, err
	}
	runs, err := runsOfThreads(ctx, st)
	if err != nil {
		return Thread{}, err
	}
	shown := Thread{ThreadStatus: threadStatus(id, *t, entries, runs[id]), Turns: []ThreadTurn{}}
	for _, s := range runs[id] {
		entries, _, err := st.Record(ctx, s.Run)
		if err != nil {
			return Thread{}, err
		}
		if len(entries) > 0 {
			shown.Turns = append(shown.Turns, threadTurn(entries))
		}
	}
	return shown, nil
}

func threadTurn(entries []spec.Entry) ThreadTurn {
	s := run.Summarize(entries)
	turn := ThreadTurn{Run: s.Run, At: s.At, Revision: s.Revision, Said: s.Text, Phase: s.Phase}
	for _, e := range entries {
		if e.Compaction != nil {
			turn.Left = e.Compaction.Left
		}
	}
	if s.Outcome != nil {
		if s.Phase == spec.PhaseSucceeded {
			turn.Answer = s.Outcome.Output
		} else {
			turn.Failure = s.Outcome.Reason + ": " + s.Outcome.Message
		}
	}
	for _, p := range s.Waiting {
		turn.Waiting = append(turn.Waiting, p.Key)
	}
	return turn
}

// DeleteThread removes a thread and the records of its runs, and of those beneath them. What they have proposed, and what was executed, is in Git and
// stays. A run that is not finished is in the way: the error is a [*BusyError]. Where nobody works on runs, as without a
// daemon, only one that waits for a review is. The error wraps [ErrNoThread].
func DeleteThread(ctx context.Context, st *store.Store, id spec.ThreadID, live bool) error {
	held, t, entries, err := readThread(ctx, st, id)
	switch {
	case err != nil:
		return err
	case t == nil && held.Position != 0:
		return st.Drop(ctx, held)
	case t == nil:
		return fmt.Errorf("thread %s: %w", id, ErrNoThread)
	}
	if last := run.Summarize(entries); len(entries) > 0 && last.Outcome == nil && !t.Deleted && (live || last.Phase == spec.PhaseWaiting) {
		return &BusyError{Thread: id, Last: last}
	}
	// From here on nobody goes on with it. Whoever deletes it again, after a crash, completes that.
	t.Deleted, t.Next = true, nil
	err = swapThread(ctx, st, held, *t)
	if errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("thread %s is being used; try again", id)
	} else if err != nil {
		return fmt.Errorf("delete thread %s: %w", id, err)
	}
	runs, err := runsOfThreads(ctx, st)
	if err != nil {
		return err
	}
	all, err := st.Runs(ctx)
	if err != nil {
		return err
	}
	for _, s := range runs[id] {
		for _, below := range treeOf(s.Run, all) {
			if err := st.Forget(ctx, below.Run); err != nil {
				return fmt.Errorf("delete thread %s: %w", id, err)
			}
		}
	}
	if held, err = st.Held(ctx, threadKey(id)); err != nil {
		return err
	}
	return st.Drop(ctx, held)
}

// DeleteThread deletes a thread of the reconciler's store; see [DeleteThread].
func (r *Reconciler) DeleteThread(ctx context.Context, id spec.ThreadID) error {
	err := DeleteThread(ctx, r.parts.Store, id, true)
	r.knowledge.RunsChanged()
	r.Look()
	return err
}
