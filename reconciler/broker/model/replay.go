package model

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

// replay answers from a recording, which is the record of a run. A request is the same as a recorded one if its messages, the
// names of its tools and its schema are: the instructions are in no record, and the ids of calls count only for what belongs
// together.
type replay struct{ Providers }

func (p replay) chat(_ context.Context, m *spec.Model, request Request, delta func(string)) (Answer, error) {
	asked := plugins.ModelRequest{Messages: request.Messages, OutputSchema: request.OutputSchema}
	for _, tool := range request.Tools {
		asked.Tools = append(asked.Tools, tool.Name)
	}
	want, err := comparedAs(asked)
	if err != nil {
		return Answer{}, err
	}
	best, alike, near := -1, -1, recordedRequest{}
	for i, one := range m.Recorded {
		var was plugins.ModelRequest
		if err := json.Unmarshal(one.Request, &was); err != nil {
			return Answer{}, fmt.Errorf("%s: answer %d: its request: %w", m.Spec.Recording, i+1, err)
		}
		is, err := comparedAs(was)
		if err != nil {
			return Answer{}, err
		}
		if is.same(want) {
			return recorded(m, i, delta)
		}
		if m.Spec.Match == spec.MatchLenient && is.turn != want.turn {
			continue
		}
		if n := is.alike(want); n > alike {
			best, alike, near = i, n, is
		}
	}
	switch {
	case best < 0:
		return Answer{}, failed(Refused, "%s has no answer for turn %d: record a run that gets that far", m.Spec.Recording, want.turn+1)
	case m.Spec.Match == spec.MatchLenient:
		return recorded(m, best, delta)
	}
	return Answer{}, failed(Refused, "%s does not have this request; the most similar one, of answer %d, differs in %s: record the run again, or set match: lenient",
		m.Spec.Recording, best+1, p.difference(near, want, alike))
}

// recorded gives out an answer of the recording, line by line.
func recorded(m *spec.Model, i int, delta func(string)) (Answer, error) {
	var answer Answer
	if err := json.Unmarshal(m.Recorded[i].Answer, &answer.ModelAnswer); err != nil {
		return Answer{}, fmt.Errorf("%s: answer %d: %w", m.Spec.Recording, i+1, err)
	}
	if len(answer.Text) > MaxText {
		answer.Text, answer.Finish = wholeRunes(answer.Text, MaxText), plugins.FinishLength
	}
	for j := range answer.Calls {
		answer.Calls[j].ID = ""
	}
	used := m.Recorded[i].Usage
	answer.use(spec.Usage{Input: used.Input, Output: used.Output, Cached: used.Cached, Reasoning: used.Reasoning, Busy: used.Busy})
	lines(answer.Text, delta)
	return answer, nil
}

// recordedRequest is a request in the form in which two are compared.
type recordedRequest struct {
	messages []json.RawMessage
	tools    []string
	schema   json.RawMessage
	// turn is how many answers the model has given before.
	turn int
}

func comparedAs(r plugins.ModelRequest) (recordedRequest, error) {
	out := recordedRequest{tools: slices.Compact(slices.Sorted(slices.Values(r.Tools)))}
	ids := map[string]string{}
	id := func(given string) string {
		if given != "" && ids[given] == "" {
			ids[given] = strconv.Itoa(len(ids) + 1)
		}
		return ids[given]
	}
	for _, message := range r.Messages {
		if message.Role == plugins.RoleAssistant {
			out.turn++
		}
		message.Calls = slices.Clone(message.Calls)
		for i := range message.Calls {
			message.Calls[i].ID = id(message.Calls[i].ID)
		}
		message.CallID = id(message.CallID)
		written, err := plugins.Canonical(message)
		if err != nil {
			return out, fmt.Errorf("message %d: %w", len(out.messages)+1, err)
		}
		out.messages = append(out.messages, written)
	}
	if len(r.OutputSchema) > 0 {
		schema, err := plugins.Canonical(r.OutputSchema)
		if err != nil {
			return out, fmt.Errorf("output schema: %w", err)
		}
		out.schema = schema
	}
	return out, nil
}

// alike is how many messages two requests have in common at their beginning.
func (r recordedRequest) alike(other recordedRequest) int {
	n := 0
	for n < len(r.messages) && n < len(other.messages) && bytes.Equal(r.messages[n], other.messages[n]) {
		n++
	}
	return n
}

func (r recordedRequest) same(other recordedRequest) bool {
	return len(r.messages) == len(other.messages) && r.alike(other) == len(r.messages) && slices.Equal(r.tools, other.tools) && bytes.Equal(r.schema, other.schema)
}

// difference says in what a request differs from a recorded one, which begins with the same n messages.
func (p Providers) difference(was, is recordedRequest, n int) string {
	message := func(r recordedRequest) string {
		if n >= len(r.messages) {
			return "nothing"
		}
		return p.short(string(r.messages[n]))
	}
	switch {
	case n < len(was.messages) || n < len(is.messages):
		return fmt.Sprintf("message %d, which was %s and is %s", n+1, message(was), message(is))
	case !slices.Equal(was.tools, is.tools):
		return p.short(fmt.Sprintf("its tools, which were %v and are %v", was.tools, is.tools))
	}
	return "the schema of its output"
}
