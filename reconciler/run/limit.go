package run

import (
	"encoding/json"
	"fmt"

	"github.com/mainstay-dev/mainstay/spec"
)

// limit is the outcome of a run that reached a limit of its agent: which, and what to change.
func (w *work) limit(field, format string, args ...any) *spec.Outcome {
	return failed(LimitReached, "%s; if the agent needs more, raise limits.%s of Agent/%s",
		fmt.Sprintf(format, args...), field, w.state.task.Agent)
}

func (w *work) outOfTime() *spec.Outcome {
	most := w.wallTime()
	if p := w.state.task.Parent; p != nil && most < w.agent.Limits.WallTime {
		return failed(LimitReached, "the agent has worked for %s without a result, which is all that run %s had left; if it needs more, raise limits.wallTime of Agent/%s",
			most, p.Run, p.Agent)
	}
	return w.limit("wallTime", "the agent has worked for %s without a result", most)
}

// checkRequest bounds the form of any request.
func (w *work) checkRequest(q spec.Request) *spec.Outcome {
	switch {
	case len(q.Body) > MaxBody:
		return failed(LimitReached, "a %s request has %s of at most %s; have the agent send less at once", clip(q.Kind, 32), bytesText(len(q.Body)), bytesText(MaxBody))
	case len(q.Lane) > maxLane || len(q.Call) > maxCall || len(q.Kind) > maxLane:
		return failed(LimitReached, "the names in a request are longer than %d bytes for a lane or kind, or %d for a call", maxLane, maxCall)
	case !json.Valid(q.Body):
		return failed(AgentFailed, "the body of a %s request is no JSON", q.Kind)
	case w.outstanding() >= MaxOutstanding:
		return failed(LimitReached, "more than %d requests wait for their answers at once; have the agent wait for some first", MaxOutstanding)
	}
	return nil
}

// checkLimits counts a new request against the agent's limits.
func (w *work) checkLimits(q spec.Request) *spec.Outcome {
	limits := w.agent.Limits
	switch most := limits.Turns + limits.ToolCalls + extraRequests; {
	case q.Kind == spec.RequestModel && w.state.models() >= limits.Turns:
		return w.limit("turns", "the agent has asked a model %s, which is its limit", plural(limits.Turns, "time"))
	case q.Kind == spec.RequestModel && limits.Tokens > 0 && w.state.usage.Input+w.state.usage.Output >= limits.Tokens:
		return w.limit("tokens", "the model has read and written %d tokens, and the limit is %d", w.state.usage.Input+w.state.usage.Output, limits.Tokens)
	case q.Kind == spec.RequestModel && limits.Cost > 0 && w.state.usage.Cost >= limits.Cost:
		return w.limit("cost", "the model's answers have cost %s, and the limit is %v", w.state.usage.Money(), limits.Cost)
	case q.Kind == spec.RequestTool && w.state.calls >= limits.ToolCalls:
		return w.limit("toolCalls", "the agent has called tools %s, which is its limit", plural(limits.ToolCalls, "time"))
	case len(w.state.exchanges) >= most:
		return failed(LimitReached, "the agent has made %d requests, the most for its turns and tool calls; it asks for time or randomness in a loop", most)
	}
	return nil
}

// outstanding counts the requests of the session that have no answer.
func (w *work) outstanding() int {
	n := 0
	for _, x := range w.state.exchanges {
		if x.asked && x.answer == nil {
			n++
		}
	}
	return n
}

func bytesText(n int) string {
	if n < 10<<10 {
		return fmt.Sprintf("%d bytes", n)
	}
	if n < 10<<20 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
