package postgres_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/postgres"
	"github.com/mainstay-dev/mainstay/kb/postgres/postgrestest"
)

// refusing is the address of a server that refuses everybody, with this error.
func refusing(t *testing.T, refusal *pgproto3.ErrorResponse) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := pgproto3.NewBackend(c, c)
			if _, err := b.ReceiveStartupMessage(); err == nil {
				b.Send(refusal)
				_ = b.Flush() // Whoever asked may be gone.
			}
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

// Whatever fails, the error says what to do, and nothing of the connection string.
func TestRefused(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ connection, want string }{
		"a wrong password": {"postgres://hunter:hunter2@" + refusing(t, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: `password authentication failed for user "hunter"`}) + "/hunterdb?sslmode=disable",
			"refuses the user or the password"},
		"no such database": {"postgres://hunter:hunter2@" + refusing(t, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "3D000", Message: `database "hunterdb" does not exist`}) + "/hunterdb?sslmode=disable",
			"no such database"},
		"too many": {"postgres://hunter:hunter2@" + refusing(t, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "53300", Message: `too many connections for role "hunter"`}) + "/hunterdb?sslmode=disable",
			"no connection left"},
		"nobody listens":    {"postgres://hunter:hunter2@" + nobody + "/hunterdb?sslmode=disable", "nothing listens"},
		"no such host":      {"postgres://hunter:hunter2@hunter.invalid/hunterdb", "host"},
		"no connection URL": {"postgres://hunter:hunter2@[hunter/hunterdb", "cannot be understood"},
		"no port":           {"postgres://hunter:hunter2@localhost:hunter/hunterdb", "cannot be understood"},
		"no sslmode":        {"host=localhost password=hunter2 sslmode=hunter", "cannot be understood"},
		"no certificate":    {"postgres://hunter:hunter2@" + nobody + "/hunterdb?sslmode=verify-full&sslrootcert=/hunter", "cannot be understood"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := postgres.Open(t.Context(), test.connection, postgres.Options{})
			if err == nil {
				_ = e.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("it says %q", err)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(e.Error(), "hunter") {
					t.Errorf("it wraps %q", e)
				}
			}
		})
	}
	for _, name := range []string{"pg_catalog", "nul\x00", strings.Repeat("long", 20)} {
		if _, err := postgres.Open(t.Context(), "postgres://hunter:hunter2@"+nobody, postgres.Options{Schema: name}); err == nil || !strings.Contains(err.Error(), "63 bytes") {
			t.Errorf("schema %q: %v", name, err)
		}
	}
}

// A server without pgvector says what to install, and nothing is made in it.
func TestAServerWithoutPgvector(t *testing.T) {
	connection, end, err := postgrestest.Bare()
	if errors.Is(err, postgrestest.ErrNone) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	e, err := postgres.Open(t.Context(), connection, postgres.Options{Connections: 1})
	if err == nil {
		_ = e.Close()
		t.Fatal("it was opened")
	}
	for _, want := range []string{"pgvector 0.7 or later is missing in this database", "install it on the server (https://github.com/pgvector/pgvector#installation)", "CREATE EXTENSION vector"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), postgrestest.Password) {
		t.Errorf("it says %q", err)
	}
	c, err := pgx.Connect(t.Context(), connection)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	n := 0
	if err := c.QueryRow(t.Context(), `SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'mainstay_kb'`).Scan(&n); err != nil || n != 0 {
		t.Errorf("a schema is left, or %v", err)
	}
}

// A server that never answers is given up when the caller does.
func TestAServerThatNeverAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := postgres.Open(ctx, "postgres://hunter:hunter2@"+l.Addr().String()+"/?sslmode=disable", postgres.Options{}); !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "hunter") {
		t.Errorf("it says %v", err)
	}
}

// A schema of others is left alone, and so is one of another version.
func TestSchemasOfOthers(t *testing.T) {
	name := schema(t)
	quoted := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	refused := func(want string) {
		t.Helper()
		e, err := postgres.Open(t.Context(), database.connection, postgres.Options{Schema: name, Connections: 1})
		if err == nil {
			_ = e.Close()
			t.Fatal("it was opened")
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it says %v", err)
		}
	}
	sql(t, `CREATE SCHEMA `+quoted)
	sql(t, `CREATE TABLE `+quoted+`.theirs (a integer)`)
	refused("holds other tables")
	sql(t, `DROP TABLE `+quoted+`.theirs`)
	e := opened(t, name) // An empty one is taken.
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	sql(t, `UPDATE `+quoted+`.layout SET version = 99`)
	refused("version 99")
	sql(t, `UPDATE `+quoted+`.layout SET version = 2`)
	e = opened(t, name)
	defer e.Close()
	sql(t, `DROP TABLE `+quoted+`.postings`)
	u := kb.Update{Source: "docs", To: "1", Put: []kb.File{{Path: "a", Blob: "a"}}, Read: func(context.Context, kb.File) (kb.Document, error) {
		return kb.Document{Chunks: []kb.Chunk{{Text: "words"}}}, nil
	}}
	if err := e.Update(t.Context(), u); err == nil || !strings.Contains(err.Error(), "SQLSTATE 42P01") {
		t.Errorf("a table that is gone: %v", err)
	}
	if state, err := e.State(t.Context(), "docs"); err != nil || state != "" {
		t.Errorf("the state is %q: %v", state, err)
	}
}

