package host

import (
	"container/list"
	"context"
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// schedule decides which run goes to which process, and which process is started or ended for it. It is rules and what
// they need to know, without a clock, a process or a goroutine: something happens, one of its methods notes it, and step
// makes the decisions that follow.
//
// The rules: a run goes to a process of its agent that has room. Agents whose runs find none take turns, one process a
// turn, and an agent's own runs go in the order in which they came. Where no process more may be started, idle ones are
// ended, the one that was used last longest ago first; and where none is idle, an agent that has more processes than one
// that waits lets one of them run empty. So no agent waits for the end of another's queue.
type schedule struct {
	// maxProcesses and maxMemory, in bytes, bound all processes together, and maxStarting those that are being started.
	maxProcesses, maxStarting int
	maxMemory                 int64
	// drain is how long a process that takes no new runs may go on with those it has.
	drain time.Duration
	// start and end do what was decided. They must not block.
	start, end func(*worker)

	pools map[spec.AgentName]*pool
	// turns are the pools whose runs wait, the one whose turn it is first; warm are those that keep processes ready.
	turns list.List
	warm  []*pool
	// free are the slots that no process has, the one that was freed longest ago first.
	free     []int
	workers  []*worker
	starting int
}

// newProcess is the memory that a process is expected to take before one of its agent was measured, in bytes.
const newProcess = 32 << 20

// maxSlots is how many processes there can be at once, whatever the bounds. Each has a folder and a user id of its own.
const maxSlots = 1024

// pool is the processes of one agent, and the runs that wait for one.
type pool struct {
	Agent
	build   *build
	workers []*worker
	waiting list.List // of *opening
	turn    *list.Element

	// failures counts the starts and lives in a row that went wrong; until is when the next start may be tried. broken says
	// that the latest process never got ready.
	failures int
	until    time.Time
	broken   bool
	// memory is what one process takes, as far as is known.
	memory int64

	restarts             int
	lastExit, lastStderr string
	since                time.Time
}

// opening is a run that waits for a process. ready is closed once it has one, or an error.
type opening struct {
	pool   *pool
	place  *list.Element
	ready  chan struct{}
	worker *worker
	err    error
}

// The states of a worker.
const (
	workerStarting = iota
	workerReady
	workerEnding
)

// worker is a process of an agent, from the decision to start it until its slot is free again.
type worker struct {
	pool  *pool
	build *build
	slot  int
	state int
	// runs are under way, and served counts all there were.
	runs, served int
	// leaves says that it takes no new run and ends with the last one, at deadline at the latest; yields that it does so to
	// make room for another agent.
	leaves, yields bool
	deadline       time.Time
	born, used     time.Time
	memory         int64

	// ctx ends when the process is to end. purpose says that it was told to end, and hurry that it is not asked nicely.
	ctx            context.Context
	cancel         context.CancelFunc
	purpose, hurry bool
	live           *instance
	over           chan struct{} // closed when nothing is left of it
	// proved is when the process last showed that it answers; asking that it is being asked. dead says why it was killed.
	proved time.Time
	asking bool
	dead   string
}

// ask adds a run to those that wait, before all others of its agent where it waited before.
func (s *schedule) ask(p *pool, first bool) *opening {
	o := &opening{pool: p, ready: make(chan struct{})}
	if first {
		o.place = p.waiting.PushFront(o)
	} else {
		o.place = p.waiting.PushBack(o)
	}
	if p.turn == nil {
		p.turn = s.turns.PushBack(p)
	}
	return o
}

// settle ends the wait of a run.
func (s *schedule) settle(o *opening, w *worker, err error) {
	p := o.pool
	p.waiting.Remove(o.place)
	o.place, o.worker, o.err = nil, w, err
	close(o.ready)
	if p.waiting.Len() == 0 {
		s.turns.Remove(p.turn)
		p.turn = nil
	}
}

// refuse ends the wait of all runs of an agent with an error.
func (s *schedule) refuse(p *pool, err error) {
	for p.waiting.Len() > 0 {
		s.settle(p.waiting.Front().Value.(*opening), nil, err)
	}
}

// release notes that a run has left its process.
func (s *schedule) release(w *worker, now time.Time) {
	w.runs--
	w.used = now
	if w.runs == 0 && w.state == workerReady && (w.leaves || !w.usable()) {
		s.stop(w)
	}
}

// ready notes that a process answers.
func (s *schedule) ready(w *worker, now time.Time) {
	s.starting--
	w.state, w.used, w.proved = workerReady, now, now
	w.pool.broken = false
}

// gone notes that a process is over, and its slot free.
func (s *schedule) gone(w *worker) {
	if w.state == workerStarting {
		s.starting--
	}
	w.state = workerEnding
	same := func(other *worker) bool { return other == w }
	s.workers = slices.DeleteFunc(s.workers, same)
	w.pool.workers = slices.DeleteFunc(w.pool.workers, same)
	s.free = append(s.free, w.slot)
}

// stop ends a process.
func (s *schedule) stop(w *worker) {
	if w.state == workerEnding {
		return
	}
	if w.state == workerStarting {
		s.starting--
	}
	w.state, w.purpose = workerEnding, true
	s.end(w)
}

// retire lets a process go on with the runs it has, for a while, and take no new one.
func (s *schedule) retire(w *worker, now time.Time) {
	if w.state == workerEnding || w.leaves {
		return
	}
	if w.runs == 0 {
		s.stop(w)
		return
	}
	w.leaves, w.deadline = true, now.Add(s.drain)
}

// usable says that the process is one of those that the agent's next run may have.
func (w *worker) usable() bool {
	return w.state != workerEnding && !w.leaves && w.build == w.pool.build && !(w.pool.Scale.IsolateRuns && w.served > 0)
}

// room is how many runs more the process takes.
func (w *worker) room() int {
	switch {
	case !w.usable():
		return 0
	case w.pool.Scale.IsolateRuns:
		return 1
	}
	return max(w.pool.Scale.Concurrency-w.runs, 0)
}

func (w *worker) idle() bool { return w.state == workerReady && w.runs == 0 }

// open are the usable processes of the pool that have room.
func (p *pool) open() int {
	n := 0
	for _, w := range p.workers {
		if w.room() > 0 {
			n++
		}
	}
	return n
}

// share is how many processes the agent has that are not about to go.
func (p *pool) share() int {
	n := 0
	for _, w := range p.workers {
		if w.usable() {
			n++
		}
	}
	return n
}

// wants says that runs wait for which no process is being started.
func (p *pool) wants(now time.Time) bool {
	if p.waiting.Len() == 0 || now.Before(p.until) {
		return false
	}
	coming := 0
	for _, w := range p.workers {
		if w.state == workerStarting {
			coming += w.room()
		}
	}
	return p.waiting.Len() > coming
}

// pick is the ready process with room that is the most used, so that the others can go.
func (p *pool) pick() *worker {
	var best *worker
	for _, w := range p.workers {
		if w.state == workerReady && w.room() > 0 &&
			(best == nil || w.runs > best.runs || w.runs == best.runs && w.used.After(best.used)) {
			best = w
		}
	}
	return best
}

// step decides what can be decided.
func (s *schedule) step(now time.Time) {
	for e := s.turns.Front(); e != nil; {
		p := e.Value.(*pool)
		e = e.Next()
		for p.waiting.Len() > 0 {
			w := p.pick()
			if w == nil {
				break
			}
			w.runs++
			w.served++
			s.settle(p.waiting.Front().Value.(*opening), w, nil)
		}
	}
	for s.turn(now) {
	}
	if s.turns.Len() > 0 {
		return // Whoever waits goes first.
	}
	for _, p := range s.warm {
		for !now.Before(p.until) && p.open() < p.Scale.Warm && s.starting < s.maxStarting && s.fits(p) {
			s.launch(p, now)
		}
	}
}

// turn gives each pool that wants a process one, in turn, and says whether it is worth another round.
func (s *schedule) turn(now time.Time) (again bool) {
	ending, yielding := 0, 0
	for _, w := range s.workers {
		switch {
		case w.state == workerEnding:
			ending++
		case w.yields:
			yielding++
		}
	}
	full := false
	for e, n := s.turns.Front(), s.turns.Len(); n > 0; n-- {
		p, this := e.Value.(*pool), e
		e = e.Next()
		if !p.wants(now) {
			continue
		}
		if s.starting >= s.maxStarting {
			return false
		}
		if !full && s.fits(p) {
			s.launch(p, now)
			s.turns.MoveToBack(this)
			again = true
			continue
		}
		full = true // Nobody starts before one whose turn it is.
		switch {
		case ending > 0:
			ending--
		case s.evict(p):
		case yielding > 0:
			yielding--
		default:
			s.yield(p, now)
		}
	}
	return again && !full
}

// launch starts a process of the pool.
func (s *schedule) launch(p *pool, now time.Time) {
	w := &worker{pool: p, build: p.build, slot: s.take(), born: now, used: now, over: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	s.workers, p.workers = append(s.workers, w), append(p.workers, w)
	s.starting++
	if p.failures > 0 {
		p.restarts++
	}
	s.start(w)
}

// take takes the slot that was freed longest ago, so that a user id is given to another process as late as can be.
func (s *schedule) take() int {
	slot := s.free[0]
	s.free = slices.Delete(s.free, 0, 1)
	return slot
}

// keepWarm notes whether the pool keeps processes ready.
func (s *schedule) keepWarm(p *pool) {
	s.warm = slices.DeleteFunc(s.warm, func(other *pool) bool { return other == p })
	if p.Scale.Warm > 0 {
		s.warm = append(s.warm, p)
	}
}

// fits says that one process more of the pool is within the bounds. The first one always is.
func (s *schedule) fits(p *pool) bool {
	if len(s.workers) == 0 {
		return true
	}
	return len(s.workers) < s.maxProcesses && len(s.free) > 0 && s.memory()+p.expected() <= s.maxMemory
}

// memory is what all processes take, or are expected to.
func (s *schedule) memory() int64 {
	var sum int64
	for _, w := range s.workers {
		if w.memory > 0 {
			sum += w.memory
		} else {
			sum += w.pool.expected()
		}
	}
	return sum
}

func (p *pool) expected() int64 {
	if p.memory > 0 {
		return p.memory
	}
	return newProcess
}

// evict ends the idle process that was used last longest ago, one that is kept ready only where there is no other.
func (s *schedule) evict(p *pool) bool {
	var spare, kept *worker
	for _, w := range s.workers {
		if !w.idle() || w.pool == p {
			continue
		}
		best := &kept
		if w.pool.open() > w.pool.Scale.Warm {
			best = &spare
		}
		if *best == nil || w.used.Before((*best).used) {
			*best = w
		}
	}
	if spare == nil {
		spare = kept
	}
	if spare != nil {
		s.stop(spare)
	}
	return spare != nil
}

// yield has the agent with the most processes let one of them run empty, if the pool has fewer.
func (s *schedule) yield(p *pool, now time.Time) {
	var best *worker
	most, own := 0, p.share()
	for _, w := range s.workers {
		if w.pool == p || w.state != workerReady || !w.usable() {
			continue
		}
		share := w.pool.share()
		if own > 0 && share <= own+1 {
			continue
		}
		if best == nil || share > most || share == most && (w.runs < best.runs || w.runs == best.runs && w.born.Before(best.born)) {
			best, most = w, share
		}
	}
	if best != nil {
		s.retire(best, now)
		best.yields = true
	}
}

// sweep ends what has been idle or leaving for too long, and what is idle while the processes take too much memory.
func (s *schedule) sweep(now time.Time) {
	for _, w := range slices.Clone(s.workers) {
		switch {
		case w.leaves && !now.Before(w.deadline):
			w.hurry = true
			s.stop(w)
		case w.idle() && now.Sub(w.used) >= w.pool.Scale.idle() && w.pool.open() > w.pool.Scale.Warm:
			s.stop(w)
		}
	}
	for s.memory() > s.maxMemory && s.evict(nil) {
	}
}
