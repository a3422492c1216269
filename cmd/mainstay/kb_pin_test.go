package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// The models that searches and indexes ask are held to their pins like those of agents: another one under the same name reads nothing.
func TestKnowledgeAsksNoModelThatIsNotPinned(t *testing.T) {
	pinned, now := strings.Repeat("a", 64), strings.Repeat("a", 64)
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var err error
		switch r.URL.Path {
		case "/api/tags":
			err = json.NewEncoder(rw).Encode(map[string]any{"models": []map[string]string{{"name": "small:latest", "digest": now}}})
		case "/api/embed":
			asked.Add(1)
			err = json.NewEncoder(rw).Encode(map[string]any{"embeddings": [][]float32{{1, 2}}})
		default:
			asked.Add(1)
			err = json.NewEncoder(rw).Encode(map[string]any{"message": map[string]string{"content": "{}"}, "done": true})
		}
		if err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	m := &spec.Model{Spec: spec.ModelSpec{Provider: spec.ProviderOllama, Name: "small", Endpoint: server.URL}}
	m.Ref, m.Pin = spec.Ref{Kind: spec.KindModel, Name: "small"}, spec.Digest("sha256:"+pinned)
	o := openKnowledge(t.TempDir(), model.Providers{}, nil, nil)
	ask := func() (embed, chat error) {
		_, embed = o.Embed(t.Context(), m, []string{"a secret of the house"})
		_, chat = o.Ask(t.Context(), m, "Judge.", "a secret of the house", json.RawMessage(`{"type":"object"}`))
		return embed, chat
	}
	if embed, chat := ask(); embed != nil || chat != nil || asked.Load() != 2 {
		t.Fatalf("%v, %v, asked %d times", embed, chat, asked.Load())
	}
	now = strings.Repeat("b", 64)
	embed, chat := ask()
	for what, err := range map[string]error{"embed": embed, "ask": chat} {
		if _, ok := errors.AsType[*spec.LockMismatch](err); !ok {
			t.Errorf("%s: %v", what, err)
		}
	}
	if asked.Load() != 2 {
		t.Error("the other model was asked")
	}
}
