package model

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/envconfig"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

// ollama asks an Ollama server through POST /api/chat (https://docs.ollama.com/api/chat). The server is the model's
// endpoint, or else OLLAMA_HOST, or else http://127.0.0.1:11434.
type ollama struct{ Providers }

func (p ollama) chat(ctx context.Context, m *spec.Model, request Request, delta func(string)) (Answer, error) {
	client, endpoint, err := p.ollamaClient(ctx, m)
	if err != nil {
		return Answer{}, err
	}
	chat, err := chatRequest(m.Spec, request)
	if err != nil {
		return Answer{}, err
	}
	got := gathering{delta: delta}
	var last api.ChatResponse
	err = client.Chat(ctx, chat, func(part api.ChatResponse) error {
		last = part
		for _, call := range part.Message.ToolCalls {
			arguments, err := plugins.Canonical(call.Function.Arguments)
			if err != nil {
				return err
			}
			c, err := got.call("", call.Function.Name)
			if err == nil {
				err = got.argue(c, string(arguments))
			}
			if err != nil {
				return err
			}
		}
		if part.Message.Thinking != "" {
			got.stir()
		}
		return got.say(part.Message.Content)
	})
	// Of a line that broke off the client says that it is none.
	if broke := client.body != nil && client.body.broke != nil; !last.Done && (err == nil || broke && !errors.Is(err, errCut)) {
		err = client.unfinished()
	}
	if err != nil && !errors.Is(err, errCut) {
		return Answer{}, p.explain(ctx, err, endpoint, "/api/chat", m)
	}
	got.cut = got.cut || last.DoneReason == "length"
	return got.answer(spec.Usage{Input: last.PromptEvalCount, Output: last.EvalCount, Busy: last.PromptEvalDuration + last.EvalDuration})
}

func ollamaEndpoint(m *spec.Model) (*url.URL, error) {
	if m.Spec.Endpoint == "" {
		return envconfig.Host(), nil
	}
	endpoint, err := url.Parse(m.Spec.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", m.Spec.Endpoint, err)
	}
	return endpoint, nil
}

// ollamaDigest asks through GET /api/tags (https://docs.ollama.com/api/tags) for the digest of the model's manifest.
func (p Providers) ollamaDigest(ctx context.Context, m *spec.Model) (spec.Digest, error) {
	client, endpoint, err := p.ollamaClient(ctx, m)
	if err != nil {
		return "", err
	}
	list, err := client.List(ctx)
	if err != nil {
		return "", p.explain(ctx, err, endpoint, "/api/tags", m)
	}
	for _, has := range list.Models {
		if !SameName(has.Name, m.Spec.Name) {
			continue
		}
		digest := digestOf(has)
		if digest == "" {
			return "", fmt.Errorf("the Ollama server at %s tells no digest of it", shown(endpoint))
		}
		return digest, nil
	}
	return "", missing(endpoint, m.Spec.Name)
}

// digestOf is the digest that a server tells of a model, or "" where it is none.
func digestOf(has api.ListModelResponse) spec.Digest {
	digest := spec.Digest("sha256:" + strings.TrimPrefix(has.Digest, "sha256:"))
	if !digest.Valid() {
		return ""
	}
	return digest
}

func missing(endpoint *url.URL, name string) error {
	return failed(Missing, "the Ollama server at %s does not have it: run `ollama pull %s`", shown(endpoint), name)
}

