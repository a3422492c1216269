package replay

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/spec"
)

// player stands in for all that is outside the engine: it answers from the record.
type player struct {
	Options
	is    *Side
	agent *spec.Agent
	// before and after are what the host adds to what the agent asks its model; before is nil where it is not known.
	before, after *added

	mu          sync.Mutex
	differences []Difference
	notes       []string
	replayed    int
	// given are the answers by the number of the request in the memory, for a process that had to be started again.
	given map[int]run.Reply
	// afresh are the lanes in which the model is asked, from the first difference on.
	afresh map[spec.Lane]bool
	// told are the differences that are told already. beyond is why the record has no answer to what was asked.
	told   map[string]bool
	beyond string
	failed error
}

func newPlayer(o Options, is *Side, agent *spec.Agent) *player {
	p := &player{Options: o, is: is, agent: agent, given: map[int]run.Reply{}, afresh: map[spec.Lane]bool{}, told: map[string]bool{}}
	tools, unpinned := broker.PinnedTools(agent, is.Fleet)
	p.after = &added{agent: agent, tools: tools, unpinned: unpinned}
	for _, server := range unpinned {
		p.note("%s does not pin what the tool server %s says of its tools, so that their descriptions are not compared, and a runtime that looks at them does not see them", spec.LockFile, server)
	}
	switch was := o.Was; {
	case was == nil:
		p.note("what the agent was at %s cannot be had, so that what its model was told is not compared", o.Recording.Task().Revision.Short())
	case was.Fleet.Agents[agent.Name] == nil:
		p.note("%s declares no agent %s, so that what its model was told is not compared", was.Name, agent.Name)
	default:
		old := was.Fleet.Agents[agent.Name]
		tools, unpinned := broker.PinnedTools(old, was.Fleet)
		p.before = &added{agent: old, tools: tools, unpinned: unpinned}
		if digest := o.Recording.Task().Digest; digest != "" && digest != old.Digest {
			p.note("the agent's digest at %s is %s, and the record says %s: it was loaded with another --env, or by another version of mainstay", was.Name, old.Digest.Short(), digest.Short())
		}
	}
	return p
}

func (p *player) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// Agent returns the agent as the revision declares it.
func (p *player) Agent(context.Context, spec.Task) (*spec.Agent, error) { return p.agent, nil }

// Open starts the task.
func (p *player) Open(ctx context.Context, task spec.Task, agent *spec.Agent) (run.Session, error) {
	s, err := p.Options.Open(ctx, task, agent, p.after.tools)
	if err != nil {
		p.failed = err // Nothing else will make it start.
	}
	return s, err
}

// hold is a reply after which the engine serves what else the agent asks for, and then lets the run wait.
var hold = run.Reply{Proposal: &spec.Proposal{Title: "the replay ends here"}}

// Answer answers a request from the record.
func (p *player) Answer(ctx context.Context, call run.Call, _ func(string)) (run.Reply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if reply, ok := p.given[call.N]; ok {
		return reply, nil
	}
	reply, err := p.serve(ctx, call)
	if err != nil {
		p.failed = err
		return run.Reply{}, err
	}
	p.given[call.N] = reply
	return reply, nil
}

// Escalate proposes nothing: a replay changes nothing.
func (p *player) Escalate(context.Context, run.Call, spec.Outcome) (run.Reply, error) {
	return run.Reply{Answer: &spec.Answer{Error: "this is a replay"}}, nil
}

func (p *player) serve(ctx context.Context, call run.Call) (run.Reply, error) {
	q := call.Request
	x, expected := p.Recording.Take(q)
	if x == nil && expected != nil && onlyTools(expected.Request, q) {
		x = p.Recording.Next(q.Lane, spec.RequestModel) // It asks the same, and offers other tools.
	}
	changed := x == nil || p.afresh[q.Lane]
	if x != nil {
		p.replayed++
		changed = p.compare(x, q) || changed
	}
	switch {
	case changed && p.Ask != nil && q.Kind == spec.RequestModel:
		if x == nil {
			x = p.Recording.Next(q.Lane, spec.RequestModel)
		}
		return p.ask(ctx, call, x)
	case x != nil:
		return p.recorded(x), nil
	case p.Ask != nil && p.afresh[q.Lane]:
		return p.result(q), nil
	case expected != nil:
		p.differ(Difference{Exchange: expected.N, Lane: q.Lane, Kind: Asked, Text: asked(expected.Request, q), Diffs: requestDiffs(expected.Request, q)})
		return hold, nil
	}
	return p.past(q), nil
}

// recorded is what the record says of an exchange.
func (p *player) recorded(x *run.Exchange) run.Reply {
	switch {
	case x.Answer != nil:
		return run.Reply{Answer: x.Answer}
	case x.Proposal != nil:
		p.beyond = fmt.Sprintf("exchange %d waits for the decision about proposal %s", x.N, x.Proposal.Key)
	case x.Child != nil:
		p.beyond = fmt.Sprintf("exchange %d waits for run %s of %s", x.N, x.Child.Run, x.Child.Agent)
	default:
		p.beyond = fmt.Sprintf("exchange %d was never answered", x.N)
	}
	return hold
}

