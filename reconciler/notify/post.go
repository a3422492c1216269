package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// sendTime is how long a webhook has for its answer by default; maxRetryAfter the longest that it can ask to be left alone.
const (
	sendTime      = 10 * time.Second
	maxRetryAfter = time.Hour
)

// refusedError says that a webhook does not take an event, and never will.
type refusedError struct{ status string }

func (r *refusedError) Error() string { return "it answered " + r.status }

// post sends one event. The delay is how long the webhook asks to be left alone.
func (n *Notifier) post(ctx context.Context, sink spec.Notification, e Event) (delay time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, n.opts.Timeout)
	defer cancel()
	req, err := n.request(ctx, sink, e)
	if err != nil {
		return 0, err
	}
	resp, err := n.client.Do(req)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // Its text without the URL.
		}
		return 0, errors.New(n.opts.Hide("it cannot be reached: " + err.Error()))
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // So that the connection can be used again.
	switch code := resp.StatusCode; {
	case code < 300:
		return 0, nil
	case code < 400:
		return 0, fmt.Errorf("it answered %s, and redirects are not followed: write the URL that it leads to", status(code))
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests,
		code == http.StatusUnauthorized, code == http.StatusForbidden, code >= 500:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // A date, or none, counts as none.
		return min(time.Duration(max(seconds, 0))*time.Second, maxRetryAfter), fmt.Errorf("it answered %s", status(code))
	default:
		return 0, &refusedError{status(code)}
	}
}

func status(code int) string {
	return strconv.Itoa(code) + " " + cmp.Or(http.StatusText(code), "which is no known status")
}

// request makes the request of one event.
func (n *Notifier) request(ctx context.Context, sink spec.Notification, e Event) (*http.Request, error) {
	to := sink.URL
	if sink.From != nil {
		var err error
		if to, err = n.opts.Secret(ctx, *sink.From); err != nil {
			return nil, fmt.Errorf("read its URL: %w", err)
		}
	}
	if u, err := url.Parse(to); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("its URL is not one of http or https") // It may be a secret, so it is not shown.
	}
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("its URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "mainstay")
	req.Header.Set("X-Mainstay-Event", e.Event)
	req.Header.Set("X-Mainstay-Delivery", e.ID)
	for _, h := range sink.Headers {
		value := h.Value
		if h.From != nil {
			if value, err = n.opts.Secret(ctx, *h.From); err != nil {
				return nil, fmt.Errorf("read its header %s: %w", h.Name, err)
			}
		}
		req.Header.Set(h.Name, value)
	}
	if sink.Secret != nil {
		key, err := n.opts.Secret(ctx, *sink.Secret)
		if err != nil {
			return nil, fmt.Errorf("read its secret: %w", err)
		}
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(body) // A hash takes everything.
		req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	return req, nil
}
