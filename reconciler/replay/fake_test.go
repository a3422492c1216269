package replay_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/replay"
	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/spec"
)

var errGone = errors.New("the session is closed")

// session is an agent in the test and its end of the stream.
type session struct {
	out    chan run.Message
	closed chan struct{}
	once   sync.Once
	ended  chan struct{}

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan spec.Answer
}

type agentFunc func(s *session) (string, error)

func begin(f agentFunc) *session {
	s := &session{out: make(chan run.Message), closed: make(chan struct{}), ended: make(chan struct{}), waiting: map[uint64]chan spec.Answer{}}
	go func() {
		defer close(s.ended)
		if result, err := f(s); err == nil {
			s.send(run.Message{Result: &result})
		}
	}()
	return s
}

func (s *session) send(m run.Message) {
	select {
	case s.out <- m:
	case <-s.closed:
	}
}

func (s *session) Recv() (run.Message, error) {
	select {
	case m := <-s.out:
		return m, nil
	case <-s.closed:
		return run.Message{}, errGone
	case <-s.ended:
		return run.Message{}, io.EOF
	}
}

func (s *session) Answer(id uint64, _ string, a spec.Answer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[id] <- a
	return nil
}

func (s *session) Delta(uint64, string) error { return nil }
func (s *session) Cancel(string) error        { s.Close(); return nil }
func (s *session) Close()                     { s.once.Do(func() { close(s.closed) }) }
func (s *session) PID() int                   { return 1 }
func (s *session) Isolation() string          { return "none" }

// ask returns the body of the answer, or its error.
func (s *session) ask(kind, call string, body any) (string, error) {
	raw, err := plugins.Canonical(body)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.next++
	id, answer := s.next, make(chan spec.Answer, 1)
	s.waiting[id] = answer
	s.mu.Unlock()
	s.send(run.Message{ID: id, Request: &spec.Request{Lane: spec.MainLane, Kind: kind, Call: call, Body: raw}})
	select {
	case a := <-answer:
		return string(a.Body) + a.Error, nil
	case <-s.closed:
		return "", errGone
	}
}

// step is what an agent does at once: one request to a model, one for the time, or some tool calls side by side.
type step struct {
	kind  string
	text  string
	tools []string
}

// agentOf makes an agent that does some steps. All that it was answered shows in what it asks for next, and in its result.
func agentOf(steps []step) agentFunc {
	return func(s *session) (string, error) {
		seen := ""
		for i, one := range steps {
			var answers []string
			switch one.kind {
			case spec.RequestTime:
				a, err := s.ask(one.kind, "", plugins.TimeRequest{})
				if err != nil {
					return "", err
				}
				answers = []string{a}
			case spec.RequestModel:
				a, err := s.ask(one.kind, "", plugins.ModelRequest{Messages: []plugins.Message{{Role: plugins.RoleUser, Text: one.text + seen}}})
				if err != nil {
					return "", err
				}
				answers = []string{a}
			default:
				answers = make([]string, len(one.tools))
				errs := make([]error, len(one.tools))
				var wg sync.WaitGroup
				for j, name := range one.tools {
					wg.Go(func() {
						arguments, _ := json.Marshal(map[string]string{"seen": seen, "text": one.text})
						answers[j], errs[j] = s.ask(spec.RequestTool, fmt.Sprintf("call-%d-%d", i, j), plugins.ToolCall{Name: name, Arguments: arguments})
					})
				}
				wg.Wait()
				if err := errors.Join(errs...); err != nil {
					return "", err
				}
			}
			sum := sha256.Sum256([]byte(seen + fmt.Sprint(answers)))
			seen = hex.EncodeToString(sum[:8])
		}
		return "seen " + seen, nil
	}
}

const agentName = spec.AgentName("triage")

func newAgent(instructions string) *spec.Agent {
	return &spec.Agent{Name: agentName, Instructions: instructions, Limits: spec.RunLimits{Turns: 100, ToolCalls: 100, WallTime: time.Hour, OutputBytes: 1 << 18}}
}

func side(name string, agent *spec.Agent, policies ...*spec.Policy) *replay.Side {
	return &replay.Side{Name: name, Fleet: &spec.Fleet{Agents: map[spec.AgentName]*spec.Agent{agentName: agent}, Policies: policies}}
}

