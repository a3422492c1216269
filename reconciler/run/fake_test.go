package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

var errCrash = errors.New("the process was killed")

type conflictError struct{}

func (conflictError) Error() string  { return "conflict" }
func (conflictError) Conflict() bool { return true }

// memory is a Log in memory. Like the real one it keeps JSON.
type memory struct {
	mu        sync.Mutex
	records   map[spec.RunID][][]byte
	summaries map[spec.RunID]spec.RunSummary
}

func newMemory() *memory {
	return &memory{records: map[spec.RunID][][]byte{}, summaries: map[spec.RunID]spec.RunSummary{}}
}

func (m *memory) Append(_ context.Context, run spec.RunID, after uint64, entries ...spec.Entry) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if uint64(len(m.records[run])) != after {
		return 0, conflictError{}
	}
	for _, e := range entries {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false) // Bodies keep their bytes.
		if err := enc.Encode(e); err != nil {
			return 0, err
		}
		m.records[run] = append(m.records[run], b.Bytes())
	}
	return uint64(len(m.records[run])), nil
}

func (m *memory) Record(_ context.Context, run spec.RunID) ([]spec.Entry, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	entries := make([]spec.Entry, len(m.records[run]))
	for i, b := range m.records[run] {
		if err := json.Unmarshal(b, &entries[i]); err != nil {
			return nil, 0, err
		}
	}
	return entries, uint64(len(entries)), nil
}

func (m *memory) PutRun(_ context.Context, s spec.RunSummary) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.summaries[s.Run].Entries <= s.Entries { // As in the real one, a summary of fewer entries is too late.
		m.summaries[s.Run] = s
	}
	return nil
}

func (m *memory) GetRun(_ context.Context, run spec.RunID) (spec.RunSummary, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.summaries[run]
	if !ok {
		return s, missingError{}
	}
	return s, nil
}

type missingError struct{}

func (missingError) Error() string  { return "not found" }
func (missingError) NotFound() bool { return true }

func (m *memory) ShowRun(s spec.RunSummary) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.summaries[s.Run] = s
}

// crashing is a Log whose process dies at one of its writes, before or after it took effect. Nothing is written afterwards.
type crashing struct {
	Log
	mu    sync.Mutex
	at    int // the number of the write, from 1
	after bool
	wrote int
	dead  bool
}

func (c *crashing) write(f func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return errCrash
	}
	c.wrote++
	if c.wrote != c.at {
		return f()
	}
	c.dead = true
	if c.after {
		_ = f() // The process is dead and does not learn of it.
	}
	return errCrash
}

func (c *crashing) Append(ctx context.Context, run spec.RunID, after uint64, entries ...spec.Entry) (seq uint64, err error) {
	err = c.write(func() error { seq, err = c.Log.Append(ctx, run, after, entries...); return err })
	return seq, err
}

func (c *crashing) PutRun(ctx context.Context, s spec.RunSummary) error {
	return c.write(func() error { return c.Log.PutRun(ctx, s) })
}

// errGone ends an agent whose session is closed.
var errGone = errors.New("the session is closed")

// talk is a Session, and the other end of it for an agent in the test.
type talk struct {
	out    chan Message
	closed chan struct{}
	once   sync.Once
	ended  chan struct{} // the agent has returned
	exit   error
	cancel chan struct{}
	stop   sync.Once
	deaf   bool

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan spec.Answer
	deltas  []string
}

// agentFunc is an agent. Its error is how its process ends; a result ends the run.
type agentFunc func(a *talk) (string, error)

func startAgent(f agentFunc) *talk {
	a := &talk{out: make(chan Message), closed: make(chan struct{}), ended: make(chan struct{}), cancel: make(chan struct{}), waiting: map[uint64]chan spec.Answer{}}
	go func() {
		defer close(a.ended)
		result, err := f(a)
		if err != nil {
			a.exit = err
			return
		}
		a.send(Message{Result: &result})
	}()
	return a
}

func (a *talk) send(m Message) {
	select {
	case a.out <- m:
	case <-a.closed:
	}
}

func (a *talk) Recv() (Message, error) {
	select {
	case m := <-a.out:
		return m, nil
	case <-a.closed:
		return Message{}, errGone
	case <-a.ended:
		if a.exit == nil {
			return Message{}, io.EOF
		}
		return Message{}, a.exit
	}
}

