package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/mainstay-dev/mainstay/spec"
)

// Exchange is one request of a record, and what became of it.
type Exchange struct {
	N       int
	Request spec.Request
	// Proposal is set where the request became one. Rule made it that, or is the answer's.
	Proposal *spec.Proposal
	Rule     string
	// Child is the task that another agent got, where the request became one.
	Child *spec.Task
	// Answer is nil while there is none.
	Answer *spec.Answer
}

// Recording is a record from which an agent can be answered once more. Each exchange is taken once. Its methods may be
// called by several goroutines at once.
type Recording struct {
	mu     sync.Mutex
	state  *state
	replay *replay
	taken  map[int]bool
}

// NewRecording reads a record. The error says which entry contradicts those before it.
func NewRecording(entries []spec.Entry) (*Recording, error) {
	if len(entries) == 0 || entries[0].Task == nil {
		return nil, errors.New("the record does not begin with a task")
	}
	s, err := fold(entries)
	if err != nil {
		return nil, err
	}
	return &Recording{state: s, replay: newReplay(s.exchanges), taken: map[int]bool{}}, nil
}

// maxRecord is the largest record that is read from outside, in bytes.
const maxRecord = 256 << 20

// ReadRecord reads a record as `mainstay logs RUN -o json` writes it.
func ReadRecord(r io.Reader) ([]spec.Entry, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxRecord+1))
	switch {
	case err != nil:
		return nil, err
	case len(raw) > maxRecord:
		return nil, fmt.Errorf("it is larger than %s", bytesText(maxRecord))
	}
	var entries []spec.Entry
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, fmt.Errorf("it is no record, which `mainstay logs RUN -o json` writes: %w", err)
	}
	if _, err := NewRecording(entries); err != nil {
		return nil, err
	}
	return entries, nil
}

// Task is what the run was about.
func (r *Recording) Task() spec.Task { return r.state.task }

// Outcome is how the run ended, nil where it has not.
func (r *Recording) Outcome() *spec.Outcome { return r.state.outcome }

// Len is how many exchanges the record has.
func (r *Recording) Len() int { return len(r.state.exchanges) }

// Take returns the exchange that a request repeats, by the rules by which runs are resumed. It is nil for a request that the
// record does not have; then expected is what should have been asked in its place, or nil where the lane has come to its end.
func (r *Recording) Take(q spec.Request) (x, expected *Exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	got, instead := r.replay.match(q)
	return r.take(got), instead.shown()
}

// Next takes the next request of a kind in a lane, whatever it says, or returns nil.
func (r *Recording) Next(lane spec.Lane, kind string) *Exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.replay.ordered[lane], func(x *exchange) bool { return x.request.Kind == kind })
	if i < 0 {
		return nil
	}
	x := r.replay.ordered[lane][i]
	r.replay.ordered[lane] = slices.Delete(r.replay.ordered[lane], i, i+1)
	return r.take(x)
}

// Result takes the first tool call that is answered and that same reports to be the one at hand, whatever its lane and call
// id, or returns nil.
func (r *Recording) Result(same func(body json.RawMessage) bool) *Exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.state.exchanges {
		if x.request.Kind != spec.RequestTool || x.answer == nil || r.taken[x.n] || !same(x.request.Body) {
			continue
		}
		lane := x.request.Lane
		r.replay.tools[lane] = slices.DeleteFunc(r.replay.tools[lane], func(one *exchange) bool { return one == x })
		return r.take(x)
	}
	return nil
}

// Left returns the first exchange with a model or a tool that was not taken, or nil.
func (r *Recording) Left() *Exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.replay.left().shown()
}

func (r *Recording) take(x *exchange) *Exchange {
	if x != nil {
		r.taken[x.n] = true
	}
	return x.shown()
}

func (x *exchange) shown() *Exchange {
	if x == nil {
		return nil
	}
	e := &Exchange{N: x.n, Request: x.request, Proposal: x.proposal, Rule: x.rule, Child: x.child, Answer: x.answer}
	if e.Rule == "" && x.answer != nil {
		e.Rule = x.answer.Rule
	}
	return e
}

// Name is a request in a few words.
func Name(q spec.Request) string { return name(q) }

// Memory is a [Log] of one run that is forgotten with the process.
type Memory struct {
	mu      sync.Mutex
	entries []spec.Entry
}

// NewMemory begins the record of a task.
func NewMemory(task spec.Task) *Memory {
	return &Memory{entries: []spec.Entry{{Type: spec.EntryTask, At: task.At, Task: &task}}}
}

// Append adds entries. Nobody else writes, so that there is no conflict.
func (m *Memory) Append(_ context.Context, _ spec.RunID, _ uint64, entries ...spec.Entry) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = append(m.entries, entries...)
	return uint64(len(m.entries)), nil
}

// Record returns the entries.
func (m *Memory) Record(context.Context, spec.RunID) ([]spec.Entry, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.entries), uint64(len(m.entries)), nil
}

// PutRun keeps nothing: nobody lists the run.
func (m *Memory) PutRun(context.Context, spec.RunSummary) error { return nil }

// ShowRun shows nothing.
func (m *Memory) ShowRun(spec.RunSummary) {}

// GetRun finds nothing.
func (m *Memory) GetRun(context.Context, spec.RunID) (spec.RunSummary, error) {
	return spec.RunSummary{}, notKept{}
}

type notKept struct{}

func (notKept) Error() string  { return "it is not kept" }
func (notKept) NotFound() bool { return true }
