package model

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/ollama/ollama/api"

	"github.com/mainstay-dev/mainstay/spec"
)

// maxLine bounds one line of a stream, in bytes: one that Ollama's client has no room for ends a stream and says nothing.
const maxLine = 7 << 20

// ollamaAPI is Ollama's client of one server, within the limits.
type ollamaAPI struct {
	*api.Client
	// body is that of the last response.
	body *events
}

// ollamaClient returns a client of the model's server, and where that is.
func (p Providers) ollamaClient(ctx context.Context, m *spec.Model) (*ollamaAPI, *url.URL, error) {
	endpoint, err := ollamaEndpoint(m)
	if err != nil {
		return nil, nil, err
	}
	client := p.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	client, err = p.authorized(ctx, client, endpoint, m.Spec, bearer)
	if err != nil {
		return nil, nil, err
	}
	with, made := *client, &ollamaAPI{}
	with.Transport = checked{next: client.Transport, check: func(response *http.Response) error {
		made.body = limited(response)
		response.Body = made.body
		return p.ollamaRefusal(response, endpoint)
	}}
	made.Client = api.NewClient(endpoint, &with)
	return made, endpoint, nil
}

// limited is the body of a response within the limits. What a server tells while it gets a model may take many hours, and is
// forgotten line by line.
func limited(response *http.Response) *events {
	body := &events{ReadCloser: response.Body, total: maxStream}
	if response.Request.Header.Get("Accept") == "application/x-ndjson" {
		body.lines, body.most = true, maxLine
	}
	if path := response.Request.URL.Path; strings.HasSuffix(path, "/api/pull") || strings.HasSuffix(path, "/api/create") {
		body.total = 0
	}
	return body
}

// ollamaRefusal is the error of a response that is none of a model. Ollama's client would read all of its body.
func (p Providers) ollamaRefusal(response *http.Response, endpoint *url.URL) error {
	if kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); kind == "text/html" && response.StatusCode < http.StatusMultipleChoices {
		return failed(Unavailable, "%s answers with a page of HTML: set the model's endpoint, or OLLAMA_HOST, to an Ollama server", shown(endpoint))
	}
	if response.StatusCode < http.StatusBadRequest {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal)) // What is there of it says more than that it broke off.
	r := readRefusal(response.StatusCode, body)
	switch response.StatusCode {
	case http.StatusUnauthorized:
		return api.AuthorizationError{StatusCode: response.StatusCode, Status: response.Status}
	case http.StatusTooManyRequests:
		reason, says := r.reason(true), "asks to wait"
		if reason == QuotaExceeded {
			says = "has no quota left for this key"
		}
		e := failed(reason, "the Ollama server at %s %s: %s", shown(endpoint), says, p.short(r.message)).(*Error)
		e.RetryAfter = p.retryAfter(response.Header)
		return e
	}
	return api.StatusError{StatusCode: response.StatusCode, Status: response.Status, ErrorMessage: r.message}
}

// unfinished is why a stream ended that Ollama's client takes for a whole one.
func (c *ollamaAPI) unfinished() error {
	if c.body == nil || c.body.broke == nil || errors.Is(c.body.broke, io.ErrUnexpectedEOF) {
		return errUnfinished
	}
	return c.body.broke
}
