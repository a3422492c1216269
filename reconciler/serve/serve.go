// Package serve answers questions about a running reconciler on a Unix socket that only its owner may open, and lets its
// owner talk to agents, end runs, and suspend and resume. It keeps nothing: every answer is made when it is asked for. What is declared, approved
// or executed cannot be changed through it.
package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// Views are what can be asked for.
type Views struct {
	// Status returns the state as a value that encodes to JSON.
	Status func(ctx context.Context) (any, error)
	// Runs lists the runs that a query chooses, as a value that encodes to JSON.
	Runs func(ctx context.Context, query url.Values) (any, error)
	// Costs sums what models have cost, as a query says, as a value that encodes to JSON.
	Costs func(ctx context.Context, query url.Values) (any, error)
	// Record returns the record of a run, or an error that wraps fs.ErrNotExist.
	Record func(ctx context.Context, run spec.RunID) ([]spec.Entry, error)
	// Cancel ends a run and returns what was ended as a value that encodes to JSON, or an error that wraps fs.ErrNotExist.
	Cancel func(ctx context.Context, run spec.RunID, c Cancel) (any, error)
	// Threads are the conversations.
	Threads Threads
	// Suspensions suspend and resume.
	Suspensions Suspensions
}

// Cancel is who wants a run to end, and why.
type Cancel struct {
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
}

// maxCancel bounds a [Cancel] as JSON, in bytes.
const maxCancel = 16 << 10

// Handler serves views: GET /v1/status, GET /v1/runs, GET /v1/runs/{run}, GET /v1/costs, POST /v1/runs/{run}/cancel, /v1/threads, and POST
// /v1/suspend and /v1/resume.
func Handler(views Views) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		v, err := views.Status(r.Context())
		reply(w, v, err)
	})
	mux.HandleFunc("GET /v1/runs", func(w http.ResponseWriter, r *http.Request) {
		v, err := views.Runs(r.Context(), r.URL.Query())
		reply(w, v, err)
	})
	mux.HandleFunc("GET /v1/costs", func(w http.ResponseWriter, r *http.Request) {
		v, err := views.Costs(r.Context(), r.URL.Query())
		reply(w, v, err)
	})
	mux.HandleFunc("GET /v1/runs/{run}", func(w http.ResponseWriter, r *http.Request) {
		v, err := views.Record(r.Context(), spec.RunID(r.PathValue("run")))
		reply(w, v, err)
	})
	mux.HandleFunc("POST /v1/runs/{run}/cancel", func(w http.ResponseWriter, r *http.Request) {
		var c Cancel
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCancel)).Decode(&c); err != nil || c.By == "" {
			http.Error(w, `send {"by": "...", "reason": "..."}`, http.StatusBadRequest)
			return
		}
		v, err := views.Cancel(r.Context(), spec.RunID(r.PathValue("run")), c)
		reply(w, v, err)
	})
	views.Threads.route(mux)
	views.Suspensions.route(mux)
	return mux
}

func reply(w http.ResponseWriter, v any, err error) {
	var body []byte
	if err == nil {
		body, err = json.Marshal(v)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // The client is gone if this fails; there is nobody to tell.
	}
}

// Run serves h on the Unix socket at path, mode 0600, until ctx ends. The caller holds the lock of the state folder, so a
// socket that is already there belongs to a process that died and is replaced.
func Run(ctx context.Context, path string, h http.Handler) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace old socket: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(fmt.Errorf("restrict socket: %w", err), l.Close())
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", path, err)
	}
	return nil
}

// Client asks the reconciler that serves on the Unix socket at a path.
type Client struct{ http http.Client }

// Dial returns a client of the socket at path. It connects when it first asks.
func Dial(path string) *Client {
	return &Client{http: http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}},
	}}
}

// ErrNotServing means that no reconciler serves on the socket.
var ErrNotServing = errors.New("no daemon is running")

// Status decodes the state into v.
func (c *Client) Status(ctx context.Context, v any) error { return c.get(ctx, "/v1/status", v) }

// Runs decodes the runs that a query chooses into v.
func (c *Client) Runs(ctx context.Context, query url.Values, v any) error {
	return c.get(ctx, "/v1/runs?"+query.Encode(), v)
}

// Costs decodes what models have cost, as a query says, into v.
func (c *Client) Costs(ctx context.Context, query url.Values, v any) error {
	return c.get(ctx, "/v1/costs?"+query.Encode(), v)
}

// Record returns the record of a run. The error wraps fs.ErrNotExist where there is no such run.
func (c *Client) Record(ctx context.Context, run spec.RunID) ([]spec.Entry, error) {
	var entries []spec.Entry
	err := c.get(ctx, "/v1/runs/"+string(run), &entries)
	return entries, err
}

// Cancel ends a run, and decodes what was ended into v. The error wraps fs.ErrNotExist where there is no such run.
func (c *Client) Cancel(ctx context.Context, run spec.RunID, cancel Cancel, v any) error {
	body, err := json.Marshal(cancel)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, "/v1/runs/"+string(run)+"/cancel", bytes.NewReader(body), v)
}

// maxReply bounds what a client reads, in bytes.
const maxReply = 256 << 20

func (c *Client) get(ctx context.Context, path string, v any) error {
	return c.do(ctx, http.MethodGet, path, nil, v)
}

func (c *Client) do(ctx context.Context, method, path string, body io.Reader, v any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://mainstay"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return ErrNotServing
		}
		return fmt.Errorf("ask the daemon: %w", err)
	}
	defer resp.Body.Close()
	if err := refused(resp); err != nil {
		return err
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, maxReply)).Decode(v); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}

// maxReason bounds what the daemon says instead of an answer, in bytes.
const maxReason = 64 << 10

// refused returns what the daemon says instead of an answer, or nil.
func refused(resp *http.Response) error {
	if resp.StatusCode < 300 {
		return nil
	}
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxReason)) // What could be read says most.
	text := strings.TrimSpace(string(said))
	if text == "" {
		text = "the daemon answered " + resp.Status
	}
	return &refusedError{text: text, missing: resp.StatusCode == http.StatusNotFound}
}

// refusedError is what the daemon says instead of an answer.
type refusedError struct {
	text    string
	missing bool
}

func (e *refusedError) Error() string { return e.text }

func (e *refusedError) Is(target error) bool { return e.missing && target == fs.ErrNotExist }
