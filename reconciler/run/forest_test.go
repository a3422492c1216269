package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// forest is everything outside an engine that works on many runs at once: a queue with as many workers as there are runs, and
// agents by their names.
type forest struct {
	t      *testing.T
	log    *memory
	agents map[spec.AgentName]agentFunc
	limits map[spec.AgentName]spec.RunLimits
	serve  func(ctx context.Context, call Call, delta func(string)) (Reply, error)
	gone   map[spec.AgentName]bool
	denied map[spec.AgentName]string
	events func(Event)

	mu     sync.Mutex
	writes Log // what dies in a crash
	engine *Engine
	held   map[spec.RunID]bool // and whether it was queued again meanwhile
	errs   []error
	busy   sync.WaitGroup
	talks  map[spec.RunID][]*talk
}

func newForest(t *testing.T, agents map[spec.AgentName]agentFunc) *forest {
	f := &forest{t: t, log: newMemory(), agents: agents, limits: map[spec.AgentName]spec.RunLimits{}, talks: map[spec.RunID][]*talk{}}
	task := spec.Task{Run: testRun, Agent: "boss", Text: "look", Revision: spec.NewRevision("main", strings.Repeat("a", 40)), At: time.Now().UTC()}
	if _, err := f.log.Append(t.Context(), testRun, 0, spec.Entry{Type: spec.EntryTask, At: task.At, Task: &task}); err != nil {
		t.Fatal(err)
	}
	f.boot(f.log)
	return f
}

// boot starts a process that writes to log.
func (f *forest) boot(log Log) {
	f.writes, f.held, f.errs = log, map[spec.RunID]bool{}, nil
	f.engine = New(Options{Log: log, Agents: f, Broker: f, Proposals: noProposals{}, Children: f, Now: time.Now, Observe: f.events})
}

func (f *forest) Agent(_ context.Context, task spec.Task) (*spec.Agent, error) {
	if f.gone[task.Agent] || f.agents[task.Agent] == nil {
		return nil, fmt.Errorf("%w any more", ErrNoAgent)
	}
	limits, ok := f.limits[task.Agent]
	if !ok {
		limits = spec.RunLimits{Turns: 24, ToolCalls: 100, WallTime: 10 * time.Minute, OutputBytes: 1 << 18}
	}
	return &spec.Agent{Name: task.Agent, Limits: limits}, nil
}

func (f *forest) Open(_ context.Context, task spec.Task, agent *spec.Agent) (Session, error) {
	s := startAgent(f.agents[agent.Name])
	f.mu.Lock()
	defer f.mu.Unlock()
	f.talks[task.Run] = append(f.talks[task.Run], s)
	return s, nil
}

func (f *forest) Escalate(context.Context, Call, spec.Outcome) (Reply, error) {
	return Reply{}, errors.New("nothing here is checked")
}

func (f *forest) Answer(ctx context.Context, call Call, delta func(string)) (Reply, error) {
	if to, ok := strings.CutPrefix(toolBody(call.Request.Body).Name, "agents__"); ok {
		return Reply{Delegation: &spec.Delegation{Agent: spec.AgentName(to), Text: string(call.Request.Body)}}, nil
	}
	if f.serve != nil {
		return f.serve(ctx, call, delta)
	}
	return echo(call), nil
}

// noProposals opens proposals, of which there is nothing to check here.
type noProposals struct{}

func (noProposals) Open(context.Context, spec.Proposal) (*spec.Answer, error) { return nil, nil }

func (f *forest) Start(ctx context.Context, task spec.Task) (*spec.Answer, error) {
	if why := f.denied[task.Agent]; why != "" {
		return &spec.Answer{Error: why}, nil
	}
	entries, _, err := f.writes.Record(ctx, task.Run)
	if err == nil && len(entries) == 0 {
		_, err = f.writes.Append(ctx, task.Run, 0, spec.Entry{Type: spec.EntryTask, At: task.At, Task: &task})
		if err == nil {
			err = f.writes.PutRun(ctx, spec.RunSummary{Task: task, Phase: spec.PhaseQueued, Entries: 1})
		}
	}
	if err == nil {
		f.enqueue(task.Run)
	}
	return nil, err
}

func (f *forest) Wake(_ context.Context, run spec.RunID) error {
	f.enqueue(run)
	return nil
}

func (f *forest) Concluded(_ spec.Request, child spec.Task, o spec.Outcome) spec.Answer {
	if o.Phase != spec.PhaseSucceeded {
		return spec.Answer{Error: string(child.Agent) + " " + o.Reason + ": " + o.Message}
	}
	b, _ := json.Marshal(o.Output)
	return spec.Answer{Body: b}
}

// enqueue works on a run, after whoever works on it now.
func (f *forest) enqueue(run spec.RunID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, working := f.held[run]; working {
		f.held[run] = true
		return
	}
	f.held[run] = false
	e := f.engine
	f.busy.Go(func() {
		for {
			_, err := e.Execute(f.t.Context(), run)
			f.mu.Lock()
			again := f.held[run]
			f.held[run] = false
			if err != nil {
				f.errs = append(f.errs, err)
			}
			if !again || err != nil {
				delete(f.held, run)
				f.mu.Unlock()
				return
			}
			f.mu.Unlock()
		}
	})
}

// settle works until nothing is queued. Its error is the first of any run.
func (f *forest) settle() error {
	f.busy.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.errs...)
}

// restart queues what a process finds in its store.
func (f *forest) restart() {
	for _, run := range f.log.runs() {
		if sum, err := f.log.GetRun(f.t.Context(), run); err == nil && (sum.Phase == spec.PhaseQueued || sum.Phase == spec.PhaseRunning) || run == testRun {
			f.enqueue(run)
		}
	}
}

// runs lists the runs that have a record.
func (m *memory) runs() []spec.RunID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.records))
}

// summaries are those of all runs, derived from their records, by agent; the runs of one agent are in the order of their starts.
func (f *forest) summaries() map[spec.AgentName][]spec.RunSummary {
	all := map[spec.AgentName][]spec.RunSummary{}
	for _, run := range f.log.runs() {
		entries, _, err := f.log.Record(f.t.Context(), run)
		if err != nil {
			f.t.Fatal(err)
		}
		if _, err := fold(entries); err != nil {
			f.t.Fatalf("run %s: %v", run, err)
		}
		sum := Summarize(entries)
		all[sum.Agent] = append(all[sum.Agent], sum)
	}
	return all
}

func give(call, agent string) spec.Request { return tool(call, "agents__"+agent) }
