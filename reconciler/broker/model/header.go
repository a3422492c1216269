package model

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// keyHeader is how an API is sent a key: a header, and what stands before the key in it.
type keyHeader struct{ name, prefix string }

// bearer is the form of most APIs.
var bearer = keyHeader{"Authorization", "Bearer "}

// authorized returns a client that sends the model's key and headers to the endpoint, and to nobody else. Nobody else gets the
// conversation either: a redirect to another server is an error.
func (p Providers) authorized(ctx context.Context, client *http.Client, endpoint *url.URL, m spec.ModelSpec, key keyHeader) (*http.Client, error) {
	header := http.Header{}
	set := func(name, prefix, value string, from *spec.SecretRef) error {
		if from != nil {
			resolved, err := p.Secret(ctx, *from)
			if err != nil { // It may be there again when the run asks again.
				return failed(Unavailable, "header %s: %w", name, err)
			}
			value = prefix + resolved.Reveal()
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return fmt.Errorf("header %s: %s is not one line, as a header must be", name, from)
		}
		header.Set(name, value)
		return nil
	}
	if m.APIKey != nil {
		if err := set(key.name, key.prefix, "", m.APIKey); err != nil {
			return nil, err
		}
	}
	for _, h := range m.Headers {
		if err := set(h.Name, "", h.Value, h.From); err != nil {
			return nil, err
		}
	}
	with := *client
	with.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		switch {
		case r.URL.Scheme != endpoint.Scheme || r.URL.Host != endpoint.Host:
			return failed(Refused, "%s://%s sends the request on to another server, %s://%s: if that is the one to ask, set the model's endpoint to it",
				endpoint.Scheme, endpoint.Host, r.URL.Scheme, p.short(r.URL.Host))
		case len(via) >= maxRedirects:
			return failed(Refused, "%s://%s sends the request on again and again: set the model's endpoint to the base URL of its API", endpoint.Scheme, endpoint.Host)
		}
		return nil
	}
	if len(header) == 0 {
		return &with, nil
	}
	with.Transport = headers{next: client.Transport, scheme: endpoint.Scheme, host: endpoint.Host, header: header}
	return &with, nil
}

// maxRedirects is how often a server may send a request on.
const maxRedirects = 10

// headers adds headers to the requests to one host, and to no other, however a client comes to ask it.
type headers struct {
	next   http.RoundTripper
	scheme string
	host   string
	header http.Header
}

// RoundTrip sends one request.
func (h headers) RoundTrip(r *http.Request) (*http.Response, error) {
	next := h.next
	if next == nil {
		next = http.DefaultTransport
	}
	if r.URL.Scheme == h.scheme && r.URL.Host == h.host {
		r = r.Clone(r.Context())
		for name, values := range h.header {
			r.Header[name] = values
		}
	}
	return next.RoundTrip(r)
}
