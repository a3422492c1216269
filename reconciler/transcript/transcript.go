// Package transcript reads the record of a run as what happened: who asked for it, what the model was told and said, which
// tools were called and which rule decided, who approved what, and how it ended. It is a function of the record. It decides
// nothing, hides nothing and never fails: what makes no sense to this version is told as it stands.
package transcript

import (
	"encoding/json"
	"time"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

// Transcript is a run as people and programs read it. Its texts are the record's: show them with [spec.Visible].
type Transcript struct {
	spec.RunSummary
	// Waited is how long the run had no process because people had not decided yet, or other agents had not answered.
	Waited spec.Duration `json:"waited"`
	Steps  []Step        `json:"steps"`
}

// Step is one thing that happened, in the order in which it began. Exactly one of Attempt, Model, Tool, Check and Other is
// set.
type Step struct {
	At time.Time `json:"at"`
	// N is the exchange's number, 0 for an attempt. Lane is empty for the main one.
	N    int       `json:"n,omitempty"`
	Lane spec.Lane `json:"lane,omitempty"`
	// Again counts how often the request was made once more because there was no answer yet, or a crash had cut it off.
	Again int `json:"again,omitempty"`
	// Delays are the times at which there was no answer yet, as far as the record tells them.
	Delays []Delay `json:"delays,omitempty"`
	// Refused is why the agent got an error in place of an answer.
	Refused string `json:"refused,omitempty"`
	// Rule names the policy rule or default that decided.
	Rule string `json:"rule,omitempty"`
	// Answered says that there is an answer, and Took how long it took, a wait for people left out.
	Answered bool          `json:"answered,omitempty"`
	Took     spec.Duration `json:"took,omitempty"`
	// Child is the run of another agent that has the request as its task.
	Child *Child `json:"child,omitempty"`

	Attempt *Attempt `json:"attempt,omitempty"`
	Model   *Model   `json:"model,omitempty"`
	Tool    *Tool    `json:"tool,omitempty"`
	Check   *Check   `json:"check,omitempty"`
	Other   *Other   `json:"other,omitempty"`
}

// Delay is a time at which a request had no answer, and was to be asked again.
type Delay struct {
	At  time.Time `json:"at"`
	Why string    `json:"why"`
	// Tried are the models that gave none, where that has cost something.
	Tried []spec.ModelAttempt `json:"tried,omitempty"`
}

// Attempt is a process that took the run up.
type Attempt struct {
	Number int `json:"number"`
	spec.Attempt
	// Waited is how long the run had waited for people and other agents until then. It is 0 where a process or the host had
	// ended instead.
	Waited spec.Duration `json:"waited,omitempty"`
}

// Model is one turn: what the model was told, and what it said.
type Model struct {
	// Turn counts the requests to models, from 1.
	Turn int `json:"turn"`
	// Told is what is new to the model. What it said itself, and results that are told with their tool calls, are left out.
	Told []plugins.Message `json:"told,omitempty"`
	// Afresh says that the conversation does not go on from what this lane asked before, and Told is all of it.
	Afresh bool `json:"afresh,omitempty"`
	// Tools are the names of the tools that were offered, where they differ from those of the turn before.
	Tools []string          `json:"tools,omitempty"`
	Says  string            `json:"says,omitempty"`
	Calls []plugins.ToolUse `json:"calls,omitempty"`
	Usage *spec.Usage       `json:"usage,omitempty"`
	// Decision says which model answered, and how it came to that.
	Decision *spec.ModelDecision `json:"decision,omitempty"`
}

// Tool is a tool call, and what became of it.
type Tool struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
	// Result is nil while there is none, and where the call was refused.
	Result   *plugins.ToolResult `json:"result,omitempty"`
	Proposal *Proposal           `json:"proposal,omitempty"`
}

// Child is a run that works on a task of this one.
type Child struct {
	Run   spec.RunID     `json:"run"`
	Agent spec.AgentName `json:"agent"`
	Began time.Time      `json:"began"`
}

// Proposal is a tool call that people had to decide about.
type Proposal struct {
	spec.Proposal
	Branch string `json:"branch"`
	// Opened is when it was recorded.
	Opened time.Time `json:"opened"`
	// Decision is what the agent was told of it, nil while nobody has decided. By is who decided, where that is known.
	Decision *spec.ProposalDecision `json:"decision,omitempty"`
	By       string                 `json:"by,omitempty"`
	Decided  time.Time              `json:"decided,omitzero"`
	Waited   spec.Duration          `json:"waited,omitempty"`
}

// Check is the host's look at an output before it ends the run.
type Check struct {
	Output string `json:"output"`
	plugins.CheckAnswer
}

// Other is an exchange of another kind, as it stands in the record.
type Other struct {
	Kind    string          `json:"kind"`
	Request json.RawMessage `json:"request"`
	Answer  json.RawMessage `json:"answer,omitempty"`
}

// Read reads a record, which is summed up already.
func Read(entries []spec.Entry, sum spec.RunSummary) *Transcript {
	r := reading{t: &Transcript{RunSummary: sum, Steps: []Step{}}, steps: map[int]int{}, calls: map[string]int{}, lanes: map[spec.Lane]*lane{}}
	for _, e := range entries {
		r.add(e)
	}
	return r.t
}

// reading is a record that is being read.
type reading struct {
	t *Transcript
	// steps finds the step of an exchange, calls the exchange of a tool call, lanes what each lane has told its model.
	steps map[int]int
	calls map[string]int
	lanes map[spec.Lane]*lane
	// turns and attempts count.
	turns, attempts int
}

