package plugins

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

// Run is one run as its agent sees it, in one lane. All methods may be called from many goroutines; but the requests of
// one lane must be made in an order that does not depend on chance, so concurrent branches take a [Run.Lane] each.
type Run struct {
	wire   *wire
	lane   string
	start  *pluginpb.Start
	tools  []ToolInfo
	skills []SkillInfo
	// history is shared, and copied before it is handed out.
	history []Message
}

// ToolInfo is a tool that the agent may call.
type ToolInfo struct {
	Name        string
	Description string
	// InputSchema is the JSON Schema of the arguments.
	InputSchema json.RawMessage
}

// SkillInfo is a skill that the agent may ask for.
type SkillInfo struct{ Name, Description string }

// Limits are enforced by the host. 0 means unknown.
type Limits struct {
	Turns       int
	ToolCalls   int
	WallTime    time.Duration
	OutputBytes int
}

func newRun(w *wire, start *pluginpb.Start) *Run {
	r := &Run{wire: w, lane: MainLane, start: start}
	for _, t := range start.GetTools() {
		r.tools = append(r.tools, ToolInfo{
			Name: t.GetName(), Description: t.GetDescription(), InputSchema: json.RawMessage(t.GetInputSchemaJson()),
		})
	}
	for _, s := range start.GetSkills() {
		r.skills = append(r.skills, SkillInfo{Name: s.GetName(), Description: s.GetDescription()})
	}
	for _, m := range start.GetHistory() {
		r.history = append(r.history, Message{Role: m.GetRole(), Text: m.GetText()})
	}
	return r
}

// ID is the run's id, for logs. A request must not depend on it.
func (r *Run) ID() string { return r.start.GetRun() }

// Agent is the agent's name.
func (r *Run) Agent() string { return r.start.GetAgent() }

// Task is what the agent is told to do.
func (r *Run) Task() string { return r.start.GetTask() }

// Images are those that the task is about. [Run.Conversation] has them already.
func (r *Run) Images() []Image { return imagesFrom(r.start.GetImages()) }

// Tools are the tools that the agent may call, in the host's order. The caller must not change them.
func (r *Run) Tools() []ToolInfo { return r.tools }

// Skills are the skills that the agent may ask for. The caller must not change them.
func (r *Run) Skills() []SkillInfo { return r.skills }

// History is what was said before in the thread that the run belongs to, oldest first. A conversation with a model begins
// with it, and the task follows; see [Run.Conversation].
func (r *Run) History() []Message { return slices.Clone(r.history) }

// Conversation is what a conversation with a model begins with: the history, and the task with its images as the user's message.
func (r *Run) Conversation() []Message {
	return append(r.History(), Message{Role: RoleUser, Text: r.Task(), Images: r.Images()})
}

// OutputSchema is the JSON Schema that the output must follow as JSON, or empty for any text.
func (r *Run) OutputSchema() json.RawMessage { return json.RawMessage(r.start.GetOutputSchemaJson()) }

// Check asks the host whether the run may end with this output. Where it may not, problem says for a model what is wrong: let
// it mend the output, and check again. A host that checks nothing is not asked.
func (r *Run) Check(ctx context.Context, output string) (problem string, err error) {
	if !r.start.GetCheck() {
		return "", nil
	}
	p, err := r.wire.ask(ctx, r.lane, CheckRequest{Output: output}, false)
	if err != nil {
		return "", fmt.Errorf("check the output: %w", err)
	}
	answer, err := wait[CheckAnswer](ctx, p)
	if err != nil {
		return "", fmt.Errorf("check the output: %w", err)
	}
	if answer.OK {
		return "", nil
	}
	return cmp.Or(answer.Problem, "The answer is not what it must be."), nil
}

// Limits are the run's limits.
func (r *Run) Limits() Limits {
	l := r.start.GetLimits()
	return Limits{
		Turns: int(l.GetTurns()), ToolCalls: int(l.GetToolCalls()),
		WallTime: time.Duration(l.GetWallTimeMs()) * time.Millisecond, OutputBytes: int(l.GetOutputBytes()),
	}
}

// Lane returns the same run in the lane of that name: letters, digits and -_./: up to [MaxLane] bytes. Requests in another lane
// than that are refused. Name a lane by what is done in it: a name must be the same when the run is replayed.
func (r *Run) Lane(name string) *Run {
	lane := *r
	lane.lane = name
	return &lane
}

// Model asks the agent's model. Where onDelta is not nil it is called with pieces of the text as they come, in this
// goroutine; it may not be called at all. A refusal is a [*Refusal].
func (r *Run) Model(ctx context.Context, request ModelRequest, onDelta func(string)) (ModelAnswer, error) {
	request.Stream = onDelta != nil
	p, err := r.wire.ask(ctx, r.lane, request, request.Stream)
	if err != nil {
		return ModelAnswer{}, fmt.Errorf("ask the model: %w", err)
	}
	if onDelta != nil {
		if err := p.pass(ctx, onDelta); err != nil {
			return ModelAnswer{}, fmt.Errorf("ask the model: %w", err)
		}
	}
	answer, err := wait[ModelAnswer](ctx, p)
	if err != nil {
		return answer, fmt.Errorf("ask the model: %w", err)
	}
	return answer, nil
}

