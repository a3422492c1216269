package model_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
)

// What servers write when they refuse, word for word.
func TestServersSayWhatIsWrongInTheirOwnWords(t *testing.T) {
	for _, test := range []struct {
		server string
		status int
		body   string
		want   model.Reason
	}{
		{"OpenAI", 400, `{"error":{"message":"This model's maximum context length is 128000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`, model.ContextExceeded},
		{"OpenAI", 401, `{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`, model.Unauthorized},
		{"OpenAI", 404, `{"error":{"message":"The model 'gpt-9' does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}`, model.Missing},
		{"OpenAI", 429, `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`, model.QuotaExceeded},
		{"OpenAI", 500, `{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}`, model.Unavailable},
		{"OpenAI", 400, `{"error":{"message":"Invalid schema for function 'x'","type":"invalid_request_error","param":"tools[0]","code":"invalid_function_parameters"}}`, model.Refused},
		{"Anthropic", 400, `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}`, model.ContextExceeded},
		{"Anthropic", 413, `{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}`, model.ContextExceeded},
		{"Anthropic", 401, `{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}`, model.Unauthorized},
		{"Anthropic", 404, `{"type":"error","error":{"type":"not_found_error","message":"model: claude-9"}}`, model.Missing},
		{"Anthropic", 429, `{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your rate limit"}}`, model.RateLimited},
		{"Anthropic", 529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, model.Unavailable},
		{"vLLM", 404, `{"error":{"message":"The model 'x' does not exist.","type":"NotFoundError","param":"model","code":404}}`, model.Missing},
		{"vLLM", 404, `{"object":"error","message":"The model 'x' does not exist.","type":"NotFoundError","param":null,"code":404}`, model.Missing},
		{"vLLM", 400, `{"error":{"message":"\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set","type":"BadRequestError","param":null,"code":400}}`, model.NoTools},
		{"vLLM", 404, `{"detail":"Not Found"}`, model.Refused},
		{"llama.cpp", 400, `{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}`, model.ContextExceeded},
		{"llama.cpp", 500, `{"error":{"code":500,"message":"tools param requires --jinja flag","type":"server_error"}}`, model.Unavailable},
		{"llama.cpp", 503, `{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}`, model.Unavailable},
		{"LiteLLM", 400, `{"error":{"message":"litellm.ContextWindowExceededError: too long","type":null,"param":null,"code":"400"}}`, model.ContextExceeded},
		{"Azure", 404, `{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}`, model.Missing},
		{"Azure", 404, `{"error":{"code":"404","message":"Resource not found"}}`, model.Refused},
		{"Gemini", 400, `[{"error":{"code":400,"message":"The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]`, model.ContextExceeded},
		{"a proxy", 502, `<html><body>Bad Gateway</body></html>`, model.Unavailable},
	} {
		t.Run(test.server+" "+test.body, func(t *testing.T) {
			inEveryForm(t, func(t *testing.T, f form) {
				if f.spec.Provider == "ollama" {
					return // Its client reads errors of its own form alone.
				}
				m := f.of(newServer(t, func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(test.status)
					io.WriteString(w, test.body)
				}).URL)
				request := question
				request.Tools = toolsOf("a")
				_, err := asking(t).Chat(t.Context(), m, request, nil)
				if model.ReasonOf(err) != test.want {
					t.Errorf("%s: %v", model.ReasonOf(err), err)
				}
			})
		})
	}
}

func TestAKeyIsAskedForWhereThereIsNone(t *testing.T) {
	f := forms[1]
	m := f.of(newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }).URL)
	if _, err := asking(t).Chat(t.Context(), m, question, nil); err == nil || !strings.Contains(err.Error(), "give the model an apiKey") {
		t.Errorf("got %v", err)
	}
}

// Whatever a server asks, the wait is neither negative nor without end, and an error's text has an end and hides the secrets.
func FuzzRefusal(f *testing.F) {
	f.Add(429, "7", "", "Sat, 28 Nov 2026 10:00:00 GMT", []byte(`{"error":{"message":"slow down","code":"rate_limit_exceeded"}}`))
	f.Add(429, "Sat, 28 Nov 2026 10:01:00 GMT", "", "", []byte(`{"error":"x"}`))
	f.Add(429, "NaN", "1e400", "x", []byte(`[{"error":null}]`))
	f.Add(500, "-1", "Inf", "", []byte(`{"detail":[{"loc":[1]}]}`))
	f.Add(400, "", "", "", []byte("hunter2 \x1b[31m\xff<"))
	f.Fuzz(func(t *testing.T, status int, after, ms, date string, body []byte) {
		header := http.Header{"Retry-After": {after}, "Retry-After-Ms": {ms}, "Date": {date}}
		p := model.Providers{Hide: func(text string) string { return strings.ReplaceAll(text, "hunter2", "*") }}
		err := model.RefusedWith(p, &http.Response{StatusCode: status, Header: header, Request: httptest.NewRequest("POST", "/v1/x", nil)}, body)
		if err.RetryAfter < 0 || err.RetryAfter > 24*time.Hour || len(err.Error()) > 800 || err.Reason == "" {
			t.Errorf("%s after %s: %v", err.Reason, err.RetryAfter, err)
		}
		if text := err.Error(); strings.Contains(text, "hunter2") || strings.ContainsAny(text, "\x1b\x00") {
			t.Errorf("the error is %q", text)
		}
	})
}

// A stream is given on as it is, or ends with an error where one of its events is too long, however it is read.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("data: a\n\ndata: b\r\n\r\n: x\n\n\n"), 3)
	f.Add([]byte(strings.Repeat("x", 40)+"\n\n"), 7)
	f.Add([]byte(strings.Repeat("x\n", 40)), 100)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		const most = 32
		size = min(max(size, 1), 100)
		r := model.EventsOf(io.NopCloser(bytes.NewReader(text)), most)
		var got []byte
		var err error
		for p := make([]byte, size); err == nil; {
			var n int
			n, err = r.Read(p)
			got = append(got, p[:n]...)
		}
		event, long := 0, false
		for _, line := range bytes.SplitAfter(text, []byte("\n")) {
			event += len(line)
			long = long || event > most
			if bytes.HasSuffix(line, []byte("\n")) && len(bytes.Trim(line, "\r\n")) == 0 {
				event = 0
			}
		}
		if long != (err != io.EOF) || !bytes.HasPrefix(text, got) || !long && len(got) != len(text) {
			t.Errorf("%d of %d bytes, %v", len(got), len(text), err)
		}
	})
}
