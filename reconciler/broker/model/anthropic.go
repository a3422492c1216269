package model

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/anthropics/anthropic-sdk-go/v2"
	"github.com/anthropics/anthropic-sdk-go/v2/option"
	"github.com/anthropics/anthropic-sdk-go/v2/packages/param"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

// anthropicAPI asks Anthropic's API by POST v1/messages (https://platform.claude.com/docs/en/api/messages). The server is
// the model's endpoint, or else Anthropic's own. Parameters are fields of the request's body.
type anthropicAPI struct{ Providers }

const (
	anthropicBase = "https://api.anthropic.com"
	// anthropicTokens is how many tokens an answer may have where max_tokens is not among the parameters: the API wants it said.
	anthropicTokens = 8192
)

func (p anthropicAPI) chat(ctx context.Context, m *spec.Model, request Request, delta func(string)) (Answer, error) {
	client, endpoint, at, err := p.dial(ctx, m, request, anthropicBase, keyHeader{name: "X-Api-Key"})
	if err != nil {
		return Answer{}, err
	}
	body, err := messagesRequest(m.Spec, request)
	if err != nil {
		return Answer{}, err
	}
	base := *endpoint
	base.RawQuery, base.Fragment = "", ""
	options := []option.RequestOption{option.WithHTTPClient(client), option.WithBaseURL(base.String()), option.WithMaxRetries(0)}
	for name, values := range endpoint.Query() {
		for _, value := range values {
			options = append(options, option.WithQueryAdd(name, value))
		}
	}
	service := anthropic.NewMessageService(options...)
	got := message{gathering: gathering{delta: delta}, blocks: map[int64]*gatheredCall{}}
	if err := read(service.NewStreaming(ctx, body), got.add, &got.done); err != nil {
		return Answer{}, at.anthropicError(ctx, err)
	}
	return got.answer(got.used)
}

// anthropicError is an error of a request, or of a stream that was being read.
func (f far) anthropicError(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*Error](err); ok || ctx.Err() != nil {
		return f.broke(ctx, err)
	}
	if told, ok := errors.AsType[*anthropic.Error](err); ok {
		return f.amid(readRefusal(0, []byte(told.RawJSON())))
	}
	return f.broke(ctx, err)
}

// message gathers the events of a message.
type message struct {
	gathering
	// blocks are the tool calls by the index of their content block.
	blocks map[int64]*gatheredCall
	used   spec.Usage
	// done says that the message is complete.
	done bool
}

func (g *message) add(event anthropic.MessageStreamEventUnion) error {
	switch event.Type {
	case "message_start":
		u := event.Message.Usage
		g.count(u.InputTokens, u.CacheReadInputTokens, u.CacheCreationInputTokens, u.OutputTokens, u.OutputTokensDetails.ThinkingTokens)
	case "content_block_start":
		switch block := event.ContentBlock; block.Type {
		case "text":
			return g.say(block.Text)
		case "tool_use":
			call, err := g.call(block.ID, block.Name)
			if err != nil {
				return err
			}
			g.blocks[event.Index] = call
			// Some servers give the whole input at once here, where the API itself has an empty object.
			if input, err := json.Marshal(block.Input); err == nil && len(asMap(block.Input)) > 0 {
				return g.argue(call, string(input))
			}
		}
	case "content_block_delta":
		switch event.Delta.Type {
		case "text_delta":
			return g.say(event.Delta.Text)
		case "input_json_delta":
			if call := g.blocks[event.Index]; call != nil {
				return g.argue(call, event.Delta.PartialJSON)
			}
		default:
			g.stir()
		}
	case "message_delta":
		u := event.Usage
		g.count(u.InputTokens, u.CacheReadInputTokens, u.CacheCreationInputTokens, u.OutputTokens, u.OutputTokensDetails.ThinkingTokens)
		switch event.Delta.StopReason {
		case anthropic.StopReasonMaxTokens, anthropic.StopReasonModelContextWindowExceeded:
			g.cut = true
		}
	case "message_stop":
		g.done = true
	}
	return nil
}

