package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/mainstay-dev/mainstay/spec"
)

// Suspend is what is to be suspended or resumed, by whom and why. Without a reference it is everything.
type Suspend struct {
	Ref    spec.Ref `json:"ref,omitzero"`
	By     string   `json:"by"`
	Reason string   `json:"reason,omitempty"`
}

// Suspensions are what can be asked for of what is suspended.
type Suspensions struct {
	Suspend func(ctx context.Context, s Suspend) error
	// Resume reports whether there was a suspension.
	Resume func(ctx context.Context, s Suspend) (bool, error)
}

// route serves POST /v1/suspend and POST /v1/resume.
func (s Suspensions) route(mux *http.ServeMux) {
	serve := func(pattern string, do func(ctx context.Context, s Suspend) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			var asked Suspend
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCancel)).Decode(&asked); err != nil || asked.By == "" {
				http.Error(w, `send {"ref": {"kind": "...", "name": "..."}, "by": "...", "reason": "..."}`, http.StatusBadRequest)
				return
			}
			v, err := do(r.Context(), asked)
			reply(w, v, err)
		})
	}
	serve("POST /v1/suspend", func(ctx context.Context, asked Suspend) (any, error) { return resumed{}, s.Suspend(ctx, asked) })
	serve("POST /v1/resume", func(ctx context.Context, asked Suspend) (any, error) {
		was, err := s.Resume(ctx, asked)
		return resumed{was}, err
	})
}

type resumed struct {
	Was bool `json:"was"`
}

// Suspend suspends something from the daemon's next step on.
func (c *Client) Suspend(ctx context.Context, s Suspend) error {
	_, err := c.suspend(ctx, "/v1/suspend", s)
	return err
}

// Resume ends a suspension, and reports whether there was one.
func (c *Client) Resume(ctx context.Context, s Suspend) (bool, error) {
	return c.suspend(ctx, "/v1/resume", s)
}

func (c *Client) suspend(ctx context.Context, path string, s Suspend) (bool, error) {
	body, err := json.Marshal(s)
	if err != nil {
		return false, err
	}
	var r resumed
	err = c.do(ctx, http.MethodPost, path, bytes.NewReader(body), &r)
	return r.Was, err
}
