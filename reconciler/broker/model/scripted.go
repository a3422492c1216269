package model

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

// scripted answers by the rules of the model's spec.
type scripted struct{}

func (scripted) chat(_ context.Context, m *spec.Model, request Request, delta func(string)) (Answer, error) {
	if m.Script == nil {
		return Answer{}, fmt.Errorf("%s has no rules", m.Place.File)
	}
	conversation := spec.Conversation{Instructions: request.Instructions}
	for _, message := range request.Messages {
		out := spec.Message{Role: message.Role, Text: message.Text, Tool: message.Tool, Call: message.CallID}
		if message.Role == plugins.RoleTool {
			out.Result = structured(message.Text)
		}
		conversation.Messages = append(conversation.Messages, out)
	}
	said, err := m.Script.Answer(conversation)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{ModelAnswer: plugins.ModelAnswer{Text: said.Text}}
	answer.use(spec.Usage{Input: said.Usage.Input, Output: said.Usage.Output})
	for _, call := range said.Calls {
		arguments, err := plugins.Canonical(call.Arguments)
		if err != nil {
			return Answer{}, fmt.Errorf("rule %d: arguments of %s: %w", said.Rule, call.Tool, err)
		}
		answer.Calls = append(answer.Calls, plugins.ToolUse{Name: call.Tool, Arguments: arguments})
	}
	lines(said.Text, delta)
	answer.finish()
	return answer, nil
}

// lines gives a text out line by line, as a server would.
func lines(text string, delta func(string)) {
	for line := range strings.SplitAfterSeq(text, "\n") {
		if line != "" {
			delta(line)
		}
	}
}

// structured returns a tool's text as a value where it is a JSON object or list, as a runtime shows structured results;
// else nil, and the text is the result.
func structured(text string) any {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
		return nil
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return nil
	}
	return value
}
