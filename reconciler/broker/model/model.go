// Package model asks models. A model's spec says who serves it: `scripted` answers by the rules in the spec, `ollama`
// asks an Ollama server, `openai` any server that speaks OpenAI's protocol, `anthropic` Anthropic's API, and `replay`
// answers from the record of a run. The package keeps no conversation: every request holds all of it.
//
// It never retries, and it never runs what a model asks for. An [Error] says why there is no answer.
package model

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/secret"
	"github.com/mainstay-dev/mainstay/spec"
)

// The limits of an answer.
const (
	// MaxText bounds the text of an answer, in bytes. A longer one is cut there and finishes with plugins.FinishLength.
	MaxText = 1 << 20
	// maxTokens bounds what a server is believed about the tokens of an answer.
	maxTokens = 1 << 30
	// MaxCalls bounds the tool calls of an answer. More are an error.
	MaxCalls = 64
)

// Request is a conversation to continue.
type Request struct {
	// Instructions open the conversation.
	Instructions string
	Messages     []plugins.Message
	Tools        []Tool
	// OutputSchema is the JSON Schema that the text must follow; empty means free text. A scripted model ignores it.
	OutputSchema json.RawMessage
	// Images are the data of the images that messages show, by digest. A message that shows another one is an error. They are no part
	// of the request's JSON, in which the digests stand for them.
	Images map[string][]byte `json:"-"`
}

const (
	// BytesPerToken estimates a text's tokens, on the careful side: most texts have more bytes to a token.
	BytesPerToken = 3
	// Envelope is what a message, a call or a tool costs besides its text, in bytes.
	Envelope = 16
	// PerImage is about what an image costs, in bytes of text: what it costs in truth depends on the model and its size.
	PerImage = 1600 * BytesPerToken
)

// Bytes is about how long the request is.
func (r Request) Bytes() int {
	n := len(r.Instructions)
	for _, message := range r.Messages {
		n += len(message.Text) + Envelope + len(message.Images)*PerImage
		for _, call := range message.Calls {
			n += len(call.Name) + len(call.Arguments) + Envelope
		}
	}
	for _, t := range r.Tools {
		n += len(t.Name) + len(t.Description) + len(t.InputSchema) + Envelope
	}
	return n
}

// Tool is a tool offered to a model.
type Tool struct {
	Name        string
	Description string
	// InputSchema is a JSON Schema of an object.
	InputSchema json.RawMessage
}

// Answer is what a model said.
type Answer struct {
	plugins.ModelAnswer
	// Used is what it took, without its cost.
	Used spec.Usage
	// Repaired says what of it was mended, and Compacted what the model did not read of the request; see [spec.ModelDecision]. This
	// package mends nothing, and sends all.
	Repaired  []string
	Compacted string
}

// Providers ask models. They are safe for concurrent use, and keep nothing.
type Providers struct {
	// HTTP is the client that reaches servers. Nil is http.DefaultClient. It must have no timeout of its own, because an
	// answer may take minutes: the context is the limit.
	HTTP *http.Client
	// Secret resolves a reference. It is asked before each request of a model that has one, and may be nil where none has.
	Secret func(ctx context.Context, ref spec.SecretRef) (secret.Value, error)
	// Hide takes secrets out of a text before it is cut, for half a secret is found by nobody. Nil leaves all as it is.
	Hide func(text string) string
	// Now is the time, for servers that tell by date when to ask again. Nil is time.Now.
	Now func() time.Time
}

