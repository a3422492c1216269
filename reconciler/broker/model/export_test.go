package model

import (
	"io"
	"net/http"
)

// RefusedWith is the error of a response that is none of a model.
func RefusedWith(p Providers, response *http.Response, body []byte) *Error {
	return far{Providers: p, base: "http://127.0.0.1/v1", example: openAIBase, tools: true}.refused(response, body).(*Error)
}

// EventsOf reads a stream whose events have at most so many bytes.
func EventsOf(body io.ReadCloser, most int) io.Reader {
	return &events{ReadCloser: body, most: most, total: maxStream}
}

// Strict and Closed are what becomes of schemas.
var (
	Strict = strict
	Closed = closed
)
