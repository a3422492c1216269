package notify_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/notify"
	"github.com/mainstay-dev/mainstay/spec"
)

// memory is a store that outlives a notifier.
type memory struct {
	mu   sync.Mutex
	kept map[string][]byte
	put  chan struct{} // holds one where something was kept since it was last looked at
}

func (m *memory) Get(_ context.Context, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept[name], nil
}

func (m *memory) Put(_ context.Context, name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[name] = value
	select {
	case m.put <- struct{}{}:
	default:
	}
	return nil
}

// world is a notifier whose clock only moves while it waits, and a webhook.
type world struct {
	*testing.T
	store  *memory
	mu     sync.Mutex
	at     time.Time
	failed []string
	got    []received
	answer func(n int, w http.ResponseWriter)
	server *httptest.Server
	hangs  func(n int) bool // whether a request is never answered
}

type received struct {
	header http.Header
	body   []byte
	event  notify.Event
}

func newWorld(t *testing.T, answer func(n int, w http.ResponseWriter)) *world {
	w := &world{T: t, store: &memory{kept: map[string][]byte{}, put: make(chan struct{}, 1)}, at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), answer: answer}
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		one := received{header: r.Header, body: body}
		if err := json.Unmarshal(body, &one.event); err != nil {
			t.Errorf("the body is no JSON: %s", body)
		}
		w.mu.Lock()
		w.got = append(w.got, one)
		n := len(w.got)
		w.mu.Unlock()
		if w.hangs != nil && w.hangs(n) {
			<-r.Context().Done()
			return
		}
		w.answer(n, rw)
	}))
	t.Cleanup(w.server.Close)
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) after(d time.Duration) <-chan time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
	fired := make(chan time.Time, 1)
	fired <- w.at
	return fired
}

// notifier is one process. Its secrets are the names of variables in upper case.
func (w *world) notifier(sinks ...spec.Notification) *notify.Notifier {
	n := notify.New(notify.Options{
		Store: w.store, Timeout: 100 * time.Millisecond, Now: w.now, After: w.after,
		Secret: func(_ context.Context, ref spec.SecretRef) (string, error) {
			if ref.Env == "HOOK" {
				return w.server.URL + "/s3cret-path", nil
			}
			if ref.Env == "GONE" {
				return "", errors.New("GONE is not set")
			}
			return "s3cret-" + ref.Env, nil
		},
		Hide: func(text string) string { return strings.ReplaceAll(text, "s3cret-value", "[redacted]") },
		Failed: func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.failed = append(w.failed, err.Error())
		},
		Backoff: func(failures int) time.Duration { return time.Duration(failures) * time.Minute },
	})
	n.Accept(sinks)
	return n
}

// run sends until all is sent.
func (w *world) run(n *notify.Notifier) {
	w.Helper()
	ctx, stop := context.WithTimeout(w.Context(), 30*time.Second)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	for len(n.Left()) > 0 && ctx.Err() == nil {
		select {
		case <-w.store.put:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		w.Error("it is not sent")
	}
	stop()
	if err := <-ended; err != nil {
		w.Error(err)
	}
}

func failure(n string) notify.Event {
	return notify.Event{Event: spec.EventRunFailed, At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Fleet: "shop", Run: spec.RunID(n), Message: "it holds s3cret-value\x1b[2J"}.Key(n)
}

func TestAWebhookIsToldOnceAndSigned(t *testing.T) {
	w := newWorld(t, func(int, http.ResponseWriter) {})
	n := w.notifier(spec.Notification{Name: "chat", From: &spec.SecretRef{Env: "HOOK"}, Secret: &spec.SecretRef{Env: "KEY"},
		Headers: []spec.Header{{Name: "Authorization", From: &spec.SecretRef{Env: "TOKEN"}}, {Name: "X-Team", Value: "shop"}}})
	n.Tell(t.Context(), failure("one"))
	n.Tell(t.Context(), failure("one"))
	n.Tell(t.Context(), notify.Event{Event: spec.EventActionDone}.Key("done")) // Nobody has asked for it.
	w.run(n)
	n = w.notifier(spec.Notification{Name: "chat", URL: w.server.URL})
	n.Tell(t.Context(), failure("one")) // After a restart it is known too.
	n.Tell(t.Context(), failure("two"))
	w.run(n)
	if len(w.got) != 2 || w.got[0].event.Run != "one" || w.got[1].event.Run != "two" {
		t.Fatalf("it was told %+v", w.got)
	}
	got := w.got[0]
	mac := hmac.New(sha256.New, []byte("s3cret-KEY"))
	mac.Write(got.body)
	for name, want := range map[string]string{"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil)), "Authorization": "s3cret-TOKEN",
		"X-Team": "shop", "Content-Type": "application/json", "X-Mainstay-Event": "run-failed", "X-Mainstay-Delivery": got.event.ID} {
		if got.header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.header.Get(name), want)
		}
	}
	if strings.Contains(string(got.body), "s3cret") || strings.Contains(got.event.Message, "\x1b") || len(got.event.ID) != 32 {
		t.Errorf("the body is %s", got.body)
	}
	if w.got[1].header.Get("X-Hub-Signature-256") != "" || len(w.failed) > 0 {
		t.Errorf("without a secret it is signed, or something failed: %q", w.failed)
	}
}

