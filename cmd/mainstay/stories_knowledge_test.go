package main

import (
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// gate is where a server is reached that can be away.
type gate struct {
	address, server string
	listener        net.Listener

	mu    sync.Mutex
	conns []net.Conn
}

type gateKey struct{}

// moveGate is `gate before VAR`, which has the server that VAR connects to reached through a gate that is shut, as if nothing listened, and
// `gate open` and `gate shut`.
func moveGate(ts *testscript.TestScript, neg bool, args []string) {
	g := ts.Value(gateKey{}).(*gate)
	switch {
	case !neg && len(args) == 2 && args[0] == "before":
		u, err := url.Parse(ts.Getenv(args[1]))
		ts.Check(err)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		ts.Check(l.Close())
		g.server, g.address = u.Host, l.Addr().String()
		u.Host = g.address
		ts.Setenv(args[1], u.String())
	case !neg && len(args) == 1 && args[0] == "open":
		var err error
		g.listener, err = net.Listen("tcp", g.address)
		ts.Check(err)
		ts.Defer(g.shut)
		go g.serve(g.listener)
	case !neg && len(args) == 1 && args[0] == "shut":
		g.shut()
	default:
		usage(ts, false, "gate before VAR, gate open or gate shut")
	}
}

// serve lets connections through until the listener is closed.
func (g *gate) serve(l net.Listener) {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", g.server)
		if err != nil {
			_ = from.Close()
			continue
		}
		g.mu.Lock()
		g.conns = append(g.conns, from, to)
		g.mu.Unlock()
		for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
			go func() {
				_, _ = io.Copy(way[0], way[1]) // It ends when one of them does.
				_ = from.Close()
				_ = to.Close()
			}()
		}
	}
}

func (g *gate) shut() {
	_ = g.listener.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		_ = c.Close()
	}
	g.conns = nil
}