// past says what it means that an agent asks for more than the record has.
func (p *player) past(q spec.Request) run.Reply {
	d := Difference{Exchange: p.Recording.Len() + 1, Lane: q.Lane, Kind: Asked}
	switch end := p.Recording.Outcome(); {
	case end == nil:
		p.beyond = "the record ends there"
		return hold
	case end.Phase == spec.PhaseSucceeded || end.Reason == run.AgentFailed:
		d.Text = fmt.Sprintf("the agent had ended, and now it asks for %s.", run.Name(q))
	case end.Reason == run.LimitReached:
		d.Text = fmt.Sprintf("the run had reached a limit (%s), and now it goes on with %s.", end.Message, run.Name(q))
	default:
		p.beyond = fmt.Sprintf("the run was ended there: %s: %s", end.Reason, end.Message)
		return hold
	}
	p.differ(d)
	return hold
}

// result answers a tool call of a model that was asked again, which is the record's where it has the same call.
func (p *player) result(q spec.Request) run.Reply {
	var call plugins.ToolCall
	_ = json.Unmarshal(q.Body, &call) // What is no call is in no record.
	digest := argumentsOf(call)
	x := p.Recording.Result(func(body json.RawMessage) bool {
		var other plugins.ToolCall
		return json.Unmarshal(body, &other) == nil && other.Name == call.Name && argumentsOf(other) == digest
	})
	if x == nil {
		p.differ(Difference{Exchange: p.Recording.Len() + 1, Lane: q.Lane, Kind: Unrecorded,
			Text: fmt.Sprintf("there is no recorded result of %s with these arguments, so that the replay cannot go on.", call.Name), Is: string(call.Arguments)})
		return hold
	}
	p.replayed++
	p.compare(x, q)
	return p.recorded(x)
}

func argumentsOf(call plugins.ToolCall) spec.Digest {
	raw, err := spec.Canonical(call.Arguments)
	if err != nil {
		raw = call.Arguments
	}
	return spec.DigestBytes(raw)
}

// noProposals opens none. A request that has become a proposal only keeps the run waiting.
type noProposals struct{}

func (noProposals) Open(context.Context, spec.Proposal) (*spec.Answer, error) { return nil, nil }

func (p *player) differ(d Difference) {
	if d.Lane == spec.MainLane {
		d.Lane = ""
	}
	key := d.Kind + "\x00" + d.Text + "\x00" + fmt.Sprint(d.Diffs)
	if d.Kind == Told { // It is told once, and holds for all turns that follow.
		if p.told[key] {
			return
		}
		p.told[key] = true
	}
	p.differences = append(p.differences, d)
}

// report sums up what was found, once the engine is done.
func (p *player) report(sum spec.RunSummary) *Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	task := p.Recording.Task()
	r := &Report{Run: task.Run, Agent: task.Agent, Was: task.Revision.Short(), Is: p.is.Name, Exchanges: p.Recording.Len()}
	p.end(sum)
	slices.SortStableFunc(p.differences, func(a, b Difference) int { return cmp.Compare(a.Exchange, b.Exchange) })
	r.Differences, r.Replayed, r.Notes = append([]Difference{}, p.differences...), p.replayed, p.notes
	r.Same = len(r.Differences) == 0
	switch {
	case sum.Outcome != nil:
		r.Ended = "to its end: it " + sum.Outcome.Phase
		if sum.Outcome.Reason != "" {
			r.Ended += ", " + sum.Outcome.Reason
		}
	case p.beyond != "":
		r.Ended = "to the end of the record: " + p.beyond
	default:
		r.Ended = fmt.Sprintf("for %d of the %d exchanges of the record", r.Replayed, r.Exchanges)
	}
	return r
}

// end compares how the run ended.
func (p *player) end(sum spec.RunSummary) {
	was, is := p.Recording.Outcome(), sum.Outcome
	if is == nil {
		return
	}
	d := Difference{Exchange: p.Recording.Len() + 1, Kind: Ended}
	switch left := p.Recording.Left(); {
	case left != nil && p.Ask == nil:
		d.Exchange, d.Kind = left.N, Asked
		d.Text = fmt.Sprintf("exchange %d was %s, and now the run ends without it: %s.", left.N, run.Name(left.Request), ending(is))
		d.Is = is.Output
	case was == nil:
		d.Text = fmt.Sprintf("the run had not ended, and now it ends: %s.", ending(is))
		d.Is = is.Output
	case was.Phase != is.Phase || was.Reason != is.Reason || is.Reason == run.AgentFailed && was.Message != is.Message:
		d.Text = fmt.Sprintf("the run ended: %s; and now it ends: %s.", ending(was), ending(is))
	case was.Output != is.Output:
		d.Text = "the final answer is another one."
		d.Diffs = diffs("the answer", was.Output, is.Output)
	default:
		return
	}
	p.differ(d)
}

func ending(o *spec.Outcome) string {
	text := o.Phase
	if o.Reason != "" {
		text += ", " + o.Reason
	}
	if o.Message != "" {
		text += ", " + o.Message
	}
	return text
}
