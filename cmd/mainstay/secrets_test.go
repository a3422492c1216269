package main

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mainstay-dev/mainstay/spec/sops/sopstest"
)

// sopsFile is `sops FILE KEY=VALUE...`: it writes a file as SOPS does, for the age identity in the file that
// $SOPS_AGE_KEY_FILE names. The identity is made at first.
func sopsFile(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2, "sops FILE KEY=VALUE...")
	path := ts.MkAbs("age-key.txt")
	ts.Setenv("SOPS_AGE_KEY_FILE", path)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		identity, err := age.GenerateX25519Identity()
		ts.Check(err)
		ts.Check(os.WriteFile(path, []byte(identity.String()+"\n"), 0o600))
	}
	f, err := os.Open(path)
	ts.Check(err)
	defer f.Close()
	identities, err := age.ParseIdentities(f)
	ts.Check(err)
	values := map[string]string{}
	for _, arg := range args[1:] {
		key, value, ok := strings.Cut(arg, "=")
		usage(ts, ok, "sops FILE KEY=VALUE...")
		values[key] = value
	}
	content, err := sopstest.Encrypt(values, identities[0].(*age.X25519Identity).Recipient())
	ts.Check(err)
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o644))
}

// kubeSecret is `kubesecret NAMESPACE/NAME KEY=VALUE`: it starts the part of a Kubernetes API server that gives out this
// one Secret, and lets $KUBECONFIG name it.
func kubeSecret(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "kubesecret NAMESPACE/NAME KEY=VALUE")
	namespace, name, _ := strings.Cut(args[0], "/")
	key, value, _ := strings.Cut(args[1], "=")
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/namespaces/"+namespace+"/secrets/"+name || r.Header.Get("Authorization") != "Bearer of-the-kubeconfig" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"apiVersion": "v1", "kind": "Secret", "data": map[string][]byte{key: []byte(value)}})
	}))
	ts.Defer(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	path := ts.MkAbs("kubeconfig")
	ts.Check(os.WriteFile(path, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: u, user: {token: of-the-kubeconfig}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`, server.URL, base64.StdEncoding.EncodeToString(authority)), 0o600))
	ts.Setenv("KUBECONFIG", path)
}