// world answers an agent for the first time. Tools whose names begin with w become proposals.
type world struct {
	agent agentFunc
	spec  *spec.Agent
	log   run.Log
}

func (w *world) Agent(context.Context, spec.Task) (*spec.Agent, error) { return w.spec, nil }

func (w *world) Open(context.Context, spec.Task, *spec.Agent) (run.Session, error) {
	return begin(w.agent), nil
}

func (w *world) Escalate(context.Context, run.Call, spec.Outcome) (run.Reply, error) {
	return run.Reply{}, errors.New("nothing here is checked")
}

func (w *world) Answer(_ context.Context, c run.Call, _ func(string)) (run.Reply, error) {
	answer := func(v any) (run.Reply, error) {
		raw, err := plugins.Canonical(v)
		return run.Reply{Answer: &spec.Answer{Body: raw}}, err
	}
	switch c.Request.Kind {
	case spec.RequestTime:
		return answer(plugins.TimeAnswer{Time: c.At.Format(time.RFC3339Nano)})
	case spec.RequestModel:
		return answer(plugins.ModelAnswer{Text: fmt.Sprintf("answer number %d", c.N)})
	}
	var call plugins.ToolCall
	if err := json.Unmarshal(c.Request.Body, &call); err != nil {
		return run.Reply{}, err
	}
	if call.Name[0] == 'w' {
		return run.Reply{Proposal: &spec.Proposal{Key: "0123456789abcdef", Agent: agentName, Title: call.Name}, Rule: "default: write tools are proposed"}, nil
	}
	reply, err := answer(plugins.ToolResult{Text: fmt.Sprintf("result number %d", c.N)})
	reply.Answer.Rule = "default: read tools are allowed"
	return reply, err
}

type noProposals struct{}

func (noProposals) Open(context.Context, spec.Proposal) (*spec.Answer, error) { return nil, nil }

const testRun = spec.RunID("01hzzzzzzzzzzzzzzzzzzzzzz1")

// record runs an agent for the first time, and decides all its proposals.
func record(t *testing.T, agent agentFunc, declared *spec.Agent) []spec.Entry {
	t.Helper()
	ctx := context.Background()
	w := &world{agent: agent, spec: declared}
	w.log = run.NewMemory(spec.Task{Run: testRun, Agent: agentName, Text: "look", Digest: declared.Digest, At: time.Now()})
	engine := run.New(run.Options{Log: w.log, Agents: w, Broker: w, Proposals: noProposals{}, Now: time.Now})
	for {
		sum, err := engine.Execute(ctx, testRun)
		if err != nil {
			t.Fatal(err)
		}
		if sum.Outcome != nil {
			entries, _, _ := w.log.Record(ctx, testRun)
			return entries
		}
		for _, p := range sum.Waiting {
			raw, _ := plugins.Canonical(plugins.ToolResult{Structured: json.RawMessage(`{"state":"merged"}`)})
			waits := firstWaiting(w.log)
			if _, err := engine.Resolve(ctx, testRun, waits, spec.Answer{Body: raw, By: "Ada"}); err != nil {
				t.Fatal(p.Key, err)
			}
		}
	}
}

// firstWaiting is the first exchange whose proposal is not decided.
func firstWaiting(log run.Log) int {
	entries, _, _ := log.Record(context.Background(), testRun)
	open := map[int]bool{}
	for _, e := range entries {
		switch e.Type {
		case spec.EntryProposal:
			open[e.N] = true
		case spec.EntryAnswer:
			delete(open, e.N)
		}
	}
	first := 0
	for n := range open {
		if first == 0 || n < first {
			first = n
		}
	}
	return first
}

// again replays a record.
func again(t *testing.T, entries []spec.Entry, agent agentFunc, was, is *replay.Side, ask func(context.Context, run.Call) (run.Reply, error)) *replay.Report {
	t.Helper()
	recording, err := run.NewRecording(entries)
	if err != nil {
		t.Fatal(err)
	}
	report, err := replay.Run(context.Background(), replay.Options{
		Recording: recording, Was: was, Is: is, Now: time.Now, Ask: ask,
		Open: func(context.Context, spec.Task, *spec.Agent, []broker.Tool) (run.Session, error) {
			return begin(agent), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return report
}
