package broker

import (
	"encoding/json"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

// Decided returns the answer that an agent gets once its proposal is decided. decision is a JSON object that says what
// became of it; it is the structured result of the tool call, without secrets. A decision that is not JSON becomes an
// answer with Error, so that the run goes on.
func (b *Broker) Decided(p spec.Proposal, decision json.RawMessage) spec.Answer {
	raw, err := b.redactJSON(decision)
	if err == nil {
		raw, err = plugins.Canonical(plugins.ToolResult{Structured: raw})
	}
	if err != nil {
		return spec.Answer{Error: "what became of proposal " + string(p.Key) + " cannot be read: " + err.Error()}
	}
	return spec.Answer{Body: raw}
}
