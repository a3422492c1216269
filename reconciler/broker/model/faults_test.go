package model_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

func newServer(t testing.TB, serve http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(serve)
	t.Cleanup(s.Close)
	return s
}

// fault is something that goes wrong between us and a model.
type fault struct {
	name string
	// meet makes a model of the form whose server has the fault. It may change the client.
	meet func(t *testing.T, f form, client *http.Client) *spec.Model
	// want is how it shows: a reason, or in words.
	want string
	wait time.Duration
	says string
}

// answers is a fault of an HTTP response.
func answers(status int, header, body string) func(*testing.T, form, *http.Client) *spec.Model {
	return func(t *testing.T, f form, _ *http.Client) *spec.Model {
		return f.of(newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			if name, value, ok := strings.Cut(header, ": "); ok {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			fmt.Fprint(w, f.refuse(body))
		}).URL)
	}
}

// streams is a fault in the middle of an answer.
func streams(send func(t *testing.T, f form, s *stream)) func(*testing.T, form, *http.Client) *spec.Model {
	return func(t *testing.T, f form, _ *http.Client) *spec.Model {
		return f.of(newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if w.Header().Set("Content-Type", "text/event-stream"); f.spec.Provider == spec.ProviderOllama {
				w.Header().Set("Content-Type", "application/x-ndjson")
			}
			send(t, f, &stream{w: w, r: r})
		}).URL)
	}
}

// begin sends the beginning of an answer.
func begin(f form, s *stream) {
	f.say(&stream{w: s.w, r: gone(s.r), left: make(chan struct{})}, said{text: []string{"go"}, hang: true})
}

// gone is a request whose client has left, so that what hangs goes on.
func gone(r *http.Request) *http.Request {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return r.WithContext(ctx)
}

// raw sends a piece of a stream as the form frames it.
func raw(f form, s *stream, event, text string) {
	if f.spec.Provider != spec.ProviderOllama {
		text = "event: " + event + "\ndata: " + text + "\n"
	}
	fmt.Fprintln(s.w, text)
	s.flush()
}