// count notes what the message has taken so far. The API counts what it reads from its cache and what it puts there apart
// from the rest of the input, and a later event may leave out what an earlier one has told.
func (g *message) count(input, read, created, output, thinking int64) {
	if input+read+created > 0 {
		g.used.Input, g.used.Cached = int(input+read+created), int(read)
	}
	g.used.Output = max(g.used.Output, int(output))
	g.used.Reasoning = max(g.used.Reasoning, int(thinking))
}

// messagesRequest writes the request in the form of the Messages API.
func messagesRequest(m spec.ModelSpec, request Request) (anthropic.MessageNewParams, error) {
	body := anthropic.MessageNewParams{Model: anthropic.Model(m.Name), MaxTokens: anthropicTokens}
	if request.Instructions != "" {
		body.System = append(body.System, anthropic.TextBlockParam{Text: request.Instructions})
	}
	role, blocks := "", []anthropic.ContentBlockParamUnion(nil)
	send := func() {
		if len(blocks) > 0 && role == plugins.RoleAssistant {
			body.Messages = append(body.Messages, anthropic.NewAssistantMessage(blocks...))
		} else if len(blocks) > 0 {
			body.Messages = append(body.Messages, anthropic.NewUserMessage(blocks...))
		}
		blocks = nil
	}
	for i, message := range request.Messages {
		if message.Role == plugins.RoleSystem && i == 0 && message.Text != "" {
			body.System = append(body.System, anthropic.TextBlockParam{Text: message.Text})
			continue
		}
		// All that a user says until the model answers is one message: so are the results of an answer's calls. A system message
		// within a conversation, which not every model knows, is a user's.
		as := plugins.RoleUser
		if message.Role == plugins.RoleAssistant {
			as = plugins.RoleAssistant
		}
		if as != role {
			send()
			role = as
		}
		switch {
		case message.Role == plugins.RoleTool:
			result := anthropic.ToolResultBlockParam{ToolUseID: message.CallID}
			if message.Text != "" {
				result.Content = []anthropic.ToolResultBlockParamContentUnion{{OfText: &anthropic.TextBlockParam{Text: message.Text}}}
			}
			for _, i := range message.Images {
				result.Content = append(result.Content, anthropic.ToolResultBlockParamContentUnion{OfImage: anthropic.NewImageBlockBase64(i.MediaType, request.base64Of(i)).OfImage})
			}
			blocks = append(blocks, anthropic.ContentBlockParamUnion{OfToolResult: &result})
		default:
			for _, i := range message.Images { // It reads a question better that comes after what it is about.
				blocks = append(blocks, anthropic.NewImageBlockBase64(i.MediaType, request.base64Of(i)))
			}
			if message.Text != "" { // The API refuses an empty text.
				blocks = append(blocks, anthropic.NewTextBlock(message.Text))
			}
		}
		for _, call := range message.Calls {
			blocks = append(blocks, anthropic.NewToolUseBlock(call.ID, argumentsOf(call), call.Name))
		}
	}
	send()
	for _, tool := range request.Tools {
		schema, err := schemaOf(tool)
		if err != nil {
			return body, err
		}
		input := anthropic.ToolInputSchemaParam{}
		input.SetExtraFields(schema)
		written := anthropic.ToolParam{Name: tool.Name, InputSchema: input}
		if tool.Description != "" {
			written.Description = param.NewOpt(tool.Description)
		}
		body.Tools = append(body.Tools, anthropic.ToolUnionParam{OfTool: &written})
	}
	extra := maps.Clone(m.Parameters)
	if len(request.OutputSchema) > 0 {
		schema, err := object(request.OutputSchema)
		if err != nil {
			return body, fmt.Errorf("output schema: %w", err)
		}
		body.OutputConfig.Format = anthropic.JSONOutputFormatParam{Schema: closed(schema)}
		within(extra, "output_config", "format", body.OutputConfig.Format)
	}
	// A model that thinks for a number of tokens must be given its thoughts again with the results of its tools. They are in
	// no record, so it goes on without them.
	if thinking := asMap(extra["thinking"]); thinking["type"] == "enabled" && len(request.Messages) > 0 && request.Messages[len(request.Messages)-1].Role == plugins.RoleTool {
		delete(extra, "thinking")
	}
	if len(extra) > 0 {
		body.SetExtraFields(extra)
	}
	return body, nil
}