func (a *talk) Answer(id uint64, _ string, answer spec.Answer) error {
	if a.deaf {
		<-a.closed
		return errGone
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting[id] == nil {
		return fmt.Errorf("nobody waits for answer %d", id)
	}
	a.waiting[id] <- answer
	delete(a.waiting, id)
	return nil
}

func (a *talk) Delta(_ uint64, text string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deltas = append(a.deltas, text)
	return nil
}

func (a *talk) Cancel(string) error { a.stop.Do(func() { close(a.cancel) }); return nil }
func (a *talk) Close()              { a.once.Do(func() { close(a.closed) }) }
func (a *talk) PID() int            { return 4711 }
func (a *talk) Isolation() string   { return "none" }

// ask sends a request and waits for its answer.
func (a *talk) ask(q spec.Request) (string, error) {
	a.mu.Lock()
	a.next++
	id, answer := a.next, make(chan spec.Answer, 1)
	a.waiting[id] = answer
	a.mu.Unlock()
	a.send(Message{ID: id, Request: &q, Stream: true})
	select {
	case got := <-answer:
		if got.Error != "" {
			return "error " + got.Error, nil
		}
		return string(got.Body), nil
	case <-a.cancel:
		return "", errGone
	case <-a.closed:
		return "", errGone
	}
}

func model(text string) spec.Request {
	return spec.Request{Kind: spec.RequestModel, Body: []byte(fmt.Sprintf(`{"messages":[{"role":"user","text":%q}]}`, text))}
}

func tool(call, name string) spec.Request {
	return spec.Request{Kind: spec.RequestTool, Call: call, Body: []byte(fmt.Sprintf(`{"arguments":{"x":"<%s>"},"id":%q,"name":%q}`, call, call, name))}
}

func clock() spec.Request   { return spec.Request{Kind: spec.RequestTime, Body: []byte(`{}`)} }
func entropy() spec.Request { return spec.Request{Kind: spec.RequestRandom, Body: []byte(`{"n":8}`)} }

// together asks for several things side by side and joins the answers in the order of the requests.
func (a *talk) together(requests ...spec.Request) (string, error) {
	answers, errs := make([]string, len(requests)), make([]error, len(requests))
	var wg sync.WaitGroup
	for i, q := range requests {
		wg.Go(func() { answers[i], errs[i] = a.ask(q) })
	}
	wg.Wait()
	return strings.Join(answers, "+"), errors.Join(errs...)
}

// world is everything outside the engine.
type world struct {
	t     *testing.T
	log   Log
	agent agentFunc
	// serve answers a request; nil echoes it. Tools whose name begins with write become proposals.
	serve  func(ctx context.Context, call Call, delta func(string)) (Reply, error)
	limits spec.RunLimits
	output *spec.OutputCheck
	events func(Event)
	// fast shortens every wait, for tests in real time. deaf makes sends to the agent block until Close.
	fast, deaf bool
	// closed is why no session opens, unknown why there is no agent.
	closed, unknown error

	mu        sync.Mutex
	asked     map[int]int // how often the broker was asked for each exchange
	proposals map[string]string
	opens     int
	sessions  []*talk
}

const testRun = spec.RunID("01hzzzzzzzzzzzzzzzzzzzzzz1")

func newWorld(t *testing.T, log Log, agent agentFunc) *world {
	w := &world{t: t, log: log, agent: agent, asked: map[int]int{}, proposals: map[string]string{},
		limits: spec.RunLimits{Turns: 24, ToolCalls: 100, WallTime: 10 * time.Minute, OutputBytes: 1 << 18}}
	task := spec.Task{Run: testRun, Agent: "triage", Text: "look", Revision: spec.NewRevision("main", strings.Repeat("a", 40)), At: time.Now().UTC()}
	if _, err := log.Append(t.Context(), testRun, 0, spec.Entry{Type: spec.EntryTask, At: task.At, Task: &task}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) engine(log Log) *Engine {
	opts := Options{Log: log, Agents: w, Broker: w, Proposals: opener{w}, Now: time.Now, Observe: w.events}
	if w.fast {
		// If this is too short for a parallel request to come in time, the run only waits twice.
		opts.After = func(d time.Duration) <-chan time.Time { return time.After(d / 30) }
	}
	return New(opts)
}

func (w *world) Agent(context.Context, spec.Task) (*spec.Agent, error) {
	if w.unknown != nil {
		return nil, w.unknown
	}
	return &spec.Agent{Name: "triage", Limits: w.limits, Check: w.output}, nil
}

func (w *world) Open(context.Context, spec.Task, *spec.Agent) (Session, error) {
	if w.closed != nil {
		return nil, w.closed
	}
	s := startAgent(w.agent)
	s.deaf = w.deaf
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sessions = append(w.sessions, s)
	return s, nil
}

func (w *world) Answer(ctx context.Context, call Call, delta func(string)) (Reply, error) {
	w.mu.Lock()
	w.asked[call.N]++
	w.mu.Unlock()
	if call.N < 100 { // Enough to find a mistake; reading the record for each of a flood takes long.
		if err := w.checkCall(call); err != nil {
			return Reply{}, err
		}
	}
	if w.serve != nil {
		return w.serve(ctx, call, delta)
	}
	return echo(call), nil
}

func (w *world) Escalate(_ context.Context, call Call, outcome spec.Outcome) (Reply, error) {
	return Reply{Proposal: &spec.Proposal{Key: "report", Kind: spec.ProposalChange, Agent: call.Task.Agent, Run: call.Task.Run, Exchange: call.N,
		Title: outcome.Message, At: call.At}}, nil
}

// checkCall checks that a request is recorded and not answered when it is served.
func (w *world) checkCall(call Call) error {
	entries, _, err := w.log.Record(context.Background(), call.Task.Run)
	recorded := false
	for _, e := range entries {
		if e.N == call.N && e.Type == spec.EntryAnswer {
			w.t.Errorf("exchange %d is asked although it is answered", call.N)
		}
		recorded = recorded || e.N == call.N && e.Type == spec.EntryRequest
	}
	if !recorded {
		w.t.Errorf("exchange %d is asked although it is not recorded", call.N)
	}
	return err
}

func echo(call Call) Reply {
	if name := toolBody(call.Request.Body).Name; strings.HasPrefix(name, "write") {
		return Reply{Proposal: &spec.Proposal{Key: spec.ProposalKey(name), Kind: spec.ProposalAction, Agent: call.Task.Agent,
			Run: call.Task.Run, Exchange: call.N, Title: name, At: call.At, Files: []spec.FileEdit{{Path: "actions/a.yaml", Content: "x"}}}}
	}
	return answered(call.Request.Kind + ":" + string(call.Request.Body))
}

func answered(text string) Reply {
	b, _ := json.Marshal(text)
	return Reply{Answer: &spec.Answer{Body: b, Usage: &spec.Usage{Input: 2, Output: 1}}}
}

type opener struct{ *world }

func (o opener) Open(_ context.Context, p spec.Proposal) (*spec.Answer, error) {
	b, err := json.Marshal(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.opens++
	key := fmt.Sprintf("%s/%s/%d", p.Key, p.Run, p.Exchange)
	if old, ok := o.proposals[key]; ok && old != string(b) {
		o.t.Errorf("proposal %s has changed from %s to %s", key, old, b)
	}
	o.proposals[key] = string(b)
	return nil, err
}

func (w *world) keys() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.proposals))
}

func (w *world) entries() []spec.Entry {
	w.t.Helper()
	entries, _, err := w.log.Record(context.Background(), testRun)
	if err != nil {
		w.t.Fatal(err)
	}
	return entries
}

// count counts entries of a type.
func (w *world) count(kind string) int {
	n := 0
	for _, e := range w.entries() {
		if e.Type == kind {
			n++
		}
	}
	return n
}

// execute expects no error.
func (w *world) execute() spec.RunSummary {
	w.t.Helper()
	sum, err := w.engine(w.log).Execute(w.t.Context(), testRun)
	if err != nil {
		w.t.Fatal(err)
	}
	return sum
}

// fails expects the run to end with a reason, and a message that holds a text.
func (w *world) fails(reason, message string) {
	w.t.Helper()
	sum := w.execute()
	if sum.Phase != spec.PhaseFailed || sum.Outcome.Reason != reason || !strings.Contains(sum.Outcome.Message, message) {
		w.t.Errorf("phase %s, outcome %+v; want %s with %q", sum.Phase, sum.Outcome, reason, message)
	}
	if again := w.execute(); again.Outcome == nil || *again.Outcome != *sum.Outcome {
		w.t.Errorf("executed again the outcome is %+v", again.Outcome)
	}
}
