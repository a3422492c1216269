package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// webhook is `webhook VAR FILE KEY`: it starts a webhook, puts its URL into a variable, and writes a line into a file for each
// event that it is told: the path, whether KEY has signed it, and the body. What goes to /gone/... is answered with 404.
func webhook(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3, "webhook VAR FILE KEY")
	file, key := ts.MkAbs(args[1]), args[2]
	ts.Check(os.WriteFile(file, nil, 0o600))
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return // The story finds no line.
		}
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(body)
		signed := "unsigned"
		if r.Header.Get("X-Hub-Signature-256") == "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			signed = "signed"
		}
		mu.Lock()
		defer mu.Unlock()
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return
		}
		defer f.Close()
		fmt.Fprintf(f, "%s %s %s\n", r.URL.Path, signed, body)
		if strings.HasPrefix(r.URL.Path, "/gone") {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}
