package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mainstay-dev/mainstay/plugins"
)

// What an agent must not have.
var (
	runs, cutOff atomic.Int64
	shared       struct {
		sync.Mutex
		messages []plugins.Message
		kept     [][]plugins.Message
	}
)

// agent does the standard job, with a fault.
func agent(fault string) plugins.Agent {
	return func(ctx context.Context, run *plugins.Run) (string, error) {
		n := runs.Add(1)
		if fault == "resumes" {
			defer func() {
				if ctx.Err() != nil {
					cutOff.Add(1)
				}
			}()
		}
		messages := run.Conversation()
		last := &messages[len(messages)-1]
		switch fault {
		case "shows-no-image":
			last.Images = nil
		case "forgets-history":
			messages = messages[len(messages)-1:]
		case "says-run-id":
			last.Text += " (run " + run.ID() + ")"
		case "counts":
			last.Text += fmt.Sprint(" (run ", n, ")")
		case "says-pid":
			last.Text += fmt.Sprint(" (process ", os.Getpid(), ")")
		case "resumes":
			if cutOff.Load() > 0 {
				last.Text += " (resumed)"
			}
		case "mixes":
			shared.Lock()
			shared.messages = messages
			shared.Unlock()
		}
		var tools []string
		for _, tool := range run.Tools() {
			tools = append(tools, tool.Name)
		}
		if fault == "offers-nothing" {
			tools = nil
		}
		for {
			if fault == "leaks" {
				shared.Lock()
				shared.kept = append(shared.kept, messages)
				shared.Unlock()
			}
			var pieces strings.Builder
			answer, err := run.Model(ctx, plugins.ModelRequest{Messages: messages, Tools: tools}, func(piece string) { pieces.WriteString(piece) })
			if err != nil {
				if fault == "fails-mutely" {
					return "", fmt.Errorf("an error occurred")
				}
				if fault == "never-fails" {
					return "Sorry.", nil
				}
				return "", err
			}
			if fault == "mixes" {
				shared.Lock()
				messages = slices.Clone(shared.messages)
				shared.Unlock()
			}
			if len(answer.Calls) == 0 {
				if fault == "joins-deltas" {
					return pieces.String(), nil
				}
				return answer.Text, nil
			}
			if fault == "joins-deltas" {
				answer.Text = pieces.String()
			}
			messages = append(messages, plugins.Message{Role: plugins.RoleAssistant, Text: answer.Text, Calls: answer.Calls})
			results, err := call(ctx, run, fault, answer.Calls)
			if err != nil {
				return "", err
			}
			messages = append(messages, results...)
			if fault == "mixes" {
				shared.Lock()
				shared.messages = messages
				shared.Unlock()
			}
		}
	}
}

func call(ctx context.Context, run *plugins.Run, fault string, uses []plugins.ToolUse) ([]plugins.Message, error) {
	var results []plugins.Message
	add := func(use plugins.ToolUse, result plugins.ToolResult) {
		if fault == "forgets-images" {
			result.Images = nil
		}
		results = append(results, told(use, result))
	}
	switch fault {
	case "one-by-one":
		for _, use := range uses {
			result, err := run.CallTool(ctx, use)
			if err != nil {
				result = plugins.ToolResult{Text: err.Error()}
			}
			add(use, result)
		}
		return results, nil
	case "turns-round":
		uses = slices.Clone(uses)
		slices.Reverse(uses)
	case "changes-arguments":
		uses = slices.Clone(uses)
		for i := range uses {
			uses[i].Arguments = json.RawMessage(`{}`)
		}
	case "makes-ids":
		uses = slices.Clone(uses)
		for i := range uses {
			uses[i].ID = "own-" + uses[i].ID
		}
	case "first-come", "lanes":
		return concurrently(ctx, run, fault, uses)
	}
	all, err := run.CallTools(ctx, uses)
	for i, result := range all {
		if fault == "hides-errors" && result.IsError {
			result.Text = "It did not work."
		}
		if fault == "forgets-results" {
			result.Text = "ok"
		}
		add(uses[i], result)
	}
	return results, err
}

// told is a result as the model is told of it.
func told(use plugins.ToolUse, result plugins.ToolResult) plugins.Message {
	return plugins.Message{Role: plugins.RoleTool, Text: cmp.Or(result.Text, string(result.Structured)), CallID: use.ID, Tool: use.Name, Images: result.Images}
}

// concurrently makes each call in a goroutine and a lane of its own. As "first-come" it keeps the results in the order in which
// they come, where there are but a few.
func concurrently(ctx context.Context, run *plugins.Run, fault string, uses []plugins.ToolUse) ([]plugins.Message, error) {
	results := make([]plugins.Message, len(uses))
	var order []plugins.Message
	var calls sync.WaitGroup
	var mu sync.Mutex
	for i, use := range uses {
		calls.Go(func() {
			result, err := run.Lane("call/"+use.ID).CallTool(ctx, use)
			if err != nil {
				result = plugins.ToolResult{Text: err.Error()}
			}
			mu.Lock()
			defer mu.Unlock()
			results[i] = told(use, result)
			order = append(order, results[i])
		})
	}
	calls.Wait()
	if fault == "first-come" {
		return order, ctx.Err()
	}
	return results, ctx.Err()
}
