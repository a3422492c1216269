package model

import (
	"fmt"
	"maps"
	"strings"

	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

// response gathers the events of a response.
type response struct {
	gathering
	// items are the tool calls by their place in the output.
	items map[int64]*gatheredCall
	used  spec.Usage
	// done says that the response is complete, or as complete as it gets.
	done bool
}

func (g *response) add(event responses.ResponseStreamEventUnion) error {
	switch event.Type {
	case "response.output_text.delta", "response.refusal.delta":
		return g.say(event.Delta)
	case "response.output_item.added":
		if event.Item.Type == "function_call" {
			call, err := g.call(event.Item.CallID, event.Item.Name)
			if err != nil {
				return err
			}
			g.items[event.OutputIndex] = call
		}
	case "response.function_call_arguments.delta":
		if call := g.items[event.OutputIndex]; call != nil {
			return g.argue(call, event.Delta)
		}
	case "response.function_call_arguments.done":
		// Some servers give the arguments at once.
		if call := g.items[event.OutputIndex]; call != nil && call.arguments.Len() == 0 {
			return g.argue(call, event.Arguments)
		}
	case "response.completed", "response.incomplete":
		u := event.Response.Usage
		g.used = spec.Usage{
			Input: int(u.InputTokens), Output: int(u.OutputTokens),
			Cached: int(u.InputTokensDetails.CachedTokens), Reasoning: int(u.OutputTokensDetails.ReasoningTokens),
		}
		// Not every server tells what made the answer incomplete.
		g.cut = event.Response.Status == responses.ResponseStatusIncomplete && event.Response.IncompleteDetails.Reason != "content_filter"
		g.done = true
	case "response.failed":
		e := event.Response.Error
		return refusal{words: strings.ToLower(string(e.Code)) + " ", message: e.Message}
	case "response.reasoning_text.delta", "response.reasoning_summary_text.delta":
		g.stir()
	case "error":
		return refusal{words: strings.ToLower(event.Code) + " ", message: event.Message}
	}
	return nil
}

// responseRequest writes the request in the form of responses. The server is asked to keep nothing of it.
func responseRequest(m spec.ModelSpec, request Request) (responses.ResponseNewParams, error) {
	body := responses.ResponseNewParams{Model: m.Name, Store: param.NewOpt(false)}
	if request.Instructions != "" {
		body.Instructions = param.NewOpt(request.Instructions)
	}
	input := responses.ResponseInputParam{}
	for _, message := range afterResults(request.Messages) {
		if message.Role == plugins.RoleTool {
			result := responses.ResponseInputItemParamOfFunctionCallOutput(message.Text)
			result.OfFunctionCallOutput.CallID = param.NewOpt(message.CallID)
			input = append(input, result)
			continue
		}
		if len(message.Images) > 0 {
			var parts responses.ResponseInputMessageContentListParam
			if message.Text != "" {
				parts = append(parts, responses.ResponseInputContentParamOfInputText(message.Text))
			}
			for _, i := range message.Images {
				parts = append(parts, responses.ResponseInputContentUnionParam{OfInputImage: &responses.ResponseInputImageParam{
					Detail: responses.ResponseInputImageDetailAuto, ImageURL: param.NewOpt(request.dataURL(i)),
				}})
			}
			input = append(input, responses.ResponseInputItemParamOfMessage(parts, responses.EasyInputMessageRole(message.Role)))
			continue
		}
		if message.Text != "" || len(message.Calls) == 0 {
			input = append(input, responses.ResponseInputItemParamOfMessage(message.Text, responses.EasyInputMessageRole(message.Role)))
		}
		for _, call := range message.Calls {
			input = append(input, responses.ResponseInputItemParamOfFunctionCall(string(argumentsOf(call)), call.ID, call.Name))
		}
	}
	body.Input.OfInputItemList = input
	for _, tool := range request.Tools {
		schema, err := schemaOf(tool)
		if err != nil {
			return body, err
		}
		function := responses.FunctionToolParam{Name: tool.Name, Parameters: schema, Strict: param.NewOpt(false)}
		if tool.Description != "" {
			function.Description = param.NewOpt(tool.Description)
		}
		body.Tools = append(body.Tools, responses.ToolUnionParam{OfFunction: &function})
	}
	extra := maps.Clone(m.Parameters)
	if len(request.OutputSchema) > 0 {
		schema, err := object(request.OutputSchema)
		if err != nil {
			return body, fmt.Errorf("output schema: %w", err)
		}
		body.Text.Format.OfJSONSchema = &responses.ResponseFormatTextJSONSchemaConfigParam{Name: outputName, Schema: schema, Strict: param.NewOpt(strict(schema))}
		within(extra, "text", "format", body.Text.Format)
	}
	if len(extra) > 0 {
		body.SetExtraFields(extra)
	}
	return body, nil
}

// within puts a field into the object that a parameter is, for the parameter takes the place of all that it names.
func within(parameters map[string]any, name, field string, value any) {
	given, ok := parameters[name].(map[string]any)
	if _, has := given[field]; !ok || has {
		return
	}
	given = maps.Clone(given)
	given[field] = value
	parameters[name] = given
}
