package model

import (
	"cmp"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// refusal is an error as an API tells it. APIs say in words and codes of their own what is wrong.
type refusal struct {
	// status is that of the response, 0 where the error is in the middle of a stream.
	status int
	// words are its type and codes, in lower case, and message what it tells people.
	words, message string
}

// Error returns the message.
func (r refusal) Error() string { return r.message }

// readRefusal reads the body of an error: {"error": {"message", "type", "code"}} as OpenAI's and Anthropic's APIs write it,
// {"error": "text"}, {"message": "text"} and {"detail": "text"} as others do, or any text.
func readRefusal(status int, body []byte) refusal {
	type told struct {
		Message json.RawMessage `json:"message"`
		Detail  json.RawMessage `json:"detail"`
		Type    string          `json:"type"`
		Code    any             `json:"code"`
		Status  any             `json:"status"`
	}
	var whole struct {
		Error json.RawMessage `json:"error"`
		told
	}
	text := func(raw json.RawMessage) string {
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return string(raw)
		}
		return s
	}
	var list []json.RawMessage
	if json.Unmarshal(body, &list) == nil && len(list) > 0 { // Gemini's API puts it into a list.
		body = list[0]
	}
	_ = json.Unmarshal(body, &whole) // What cannot be read is told as it is.
	it := whole.told
	if len(whole.Error) > 0 {
		var inner told
		if json.Unmarshal(whole.Error, &inner) == nil {
			it = inner
		} else {
			it.Message = whole.Error
		}
	}
	r := refusal{status: status, message: cmp.Or(text(it.Message), text(it.Detail))}
	for _, word := range []any{it.Type, it.Code, it.Status} {
		if s, ok := word.(string); ok {
			r.words += strings.ToLower(s) + " "
		}
	}
	if r.message == "" {
		r.message = plain(body)
	}
	return r
}

// The words by which servers say what is wrong, in lower case. OpenAI, Anthropic, Azure, vLLM, llama.cpp, LiteLLM and Gemini
// have their own.
var (
	contextWords = []string{"context_length_exceeded", "exceed_context_size", "contextwindowexceeded", "maximum context length",
		"context window", "context limit", "context size", "prompt is too long", "request_too_large", "input token count", "input is too long", "exceeds the context length"}
	toolWords = []string{"does not support tools", "not support tool", "not support function", "tool_choice", "tool choice", "tool-call-parser",
		"tools param requires", "tool use is not supported", "tools are not supported", "function calling is not"}
	memoryWords = []string{"out of memory", "outofmemory", "more system memory", "unable to allocate", "failed to allocate", "cudamalloc failed"}
)

func (r refusal) says(words ...string) bool {
	text := r.words + strings.ToLower(r.message)
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// of says whether its type or one of its codes is one of the words.
func (r refusal) of(words ...string) bool {
	for _, word := range words {
		if strings.Contains(r.words, word) {
			return true
		}
	}
	return false
}

// reason is what the error means for those who asked, with tools or without.
func (r refusal) reason(tools bool) Reason {
	refuses := r.status == 0 || r.status == http.StatusBadRequest || r.status == http.StatusNotFound || r.status == http.StatusUnprocessableEntity
	switch {
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden, r.of("authentication_error", "permission_error", "invalid_api_key"):
		return Unauthorized
	case r.of("insufficient_quota"):
		return QuotaExceeded
	case r.status == http.StatusTooManyRequests, r.of("rate_limit"):
		return RateLimited
	case r.status == http.StatusRequestEntityTooLarge, r.says(contextWords...):
		return ContextExceeded
	case tools && refuses && r.says(toolWords...):
		return NoTools
	case r.says(memoryWords...):
		return OutOfMemory
	case r.status == http.StatusRequestTimeout, r.status == http.StatusGatewayTimeout, r.of("timeout"):
		return TimedOut
	case r.of("model_not_found", "deploymentnotfound"), refuses && r.of("not_found", "notfound") && r.says("model"),
		r.status == http.StatusNotFound && r.says("model", "deployment"):
		return Missing
	case r.status >= http.StatusInternalServerError, r.of("overloaded", "api_error", "server_error", "internalservererror"):
		return Unavailable
	}
	return Refused
}

// refused is the error of a response that is none of a model.
func (f far) refused(response *http.Response, body []byte) error {
	r := readRefusal(response.StatusCode, body)
	reason := r.reason(f.tools)
	if reason == Refused && r.status == http.StatusNotFound {
		return failed(Refused, "%s has no %s: set the model's endpoint to the base URL of the API, such as %s", f.base, response.Request.URL.Path, f.example)
	}
	wait := f.retryAfter(response.Header)
	e := f.because(r, reason, wait)
	e.RetryAfter = wait
	return e
}

// because says what an error means and what to do about it.
func (f far) because(r refusal, reason Reason, wait time.Duration) *Error {
	said := f.short(r.message)
	if r.status != 0 {
		said = strconv.Itoa(r.status) + ", " + said
	}
	format := map[Reason]string{
		Unauthorized:    "%s does not accept the model's apiKey (%s): check it, and that it may use the model",
		RateLimited:     "%s asks to wait (%s)",
		QuotaExceeded:   "%s has no quota left for this key (%s): see its plan and billing",
		ContextExceeded: "the conversation is longer than the model at %s reads (%s): set spec.context of the Model, or use a model that reads more",
		NoTools:         "the model at %s cannot call tools (%s): use one that can, or have its server allow it",
		OutOfMemory:     "%s has no memory left for the model (%s)",
		TimedOut:        "%s took too long (%s)",
		Missing:         "%s does not have the model (%s): check the model's name",
		Unavailable:     "%s failed (%s)",
		Refused:         "%s refuses the request (%s)",
	}[reason]
	switch {
	case reason == Unauthorized && !f.keyed:
		format = "%s wants a key (%s): give the model an apiKey"
	case reason == RateLimited && wait > 0:
		format = "%s asks to wait for " + wait.String() + " (%s)"
	}
	if reason == Missing {
		said = strconv.Quote(f.model) + ": " + said
	}
	return failed(reason, format, f.base, said).(*Error)
}

// maxRetryAfter bounds how long a server may ask to wait.
const maxRetryAfter = 24 * time.Hour

// retryAfter is how long a response asks to wait: retry-after-ms in milliseconds, or Retry-After in seconds or as a date
// (RFC 9110, section 10.2.3), which counts from the response's own Date where it has one.
func (p Providers) retryAfter(header http.Header) time.Duration {
	bounded := func(wait float64) time.Duration {
		if math.IsNaN(wait) || wait <= 0 {
			return 0
		}
		return time.Duration(min(wait, float64(maxRetryAfter)))
	}
	if ms, err := strconv.ParseFloat(header.Get("Retry-After-Ms"), 64); err == nil {
		return bounded(ms * float64(time.Millisecond))
	}
	after := header.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(after, 64); err == nil {
		return bounded(seconds * float64(time.Second))
	}
	at, err := http.ParseTime(after)
	if err != nil {
		return 0
	}
	from, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		if from = time.Now(); p.Now != nil {
			from = p.Now()
		}
	}
	return bounded(float64(at.Sub(from)))
}

// amid is an error that a server tells in the middle of its answer.
func (f far) amid(r refusal) error {
	reason := r.reason(f.tools)
	if reason == Refused && !r.of("invalid") {
		reason = Unavailable // The request was accepted, and the answer had begun.
	}
	return f.because(r, reason, 0)
}
