package model_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/secret"
	"github.com/mainstay-dev/mainstay/spec"
)

// TestAModelIsAskedWithItsKeyAndHeaders checks that the model's own server gets them, as they are at each request, and
// that a server it sends us on to is not asked.
func TestAModelIsAskedWithItsKeyAndHeaders(t *testing.T) {
	var elsewhere *httptest.Server
	var got http.Header
	m := newOllama(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		if r.Header.Get("X-Away") != "" {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			return
		}
		fmt.Fprintln(w, `{"message":{"content":"yes"},"done":true}`)
	})
	elsewhere = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another server is asked") }))
	defer elsewhere.Close()
	env := map[string]string{"KEY": "the-first-key", "TEAM": "the-team"}
	secrets := secret.New(secret.Options{Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
	providers := model.Providers{Secret: secrets.Resolve}
	m.Spec.APIKey = &spec.SecretRef{Env: "KEY"}
	m.Spec.Headers = []spec.Header{{Name: "x-team", From: &spec.SecretRef{Env: "TEAM"}}, {Name: "X-Region", Value: "eu"}}
	for _, key := range []string{"the-first-key", "the-second-key"} {
		env["KEY"] = key
		if _, err := providers.Chat(t.Context(), m, question, nil); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"Authorization": "Bearer " + key, "X-Team": "the-team", "X-Region": "eu"} {
			if got.Get(name) != want {
				t.Errorf("%s is %q, want %q", name, got.Get(name), want)
			}
		}
	}
	m.Spec.Headers = append(m.Spec.Headers, spec.Header{Name: "X-Away", Value: "1"})
	if _, err := providers.Chat(t.Context(), m, question, nil); model.ReasonOf(err) != model.Refused || !strings.Contains(err.Error(), "sends the request on to another server") {
		t.Fatal(err)
	}
}

// TestAKeyThatCannotBeHad fails without asking the model. Only what may mend itself is worth another try.
func TestAKeyThatCannotBeHad(t *testing.T) {
	m := newOllama(t, func(http.ResponseWriter, *http.Request) { t.Error("the model is asked") })
	m.Spec.APIKey = &spec.SecretRef{Env: "KEY"}
	for _, test := range []struct {
		value string
		err   error
		want  string
		later bool
	}{
		{"", errors.New("there is no such file"), "ask model local: header Authorization: there is no such file", true},
		{"hunter2\nhunter2", nil, "ask model local: header Authorization: the variable KEY is not one line", false},
	} {
		providers := model.Providers{Secret: func(context.Context, spec.SecretRef) (secret.Value, error) {
			return secret.NewValue(test.value), test.err
		}}
		_, err := providers.Chat(t.Context(), m, question, nil)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || model.Later(err) != test.later || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
}