// Chat asks m to continue the conversation. Where delta is not nil it is called with each piece of the text as it comes,
// by the calling goroutine, and the pieces together are the text; an empty one says that something else has come. The calls
// of the answer have no ids. When ctx ends the server is left at once and the error is the context's; any other wraps an
// [Error], or is [Refused].
func (p Providers) Chat(ctx context.Context, m *spec.Model, request Request, delta func(string)) (Answer, error) {
	if delta == nil {
		delta = func(string) {}
	}
	asked, err := p.provider(m.Spec.Provider)
	var answer Answer
	if err == nil {
		err = request.checkImages(m)
	}
	if err == nil {
		answer, err = asked.chat(ctx, m, request, delta)
	}
	if err == nil && len(answer.Calls) > MaxCalls {
		err = fmt.Errorf("the answer asks for %d tool calls, at most %d are allowed", len(answer.Calls), MaxCalls)
	}
	if err != nil {
		return Answer{}, &AskError{m.Name, err}
	}
	return answer, nil
}

// provider is who serves models: each does what [Providers.Chat] says.
type provider interface {
	chat(ctx context.Context, m *spec.Model, request Request, delta func(string)) (Answer, error)
}

func (p Providers) provider(name string) (provider, error) {
	switch name {
	case spec.ProviderScripted:
		return scripted{}, nil
	case spec.ProviderOllama:
		return ollama{p}, nil
	case spec.ProviderOpenAI:
		return openAI{p}, nil
	case spec.ProviderAnthropic:
		return anthropicAPI{p}, nil
	case spec.ProviderReplay:
		return replay{p}, nil
	}
	return nil, fmt.Errorf("provider %q is not known: use one of %s", name, strings.Join([]string{spec.ProviderAnthropic, spec.ProviderOllama, spec.ProviderOpenAI, spec.ProviderReplay, spec.ProviderScripted}, ", "))
}

// digestTimeout bounds how long a server is asked for a digest.
const digestTimeout = 10 * time.Second

// Digest asks for the digest of a model that a lock pins (see [spec.Model.Pinned]), which names its weights, template and
// parameters. Of the error [Later] says whether a later try may succeed.
func (p Providers) Digest(ctx context.Context, m *spec.Model) (spec.Digest, error) {
	asking, cancel := context.WithTimeout(ctx, digestTimeout)
	defer cancel()
	digest, err := p.ollamaDigest(asking, m)
	if err != nil && ctx.Err() == nil && asking.Err() != nil {
		err = failed(TimedOut, "its server gives no answer in %s", digestTimeout)
	}
	if err != nil {
		return "", fmt.Errorf("digest of model %s: %w", m.Name, err)
	}
	return digest, nil
}

// CheckPin asks whether the model is the one that its own revision's lock pins, or the newest one's; newest is nil where
// there is none. What no lock pins is not asked for. The error is a [*spec.LockMismatch], or one of [Providers.Digest].
func (p Providers) CheckPin(ctx context.Context, m *spec.Model, newest *spec.Lock) error {
	pins, file := []spec.Digest{m.Pin}, spec.LockFile
	if newest != nil {
		pins, file = append(pins, newest.Models[m.Name].Digest), newest.File
	}
	pins = slices.DeleteFunc(pins, func(d spec.Digest) bool { return d == "" })
	if len(pins) == 0 || !m.Pinned() {
		return nil
	}
	is, err := p.Digest(ctx, m)
	if err != nil || slices.Contains(pins, is) {
		return err
	}
	return &spec.LockMismatch{Resource: m.Ref, File: file, Changes: []spec.LockChange{
		{Resource: m.Ref, Field: "digest", Change: spec.LockChanged, From: string(pins[len(pins)-1]), To: string(is)},
	}}
}

func (a *Answer) finish() {
	a.Finish = plugins.FinishStop
	if len(a.Calls) > 0 {
		a.Finish = plugins.FinishCalls
	}
}

// use says what the answer took. Agents are told its tokens alone.
func (a *Answer) use(u spec.Usage) {
	for _, n := range []*int{&u.Input, &u.Output, &u.Cached, &u.Reasoning} {
		*n = min(max(*n, 0), maxTokens) // A server may say anything.
	}
	u.Busy = max(u.Busy, 0)
	a.Used, a.Usage = u, plugins.Usage{Input: u.Input, Output: u.Output}
}
