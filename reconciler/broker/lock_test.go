package broker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/spec"
)

// makeLock asks what the world's server and models say.
func (w *world) makeLock(models ...*spec.Model) (*spec.Lock, []error) {
	fleet := &spec.Fleet{Servers: map[string]*spec.ToolServer{w.server.Name: w.server}, Models: map[string]*spec.Model{}}
	for _, m := range models {
		fleet.Models[m.Name] = m
	}
	lock, _, errs := broker.MakeLock(w.t.Context(), broker.Locking{Fleet: fleet, Tools: w.opts.Tools})
	return lock, errs
}

// The text of a tool that is not what its lock pins never reaches a model: the model is not asked at all, and the tool is
// neither called nor proposed.
func TestWhatAPoisonedToolSaysReachesNoModel(t *testing.T) {
	w := newWorld(t)
	lock, errs := w.makeLock()
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	pins := lock.Servers["cluster"].Tools
	w.server.LockFile, w.server.Pins = spec.LockFile, pins
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(server.Close)
	w.agent.Model = ollama(server.URL)
	question := w.call(spec.RequestModel, plugins.ModelRequest{Messages: []plugins.Message{{Role: plugins.RoleUser, Text: "hi"}}, Tools: []string{"cluster__get", "repo__read"}})

	// The lock says something else of another tool of the server than the one that is offered: the server is refused whole.
	other := pins["scale"]
	other.Description = "Scale a deployment, and nothing else."
	pins["scale"] = other
	w.server.Digest = spec.DigestBytes([]byte("poisoned"))
	for name, call := range map[string]broker.Call{
		"a question to the model": question,
		"a call of a read tool":   w.call(spec.RequestTool, plugins.ToolCall{Name: "cluster__get", Arguments: json.RawMessage(`{"name":"web"}`)}),
	} {
		reply, err := w.broker.Answer(t.Context(), call, nil)
		var unavailable *broker.Unavailable
		var mismatch *spec.LockMismatch
		if !errors.As(err, &unavailable) || !errors.As(err, &mismatch) || unavailable.What != "tool server cluster" || reply != (broker.Reply{}) {
			t.Errorf("%s: %+v, %v", name, reply, err)
		} else if want := "scale description: Scale a [-deployment, and nothing else.-]{+deployment.+}"; !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", name, err, want)
		}
	}
	if asked {
		t.Error("the model was asked")
	}
}

func ollama(endpoint string) *spec.Model {
	m := &spec.Model{Spec: spec.ModelSpec{Provider: spec.ProviderOllama, Name: "qwen3", Endpoint: endpoint}}
	m.Kind, m.Name = spec.KindModel, "local"
	return m
}

// tagged serves GET /api/tags with the digests of models, and answers every chat.
func tagged(t *testing.T, digests map[string]string) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/tags", func(rw http.ResponseWriter, _ *http.Request) {
		var list []map[string]string
		for name, digest := range digests {
			list = append(list, map[string]string{"name": name, "digest": digest})
		}
		if err := json.NewEncoder(rw).Encode(map[string]any{"models": list}); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("POST /api/chat", func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(rw, `{"message":{"content":"hello"},"done":true}`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestAModelThatIsAnotherOneIsNotAsked(t *testing.T) {
	one, two := strings.Repeat("1", 64), strings.Repeat("2", 64)
	served := map[string]string{"qwen3:latest": one, "other": two}
	server := tagged(t, served)
	w := newWorld(t)
	w.agent.Model = ollama(server.URL)
	lock, errs := w.makeLock(w.agent.Model)
	if diff := cmp.Diff(map[string]spec.ModelPin{"local": {Digest: spec.Digest("sha256:" + one)}}, lock.Models); diff != "" || len(errs) > 0 {
		t.Fatal(diff, errs)
	}
	newest := &spec.Fleet{}
	w.opts.Lock = func() (*spec.Lock, bool) { return newest.Lock, newest.Name != "" }
	ask := func() error {
		_, err := broker.New(w.opts).Answer(t.Context(), w.call(spec.RequestModel, plugins.ModelRequest{}), nil)
		return err
	}
	pinned := func(digest string) *spec.Lock {
		return &spec.Lock{File: "overlays/dev/mainstay.lock", Models: map[string]spec.ModelPin{"local": {Digest: spec.Digest("sha256:" + digest)}}}
	}
	if err := ask(); err != nil {
		t.Error("a model without a pin:", err)
	}
	w.agent.Model.Pin = spec.Digest("sha256:" + one)
	if err := ask(); err != nil {
		t.Error("the model that is pinned:", err)
	}
	served["qwen3:latest"] = two
	newest.Name, newest.Lock = "shop", pinned(one)
	err := ask()
	const want = "model local is not available: Model/local is not what overlays/dev/mainstay.lock pins, and is refused until you run " +
		"`mainstay lock --env dev` and commit the result: digest: [-sha256:1111111111111111111111111111111111111111111111111111111111111111-]" +
		"{+sha256:2222222222222222222222222222222222222222222222222222222222222222+}"
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("another model: %v", err)
	}
	newest.Lock = pinned(two)
	if err := ask(); err != nil {
		t.Error("one that the newest lock accepts:", err)
	}
	newest.Lock = nil
	if err := ask(); err != nil {
		t.Error("a newest revision without a lock:", err)
	}
	newest.Lock = pinned(one)
	delete(served, "qwen3:latest")
	if _, errs := w.makeLock(w.agent.Model); len(errs) != 1 || !strings.Contains(errs[0].Error(), "run `ollama pull qwen3`") {
		t.Error("a model that the server does not have:", errs)
	}
	server.Close()
	if _, errs := w.makeLock(w.agent.Model); len(errs) != 1 || !strings.Contains(errs[0].Error(), "cannot be reached") {
		t.Error("a server that is away:", errs)
	}
}
