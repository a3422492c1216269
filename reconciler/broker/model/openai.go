package model

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

// openAI asks a server that speaks OpenAI's protocol: by POST chat/completions, which all of them know, or by POST
// responses, as the model's api says (https://platform.openai.com/docs/api-reference). The server is the model's endpoint,
// or else OpenAI's own. Parameters are fields of the request's body.
type openAI struct{ Providers }

const openAIBase = "https://api.openai.com/v1"

func (p openAI) chat(ctx context.Context, m *spec.Model, request Request, delta func(string)) (Answer, error) {
	client, endpoint, at, err := p.dial(ctx, m, request, openAIBase, bearer)
	if err != nil {
		return Answer{}, err
	}
	options := openAIOptions(client, endpoint)
	if m.Spec.API == spec.APIResponses {
		body, err := responseRequest(m.Spec, request)
		if err != nil {
			return Answer{}, err
		}
		service := responses.NewResponseService(options...)
		got := response{gathering: gathering{delta: delta}, items: map[int64]*gatheredCall{}}
		if err := read(service.NewStreaming(ctx, body), got.add, &got.done); err != nil {
			return Answer{}, at.openAIError(ctx, err)
		}
		return got.answer(got.used)
	}
	body, err := completionRequest(m.Spec, request)
	if err != nil {
		return Answer{}, err
	}
	service := openai.NewChatCompletionService(options...)
	got := completion{gathering: gathering{delta: delta}}
	if err := read(service.NewStreaming(ctx, body), got.add, &got.done); err != nil {
		return Answer{}, at.openAIError(ctx, err)
	}
	return got.answer(got.used)
}

// openAIOptions are those of one service. Nothing is read from the environment, and nothing is sent again.
func openAIOptions(client *http.Client, endpoint *url.URL) []option.RequestOption {
	base := *endpoint
	base.RawQuery, base.Fragment = "", ""
	options := []option.RequestOption{option.WithHTTPClient(client), option.WithBaseURL(base.String()), option.WithMaxRetries(0)}
	for name, values := range endpoint.Query() {
		for _, value := range values {
			options = append(options, option.WithQueryAdd(name, value))
		}
	}
	return options
}

// openAIError is an error of a request, or of a stream that was being read.
func (f far) openAIError(ctx context.Context, err error) error {
	if told, ok := errors.AsType[*ssestream.StreamError](err); ok && ctx.Err() == nil {
		return f.amid(readRefusal(0, told.Event.Data))
	}
	return f.broke(ctx, err)
}

// completion gathers the chunks of a chat completion.
type completion struct {
	gathering
	used spec.Usage
	// done says that the model has said why it ends.
	done bool
}

func (c *completion) add(chunk openai.ChatCompletionChunk) error {
	if u := chunk.Usage; u.PromptTokens > 0 || u.CompletionTokens > 0 {
		c.used = spec.Usage{
			Input: int(u.PromptTokens), Output: int(u.CompletionTokens),
			Cached: int(u.PromptTokensDetails.CachedTokens), Reasoning: int(u.CompletionTokensDetails.ReasoningTokens),
		}
	}
	for _, choice := range chunk.Choices {
		if choice.Index != 0 {
			continue
		}
		for _, piece := range choice.Delta.ToolCalls {
			if err := c.piece(piece); err != nil {
				return err
			}
		}
		// What vLLM, llama.cpp and others send of a model's thoughts is in a field of theirs.
		if len(choice.Delta.JSON.ExtraFields) > 0 {
			c.stir()
		}
		if err := c.say(choice.Delta.Content + choice.Delta.Refusal); err != nil {
			return err
		}
		switch choice.FinishReason {
		case "":
			continue
		case "length":
			c.cut = true
		}
		c.done = true
	}
	return nil
}

// piece adds a piece of a tool call. The index says of which one; servers that send whole calls may give each the same, and
// then another id begins another one.
func (c *completion) piece(piece openai.ChatCompletionChunkChoiceDeltaToolCall) error {
	var call *gatheredCall
	if i := int(piece.Index); i >= 0 && i < len(c.calls) {
		call = c.calls[i]
	}
	if last := len(c.calls) - 1; last >= 0 && piece.ID != "" && call != nil && call.id != piece.ID {
		call = nil
		if c.calls[last].id == piece.ID {
			call = c.calls[last]
		}
	}
	if call == nil {
		var err error
		if call, err = c.call(piece.ID, piece.Function.Name); err != nil {
			return err
		}
	} else if call.name == "" {
		call.name = piece.Function.Name
	}
	return c.argue(call, piece.Function.Arguments)
}

// completionRequest writes the request in the form of chat completions.
func completionRequest(m spec.ModelSpec, request Request) (openai.ChatCompletionNewParams, error) {
	body := openai.ChatCompletionNewParams{
		Model:         shared.ChatModel(m.Name),
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: param.NewOpt(true)},
	}
	if request.Instructions != "" {
		body.Messages = append(body.Messages, openai.SystemMessage(request.Instructions))
	}
	for _, message := range afterResults(request.Messages) {
		switch message.Role {
		case plugins.RoleSystem:
			body.Messages = append(body.Messages, openai.SystemMessage(message.Text))
		case plugins.RoleTool:
			body.Messages = append(body.Messages, openai.ToolMessage(message.Text, message.CallID))
		case plugins.RoleAssistant:
			said := openai.ChatCompletionAssistantMessageParam{}
			if message.Text != "" || len(message.Calls) == 0 {
				said.Content.OfString = param.NewOpt(message.Text)
			}
			for _, call := range message.Calls {
				said.ToolCalls = append(said.ToolCalls, openai.ChatCompletionMessageToolCallUnionParam{OfFunction: &openai.ChatCompletionMessageFunctionToolCallParam{
					ID: call.ID, Function: openai.ChatCompletionMessageFunctionToolCallFunctionParam{Name: call.Name, Arguments: string(argumentsOf(call))},
				}})
			}
			body.Messages = append(body.Messages, openai.ChatCompletionMessageParamUnion{OfAssistant: &said})
		default:
			if len(message.Images) == 0 {
				body.Messages = append(body.Messages, openai.UserMessage(message.Text))
				continue
			}
			var parts []openai.ChatCompletionContentPartUnionParam
			if message.Text != "" {
				parts = append(parts, openai.TextContentPart(message.Text))
			}
			for _, i := range message.Images {
				parts = append(parts, openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: request.dataURL(i)}))
			}
			body.Messages = append(body.Messages, openai.UserMessage(parts))
		}
	}
	for _, tool := range request.Tools {
		schema, err := schemaOf(tool)
		if err != nil {
			return body, err
		}
		function := shared.FunctionDefinitionParam{Name: tool.Name, Parameters: schema}
		if tool.Description != "" {
			function.Description = param.NewOpt(tool.Description)
		}
		body.Tools = append(body.Tools, openai.ChatCompletionFunctionTool(function))
	}
	if len(request.OutputSchema) > 0 {
		schema, err := object(request.OutputSchema)
		if err != nil {
			return body, fmt.Errorf("output schema: %w", err)
		}
		body.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{
			Name: outputName, Schema: schema, Strict: param.NewOpt(strict(schema)),
		}}
	}
	if len(m.Parameters) > 0 {
		body.SetExtraFields(maps.Clone(m.Parameters))
	}
	return body, nil
}