func TestAWebhookThatFails(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	for name, tt := range map[string]struct {
		sink   spec.Notification
		answer func(n int, w http.ResponseWriter)
		hangs  func(n int) bool
		told   int    // how often it is asked; -1 is any number
		failed string // what a person is told
		waited time.Duration
	}{
		"is tried again": {answer: func(n int, w http.ResponseWriter) { w.WriteHeader([]int{503, 500, 429, 401, 204}[n-1]) }, told: 5, failed: "it answered 503 Service Unavailable; it is tried again", waited: 10 * time.Minute},
		"is left alone": {answer: func(n int, w http.ResponseWriter) {
			w.Header().Set("Retry-After", "1800")
			w.WriteHeader([]int{429, 200}[n-1])
		}, told: 2, failed: "it answered 429", waited: 30 * time.Minute},
		"takes no such event":      {answer: func(_ int, w http.ResponseWriter) { w.WriteHeader(400) }, told: 1, failed: "it answered 400 Bad Request; the event run-failed is dropped"},
		"redirects":                {answer: func(_ int, w http.ResponseWriter) { w.Header().Set("Location", elsewhere.URL); w.WriteHeader(307) }, told: -1, failed: "redirects are not followed: write the URL that it leads to", waited: 24 * time.Hour},
		"hangs":                    {hangs: func(n int) bool { return n == 1 }, answer: func(int, http.ResponseWriter) {}, told: 2, failed: "it cannot be reached: context deadline exceeded", waited: time.Minute},
		"hangs up":                 {answer: func(n int, _ http.ResponseWriter) { panicIf(n == 1) }, told: 2, failed: "it cannot be reached: EOF", waited: time.Minute},
		"has no secret":            {sink: spec.Notification{Secret: &spec.SecretRef{Env: "GONE"}}, failed: "read its secret: GONE is not set", waited: 24 * time.Hour},
		"has a URL of no web":      {sink: spec.Notification{From: &spec.SecretRef{Env: "FILE"}}, failed: "its URL is not one of http or https", waited: 24 * time.Hour},
		"is nowhere to be reached": {sink: spec.Notification{URL: "http://127.0.0.1:1/s3cret-value"}, failed: "it cannot be reached: dial tcp", waited: 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(n int, rw http.ResponseWriter) { tt.answer(n, rw) })
			w.hangs = tt.hangs
			sink := tt.sink
			if sink.Name = "chat"; sink.URL == "" && sink.From == nil {
				sink.URL = w.server.URL
			}
			n := w.notifier(sink)
			began := w.now()
			n.Tell(t.Context(), failure("one"))
			w.run(n)
			if len(w.got) != tt.told && tt.told >= 0 {
				t.Errorf("it was asked %d times, want %d", len(w.got), tt.told)
			}
			for _, got := range w.got {
				if got.event.ID != w.got[0].event.ID {
					t.Error("the id of the event has changed")
				}
			}
			if all := strings.Join(w.failed, "\n"); !strings.Contains(all, "notify chat: ") || !strings.Contains(all, tt.failed) || strings.Contains(all, "s3cret") {
				t.Errorf("a person is told %q, want %q", w.failed, tt.failed)
			}
			if waited := w.now().Sub(began); waited < tt.waited {
				t.Errorf("it waited for %s, want %s at least", waited, tt.waited)
			}
		})
	}
}

func panicIf(hangUp bool) {
	if hangUp {
		panic(http.ErrAbortHandler)
	}
}

func TestAWebhookThatHangsHoldsUpNobody(t *testing.T) {
	w := newWorld(t, func(int, http.ResponseWriter) {})
	hangs := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hangs }))
	t.Cleanup(func() { close(hangs); slow.Close() })
	n := w.notifier(spec.Notification{Name: "slow", URL: slow.URL}, spec.Notification{Name: "chat", URL: w.server.URL})
	for i := range 300 { // More than are kept.
		n.Tell(t.Context(), failure(string(rune('a'+i%26))+strings.Repeat("x", i/26)))
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	for left := n.Left(); len(left) > 1; left = n.Left() { // Each event that is taken is taken out of the store.
		select {
		case <-w.store.put:
		case <-time.After(20 * time.Second):
			t.Fatalf("%d events are left for the other", len(left[1].Events))
		}
	}
	if left := n.Left(); len(left) != 1 || left[0].Webhook != "slow" || len(left[0].Events) != 256 || left[0].Failed {
		t.Errorf("what is left is %+v", left)
	}
	stop()
	<-ended
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.got) != 256 || w.got[255].event.Run != failure(string(rune('a'+299%26))+strings.Repeat("x", 299/26)).Run {
		t.Errorf("the other was told %d events", len(w.got))
	}
	if !slices.ContainsFunc(w.failed, func(text string) bool {
		return strings.Contains(text, "256 events wait for it, and the oldest is dropped")
	}) {
		t.Errorf("nobody hears of what is dropped: %q", w.failed)
	}
}