func (r *reading) add(e spec.Entry) {
	switch {
	case e.Attempt != nil:
		r.attempts++
		a := &Attempt{Number: r.attempts, Attempt: *e.Attempt}
		if r.attempts > 1 {
			a.Waited = r.waited(e.At)
			r.t.Waited += a.Waited
		}
		r.t.Steps = append(r.t.Steps, Step{At: e.At, Attempt: a})
	case e.Request != nil:
		r.request(e)
	case e.Proposal != nil:
		if s := r.step(e.N); s != nil && s.Tool != nil {
			s.Rule = e.Rule
			s.Took = spec.Duration(e.At.Sub(s.At))
			s.Tool.Proposal = &Proposal{Proposal: *e.Proposal, Branch: e.Proposal.Branch(), Opened: e.At}
		}
	case e.Child != nil:
		if s := r.step(e.N); s != nil {
			s.Rule, s.Child = e.Rule, &Child{Run: e.Child.Run, Agent: e.Child.Agent, Began: e.At}
		}
	case e.Type == spec.EntryTried:
		if s := r.step(e.N); s != nil {
			d := Delay{At: e.At, Why: e.Error}
			if e.Tried != nil {
				d.Tried = e.Tried.Attempts
			}
			s.Delays = append(s.Delays, d)
		}
	case e.Answer != nil:
		r.answer(e)
	}
}

// waited is how long the run had waited for others when it was taken up: since the last thing that was not theirs.
func (r *reading) waited(until time.Time) spec.Duration {
	var since, decided time.Time
	later := func(t *time.Time, than time.Time) {
		if than.After(*t) {
			*t = than
		}
	}
	for _, s := range r.t.Steps {
		if s.Tool != nil && s.Tool.Proposal != nil {
			later(&since, s.Tool.Proposal.Opened)
			later(&decided, s.Tool.Proposal.Decided)
		}
		if s.Child != nil {
			later(&since, s.Child.Began)
			if s.Answered {
				later(&decided, s.At.Add(time.Duration(s.Took)))
			}
			continue
		}
		later(&since, s.At)
		if s.Answered {
			later(&since, s.At.Add(time.Duration(s.Took)))
		}
	}
	if !decided.After(since) {
		return 0
	}
	return spec.Duration(until.Sub(since))
}

func (r *reading) step(n int) *Step {
	i, ok := r.steps[n]
	if !ok {
		return nil
	}
	return &r.t.Steps[i]
}

func (r *reading) request(e spec.Entry) {
	if s := r.step(e.N); s != nil {
		s.Again++
		return
	}
	q := *e.Request
	s := Step{At: e.At, N: e.N}
	if q.Lane != spec.MainLane {
		s.Lane = q.Lane
	}
	switch {
	case q.Kind == spec.RequestModel && r.model(&s, q):
	case q.Kind == spec.RequestTool && tool(&s, q):
	case q.Kind == spec.RequestCheck && check(&s, q):
	default:
		s.Other = &Other{Kind: q.Kind, Request: q.Body}
	}
	if q.Call != "" {
		r.calls[q.Call] = e.N
	}
	r.steps[e.N] = len(r.t.Steps)
	r.t.Steps = append(r.t.Steps, s)
}

func tool(s *Step, q spec.Request) bool {
	var call plugins.ToolCall
	if json.Unmarshal(q.Body, &call) != nil {
		return false
	}
	s.Tool = &Tool{Name: call.Name, Arguments: call.Arguments}
	return true
}

func check(s *Step, q spec.Request) bool {
	var asked plugins.CheckRequest
	if json.Unmarshal(q.Body, &asked) != nil {
		return false
	}
	s.Check = &Check{Output: asked.Output}
	return true
}

func (r *reading) answer(e spec.Entry) {
	s := r.step(e.N)
	if s == nil {
		return
	}
	a := e.Answer
	s.Answered, s.Refused = true, a.Error
	if a.Rule != "" {
		s.Rule = a.Rule
	}
	if s.Tool != nil && s.Tool.Proposal != nil {
		p := s.Tool.Proposal
		p.By, p.Decided, p.Waited = a.By, e.At, spec.Duration(e.At.Sub(p.Opened))
		p.Decision = decision(a.Body)
		return
	}
	s.Took = spec.Duration(e.At.Sub(s.At))
	switch {
	case a.Error != "":
	case s.Model != nil:
		var said plugins.ModelAnswer
		if json.Unmarshal(a.Body, &said) != nil {
			said = plugins.ModelAnswer{Text: string(a.Body)}
		}
		s.Model.Says, s.Model.Calls = said.Text, said.Calls
		if l := r.lanes[lane0(s.Lane)]; l != nil {
			l.said = append(l.said, said)
		}
	case s.Tool != nil:
		s.Tool.Result = result(a.Body)
	case s.Check != nil:
		if json.Unmarshal(a.Body, &s.Check.CheckAnswer) != nil {
			s.Check.Problem = string(a.Body)
		}
	case s.Other != nil:
		s.Other.Answer = a.Body
	}
	if s.Model != nil {
		s.Model.Usage, s.Model.Decision = a.Usage, a.Model
	}
}

func result(body json.RawMessage) *plugins.ToolResult {
	var got plugins.ToolResult
	if json.Unmarshal(body, &got) != nil {
		got = plugins.ToolResult{Text: string(body)}
	}
	return &got
}

func decision(body json.RawMessage) *spec.ProposalDecision {
	var d spec.ProposalDecision
	if got := result(body); len(got.Structured) == 0 || json.Unmarshal(got.Structured, &d) != nil || d.State == "" {
		return &spec.ProposalDecision{State: "decided", Message: got.Text + string(got.Structured)}
	}
	return &d
}
