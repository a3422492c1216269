package model

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// The limits of what a server sends. A text has a smaller one of its own, see [MaxText].
const (
	// maxStream bounds all that a server sends of an answer, in bytes: what a model thinks is no part of its text.
	maxStream = 64 << 20
	// maxEvent bounds one event of a stream, in bytes. The last one of an answer may hold all of it once more.
	maxEvent = 8 << 20
	// maxRefusal is how much of an error's body is read, in bytes.
	maxRefusal = 64 << 10
)

// far is the server at the far side of a request, as errors speak of it.
type far struct {
	Providers
	// base is the API's URL, without what may be secret in it, and example the one of the service that it is named after.
	base, example string
	model         string
	keyed, tools  bool
}

// dial returns a client of the model's server, whose URL is the model's endpoint or else usual, and what to call it. The
// client gives out streams of events, and each other answer as an [Error]. A query of the endpoint is sent with every request.
func (p Providers) dial(ctx context.Context, m *spec.Model, request Request, usual string, key keyHeader) (*http.Client, *url.URL, far, error) {
	endpoint, err := url.Parse(cmp.Or(m.Spec.Endpoint, usual))
	if err != nil {
		return nil, nil, far{}, fmt.Errorf("endpoint %q: %w", m.Spec.Endpoint, err)
	}
	at := far{Providers: p, base: shown(endpoint), example: usual, model: m.Spec.Name, keyed: m.Spec.APIKey != nil || len(m.Spec.Headers) > 0, tools: len(request.Tools) > 0}
	client, err := p.authorized(ctx, cmp.Or(p.HTTP, http.DefaultClient), endpoint, m.Spec, key)
	if err != nil {
		return nil, nil, far{}, err
	}
	with := *client
	with.Transport = checked{next: client.Transport, check: at.check}
	return &with, endpoint, at, nil
}

// shown is a server's URL without what may be secret in it.
func shown(endpoint *url.URL) string {
	told := url.URL{Scheme: endpoint.Scheme, Host: endpoint.Host, Path: strings.TrimSuffix(endpoint.Path, "/")}
	return told.String()
}

// checked has every response checked before it is given out.
type checked struct {
	next  http.RoundTripper
	check func(*http.Response) error
}

// RoundTrip sends one request.
func (c checked) RoundTrip(r *http.Request) (*http.Response, error) {
	next := c.next
	if next == nil {
		next = http.DefaultTransport
	}
	response, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := c.check(response); err != nil {
		response.Body.Close()
		return nil, err
	}
	return response, nil
}

// whole is a client like that of [Providers.dial] for answers that are one JSON value, of at most maxStream bytes.
func (f far) whole(client *http.Client) *http.Client {
	with := *client
	next := with.Transport
	if c, ok := next.(checked); ok {
		next = c.next
	}
	with.Transport = checked{next: next, check: func(response *http.Response) error {
		if response.StatusCode < 200 || response.StatusCode >= 300 {
			return f.check(response)
		}
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(response.Body, maxStream), response.Body}
		return nil
	}}
	return &with
}

// check lets streams of events through, within the limits, and redirects.
func (f far) check(response *http.Response) error {
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	redirects := response.StatusCode >= 300 && response.StatusCode < 400 && response.Header.Get("Location") != ""
	fails := response.StatusCode < 200 || response.StatusCode >= 300
	if !redirects && !fails && (kind == "text/event-stream" || kind == "") {
		response.Body = &events{ReadCloser: response.Body, most: maxEvent, total: maxStream}
		return nil
	}
	if redirects {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal)) // What is there of it says more than that it broke off.
	if fails {
		return f.refused(response, body)
	}
	return failed(Unavailable, "%s answers with %s in place of a stream of events (%s): set the model's endpoint to the base URL of the API, such as %s",
		f.base, f.short(kind), f.short(plain(body)), f.example)
}

// events reads a stream of events within the limits.
type events struct {
	io.ReadCloser
	// most bounds an event, and total the stream; 0 bounds nothing.
	most, total int
	// lines says that each line is an event, where else an event ends with an empty one.
	lines bool
	// all and event are how much was read.
	all, event int
	// text says that the line that is being read is not empty.
	text bool
	// broke is why the stream was not read to its end.
	broke error
}

// Read reads the stream.
func (e *events) Read(p []byte) (int, error) {
	n, err := e.read(p)
	if err != nil && err != io.EOF {
		e.broke = err
	}
	return n, err
}

func (e *events) read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if e.all += n; e.total > 0 && e.all > e.total {
		return 0, fmt.Errorf("it sends more than %d MiB", e.total>>20)
	}
	if e.most == 0 {
		return n, err
	}
	for rest := p[:n]; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		line := rest
		if end >= 0 {
			line = rest[:end+1]
		}
		if e.event += len(line); e.event > e.most {
			return 0, fmt.Errorf("it sends an event of more than %d MiB", e.most>>20)
		}
		e.text = e.text || len(bytes.Trim(line, "\r\n")) > 0
		if rest = rest[len(line):]; end >= 0 {
			if !e.text || e.lines {
				e.event = 0
			}
			e.text = false
		}
	}
	return n, err
}

// plain is a body in a message: of a page of HTML that it is one.
func plain(body []byte) string {
	text := strings.TrimSpace(string(body))
	if strings.HasPrefix(text, "<") {
		return "a page of HTML"
	}
	return cmp.Or(text, "nothing more")
}
