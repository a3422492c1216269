package run

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/mainstay-dev/mainstay/spec"
)

// What a run ends with is checked by requests of kind check, which are answered and recorded like all others. An agent may ask
// as often as problems may be told, and the answer after that ends the run. A final answer that the agent has not had checked
// is checked here, by a request that the host makes in its place; then there is nothing to be mended.

// ours is the id of a request that the host makes itself: agents give theirs others.
const ours = 0

// verdict is what a check says. A refused one is as bad as a problem.
func verdict(x *exchange) spec.Verdict {
	var v spec.Verdict
	if x.answer.Error != "" || json.Unmarshal(x.answer.Body, &v) != nil {
		return spec.Verdict{Problem: x.answer.Error}
	}
	return v
}

// checkResult has a final answer checked, unless the agent has had that done. It returns nil while the check is under way.
func (w *work) checkResult(ctx context.Context, output string) *end {
	body, err := spec.Canonical(map[string]string{"output": output})
	if err != nil {
		return &end{outcome: failed(HostFailed, "the final answer cannot be recorded: %v", err), over: true}
	}
	digest := bodyDigest(body)
	for _, x := range w.state.exchanges {
		if x.request.Kind == spec.RequestCheck && x.digest == digest && x.answer != nil && verdict(x).OK {
			return &end{outcome: succeeded(output), over: true}
		}
	}
	w.output = &output
	outcome, err := w.ask(ctx, Message{ID: ours, Request: &spec.Request{Lane: spec.MainLane, Kind: spec.RequestCheck, Body: body}})
	switch {
	case err != nil:
		return lost(err)
	case outcome != nil:
		return &end{outcome: outcome, over: true}
	}
	for _, x := range w.state.exchanges {
		if x.asked && x.id == ours {
			w.checking = x
		}
	}
	return nil
}

// judged is how the attempt ends because of what a check says, or nil.
func (w *work) judged() *end {
	if outcome := w.rejection(); outcome != nil {
		return &end{outcome: outcome}
	}
	if w.checking == nil || w.checking.answer == nil {
		return nil
	}
	if verdict(w.checking).OK {
		return &end{outcome: succeeded(*w.output), over: true}
	}
	return &end{outcome: w.rejected(), over: true}
}

// rejection is the outcome of a run whose answers were refused once more than it may mend them, or could not be checked.
func (w *work) rejection() *spec.Outcome {
	check := w.agent.CheckOf(w.state.task)
	if check == nil || w.state.refused == nil {
		return nil
	}
	if w.state.rejected > check.Repairs || w.state.refused.answer.Error != "" {
		return w.rejected()
	}
	return nil
}

// rejected is the outcome of a run whose last answer was refused.
func (w *work) rejected() *spec.Outcome {
	x := w.state.refused
	times := "once"
	if w.state.rejected > 1 {
		times = fmt.Sprintf("%d times, the last time", w.state.rejected)
	}
	outcome := failed(OutputRejected, "the agent's answer was refused %s by %s: %s", times, x.answer.Rule, verdict(x).Problem)
	if x.answer.Error != "" {
		outcome = failed(OutputRejected, "the agent's answer could not be checked: %s", x.answer.Error)
	}
	var asked struct {
		Output string `json:"output"`
	}
	if json.Unmarshal(x.request.Body, &asked) == nil {
		outcome.Output = clip(asked.Output, w.agent.Limits.OutputBytes)
	}
	return outcome
}
