package broker_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mainstay-dev/mainstay/spec"
)

// newOllama starts a server that notes what it is asked and answers each chat with the lines, and returns a model of it.
func newOllama(t *testing.T, asked any, lines ...string) *spec.Model {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(asked); err != nil {
			t.Error(err)
		}
		for _, line := range lines {
			fmt.Fprintln(w, line)
			w.(http.Flusher).Flush()
		}
	}))
	t.Cleanup(server.Close)
	m := &spec.Model{Spec: spec.ModelSpec{Provider: spec.ProviderOllama, Name: "m", Endpoint: server.URL}}
	m.Name = "local"
	return m
}
