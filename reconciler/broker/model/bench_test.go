package model_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go/v2"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/v2/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/mainstay-dev/mainstay/reconciler/broker/gateway"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// BenchmarkOverhead compares Chat, and the gateway above it with all that a Model may declare, with the bare SDK against the same
// server: one answer of a word, and one of a thousand tokens, of which each is an event. What they add is to be less than a twentieth
// of a call of 10 ms, and than 20 us for each token.
func BenchmarkOverhead(b *testing.B) {
	for _, f := range forms[1:] {
		for _, tokens := range []int{1, 1000} {
			recorded := record(b, f, tokens)
			server := newServer(b, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, recorded)
			})
			m := f.of(server.URL)
			client := &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
			p := model.Providers{HTTP: client}
			m.Spec.Retry, m.Spec.Breaker, m.Spec.Hedge = &spec.Retry{}, &spec.Breaker{}, &spec.Hedge{After: spec.Duration(time.Minute)}
			m.Spec.Timeouts = &spec.ModelTimeouts{FirstToken: spec.Duration(time.Minute), Total: spec.Duration(time.Minute)}
			m.Spec.Rate, m.Spec.Budget = &spec.Rate{Concurrent: 10, RequestsPerMinute: 1e6}, &spec.Budget{TokensPerRun: 1e9, TokensPerDay: 1e9}
			g := gateway.New(gateway.Options{Chat: p.Chat, Now: time.Now})
			asking := gateway.Asking{Run: "r", Agent: &spec.Agent{Name: "a"}, Turn: 1, Request: question}
			ways := map[string]func() int{
				"sdk": func() int { return bare(b, f, m.Spec.Endpoint, client) },
				"chat": func() int {
					n := 0
					if _, err := p.Chat(b.Context(), m, question, func(string) { n++ }); err != nil {
						b.Error(err)
					}
					return n
				},
				"gateway": func() int {
					n := 0
					if _, _, err := g.Ask(b.Context(), m, asking, func(string) { n++ }); err != nil {
						b.Error(err)
					}
					return n
				},
			}
			name := strings.ReplaceAll(f.name, " ", "-")
			for _, way := range []string{"sdk", "chat", "gateway"} {
				b.Run(name+"/tokens="+map[int]string{1: "1", 1000: "1000"}[tokens]+"/"+way, func(b *testing.B) {
					begin, n := time.Now(), 0
					for b.Loop() {
						if got := ways[way](); got != tokens {
							b.Fatalf("%d tokens, want %d", got, tokens)
						}
						n++
					}
					b.ReportMetric(float64(time.Since(begin).Microseconds())/float64(n*tokens), "us/token")
				})
			}
			client.CloseIdleConnections()
		}
	}
}

// record is the stream of an answer of so many tokens.
func record(b *testing.B, f form, tokens int) string {
	s, m := f.serve(b, said{text: slicesOf("word ", tokens)})
	body := map[string]any{"model": m.Spec.Name, "stream": true, "store": false, "max_tokens": 10}
	response, err := http.Post(s.URL+f.path, "application/json", strings.NewReader(string(asJSON(body))))
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}

// bare asks through the SDK alone, and counts the pieces.
func bare(b *testing.B, f form, endpoint string, client *http.Client) int {
	n := 0
	var err error
	switch f.name {
	case "openai":
		service := openai.NewChatCompletionService(option.WithHTTPClient(client), option.WithBaseURL(endpoint))
		stream := service.NewStreaming(b.Context(), openai.ChatCompletionNewParams{Model: "some-model", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hello")}})
		for stream.Next() {
			for _, choice := range stream.Current().Choices {
				if choice.Delta.Content != "" {
					n++
				}
			}
		}
		err = stream.Err()
	case "openai responses":
		n, err = bareResponse(b, endpoint, client)
	default:
		service := anthropic.NewMessageService(anthropicoption.WithHTTPClient(client), anthropicoption.WithBaseURL(endpoint))
		stream := service.NewStreaming(b.Context(), anthropic.MessageNewParams{Model: "some-model", MaxTokens: 100, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hello"))}})
		for stream.Next() {
			if stream.Current().Delta.Text != "" {
				n++
			}
		}
		err = stream.Err()
	}
	if err != nil {
		b.Error(err)
	}
	return n
}

func bareResponse(b *testing.B, endpoint string, client *http.Client) (int, error) {
	service := responses.NewResponseService(option.WithHTTPClient(client), option.WithBaseURL(endpoint))
	stream := service.NewStreaming(b.Context(), responses.ResponseNewParams{Model: "some-model", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hello")}})
	n := 0
	for stream.Next() {
		if event := stream.Current(); event.Type == "response.output_text.delta" {
			n++
		}
	}
	return n, stream.Err()
}