// A schema that is dropped while an engine is open is made anew when it is asked what it has, and not by a search, which would find nothing.
func TestASchemaThatIsDropped(t *testing.T) {
	name := schema(t)
	e := opened(t, name)
	defer e.Close()
	u := kb.Update{Source: "docs", To: "1", Put: []kb.File{{Path: "a", Blob: "a"}}, Read: func(context.Context, kb.File) (kb.Document, error) {
		return kb.Document{Chunks: []kb.Chunk{{Text: "words"}}}, nil
	}}
	if err := e.Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	sql(t, `DROP SCHEMA "`+strings.ReplaceAll(name, `"`, `""`)+`" CASCADE`)
	q := kb.Query{Text: "words", Sources: []string{"docs"}, Most: 1}
	if _, err := e.Search(t.Context(), q); err == nil || !strings.Contains(err.Error(), "somebody has dropped it") {
		t.Errorf("a search says %v", err)
	}
	if state, err := e.State(t.Context(), "docs"); err != nil || state != "" {
		t.Fatalf("the state is %q: %v", state, err)
	}
	if err := e.Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	if hits, err := e.Search(t.Context(), q); err != nil || len(hits) != 1 {
		t.Errorf("found %v: %v", hits, err)
	}
}

// What one fleet has put into a schema is never an answer to another one, and what that has is not put in its place.
func TestASchemaHasOneOwner(t *testing.T) {
	name := schema(t)
	quoted := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	open := func(owner string) (*postgres.Engine, error) {
		return postgres.Open(t.Context(), database.connection, postgres.Options{Schema: name, Owner: owner, Connections: 1})
	}
	must := func(owner string) *postgres.Engine {
		t.Helper()
		e, err := open(owner)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() }) // All of them are done with.
		return e
	}
	u := func(text string) kb.Update {
		return kb.Update{Source: "docs", To: text, Put: []kb.File{{Path: "a", Blob: text}}, Read: func(context.Context, kb.File) (kb.Document, error) {
			return kb.Document{Chunks: []kb.Chunk{{Text: text}}}, nil
		}}
	}
	q := kb.Query{Text: "words", Sources: []string{"docs"}, Most: 1}
	// One that was made before there were owners is whose it is that comes first.
	if err := opened(t, name).Close(); err != nil {
		t.Fatal(err)
	}
	one := must("branch main of example.com/one")
	if err := one.Update(t.Context(), u("words")); err != nil {
		t.Fatal(err)
	}
	_, err := open("branch main of example.com/two")
	if !errors.Is(err, postgres.ErrOwner) {
		t.Fatalf("another fleet: %v", err)
	}
	for _, want := range []string{quoted, "has the documents of branch main of example.com/one, and this is branch main of example.com/two", "another schema", "DROP SCHEMA " + quoted + " CASCADE"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	replica := must("branch main of example.com/one")
	if hits, err := replica.Search(t.Context(), q); err != nil || len(hits) != 1 {
		t.Errorf("another one of the same fleet finds %v: %v", hits, err)
	}

	// It is made anew by the other fleet, while the first one has it open.
	sql(t, `DROP SCHEMA `+quoted+` CASCADE`)
	two := must("branch main of example.com/two")
	if err := two.Update(t.Context(), u("words of two")); err != nil {
		t.Fatal(err)
	}
	_, err = one.Search(t.Context(), q)
	_, state := one.State(t.Context(), "docs")
	_, files := one.Files(t.Context(), "docs")
	_, _, document := one.Document(t.Context(), "docs", "a")
	_, stats := one.Stats(t.Context())
	for what, err := range map[string]error{"search": err, "state": state, "files": files, "document": document, "stats": stats,
		"update": one.Update(t.Context(), u("words")), "forget": one.Forget(t.Context(), "docs")} {
		if !errors.Is(err, postgres.ErrOwner) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if hits, err := two.Search(t.Context(), q); err != nil || len(hits) != 1 || hits[0].Text != "words of two" {
		t.Errorf("found %v: %v", hits, err)
	}
	// And it is the first one's again where that makes it.
	sql(t, `DROP SCHEMA `+quoted+` CASCADE`)
	if state, err := one.State(t.Context(), "docs"); err != nil || state != "" {
		t.Errorf("the state is %q: %v", state, err)
	}
	if _, err := two.State(t.Context(), "docs"); !errors.Is(err, postgres.ErrOwner) {
		t.Errorf("the other one: %v", err)
	}
}

// Two engines are two processes to the server.
func TestTwoProcesses(t *testing.T) {
	name := schema(t)
	one, two := opened(t, name), opened(t, name)
	defer one.Close()
	defer two.Close()
	put := func(e *postgres.Engine, from, to, text string) error {
		return e.Update(t.Context(), kb.Update{Source: "docs", From: from, To: to, Put: []kb.File{{Path: "a.txt", Blob: text}},
			Read: func(context.Context, kb.File) (kb.Document, error) {
				return kb.Document{Kind: kb.KindText, Chunks: []kb.Chunk{{Text: text}}}, nil
			}})
	}
	finds := func(e *postgres.Engine, question, want string) {
		t.Helper()
		hits, err := e.Search(t.Context(), kb.Query{Text: question, Sources: []string{"docs"}, Most: 1})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(hits) > 0 {
			got = hits[0].State + ": " + hits[0].Text
		}
		if got != want {
			t.Errorf("%q finds %q, want %q", question, got, want)
		}
	}
	if err := put(one, "", "1", "pods"); err != nil {
		t.Fatal(err)
	}
	finds(two, "pods", "1: pods")
	if err := put(two, "1", "2", "nodes"); err != nil {
		t.Fatal(err)
	}
	finds(one, "pods", "")
	finds(one, "nodes", "2: nodes")
	if err := put(one, "1", "3", "limits"); !errors.Is(err, kb.ErrState) {
		t.Errorf("an update of what another process has changed: %v", err)
	}
	if err := one.Forget(t.Context(), "docs"); err != nil {
		t.Fatal(err)
	}
	finds(two, "nodes", "")
}

// Nothing is left of what is gone.
func TestNothingIsLeft(t *testing.T) {
	name := schema(t)
	e := opened(t, name)
	defer e.Close()
	text := map[string]string{}
	for _, word := range strings.Fields("pod node drain restart cluster limit memory volume claim ingress secret") {
		text[word] = word + " is about pods and nodes that " + word + " " + word
	}
	u := kb.Update{Source: "docs", To: "1", Space: "s", Read: func(_ context.Context, f kb.File) (kb.Document, error) {
		return kb.Document{Title: f.Path, Chunks: []kb.Chunk{{Text: text[f.Path]}, {Text: "more of " + text[f.Path]}}}, nil
	}, Embed: func(_ context.Context, texts []string) ([][]float32, error) {
		all := make([][]float32, len(texts))
		for i, text := range texts {
			all[i] = direction(text)
		}
		return all, nil
	}}
	for path := range text {
		u.Put = append(u.Put, kb.File{Path: path, Blob: path})
	}
	if err := e.Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	tables := []string{"sources", "meanings", "documents", "chunks", "terms", "postings", "places", "vectors"}
	for _, table := range tables {
		if rows(t, name, table) == 0 {
			t.Errorf("%s has nothing", table)
		}
	}
	u.From, u.To = "1", "2"
	for _, f := range u.Put {
		u.Removed = append(u.Removed, f.Path)
	}
	u.Put = nil
	if err := e.Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	for _, table := range tables[2:] {
		if n := rows(t, name, table); n != 0 {
			t.Errorf("%s has %d rows of documents that are gone", table, n)
		}
	}
	if err := e.Forget(t.Context(), "docs"); err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if n := rows(t, name, table); n != 0 {
			t.Errorf("%s has %d rows of a source that is forgotten", table, n)
		}
	}
}

// A connection that is made later has the user and the password as they are then.
func TestAConnectionIsMadeWithWhatIsKnownThen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	began := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		first := make([]byte, 512)
		n, _ := c.Read(first)
		began <- string(first[:n])
	}()
	at := "@" + l.Addr().String() + "/shop?sslmode=disable"
	renew := func(context.Context) (string, error) { return "postgres://newer:secret" + at, nil }
	if _, err := postgres.Open(t.Context(), "postgres://older:secret"+at, postgres.Options{Renew: renew}); err == nil {
		t.Fatal("it was opened")
	}
	if said := <-began; !strings.Contains(said, "user\x00newer\x00") {
		t.Errorf("the connection begins with %q", said)
	}
	wrong := func(context.Context) (string, error) { return "", errors.New("the variable DSN is empty") }
	if _, err := postgres.Open(t.Context(), "postgres://older:secret"+at, postgres.Options{Renew: wrong}); err == nil || !strings.Contains(err.Error(), "the variable DSN is empty") {
		t.Errorf("it says %v", err)
	}
}
