package serve

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Threads are what can be asked for of conversations. Errors that wrap fs.ErrNotExist mean that there is no such thread.
type Threads struct {
	// List and Read return values that encode to JSON.
	List func(ctx context.Context) (any, error)
	Read func(ctx context.Context, id string) (any, error)
	// Delete removes a thread.
	Delete func(ctx context.Context, id string) error
	// Cancel ends the answer under way.
	Cancel func(ctx context.Context, id string) error
	// Say gives an agent a message, and Follow takes part in the answer under way. Both emit what happens, as values that
	// encode to JSON, until there is an answer or ctx ends; then the answer goes on without them.
	Say    func(ctx context.Context, id string, m Said, emit func(v any) error) error
	Follow func(ctx context.Context, id string, emit func(v any) error) error
}

// Said is a message to an agent.
type Said struct {
	Agent string `json:"agent"`
	Text  string `json:"text"`
}

// maxSaid bounds the body of a request, in bytes.
const maxSaid = 4 << 20

// route serves threads: GET /v1/threads, GET and DELETE /v1/threads/{thread}, and, on /v1/threads/{thread}/run, POST to say
// something, GET to follow the run under way, and DELETE to cancel it. What is followed comes as JSON values, one a line.
func (t Threads) route(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/threads", func(w http.ResponseWriter, r *http.Request) {
		v, err := t.List(r.Context())
		reply(w, v, err)
	})
	mux.HandleFunc("GET /v1/threads/{thread}", func(w http.ResponseWriter, r *http.Request) {
		v, err := t.Read(r.Context(), r.PathValue("thread"))
		reply(w, v, err)
	})
	mux.HandleFunc("DELETE /v1/threads/{thread}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, struct{}{}, t.Delete(r.Context(), r.PathValue("thread")))
	})
	mux.HandleFunc("DELETE /v1/threads/{thread}/run", func(w http.ResponseWriter, r *http.Request) {
		reply(w, struct{}{}, t.Cancel(r.Context(), r.PathValue("thread")))
	})
	mux.HandleFunc("GET /v1/threads/{thread}/run", func(w http.ResponseWriter, r *http.Request) {
		s := lines{w: w}
		s.end(t.Follow(r.Context(), r.PathValue("thread"), s.emit))
	})
	mux.HandleFunc("POST /v1/threads/{thread}/run", func(w http.ResponseWriter, r *http.Request) {
		var m Said
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSaid)).Decode(&m); err != nil {
			http.Error(w, "the message is malformed: "+err.Error(), http.StatusBadRequest)
			return
		}
		s := lines{w: w}
		s.end(t.Say(r.Context(), r.PathValue("thread"), m, s.emit))
	})
}

// lines writes values as they come, one a line, each at once.
type lines struct {
	w     http.ResponseWriter
	begun bool
}

func (l *lines) emit(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	if _, err := l.w.Write(append(line, '\n')); err != nil {
		return err
	}
	return http.NewResponseController(l.w).Flush()
}

// end tells how it ended, by the status where nothing was written yet.
func (l *lines) end(err error) {
	switch {
	case err == nil && !l.begun:
		l.w.WriteHeader(http.StatusNoContent)
	case err == nil:
	case !l.begun:
		reply(l.w, nil, err)
	default:
		_ = l.emit(streamError{err.Error()}) // The client is gone if this fails; there is nobody to tell.
	}
}

// streamError is the last line where something went wrong after the first.
type streamError struct {
	StreamError string `json:"streamError"`
}

// Threads decodes the list of threads into v.
func (c *Client) Threads(ctx context.Context, v any) error { return c.get(ctx, "/v1/threads", v) }

// Thread decodes a thread into v. The error wraps fs.ErrNotExist where there is none.
func (c *Client) Thread(ctx context.Context, id string, v any) error {
	return c.get(ctx, threadPath(id), v)
}

// DeleteThread removes a thread. The error wraps fs.ErrNotExist where there is none.
func (c *Client) DeleteThread(ctx context.Context, id string) error {
	return c.stream(ctx, http.MethodDelete, threadPath(id), nil, nil)
}

// CancelThread ends the answer under way.
func (c *Client) CancelThread(ctx context.Context, id string) error {
	return c.stream(ctx, http.MethodDelete, threadPath(id)+"/run", nil, nil)
}

// Say gives an agent a message and calls each with what happens, until there is an answer.
func (c *Client) Say(ctx context.Context, id string, m Said, each func(line []byte) error) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return c.stream(ctx, http.MethodPost, threadPath(id)+"/run", strings.NewReader(string(body)), each)
}

// Follow is [Client.Say] for the answer under way, and returns at once where there is none.
func (c *Client) Follow(ctx context.Context, id string, each func(line []byte) error) error {
	return c.stream(ctx, http.MethodGet, threadPath(id)+"/run", nil, each)
}

func threadPath(id string) string { return "/v1/threads/" + url.PathEscape(id) }

// stream makes a request whose answer may take as long as it takes.
func (c *Client) stream(ctx context.Context, method, path string, body io.Reader, each func(line []byte) error) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://mainstay"+path, body)
	if err != nil {
		return err
	}
	patient := http.Client{Transport: c.http.Transport}
	resp, err := patient.Do(req)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			return ErrNotServing
		}
		return fmt.Errorf("ask the daemon: %w", err)
	}
	defer resp.Body.Close()
	if err := refused(resp); err != nil {
		return err
	}
	if each == nil {
		return nil
	}
	scanner := bufio.NewScanner(resp.Body)
	scanner.Buffer(nil, maxReply)
	for scanner.Scan() {
		var failed streamError
		if json.Unmarshal(scanner.Bytes(), &failed) == nil && failed.StreamError != "" {
			return errors.New(failed.StreamError)
		}
		if err := each(scanner.Bytes()); err != nil {
			return err
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}