var faults = []fault{
	{"nobody listens", func(t *testing.T, f form, _ *http.Client) *spec.Model {
		s := httptest.NewServer(nil)
		s.Close()
		return f.of(s.URL)
	}, "unavailable", 0, "cannot be reached"},
	{"the server's name is not found", func(t *testing.T, f form, client *http.Client) *spec.Model {
		client.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "models.example.com", IsNotFound: true}}
		}
		return f.of("http://models.example.com")
	}, "unavailable", 0, `the name "models.example.com" is not found (no such host): check the model's endpoint and the machine's DNS`},
	{"its certificate is of an unknown authority", func(t *testing.T, f form, _ *http.Client) *spec.Model {
		s := httptest.NewUnstartedServer(nil)
		s.Config.ErrorLog = discarded
		s.StartTLS()
		t.Cleanup(s.Close)
		return f.of(s.URL)
	}, "unavailable", 0, "have the machine trust its authority"},
	{"it speaks no TLS where it should", func(t *testing.T, f form, _ *http.Client) *spec.Model {
		return f.of(strings.Replace(newServer(t, nil).URL, "http:", "https:", 1))
	}, "unavailable", 0, "does not speak TLS"},
	{"no first byte in the time of the client", func(t *testing.T, f form, client *http.Client) *spec.Model {
		client.Transport.(*http.Transport).ResponseHeaderTimeout = 20 * time.Millisecond
		return f.of(newServer(t, func(_ http.ResponseWriter, r *http.Request) {
			drain(r)
			<-r.Context().Done()
		}).URL)
	}, "timedOut", 0, "gives no answer in time"},
	{"no first byte in the time of whoever asks", func(t *testing.T, f form, _ *http.Client) *spec.Model {
		return f.of(newServer(t, func(_ http.ResponseWriter, r *http.Request) {
			drain(r)
			<-r.Context().Done()
		}).URL)
	}, "that time's own error", 0, "context deadline exceeded"},
	{"401", answers(401, "", "no such key"), "unauthorized", 0, ""},
	{"403", answers(403, "", "not yours"), "unauthorized", 0, ""},
	{"404 of a model", answers(404, "", `model "some-model" not found`), "missing", 0, `some-model`},
	{"404 of anything else", answers(404, "", "no such page"), "failed", 0, "set the model's endpoint"},
	{"408", answers(408, "", "too slow"), "timedOut", 0, ""},
	{"413", answers(413, "", "too large"), "contextExceeded", 0, "spec.context"},
	{"400, and the conversation is too long", answers(400, "", "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."), "contextExceeded", 0, "spec.context"},
	{"400, and the model calls no tools", answers(400, "", "some-model does not support tools"), "noTools", 0, "does not support tools"},
	{"400", answers(400, "", "temperature must be a number"), "failed", 0, "temperature must be a number"},
	{"429", answers(429, "", "slow down"), "rateLimited", 0, "slow down"},
	{"429 with Retry-After in seconds", answers(429, "Retry-After: 7", "slow down"), "rateLimited", 7 * time.Second, "slow down"},
	{"429 with Retry-After as a date", func(t *testing.T, f form, _ *http.Client) *spec.Model {
		return f.of(newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", "Sat, 28 Nov 2026 10:00:00 GMT")
			w.Header().Set("Retry-After", "Sat, 28 Nov 2026 10:01:30 GMT")
			w.WriteHeader(429)
		}).URL)
	}, "rateLimited", 90 * time.Second, ""},
	{"429 with Retry-After-Ms", answers(429, "Retry-After-Ms: 250", "slow down"), "rateLimited", 250 * time.Millisecond, ""},
	{"429, and nothing is left of a quota", func(t *testing.T, f form, _ *http.Client) *spec.Model {
		return f.of(newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(429)
			fmt.Fprint(w, `{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","code":"insufficient_quota"}}`)
		}).URL)
	}, "quotaExceeded", 0, "has no quota left for this key"},
	{"500", answers(500, "", "broken"), "unavailable", 0, "broken"},
	{"500, and there is no memory", answers(500, "", "CUDA out of memory"), "outOfMemory", 0, "CUDA"},
	{"500, and an error without end", func(t *testing.T, f form, _ *http.Client) *spec.Model {
		return f.of(newServer(t, func(w http.ResponseWriter, r *http.Request) {
			drain(r)
			w.WriteHeader(500)
			for r.Context().Err() == nil {
				fmt.Fprint(w, strings.Repeat("hunter2\n\n", 1000))
			}
		}).URL)
	}, "unavailable", 0, "[redacted] [redacted]"},
	{"503", answers(503, "", "busy"), "unavailable", 0, "busy"},
	{"504", answers(504, "", "upstream"), "timedOut", 0, "upstream"},
	{"529", answers(529, "", "overloaded"), "unavailable", 0, "overloaded"},
	{"a page of HTML in place of an answer", func(t *testing.T, f form, _ *http.Client) *spec.Model {
		return f.of(newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<!DOCTYPE html><title>Sign in</title>")
		}).URL)
	}, "unavailable", 0, ""},
	{"an empty answer", streams(func(*testing.T, form, *stream) {}), "unavailable", 0, "before it was complete"},
	{"the connection is reset in the middle", streams(func(t *testing.T, f form, s *stream) {
		begin(f, s)
		conn, _, err := s.w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
			t.Error(err)
		}
		conn.Close()
	}), "unavailable", 0, "broke off"},
	{"the answer ends in the middle", streams(func(_ *testing.T, f form, s *stream) { begin(f, s) }), "unavailable", 0, "before it was complete"},
	{"an error in the middle", streams(func(_ *testing.T, f form, s *stream) {
		begin(f, s)
		raw(f, s, "error", f.refuse("the runner has died"))
	}), "unavailable", 0, "the runner has died"},
	{"something malformed in the middle", streams(func(_ *testing.T, f form, s *stream) {
		begin(f, s)
		raw(f, s, "content_block_delta", `{"choices":[{`)
	}), "unavailable", 0, "broke off"},
	{"10 MB of text", streams(func(_ *testing.T, f form, s *stream) {
		f.say(s, said{text: slicesOf(strings.Repeat("x", 10_000), 1000)})
	}), "an answer that is cut", 0, ""},
	{"events without end that say nothing", streams(func(_ *testing.T, f form, s *stream) {
		drain(s.r)
		for s.r.Context().Err() == nil {
			raw(f, s, "ping", `{"type":"ping","more":"`+strings.Repeat("x", 4<<20)+`"}`)
		}
	}), "unavailable", 0, "sends more than 64 MiB"},
	{"10 MB in one event", streams(func(_ *testing.T, f form, s *stream) {
		f.say(s, said{text: []string{strings.Repeat("x", 10<<20)}})
	}), "unavailable", 0, "broke off"},
}

