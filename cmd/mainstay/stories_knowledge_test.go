package main

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mainstay-dev/mainstay/kb/postgres/postgrestest"
)

// damage is `damage DIR`: it turns a bit in the middle of each file beneath a folder.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "damage DIR")
	n := 0
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil || len(content) == 0 {
			return err
		}
		n++
		content[len(content)/2] ^= 0x10
		return os.WriteFile(path, content, 0o600)
	}))
	if n == 0 {
		ts.Fatalf("there is nothing to damage in %s", args[0])
	}
}

// site is `site VAR DIR`: it serves the files of a folder, with the site's own URL in place of BASE in their texts, and puts it into a
// variable. /away sends to another host.
func site(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "site VAR DIR")
	dir := ts.MkAbs(args[1])
	var base string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := filepath.Join(dir, filepath.FromSlash(r.URL.Path))
		content, err := os.ReadFile(name)
		switch {
		case strings.HasSuffix(r.URL.Path, "/away"):
			http.Redirect(w, r, "http://metadata.invalid/secret", http.StatusFound)
		case err != nil:
			http.NotFound(w, r)
		default:
			http.ServeContent(w, r, name, time.Time{}, strings.NewReader(strings.ReplaceAll(string(content), "BASE", base)))
		}
	}))
	base = server.URL
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}

// startPostgres is `postgres VAR`: it starts a PostgreSQL server, and puts how to connect to it into a variable.
func startPostgres(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "postgres VAR")
	connection, end, err := postgrestest.Start()
	ts.Check(err)
	ts.Defer(end)
	ts.Setenv(args[0], connection)
}
