package reconciler_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// slowFleet is agents that are all alike, whose model takes its time and, where tools is set, has them call a tool in every turn but
// the last.
type slowFleet struct {
	host    *host.Host
	latency time.Duration
	turns   int
	tools   bool
	answers atomic.Int64
}

func (f *slowFleet) Agent(_ context.Context, task spec.Task) (*spec.Agent, error) {
	return &spec.Agent{Name: task.Agent, Limits: spec.RunLimits{Turns: 100, ToolCalls: 100, WallTime: time.Hour, OutputBytes: 1 << 16}}, nil
}

type hostSession struct{ *host.Session }

func (s hostSession) Recv() (run.Message, error) {
	m, err := s.Session.Recv()
	told := run.Message{ID: m.ID, Request: m.Request, Stream: m.Stream}
	if m.Result != nil {
		told.Result = &m.Result.Output
	}
	if m.Failure != nil {
		told.Failure = &m.Failure.Message
	}
	return told, err
}

func (f *slowFleet) Open(ctx context.Context, task spec.Task, agent *spec.Agent) (run.Session, error) {
	s, err := f.host.Open(ctx, task.Agent, host.Start{Run: task.Run, Task: task.Text, Limits: agent.Limits, Tools: []host.Tool{{Name: "look", Description: "Look."}}})
	if err != nil {
		return nil, err
	}
	return hostSession{s}, nil
}

func (f *slowFleet) Answer(ctx context.Context, call run.Call, _ func(string)) (run.Reply, error) {
	if call.Request.Kind != spec.RequestModel {
		return run.Reply{Answer: &spec.Answer{Body: []byte(`{"text":"nothing"}`)}}, nil
	}
	select {
	case <-time.After(f.latency):
	case <-ctx.Done():
		return run.Reply{}, ctx.Err()
	}
	f.answers.Add(1)
	// A tool call has a number of its own, and every turn asks for one, until the last: exchange 1 is the first turn, 2 its
	// call, 3 the second turn.
	body := fmt.Sprintf(`{"calls":[{"arguments":{},"id":"c%d","name":"look"}]}`, call.N)
	if !f.tools || call.N >= 2*f.turns-1 {
		body = `{"text":"done"}`
	}
	return run.Reply{Answer: &spec.Answer{Body: []byte(body), Usage: &spec.Usage{Input: 10, Output: 10}}}, nil
}

// Escalate is for runs whose answer is refused, and here every one is taken.
func (f *slowFleet) Escalate(context.Context, run.Call, spec.Outcome) (run.Reply, error) {
	return run.Reply{}, errors.New("there is nothing to bring before a person")
}

type noProposals struct{}

func (noProposals) Open(context.Context, spec.Proposal) (*spec.Answer, error) { return nil, nil }

// BenchmarkThousandRuns is a thousand runs of fifty agents at once, each with some turns of a model that takes half a
// second, through the real queue, engine, store and host, and agents in processes of their own: once with nothing but turns, and
// once as the reference runtime has them, with a tool call in every turn. The ideal is what the latency allows: as many turns in
// half a second as there are runs.
func BenchmarkThousandRuns(b *testing.B) {
	for name, source := range map[string]string{"turns": "./testdata/turns", "turns with tools": "../plugins/loop/mainstay-loop"} {
		b.Run(name, func(b *testing.B) {
			const runs, agents, turns, latency = 1000, 50, 16, 500 * time.Millisecond
			path := filepath.Join(b.TempDir(), "runtime")
			if out, err := exec.Command("go", "build", "-o", path, source).CombinedOutput(); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
			var throughput []float64
			for b.Loop() {
				throughput = append(throughput, thousandRuns(b, path, name == "turns with tools", runs, agents, turns, latency))
			}
			ideal := runs / latency.Seconds()
			b.ReportMetric(slices.Max(throughput), "turns/s")
			b.ReportMetric(ideal, "turns/s-ideal")
			b.ReportMetric(100*slices.Max(throughput)/ideal, "%-of-ideal")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func thousandRuns(b *testing.B, path string, tools bool, runs, agents, turns int, latency time.Duration) float64 {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	st, err := store.Open(ctx, store.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	h := host.New(host.Options{Dir: b.TempDir(), Runtimes: func(string) (host.Runtime, error) { return host.Runtime{Path: path}, nil }})
	defer h.Close(context.WithoutCancel(ctx))
	fleet := &slowFleet{host: h, latency: latency, turns: turns, tools: tools}
	for i := range agents {
		if err := h.Start(host.Agent{Name: spec.AgentName(fmt.Sprint("a", i)), Digest: "d", Runtime: "loop"}); err != nil {
			b.Fatal(err)
		}
	}
	for i := range runs {
		task := spec.Task{Run: run.DerivedID(time.Unix(1e9, 0), fmt.Sprint(i)), Agent: spec.AgentName(fmt.Sprint("a", i%agents)), Text: strconv.Itoa(turns)}
		if _, err := st.Append(ctx, task.Run, 0, spec.Entry{Type: spec.EntryTask, Task: &task}); err != nil {
			b.Fatal(err)
		}
		if err := st.PutRun(ctx, spec.RunSummary{Task: task, Phase: spec.PhaseQueued}); err != nil {
			b.Fatal(err)
		}
		if err := st.Enqueue(ctx, task.Run); err != nil {
			b.Fatal(err)
		}
	}
	var started, finished, failed atomic.Int64
	all := make(chan struct{})
	engine := run.New(run.Options{Log: st, Agents: fleet, Broker: fleet, Proposals: noProposals{}, Now: time.Now, Observe: func(e run.Event) {
		switch e.Type {
		case run.Started:
			started.Add(1)
		case run.Finished:
			if e.Outcome.Phase != spec.PhaseSucceeded {
				failed.Add(1)
				b.Log(e.Outcome.Message)
			}
			if finished.Add(1) == int64(runs) {
				close(all)
			}
		}
	}})
	q := run.NewQueue(run.QueueOptions{Engine: engine, Workers: 2048, Failed: func(err error) { b.Error(err) },
		Agent: func(ctx context.Context, id spec.RunID) spec.AgentName {
			summary, _ := st.GetRun(ctx, id)
			return summary.Agent
		},
		Dequeue: func(ctx context.Context) (run.Lease, error) { return st.Dequeue(ctx) }})
	worked := make(chan error, 1)
	go func() { worked <- q.Run(ctx) }()

	// The best two seconds count, because the machine has other things to do, and starting and ending are no steady state.
	best, heapEarly := 0.0, uint64(0)
	var memory runtime.MemStats
	for window := []int64{0}; finished.Load() < int64(runs)/2; {
		time.Sleep(500 * time.Millisecond)
		if window = append(window, fleet.answers.Load()); len(window) > 4 {
			best = max(best, float64(window[len(window)-1]-window[len(window)-5])/2)
		}
		if heapEarly == 0 && started.Load() == int64(runs) {
			runtime.GC()
			runtime.ReadMemStats(&memory)
			heapEarly = memory.HeapAlloc
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&memory)
	b.ReportMetric(float64(heapEarly>>20), "MiB-heap-begin")
	b.ReportMetric(float64(memory.HeapAlloc>>20), "MiB-heap-end")
	processes := 0
	for _, s := range h.Agents() {
		processes += len(s.Processes)
	}
	b.ReportMetric(float64(processes), "processes")
	<-all
	cancel()
	if err := <-worked; err != nil {
		b.Error(err)
	}
	if n := failed.Load(); n > 0 {
		b.Errorf("%d runs failed", n)
	}
	return best
}