// chatRequest writes the request in Ollama's form. The parameters think and keep_alive are fields of their own there; all
// others are options. A conversation that is too long is an error, where the server would leave out its beginning and say nothing.
func chatRequest(m spec.ModelSpec, request Request) (*api.ChatRequest, error) {
	no := false
	chat := &api.ChatRequest{Model: m.Name, Format: request.OutputSchema, Options: map[string]any{}, Truncate: &no, Shift: &no}
	if m.KeepAlive != 0 {
		chat.KeepAlive = &api.Duration{Duration: time.Duration(m.KeepAlive)}
	}
	for name, value := range m.Parameters {
		switch name {
		case "think":
			chat.Think = &api.ThinkValue{Value: value}
		case "keep_alive":
			raw, err := json.Marshal(value)
			if err == nil {
				chat.KeepAlive = &api.Duration{}
				err = json.Unmarshal(raw, chat.KeepAlive)
			}
			if err != nil {
				return nil, fmt.Errorf("parameter keep_alive: %w", err)
			}
		default:
			chat.Options[name] = value
		}
	}
	if request.Instructions != "" {
		chat.Messages = append(chat.Messages, api.Message{Role: plugins.RoleSystem, Content: request.Instructions})
	}
	for _, message := range request.Messages {
		out := api.Message{Role: message.Role, Content: message.Text, ToolName: message.Tool, ToolCallID: message.CallID}
		for _, call := range message.Calls {
			function := api.ToolCallFunction{Index: len(out.ToolCalls), Name: call.Name}
			if err := json.Unmarshal(call.Arguments, &function.Arguments); err != nil {
				return nil, fmt.Errorf("arguments of the earlier call %s: %w", call.ID, err)
			}
			out.ToolCalls = append(out.ToolCalls, api.ToolCall{ID: call.ID, Function: function})
		}
		for _, i := range message.Images {
			out.Images = append(out.Images, request.Images[i.Digest])
		}
		chat.Messages = append(chat.Messages, out)
	}
	for _, tool := range request.Tools {
		function := api.ToolFunction{Name: tool.Name, Description: tool.Description}
		if err := json.Unmarshal(tool.InputSchema, &function.Parameters); err != nil {
			return nil, fmt.Errorf("input schema of tool %s: %w", tool.Name, err)
		}
		if function.Parameters.Properties == nil {
			function.Parameters.Properties = api.NewToolPropertiesMap()
		}
		chat.Tools = append(chat.Tools, api.Tool{Type: "function", Function: function})
	}
	return chat, nil
}

// explain says what to do about an error, and whether a later try may mend it.
func (p Providers) explain(ctx context.Context, err error, endpoint *url.URL, path string, m *spec.Model) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var status api.StatusError
	var unauthorized api.AuthorizationError
	if told, ok := errors.AsType[*Error](err); ok {
		return told
	}
	refused := errors.As(err, &status) || errors.As(err, &unauthorized)
	if told, ok := p.unreached(err, "the Ollama server at "+shown(endpoint), "start it with `ollama serve`"); ok && !refused {
		return told
	}
	switch {
	case errors.As(err, &unauthorized):
		return failed(Unauthorized, "the Ollama server at %s wants a sign-in: run `ollama signin` there, or give the model an apiKey that it accepts", shown(endpoint))
	case errors.As(err, &status) && status.StatusCode == http.StatusNotFound && strings.Contains(status.ErrorMessage, "model"):
		return missing(endpoint, m.Spec.Name)
	case errors.As(err, &status) && status.StatusCode == http.StatusNotFound:
		return failed(Refused, "%s has no %s: set the model's endpoint, or OLLAMA_HOST, to an Ollama server", shown(endpoint), path)
	}
	if refused && status.StatusCode != 0 {
		err = status
	}
	said := refusal{message: err.Error()} // In the middle of an answer there is no status.
	verb := "broke off"
	if refused {
		said = refusal{status: status.StatusCode, message: status.ErrorMessage}
		if verb = "failed"; status.StatusCode < http.StatusInternalServerError {
			verb = "refuses the request"
		}
	}
	reason, text := said.reason(true), cmp.Or(p.short(err.Error()), "a line of its answer is empty")
	switch {
	case reason == NoTools:
		return failed(reason, "the Ollama server at %s %s: %s: choose another model; `mainstay doctor` lists those there that can", shown(endpoint), verb, text)
	case reason == ContextExceeded:
		return failed(reason, "the Ollama server at %s %s: %s: raise spec.parameters.num_ctx of Model/%s, or say in its spec.context how a conversation is made to fit",
			shown(endpoint), verb, text, m.Name)
	case reason == OutOfMemory:
		return failed(reason, "the Ollama server at %s has no room for %s: %s: free some with `ollama stop`, lower spec.parameters.num_ctx of Model/%s, or choose a smaller model",
			shown(endpoint), m.Spec.Name, text, m.Name)
	case said.status == 0:
		reason = Unavailable
	}
	return failed(reason, "the Ollama server at %s %s: %s", shown(endpoint), verb, text)
}

// short is what a server sends as it stands in a message: safe to see, one line, and no page of HTML.
func (p Providers) short(text string) string {
	const most = 300
	if p.Hide != nil {
		text = p.Hide(text)
	}
	text = strings.Join(strings.Fields(spec.Visible(text)), " ") // Another line would look as if it were ours.
	if len(text) <= most {
		return text
	}
	return wholeRunes(text, most) + "..."
}

// wholeRunes cuts text to at most n bytes, between two characters.
func wholeRunes(text string, n int) string {
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
