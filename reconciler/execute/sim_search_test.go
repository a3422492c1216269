package execute

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// state is the whole world at one moment. Two histories that lead to the same one go on alike.
type state struct {
	tip      int32     // of the ledger
	tick     int16     // the true clock
	procs    [2]*node  // nil has found the Action settled
	flight   [2]inPush // pushes whose answer was lost, and which may land later
	effects  int8      // how often the tool did it, up to 2
	faults   int8      // so far
	lostCall bool      // a process was killed, or a call was not answered: the Action may become unknown
	resolved bool      // a person has decided
}

type inPush struct{ old, new int32 }

// move is what leads from one state to the next.
type move struct {
	who  int8
	what what
}

type what int8

const (
	begin what = iota
	fetches
	fetchFails
	pushes
	pushIsLate
	pushUnsent
	pushRefused
	pushUnanswered
	pushInFlight
	pushLost
	pushAndKill
	calls
	callUnanswered
	callLost
	callNotSent
	callAndKill
	callIsLate
	kill
	timePasses
	lands
	resolves
)

var told = [...]string{
	begin: "begins", fetches: "fetches", fetchFails: "cannot fetch", pushes: "pushes", pushIsLate: "pushes and is too late",
	pushUnsent: "cannot push", pushRefused: "pushes and is refused", pushUnanswered: "pushes, it lands, and the answer is lost",
	pushInFlight: "pushes, the answer is lost, and it may land later", pushLost: "pushes too late, and the answer is lost",
	pushAndKill: "pushes, and is killed once it landed", calls: "calls the tool", callUnanswered: "calls the tool, and the answer is lost",
	callLost: "calls the tool, and the call is lost", callNotSent: "cannot call the tool",
	callAndKill: "calls the tool, and is killed once it happened", callIsLate: "is about to call the tool when the time for it is over",
	kill: "is killed and starts again", timePasses: "a minute passes", lands: "a push lands whose answer was lost", resolves: "a person decides",
}

// violation is an invariant that does not hold, and how it came to that.
type violation struct {
	invariant string
	trace     []string
}

func (v *violation) String() string { return v.invariant + ":\n  " + strings.Join(v.trace, "\n  ") }

// The invariants.
const (
	once        = "the effect happens at most once"
	startFirst  = "no effect without approval and a start that has landed"
	accounted   = "an effect that happened has a receipt, or is unknown"
	truthful    = "a receipt says what happened"
	kept        = "no entry goes away or stops the others"
	notStuck    = "once the remote is back, it ends"
	notForLoss  = "lost messages alone leave nothing unknown"
	finallyTrue = "where clocks agree, what a person found out stays true"
)

// visited is a state with the way to it.
type visited struct {
	state
	from  int32
	by    move
	depth int16
}

// search is one exhaustive search, breadth first: every state that the bounds of the model let be reached.
type search struct {
	m     *model
	tips  []string
	ids   map[string]int32
	seen  map[state]int32
	all   []visited
	depth int16
	found *violation
}

// run searches until all is seen or an invariant does not hold.
func (m *model) run(maxStates int) *search {
	s := &search{m: m, ids: map[string]int32{}, seen: map[state]int32{}}
	first := state{tip: s.id(m.genesis), procs: [2]*node{m.root(seed{who: 0}), m.root(seed{who: 1})}}
	s.add(first, 0, move{})
	for at := 0; at < len(s.all) && s.found == nil; at++ {
		if len(s.all) > maxStates {
			panic(fmt.Sprintf("more than %d states: the bounds are too wide", maxStates))
		}
		s.expand(s.all[at].state, int32(at))
	}
	return s
}

func (s *search) id(tip string) int32 {
	n, ok := s.ids[tip]
	if !ok {
		n = int32(len(s.tips))
		s.tips, s.ids[tip] = append(s.tips, tip), n
	}
	return n
}

func (s *search) record(st state) *record { return s.m.record(s.tips[st.tip]) }

// add checks a state that was reached, and keeps it to go on from.
func (s *search) add(st state, from int32, by move) {
	st = s.normal(st)
	if _, ok := s.seen[st]; ok || s.found != nil {
		return
	}
	v := visited{state: st, from: from, by: by}
	if len(s.all) > 0 {
		v.depth = s.all[from].depth + 1
	}
	s.depth = max(s.depth, v.depth)
	s.seen[st] = int32(len(s.all))
	s.all = append(s.all, v)
	var found *violation
	if broken := s.broken(s.all[from].state, by, st); broken != "" {
		found = &violation{invariant: broken}
	} else if st.tick == s.m.ticks { // Until then time may pass first, and then this is asked.
		found = s.endsWell(st)
	}
	if found != nil {
		s.found = &violation{found.invariant, append(s.trace(int32(len(s.all)-1)), found.trace...)}
	}
}

// trace tells how a state was reached.
func (s *search) trace(at int32) []string {
	var back []string
	for ; at > 0; at = s.all[at].from {
		back = append(back, s.tell(s.all[s.all[at].from].state, s.all[at].by))
	}
	slices.Reverse(back)
	return back
}

