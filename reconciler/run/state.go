package run

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// exchange is one request of a run, and what became of it.
type exchange struct {
	n        int
	at       time.Time
	request  spec.Request
	digest   [sha256.Size]byte
	proposal *spec.Proposal
	// child is the task that another agent got.
	child *spec.Task
	// rule made it a proposal, or another agent's task.
	rule   string
	answer *spec.Answer
	// delayed is why there was no answer when it was asked for last, and tries counts how often the record says so.
	delayed string
	tries   int

	// What follows is of the session at hand. id is the request's there, once the agent has asked for it in this session.
	asked  bool
	id     uint64
	stream bool
}

// waits says that the exchange has no answer until somebody decides about its proposal, or its child ends.
func (x *exchange) waits() bool { return (x.proposal != nil || x.child != nil) && x.answer == nil }

// state is what a record says, folded.
type state struct {
	task      spec.Task // its history is the one after a compaction
	compacted bool
	exchanges []*exchange // exchanges[n-1] is number n
	attempts  int
	// idle counts the attempts since the last answer or proposal.
	idle int
	// worked is the time in which an agent worked, over all attempts; began and last bound the current attempt.
	worked      time.Duration
	began, last time.Time
	// decided says that the last entry is the decision about a proposal, or the end of a child.
	decided bool
	outcome *spec.Outcome
	// images are those of the task and of the tools' results, with their data.
	images map[spec.Digest]spec.Image
	// read are the knowledge sources whose text is in the task or in an answer, sorted.
	read    []string
	updated time.Time
	turns   int
	calls   int
	usage   spec.Usage
	spent   []spec.Spent
	// rejected counts answers of the agent in which something is wrong; refused is the exchange of the last one.
	rejected int
	refused  *exchange
}

// fold reads a record. The error is of the first entry that contradicts those before it, which only damage can cause;
// such entries are left out.
func fold(entries []spec.Entry) (*state, error) {
	s := &state{}
	var first error
	for i, e := range entries {
		if err := s.add(e); err != nil && first == nil {
			first = fmt.Errorf("entry %d of the record: %w", i+1, err)
		}
	}
	return s, first
}

func (s *state) exchange(n int) *exchange {
	if n < 1 || n > len(s.exchanges) {
		return nil
	}
	return s.exchanges[n-1]
}

// add folds one more entry in.
func (s *state) add(e spec.Entry) error {
	decided := false
	s.keepSources(e.Heard)
	switch e.Type {
	case spec.EntryTask:
		if e.Task == nil {
			return errors.New("a task without a task")
		}
		s.task = *e.Task
		s.keepImages(e.Images)
		s.keepSources(e.Task.Sources)
	case spec.EntryCompaction:
		if e.Compaction == nil || s.compacted || s.attempts > 0 {
			return errors.New("a compaction without a history, or too late")
		}
		s.task.History, s.compacted = e.Compaction.History, true
		s.spend(e.At, e.Compaction.Model, e.Compaction.Usage)
	case spec.EntryAttempt:
		s.attempts++
		s.idle++
		s.worked += s.last.Sub(s.began)
		s.began, s.last = e.At, e.At
	case spec.EntryRequest:
		if err := s.addRequest(e); err != nil {
			return err
		}
		s.work(e.At)
	case spec.EntryProposal:
		x := s.exchange(e.N)
		if x == nil || e.Proposal == nil {
			return fmt.Errorf("a proposal for exchange %d, which does not exist", e.N)
		}
		x.proposal, x.rule = e.Proposal, e.Rule
		s.idle = 0
		s.work(e.At)
	case spec.EntryDelegated:
		x := s.exchange(e.N)
		if x == nil || e.Child == nil {
			return fmt.Errorf("a task of exchange %d, which does not exist", e.N)
		}
		x.child, x.rule = e.Child, e.Rule
		s.idle = 0
		s.work(e.At)
	case spec.EntryTried:
		x := s.exchange(e.N)
		if x == nil {
			return fmt.Errorf("a try of exchange %d, which does not exist", e.N)
		}
		x.delayed, x.tries = e.Error, x.tries+1
		s.spend(e.At, e.Tried, nil)
	case spec.EntryAnswer:
		x := s.exchange(e.N)
		if x == nil || e.Answer == nil {
			return fmt.Errorf("an answer to exchange %d, which does not exist", e.N)
		}
		if x.answer != nil {
			return fmt.Errorf("a second answer to exchange %d", e.N)
		}
		x.answer = e.Answer
		s.keepImages(e.Answer.Images)
		s.keepSources(e.Answer.Sources)
		s.idle = 0
		s.count(x, e.At)
		// A decision may come days later, and nobody worked until then.
		switch decided = x.proposal != nil || x.child != nil; {
		case x.child != nil:
			s.workedBelow(e)
		case !decided:
			s.work(e.At)
		}
	case spec.EntryFinished:
		if e.Outcome == nil {
			return errors.New("an end without an outcome")
		}
		s.outcome = e.Outcome
	default:
		return fmt.Errorf("type %q is not known to this version", e.Type)
	}
	s.decided, s.updated = decided, e.At
	return nil
}