func (p *Pending) pass(ctx context.Context, onDelta func(string)) error {
	for {
		select {
		case text, more := <-p.deltas:
			if !more {
				return nil
			}
			onDelta(text)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// StartTool sends a tool call and returns; it blocks only while [MaxOutstanding] requests wait. Calls are sent in the
// order of the calls to StartTool.
func (r *Run) StartTool(ctx context.Context, use ToolUse) (*Pending, error) {
	p, err := r.wire.ask(ctx, r.lane, ToolCall{ID: use.ID, Name: use.Name, Arguments: use.Arguments}, false)
	if err != nil {
		return nil, fmt.Errorf("call the tool %s: %w", use.Name, err)
	}
	return p, nil
}

// Tool waits for the result of a call that [Run.StartTool] sent. It may take days. A refusal is a [*Refusal].
func (p *Pending) Tool(ctx context.Context) (ToolResult, error) { return wait[ToolResult](ctx, p) }

// CallTool calls a tool and waits for its result. A refusal is a [*Refusal].
func (r *Run) CallTool(ctx context.Context, use ToolUse) (ToolResult, error) {
	p, err := r.StartTool(ctx, use)
	if err != nil {
		return ToolResult{}, err
	}
	result, err := p.Tool(ctx)
	if err != nil {
		return result, fmt.Errorf("call the tool %s: %w", use.Name, err)
	}
	return result, nil
}

// StreamTool calls a tool as [Run.CallTool] does, and calls onDelta with pieces of the result's text as they come, in this
// goroutine. Only a call that gives a task to another agent has any, and it may have none either.
func (r *Run) StreamTool(ctx context.Context, use ToolUse, onDelta func(string)) (ToolResult, error) {
	p, err := r.wire.ask(ctx, r.lane, ToolCall{ID: use.ID, Name: use.Name, Arguments: use.Arguments, Stream: true}, true)
	if err == nil {
		err = p.pass(ctx, onDelta)
	}
	var result ToolResult
	if err == nil {
		result, err = p.Tool(ctx)
	}
	if err != nil {
		return result, fmt.Errorf("call the tool %s: %w", use.Name, err)
	}
	return result, nil
}

// CallTools sends all calls in order, so that they run at once, and waits for all results, in the order of the calls. A
// refusal becomes a result that says so, for the model to read.
func (r *Run) CallTools(ctx context.Context, uses []ToolUse) ([]ToolResult, error) {
	started := make([]*Pending, len(uses))
	for i, use := range uses {
		var err error
		if started[i], err = r.StartTool(ctx, use); err != nil {
			return nil, err
		}
	}
	results := make([]ToolResult, len(uses))
	for i, p := range started {
		result, err := p.Tool(ctx)
		if refusal, ok := errors.AsType[*Refusal](err); ok {
			result = ToolResult{Text: refusal.Error(), IsError: true}
		} else if err != nil {
			return nil, fmt.Errorf("call the tool %s: %w", uses[i].Name, err)
		}
		results[i] = result
	}
	return results, nil
}

// Now asks for the time. It is recorded, so that a replay sees the same.
func (r *Run) Now(ctx context.Context) (time.Time, error) {
	p, err := r.wire.ask(ctx, r.lane, TimeRequest{}, false)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for the time: %w", err)
	}
	answer, err := wait[TimeAnswer](ctx, p)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for the time: %w", err)
	}
	return time.Parse(time.RFC3339Nano, answer.Time)
}

// Random asks for n random bytes, from 1 to [MaxRandom]. They are recorded: never make a secret of them.
func (r *Run) Random(ctx context.Context, n int) ([]byte, error) {
	p, err := r.wire.ask(ctx, r.lane, RandomRequest{N: n}, false)
	if err != nil {
		return nil, fmt.Errorf("ask for random bytes: %w", err)
	}
	answer, err := wait[RandomAnswer](ctx, p)
	if err != nil {
		return nil, fmt.Errorf("ask for random bytes: %w", err)
	}
	return answer.Bytes, nil
}

// Log adds a line to the run's log, at level debug, info, warn or error. See [MaxLogText] and [MaxLogs].
func (r *Run) Log(level, text string) { r.wire.log(level, text) }

func wait[T any](ctx context.Context, p *Pending) (T, error) {
	var none T
	select {
	case <-p.done:
	case <-ctx.Done():
		return none, context.Cause(ctx)
	case <-p.lost.Done():
		// The run's own context says why, where the caller's does not.
		return none, errHostGone
	}
	if p.err != nil {
		return none, p.err
	}
	answer, ok := p.answer.(T)
	if !ok {
		return none, fmt.Errorf("the host answered with %T where %T belongs", p.answer, none)
	}
	return answer, nil
}