func (s *search) tell(from state, by move) string {
	if by.what >= timePasses {
		return told[by.what]
	}
	line := names[by.who] + " " + told[by.what]
	if n := from.procs[by.who]; n.ask.kind == askPush && by.what != kill {
		line += ": " + s.m.commits[n.ask.new].step()
	}
	return line
}

// normal takes out what makes no difference any more.
func (s *search) normal(st state) state {
	for i, n := range st.procs {
		if n == nil || n.ask.kind != askAgain || n.ask.owes {
			continue
		}
		st.procs[i] = nil
		if settled := (State{State: n.ask.state}).Settled(); !settled || (n.ask.state == Unknown && s.m.idempotent) {
			st.procs[i] = s.m.root(seed{who: n.seed.who, draws: n.draws})
		}
	}
	var left [2]inPush
	n := 0
	for _, f := range st.flight {
		if f != (inPush{}) && f.old == st.tip {
			left[n] = f
			n++
		}
	}
	if left[1] != (inPush{}) && left[1].new < left[0].new {
		left[0], left[1] = left[1], left[0]
	}
	st.flight = left
	return st
}

// expand adds every state that one step leads to.
func (s *search) expand(st state, at int32) {
	for i := range st.procs {
		if st.procs[i] == nil {
			continue
		}
		s.steps(st, int8(i), func(w what, to state) { s.add(to, at, move{int8(i), w}) })
	}
	if st.tick < s.m.ticks {
		to := st
		to.tick++
		s.add(to, at, move{what: timePasses})
	}
	for i, f := range st.flight {
		if f != (inPush{}) {
			to := st
			to.tip, to.flight[i] = f.new, inPush{}
			s.add(to, at, move{what: lands})
		}
	}
	now := m0.Add(time.Duration(st.tick) * tick).Add(s.m.personSkew)
	if !st.resolved && s.record(st).state(now).State == Unknown {
		outcome := spec.OutcomeAbandoned
		switch {
		case st.effects > 0:
			outcome = spec.OutcomeDone
		case s.m.retries:
			outcome = spec.OutcomeRetry
		}
		to := st
		to.tip, to.resolved = s.id(s.m.resolve(decision{s.tips[st.tip], st.tick, outcome})), true
		if to.tip == st.tip {
			return // It is too early.
		}
		if outcome == spec.OutcomeRetry {
			to.lostCall = true // Of two starts none is known to have done nothing.
			for i := range to.procs {
				if to.procs[i] == nil { // It looks again, and draws nonces that nobody has drawn.
					to.procs[i] = s.m.root(seed{who: int8(i), draws: retryDraws})
				}
			}
		}
		s.add(to, at, move{what: resolves})
	}
}

// retryDraws is more nonces than a process draws before a person lets the Action start once more.
const retryDraws = 64

// steps shows what may come of what a process asks for. The first is what does without a fault.
func (s *search) steps(st state, i int8, show func(what, state)) {
	n := st.procs[i]
	faulty := st
	faulty.faults++
	may := st.faults < s.m.faults
	tell := func(to state, k answerKind) state {
		to.procs[i] = n.after(answer{kind: k, tick: st.tick})
		return to
	}
	again := func(to state) state {
		to.procs[i], to.lostCall = s.m.root(seed{who: i, draws: n.draws}), true
		return to
	}
	switch n.ask.kind {
	case askAgain: // It owes a receipt.
		to := st
		to.procs[i] = n.after(answer{tick: st.tick})
		show(begin, to)
	case askFetch:
		to := st
		to.procs[i] = n.after(answer{tip: s.tips[st.tip], tick: st.tick})
		show(fetches, to)
		if may && n.parent != nil { // Before the first fetch it knows nothing: it would only fetch again.
			show(fetchFails, tell(faulty, isUnreachable))
		}
	case askPush:
		s.pushes(st, n, show, tell, again)
	case askCall:
		happened := func(from state) state {
			from.effects = min(from.effects+1, 2)
			return from
		}
		lost := faulty
		lost.lostCall = true
		if late := st; st.tick > n.via.tick { // The context of the call has ended.
			late.lostCall = true
			show(callIsLate, tell(late, isNoAnswer))
			break
		}
		show(calls, tell(happened(st), isOK))
		if !may {
			break
		}
		show(callUnanswered, tell(happened(lost), isNoAnswer))
		show(callLost, tell(lost, isNoAnswer))
		show(callNotSent, tell(faulty, isNotSent))
		show(callAndKill, again(happened(faulty)))
	}
	if may && n.parent != nil {
		show(kill, again(faulty))
	}
}

