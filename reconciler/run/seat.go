package run

import (
	"slices"

	"github.com/mainstay-dev/mainstay/spec"
)

// seat is where a run that is worked on here can be reached by the others.
type seat struct {
	// poke says that something was written into the record.
	poke chan struct{}
	// streams get the text of children, by exchange. They do not block.
	streams map[int]func(text string)
	// heard are the knowledge sources that such text may be of.
	heard []string
	// opened says that an agent works on the run, and does not wait for a process any more.
	opened bool
}

// sit makes the seat of a run. What is written into its record from now on, and told with poke, is noticed.
func (e *Engine) sit(run spec.RunID) *seat {
	s := &seat{poke: make(chan struct{}, 1), streams: map[int]func(string){}}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seats[run] = s
	return s
}

// rise gives up the seat.
func (e *Engine) rise(run spec.RunID, s *seat) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seats[run] == s {
		delete(e.seats, run)
	}
}

// opened notes that an agent works on a run from now on.
func (e *Engine) opened(s *seat) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.opened = true
}

// poke has a run look into its record. It reports whether the run is worked on here.
func (e *Engine) poke(run spec.RunID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.seats[run]
	if s == nil {
		return false
	}
	select {
	case s.poke <- struct{}{}:
	default:
	}
	return true
}

// childAtWork reports whether a child that the run waits for is worked on here. One that waits for a process is not: it may be
// this run's that it waits for.
func (w *work) childAtWork() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, child := range w.state.children() {
		if s := w.seats[child.Run]; s != nil && s.opened {
			return true
		}
	}
	return false
}

// listen lets the agent hear what the child of an exchange says, where it wants to.
func (w *work) listen(x *exchange) {
	if !x.stream {
		return
	}
	id := x.id
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seat.streams[x.n] = func(text string) { w.sends.offer(id, text) }
}

// passUp lets the agent that gave a task hear what is said about it by whoever has read text of these sources.
func (e *Engine) passUp(p *spec.Parent, text string, sources []string) {
	if p == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.seats[p.Run]; s != nil && s.streams[p.Exchange] != nil {
		for _, name := range sources {
			if !slices.Contains(s.heard, name) {
				s.heard = append(s.heard, name)
			}
		}
		s.streams[p.Exchange](text)
	}
}

// heard are the sources that the agent has heard text of and the record does not know of yet, sorted. What the agent says from now on may
// come from there, though no answer has.
func (w *work) heard() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(func(yield func(string) bool) {
		for _, name := range w.seat.heard {
			if !slices.Contains(w.state.read, name) && !yield(name) {
				return
			}
		}
	})
}
