// Package loop is the reference runtime: the smallest loop that makes a model with tools into an agent.
//
// It asks the model, carries out the tool calls of its answer, all at once, shows the model their results, and repeats
// until an answer calls no tool; that answer is the run's output, once the host finds nothing wrong with it. It keeps nothing,
// sets no limit of its own (the host bounds turns, calls and time) and never changes what the model said.
package loop

import (
	"context"

	"github.com/mainstay-dev/mainstay/plugins"
)

// Version is the version of the runtime, for people.
const Version = "1.0.0"

// Serve makes this process the loop runtime, and returns when the host is done with it.
func Serve() {
	plugins.Serve(plugins.Info{Name: "loop", Version: Version, Features: []string{plugins.FeatureCheck, plugins.FeatureImages}}, Agent)
}

// Agent does one run.
func Agent(ctx context.Context, run *plugins.Run) (string, error) {
	messages := run.Conversation()
	var tools []string
	for _, tool := range run.Tools() {
		tools = append(tools, tool.Name)
	}
	for {
		// Nothing is done with the deltas here: asking for them lets the host show them to people.
		answer, err := run.Model(ctx, plugins.ModelRequest{Messages: messages, Tools: tools, OutputSchema: run.OutputSchema()}, func(string) {})
		if err != nil {
			return "", err
		}
		if len(answer.Calls) == 0 {
			problem, err := run.Check(ctx, answer.Text)
			if err != nil {
				return "", err
			}
			if problem == "" {
				return answer.Text, nil
			}
			messages = append(messages, plugins.Message{Role: plugins.RoleAssistant, Text: answer.Text},
				plugins.Message{Role: plugins.RoleUser, Text: problem})
			continue
		}
		messages = append(messages, plugins.Message{Role: plugins.RoleAssistant, Text: answer.Text, Calls: answer.Calls})
		results, err := run.CallTools(ctx, answer.Calls)
		if err != nil {
			return "", err
		}
		for i, result := range results {
			call := answer.Calls[i]
			messages = append(messages, plugins.Message{
				Role: plugins.RoleTool, Text: text(result), CallID: call.ID, Tool: call.Name, Images: result.Images,
			})
		}
	}
}

// text is what the model reads of a result: its text, or the structured value where there is no text.
func text(result plugins.ToolResult) string {
	t := result.Text
	if t == "" {
		t = string(result.Structured)
	}
	if result.IsError {
		t = "error: " + t
	}
	return t
}
