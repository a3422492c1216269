package ollamatest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Registry serves models over HTTP on 127.0.0.1, as `ollama pull` asks for them: a manifest, and blobs in ranges.
type Registry struct {
	// Hold, if it is not nil, keeps back the second half of every blob until it is closed.
	Hold chan struct{}

	url              string
	manifests, blobs map[string][]byte
}

// Name is the whole name of a model of the registry: http://HOST/library/NAME.
func (r *Registry) Name(model string) string { return r.url + "/library/" + model }

// Digest is the digest that a server reports of a model once it is pulled: that of its manifest.
func (r *Registry) Digest(model string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(r.manifests["library/"+model+"/manifests/latest"]))
}

// NewRegistry starts a registry that has the models that s has now, and ends with the test.
func NewRegistry(t testing.TB, s *Server) *Registry {
	t.Helper()
	r := &Registry{manifests: map[string][]byte{}, blobs: map[string][]byte{}}
	models := filepath.Join(s.Dir, "models")
	names, err := filepath.Glob(filepath.Join(models, "manifests", "registry.ollama.ai", "library", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range names {
		r.manifests["library/"+filepath.Base(filepath.Dir(path))+"/manifests/"+filepath.Base(path)] = bytes.TrimSpace(read(t, path))
	}
	blobs, err := filepath.Glob(filepath.Join(models, "blobs", "sha256-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range blobs {
		r.blobs[strings.Replace(filepath.Base(path), "-", ":", 1)] = read(t, path)
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// ServeHTTP answers GET /v2/NAME/manifests/TAG and GET /v2/NAME/blobs/DIGEST.
func (r *Registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	path := strings.TrimPrefix(q.URL.Path, "/v2/")
	if manifest, ok := r.manifests[path]; ok {
		_, _ = w.Write(manifest) // Who is gone reads nothing.
		return
	}
	_, digest, _ := strings.Cut(path, "/blobs/")
	blob, ok := r.blobs[digest]
	if !ok {
		http.NotFound(w, q)
		return
	}
	// Ollama asks where a blob lies before it asks for it, and takes no answer without this for one.
	w.Header().Set("Location", q.URL.Path)
	content := bytes.NewReader(blob)
	if q.Header.Get("Range") == "" || r.Hold == nil {
		http.ServeContent(w, q, "", time.Time{}, content)
		return
	}
	http.ServeContent(&held{w, len(blob) / 2, r.Hold, q}, q, "", time.Time{}, content)
}

// held writes the second half of an answer once it may.
type held struct {
	http.ResponseWriter
	left int
	hold chan struct{}
	q    *http.Request
}

func (h *held) Write(p []byte) (int, error) {
	if h.left -= len(p); h.left < 0 {
		h.ResponseWriter.(http.Flusher).Flush()
		select {
		case <-h.hold:
		case <-h.q.Context().Done():
			return 0, h.q.Context().Err()
		}
	}
	return h.ResponseWriter.Write(p)
}