func (s *search) pushes(st state, n *node, show func(what, state), tell func(state, answerKind) state, again func(state) state) {
	old, new := s.id(n.ask.old), s.id(n.ask.new)
	fits := old == st.tip || n.ask.force
	there := !fits && s.holds(st.tip, new)
	landed := func(from state) state {
		from.tip = new
		return from
	}
	faulty := st
	faulty.faults++
	may := st.faults < s.m.faults
	switch {
	case there:
		show(pushes, tell(st, isOK))
	case fits:
		show(pushes, tell(landed(st), isOK))
	default:
		show(pushIsLate, tell(st, isMoved))
	}
	if !may {
		return
	}
	show(pushUnsent, tell(faulty, isUnreachable))
	if !fits {
		show(pushLost, tell(faulty, isUncertain))
		return
	}
	show(pushRefused, tell(faulty, isRefused))
	show(pushUnanswered, tell(landed(faulty), isUncertain))
	show(pushAndKill, again(landed(faulty)))
	for i, f := range st.flight {
		if f == (inPush{}) {
			later := faulty
			later.flight[i] = inPush{old, new}
			show(pushInFlight, tell(later, isUncertain))
			break
		}
	}
}

// holds reports whether a tip has a commit in its history.
func (s *search) holds(tip, commit int32) bool {
	for at := s.tips[tip]; at != ""; at = s.m.commits[at].parent {
		if at == s.tips[commit] {
			return true
		}
	}
	return false
}

// broken returns the invariant that a step breaks, or "".
func (s *search) broken(from state, by move, st state) string {
	if st.tip != from.tip && !s.holds(st.tip, from.tip) {
		return kept
	}
	r := s.record(st)
	if st.effects > from.effects || (by.what == calls && st.effects == 2) {
		started := false
		for _, start := range s.record(from).starts {
			started = started || start.Executor == names[by.who]
		}
		if !started || s.m.unapproved {
			return startFirst
		}
	}
	switch {
	case st.effects > 1 && !s.m.idempotent:
		return once
	case r.receipt != nil && (r.receipt.Outcome == spec.OutcomeDone) != (st.effects > 0):
		return truthful
	case st.effects > 0 && len(r.starts) == 0:
		return accounted
	}
	return ""
}

// endsWell lets the world go on without faults, with both executors and with each alone, and returns what does not hold in
// the end, or nil.
func (s *search) endsWell(st state) *violation {
	st.faults, st.flight = 0, [2]inPush{}
	for _, gone := range []int{-1, 0, 1} {
		left := st
		if gone >= 0 {
			if left.procs[gone] == nil {
				continue
			}
			left.procs[gone], left.lostCall = nil, true
		}
		if found := s.end(left, 0); found != nil {
			return found
		}
	}
	return nil
}

func (s *search) end(st state, round int) *violation {
	if found, ok := s.m.ends[st]; ok {
		return found
	}
	found := s.round(st, round)
	s.m.ends[st] = found
	return found
}

// maxSteps bounds what an executor does before it returns, and maxRounds how often all do.
const (
	maxSteps  = 50
	maxRounds = 6
)

// round lets every process run until it returns, and then more than an hour pass: by every clock, all that waits has waited
// enough.
func (s *search) round(st state, round int) *violation {
	if st.procs == [2]*node{} {
		if broken := s.ended(st); broken != "" {
			return &violation{broken, []string{"and that is the end of it"}}
		}
		return nil
	}
	var trace []string
	began := st.tip
	for i := range st.procs {
		for steps := 0; st.procs[i] != nil; steps++ {
			var next *state
			var by move
			s.steps(st, int8(i), func(w what, to state) {
				if next == nil {
					to = s.normal(to)
					next, by = &to, move{int8(i), w}
				}
			})
			trace = append(trace, s.tell(st, by))
			broken := s.broken(st, by, *next)
			if steps == maxSteps || round == maxRounds {
				broken = notStuck
			}
			if broken != "" {
				return &violation{broken, trace}
			}
			st = *next
			if n := st.procs[i]; n == nil || n.parent == nil {
				break // It has returned.
			}
		}
	}
	if began == st.tip {
		st.tick += 70
		trace = append(trace, "an hour passes")
	}
	found := s.end(st, round+1)
	if found != nil {
		return &violation{found.invariant, append(trace, found.trace...)}
	}
	return nil
}

// ended judges a world in which nobody does anything more.
func (s *search) ended(st state) string {
	r := s.record(st)
	switch phase := r.state(m0.Add(1000 * time.Hour)).State; {
	case phase == Unknown && s.m.idempotent && !s.expired(st):
		return notStuck
	case phase == Unknown && !st.lostCall:
		return notForLoss
	case phase == Pending && !s.m.unapproved && !s.expired(st):
		return notStuck
	}
	if end := r.final(); r.receipt == nil && end != nil && s.m.skew == [2]time.Duration{} && s.m.personSkew == 0 &&
		(end.Outcome == spec.OutcomeDone) != (st.effects > 0) {
		return finallyTrue
	}
	return ""
}

// expired reports whether the Action has expired by the clock that is behind most.
func (s *search) expired(st state) bool {
	return !m0.Add(time.Duration(st.tick) * tick).Add(max(s.m.skew[0], s.m.skew[1])).Before(s.m.work.Action.Expires)
}