func slicesOf(piece string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = piece
	}
	return all
}

// How each fault shows is told in README.md, and it is the same for every provider.
func TestFaults(t *testing.T) {
	table := "| what goes wrong | reason | a later try may help |\n|---|---|---|\n"
	for _, fault := range faults {
		later := "no"
		if model.Later(&model.Error{Reason: model.Reason(fault.want)}) {
			later = "yes"
		}
		if fault.wait > 0 {
			later = "yes, after " + fault.wait.String()
		}
		if strings.Contains(fault.want, " ") {
			table += fmt.Sprintf("| %s | none: %s | |\n", fault.name, fault.want)
		} else {
			table += fmt.Sprintf("| %s | `%s` | %s |\n", fault.name, fault.want, later)
		}
		t.Run(fault.name, func(t *testing.T) {
			inEveryForm(t, func(t *testing.T, f form) { meet(t, fault, f) })
		})
	}
	readme, err := os.ReadFile("README.md")
	if err != nil || !strings.Contains(string(readme), table) {
		t.Errorf("README.md does not hold this table (%v):\n%s", err, table)
	}
}

func meet(t *testing.T, fault fault, f form) {
	p := asking(t)
	p.Hide = func(text string) string { return strings.ReplaceAll(text, "hunter2", "[redacted]") }
	m := fault.meet(t, f, p.HTTP)
	request := question
	request.Tools = toolsOf("a")
	ctx := t.Context()
	if strings.Contains(fault.want, "time") && strings.Contains(fault.want, " ") {
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		ctx = short
	}
	text := ""
	got, err := p.Chat(ctx, m, request, func(piece string) { text += piece })
	switch fault.want {
	case "an answer that is cut":
		if err != nil || got.Finish != plugins.FinishLength || len(got.Text) != model.MaxText || got.Text != text {
			t.Errorf("%d bytes, finish %q, %v", len(got.Text), got.Finish, err)
		}
		return
	case "that time's own error":
		if !errors.Is(err, context.DeadlineExceeded) || model.Later(err) {
			t.Errorf("got %v", err)
		}
		return
	}
	told, ok := errors.AsType[*model.Error](err)
	if err == nil {
		t.Fatalf("got %d bytes, finish %q, %d calls", len(got.Text), got.Finish, len(got.Calls))
	}
	if string(model.ReasonOf(err)) != fault.want || !strings.Contains(err.Error(), fault.says) {
		t.Fatalf("%s: got %v", model.ReasonOf(err), err)
	}
	if !strings.HasPrefix(err.Error(), "ask model local: ") || len(err.Error()) > 800 || strings.ContainsAny(err.Error(), "\r\n\x00") {
		t.Errorf("the error is %q", err)
	}
	if ok && told.RetryAfter != fault.wait {
		t.Errorf("it asks to wait for %s, want %s", told.RetryAfter, fault.wait)
	}
}

// discarded is where a server logs what is meant to fail.
var discarded = log.New(io.Discard, "", 0)

// drain reads a request's body, without which a server does not notice that its client leaves.
func drain(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
