package secret_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/secret"
	"github.com/mainstay-dev/mainstay/spec"
)

// apiServer is the part of a Kubernetes API server that gives out Secrets.
type apiServer struct {
	*httptest.Server
	asked  atomic.Int32
	mu     sync.Mutex
	answer http.HandlerFunc
}

func (a *apiServer) set(answer http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

// holds makes the server give out a Secret, to whom it should.
func (a *apiServer) holds(t *testing.T, data map[string]string) {
	raw := map[string][]byte{}
	for key, value := range data {
		raw[key] = []byte(value)
	}
	a.set(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/prefix/api/v1/namespaces/platform/secrets/forge" || r.Method != http.MethodGet {
			t.Errorf("it asks %s %s", r.Method, r.URL.Path)
		}
		if r.Header.Get("Authorization") != "Bearer the-token-of-mainstay" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"apiVersion": "v1", "kind": "Secret", "data": raw})
	})
}

// newCluster starts an API server and writes a kubeconfig for it.
func newCluster(t *testing.T, w *world) *apiServer {
	t.Helper()
	a := &apiServer{}
	a.Server = httptest.NewTLSServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		a.asked.Add(1)
		a.mu.Lock()
		answer := a.answer
		a.mu.Unlock()
		answer(out, r)
	}))
	t.Cleanup(a.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw})
	path := filepath.Join(t.TempDir(), "config")
	write(t, path, fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: u, user: {token: the-token-of-mainstay}}]
contexts: [{name: x, context: {cluster: c, user: u, namespace: platform}}]
current-context: x
`, a.URL+"/prefix", base64.StdEncoding.EncodeToString(authority)))
	w.env["KUBECONFIG"] = path
	return a
}

func ref(namespace, key string) spec.SecretRef {
	return spec.SecretRef{Kubernetes: &spec.KubernetesSecretRef{Namespace: namespace, Name: "forge", Key: key}}
}

// TestAKubernetesSecret reads two keys of a Secret with one request, and asks again when it may have changed.
func TestAKubernetesSecret(t *testing.T) {
	w, r := newWorld(t)
	a := newCluster(t, w)
	a.holds(t, map[string]string{"token": "the-first-token", "other": "more\n"})
	resolves(t, r, ref("platform", "token"), "the-first-token")
	resolves(t, r, ref("", "other"), "more\n")
	fails(t, r, ref("", "tokn"), "the Secret platform/forge has no such key; it has other, token")
	a.holds(t, map[string]string{"token": "the-second-token"})
	w.now = w.now.Add(secret.Refresh - time.Second)
	resolves(t, r, ref("platform", "token"), "the-first-token")
	if n := a.asked.Load(); n != 1 {
		t.Errorf("it asked %d times", n)
	}
	w.now = w.now.Add(time.Second)
	resolves(t, r, ref("platform", "token"), "the-second-token")
	if n := a.asked.Load(); n != 2 {
		t.Errorf("it asked %d times", n)
	}
}

func TestAKubernetesSecretThatCannotBeRead(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprint(w, `{"kind": "Status", "message": "hunter2"}`)
		}
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("it follows a redirect, with the token %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"it is not there", status(404), "there is no Secret forge in the namespace platform: create it, or correct the reference"},
		{"forbidden", status(403), "mainstay may not read the Secret forge in the namespace platform: grant it the verb get"},
		{"a credential that is no good", status(401), "the cluster does not accept mainstay's credential"},
		{"a server in trouble", status(503), "answers 503"},
		{"a redirect", http.RedirectHandler(elsewhere.URL, http.StatusFound).ServeHTTP, "answers 302"},
		{"something else", status(200), "is not a Secret"},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hunter2") }, "is not a Secret"},
		{"no end", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 3<<20)) }, "the Secret platform/forge is larger than 2 MiB"},
		{"an answer that breaks off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"kind": "Secret"`)
		}, "broke off its answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, r := newWorld(t)
			a := newCluster(t, w)
			a.set(test.answer)
			fails(t, r, ref("platform", "token"), test.want)

			// It is not asked at once again, and comes back by itself.
			a.holds(t, map[string]string{"token": "the-token"})
			fails(t, r, ref("platform", "token"), test.want)
			w.now = w.now.Add(10 * time.Second)
			resolves(t, r, ref("platform", "token"), "the-token")
		})
	}
}

func TestNoCluster(t *testing.T) {
	w, r := newWorld(t)
	if os.Getenv("KUBERNETES_SERVICE_HOST") == "" {
		fails(t, r, ref("platform", "token"), "mainstay knows no cluster: run it in one, or set KUBECONFIG")
	}
	w.env["KUBECONFIG"] = filepath.Join(t.TempDir(), "config")
	write(t, w.env["KUBECONFIG"], "users: hunter2 [")
	got, err := r.Resolve(t.Context(), ref("platform", "token"))
	if err == nil || !strings.Contains(err.Error(), "kubeconfig") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, %v", got, err)
	}

	a := newCluster(t, w)
	a.Close()
	fails(t, r, ref("platform", "token"), "cannot be reached")
}