func (s *state) keepImages(all []spec.Image) {
	for _, i := range all {
		if s.images == nil {
			s.images = map[spec.Digest]spec.Image{}
		}
		s.images[i.Digest] = i
	}
}

func (s *state) keepSources(names []string) {
	if len(names) == 0 {
		return
	}
	all := append(slices.Clone(s.read), names...) // What was given away does not change.
	slices.Sort(all)
	s.read = slices.Compact(all)
}

func (s *state) addRequest(e spec.Entry) error {
	switch {
	case e.Request == nil:
		return errors.New("a request without a request")
	case e.Restarted && s.exchange(e.N) != nil:
		return nil
	case e.N != len(s.exchanges)+1:
		return fmt.Errorf("request %d follows request %d", e.N, len(s.exchanges))
	}
	x := &exchange{n: e.N, at: e.At, request: *e.Request, digest: bodyDigest(e.Request.Body)}
	s.exchanges = append(s.exchanges, x)
	if e.Request.Kind == spec.RequestTool {
		s.calls++
	}
	return nil
}

func (s *state) count(x *exchange, at time.Time) {
	if x.request.Kind == spec.RequestModel {
		s.turns++
	}
	if x.request.Kind == spec.RequestCheck && !verdict(x).OK {
		s.rejected++
		s.refused = x
	}
	s.spend(at, x.answer.Model, x.answer.Usage)
}

// spend counts what an answer has cost, and what models before had cost that gave none of use. One that no model of its own gave is
// of a child, whose record says what it asked of models.
func (s *state) spend(at time.Time, by *spec.ModelDecision, u *spec.Usage) {
	if by != nil {
		for _, tried := range by.Attempts {
			if tried.Usage != nil {
				s.usage = s.usage.Add(*tried.Usage)
				s.spendOn(at, tried.Model, 0, *tried.Usage)
			}
		}
	}
	if u == nil {
		return
	}
	s.usage = s.usage.Add(*u)
	if by != nil {
		s.spendOn(at, by.Model, 1, *u)
	}
}

// spendOn counts what a model has cost on the day of a time.
func (s *state) spendOn(at time.Time, model string, answers int, u spec.Usage) {
	day := spec.Day(at)
	i := slices.IndexFunc(s.spent, func(old spec.Spent) bool { return old.Day == day && old.Model == model })
	if i < 0 {
		i, s.spent = len(s.spent), append(s.spent, spec.Spent{Day: day, Model: model})
	}
	s.spent[i].Answers += answers
	s.spent[i].Usage = s.spent[i].Usage.Add(u)
}

func (s *state) work(at time.Time) {
	if at.After(s.last) {
		s.last = at
	}
}

// workedBelow counts the time in which the agents of a child have worked, as far as it is not counted yet: children that
// work side by side, or while their parent works, take no longer than the one that takes longest.
func (s *state) workedBelow(e spec.Entry) {
	s.worked += s.last.Sub(s.began) + max(min(e.At.Sub(s.last), e.Answer.Worked), 0)
	s.began, s.last = e.At, e.At
}

// hasWorked is the time in which agents have worked until the last entry, those of children too.
func (s *state) hasWorked() time.Duration { return s.worked + s.last.Sub(s.began) }

// waiting returns the proposals that have no decision yet, in the order of their requests.
func (s *state) waiting() []spec.Proposal {
	var open []spec.Proposal
	for _, x := range s.exchanges {
		if x.proposal != nil && x.waits() {
			open = append(open, *x.proposal)
		}
	}
	return open
}

// children returns the runs of other agents that have not ended, in the order of their requests.
func (s *state) children() []spec.ChildRun {
	var open []spec.ChildRun
	for _, x := range s.exchanges {
		if x.child != nil && x.waits() {
			open = append(open, spec.ChildRun{Run: x.child.Run, Agent: x.child.Agent, Exchange: x.n})
		}
	}
	return open
}

// ready says that the run waits for nobody.
func (s *state) ready() bool { return !slices.ContainsFunc(s.exchanges, (*exchange).waits) }

// models counts requests to models, answered or not.
func (s *state) models() int {
	if len(s.exchanges) == 0 {
		return 0
	}
	return s.turn(s.exchanges[len(s.exchanges)-1])
}

// turn says which request to a model an exchange is, from 1.
func (s *state) turn(of *exchange) int {
	n := 0
	for _, x := range s.exchanges[:of.n] {
		if x.request.Kind == spec.RequestModel {
			n++
		}
	}
	return n
}

// bodyDigest is over canonical JSON, so that it is the same before and after a record was written and read. What is no
// JSON has a digest as it stands.
func bodyDigest(body []byte) [sha256.Size]byte {
	canonical, err := spec.Canonical(json.RawMessage(body))
	if err != nil {
		canonical = body
	}
	return sha256.Sum256(canonical)
}
