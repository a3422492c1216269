package host

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/spec"
)

// simulated is a schedule whose processes are only counted: they start, work and end when the test says so.
type simulated struct {
	schedule
	now     time.Time
	started []*worker // in the order of their starts, and not ready yet
	ended   []*worker // told to end, and not gone yet
	starts  []spec.AgentName
	seated  []spec.AgentName
	open    []*opening // asked for, without an answer yet
	runs    []*worker  // one for each run under way
	check   func()
}

func simulate(processes int) *simulated {
	s := &simulated{now: time.Unix(1e9, 0)}
	s.schedule = schedule{maxProcesses: processes, maxMemory: 1 << 40, maxStarting: 1000, drain: time.Hour, pools: map[spec.AgentName]*pool{}}
	s.start = func(w *worker) { s.started, s.starts = append(s.started, w), append(s.starts, w.pool.Name) }
	s.end = func(w *worker) { s.ended = append(s.ended, w) }
	for slot := range 1000 {
		s.free = append(s.free, slot)
	}
	return s
}

func (s *simulated) declare(name string, scale Scale) *pool {
	p := &pool{Agent: Agent{Name: spec.AgentName(name), Scale: scale}, build: &build{name: "r"}}
	p.Scale.Concurrency = max(scale.Concurrency, 1)
	s.pools[p.Name] = p
	s.keepWarm(p)
	s.steps()
	return p
}

func (s *simulated) asks(p *pool) *opening {
	o := s.ask(p, false)
	s.open = append(s.open, o)
	s.steps()
	return o
}

// steps decides, and notes which runs have got a process.
func (s *simulated) steps() {
	s.now = s.now.Add(time.Millisecond)
	s.step(s.now)
	s.open = slices.DeleteFunc(s.open, func(o *opening) bool {
		if o.place != nil {
			return false
		}
		s.runs, s.seated = append(s.runs, o.worker), append(s.seated, o.pool.Name)
		return true
	})
	if s.check != nil {
		s.check()
	}
}

// begin makes process i of those that are being started ready.
func (s *simulated) begin(i int) {
	w := s.started[i]
	s.started = slices.Delete(s.started, i, i+1)
	if w.state == workerStarting {
		s.ready(w, s.now)
	}
	s.steps()
}

// finish ends run i.
func (s *simulated) finish(i int) {
	w := s.runs[i]
	s.runs = slices.Delete(s.runs, i, i+1)
	s.release(w, s.now)
	s.steps()
}

// leave has process i of those that are told to end be gone.
func (s *simulated) leave(i int) {
	w := s.ended[i]
	s.ended = slices.Delete(s.ended, i, i+1)
	s.started = slices.DeleteFunc(s.started, func(other *worker) bool { return other == w })
	s.gone(w)
	s.steps()
}

// calm does all that happens without a run's end.
func (s *simulated) calm() {
	for len(s.started) > 0 || len(s.ended) > 0 {
		if len(s.ended) > 0 {
			s.leave(0)
		} else {
			s.begin(0)
		}
	}
}

// An agent with any number of runs waiting starves no other: while one waits for its first process, each of the others
// gets at most one more, and none but the first ever goes over the bound.
func TestAgentsTakeTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 6).Draw(t, "processes")
		s := simulate(most)
		var agents []*pool
		for i := range rapid.IntRange(2, 6).Draw(t, "agents") {
			agents = append(agents, s.declare(fmt.Sprint("a", i), Scale{Concurrency: rapid.IntRange(1, 4).Draw(t, "concurrency"),
				IsolateRuns: rapid.Bool().Draw(t, "isolated"), Warm: rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "warm")}))
		}
		// since is, for each agent that waits for its first process, how many starts there were when it began to.
		since := map[spec.AgentName]int{}
		s.check = func() {
			if len(s.workers) > most {
				t.Fatalf("there are %d processes of at most %d", len(s.workers), most)
			}
			for _, p := range agents {
				for _, w := range p.workers {
					if limit := p.Scale.Concurrency; w.runs > limit || p.Scale.IsolateRuns && w.served > 1 {
						t.Fatalf("a process of %s has %d runs, and had %d", p.Name, w.runs, w.served)
					}
				}
				if p.waiting.Len() == 0 || p.share() > 0 {
					delete(since, p.Name)
					continue
				}
				if _, ok := since[p.Name]; !ok {
					since[p.Name] = len(s.starts)
				}
				others := map[spec.AgentName]int{}
				for _, name := range s.starts[since[p.Name]:] {
					if others[name]++; others[name] > 1 && name != p.Name {
						t.Fatalf("%s got %d processes while %s waited for its first", name, others[name], p.Name)
					}
				}
			}
		}
		for range rapid.IntRange(1, 200).Draw(t, "events") {
			switch pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "which") }; rapid.IntRange(0, 5).Draw(t, "event") {
			case 0:
				s.asks(agents[pick(len(agents))])
			case 1:
				for range 20 {
					s.asks(agents[0])
				}
			case 2:
				if len(s.started) > 0 {
					s.begin(pick(len(s.started)))
				}
			case 3:
				if len(s.ended) > 0 {
					s.leave(pick(len(s.ended)))
				}
			case 4:
				if len(s.runs) > 0 {
					s.finish(pick(len(s.runs)))
				}
			case 5:
				s.now = s.now.Add(time.Minute)
				s.sweep(s.now)
				s.steps()
			}
		}
		// Whatever has happened, everything that waits comes to its end if runs do.
		for rounds := 0; len(s.open) > 0; rounds++ {
			if rounds > 10000 {
				t.Fatalf("%d runs wait for ever", len(s.open))
			}
			s.calm()
			if len(s.runs) > 0 {
				s.finish(0)
			}
		}
	})
}

// One run is not held up by another agent's thousands, even where each of them could go to a process that is there.
func TestOneRunIsNotHeldUpByThousands(t *testing.T) {
	s := simulate(4)
	many, one := s.declare("many", Scale{Concurrency: 2}), s.declare("one", Scale{Concurrency: 2})
	for range 10000 {
		s.asks(many)
	}
	s.calm()
	if len(s.runs) != 8 {
		t.Fatalf("%d runs are under way, want 8", len(s.runs))
	}
	s.asks(one)
	before := len(s.seated)
	for !slices.Contains(s.seated, "one") {
		s.finish(0)
		s.calm()
	}
	if others := len(s.seated) - 1 - before; others > 8 {
		t.Errorf("%d runs went before it", others)
	}
}

func TestIdleProcessesMakeRoomTheLongestUnusedFirst(t *testing.T) {
	s := simulate(3)
	for _, name := range []string{"warm", "b", "a"} {
		p := s.declare(name, Scale{Warm: map[string]int{"warm": 1}[name]})
		s.asks(p)
		s.calm()
	}
	for range 3 { // in the order in which they were opened
		s.finish(0)
	}
	next := s.declare("next", Scale{})
	var gone []spec.AgentName
	for range 3 {
		s.asks(next)
		for _, w := range s.ended {
			gone = append(gone, w.pool.Name)
		}
		s.calm()
	}
	if !slices.Equal(gone, []spec.AgentName{"b", "a", "warm"}) {
		t.Errorf("ended %v", gone)
	}
}

func TestNoProcessIsStartedBeyondTheMemory(t *testing.T) {
	s := simulate(100)
	s.maxMemory = 5 * newProcess
	big, small := s.declare("big", Scale{}), s.declare("small", Scale{})
	for range 20 {
		s.asks(small)
	}
	s.calm()
	if len(s.workers) != 5 {
		t.Fatalf("%d processes, want 5 of the size that is expected", len(s.workers))
	}
	// Measured, they are larger than expected: nothing is started where they end.
	for _, w := range s.workers {
		w.memory, small.memory = 2*newProcess, 2*newProcess
	}
	big.memory = 4 * newProcess
	s.asks(big)
	for range 3 {
		s.finish(0)
		s.calm()
	}
	if s.memory() > 2*s.maxMemory || big.share() > 0 {
		t.Errorf("%d bytes of %d", s.memory(), s.maxMemory)
	}
	for n := 0; !slices.Contains(s.seated, "big"); n++ {
		if n > 100 {
			t.Fatal("the agent whose process needs much never gets it")
		}
		s.finish(0)
		s.calm()
	}
	if s.memory() > s.maxMemory {
		t.Errorf("%d bytes of %d", s.memory(), s.maxMemory)
	}
}

func TestWarmProcessesAreKeptAndOthersGo(t *testing.T) {
	s := simulate(100)
	p := s.declare("a", Scale{Warm: 2, Idle: time.Minute})
	s.calm()
	if len(p.workers) != 2 {
		t.Fatalf("%d processes, want 2", len(p.workers))
	}
	for range 3 {
		s.asks(p)
	}
	s.calm()
	if len(p.workers) != 5 {
		t.Fatalf("%d processes, want 3 with a run and 2 with room", len(p.workers))
	}
	for range 3 {
		s.finish(0)
	}
	s.now = s.now.Add(time.Minute)
	s.sweep(s.now)
	s.calm()
	if len(p.workers) != 2 {
		t.Errorf("%d processes, want 2", len(p.workers))
	}
}

func TestAChangedRuntimeDrains(t *testing.T) {
	s := simulate(100)
	p := s.declare("a", Scale{})
	s.asks(p)
	s.calm()
	old := p.workers[0]
	p.build = &build{name: "other"}
	s.retire(old, s.now)
	s.asks(p)
	s.calm()
	if len(s.runs) != 2 || s.runs[1] == old || old.state != workerReady {
		t.Fatalf("%d runs, the old process is in state %d", len(s.runs), old.state)
	}
	s.now = s.now.Add(s.drain)
	s.sweep(s.now)
	if old.state != workerEnding || !old.hurry || !old.purpose {
		t.Errorf("after its time the old process is %+v", old)
	}
}

func TestWhoGivesUpWaitingIsForgotten(t *testing.T) {
	s := simulate(1)
	p := s.declare("a", Scale{})
	first, second := s.asks(p), s.asks(p)
	s.settle(first, nil, errors.New("never mind"))
	s.open = s.open[1:]
	s.calm()
	if second.worker == nil || p.turn != nil || s.turns.Len() != 0 {
		t.Errorf("the second got %v, and %d agents wait", second.worker, s.turns.Len())
	}
}
