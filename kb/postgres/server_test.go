package postgres_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/postgres"
	"github.com/mainstay-dev/mainstay/kb/postgres/postgrestest"
)

// database is a PostgreSQL with pgvector; skip says why there is none.
var database struct{ connection, skip string }

func TestMain(m *testing.M) {
	// Each try takes some tens of statements, so that there are fewer, unless more are asked for.
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
	flag.Parse()
	connection, end, err := postgrestest.Start()
	switch {
	case errors.Is(err, postgrestest.ErrNone):
		database.skip, end = err.Error(), func() {}
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	database.connection = connection
	code := m.Run()
	end()
	os.Exit(code)
}

var schemas atomic.Int64

// schema is the name of one that no other test uses.
func schema(t testing.TB) string {
	t.Helper()
	if database.skip != "" {
		t.Skip(database.skip)
	}
	return fmt.Sprintf("kb \"test\" %d %d", os.Getpid(), schemas.Add(1))
}

func opened(t testing.TB, schema string) *postgres.Engine {
	t.Helper()
	e, err := postgres.Open(t.Context(), database.connection, postgres.Options{Schema: schema, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// sql runs SQL beside an engine.
func sql(t testing.TB, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, database.connection)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// rows is how many rows a table has.
func rows(t testing.TB, schema, table string) (n int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), database.connection)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if err := c.QueryRow(t.Context(), `SELECT count(*) FROM `+pgx.Identifier{schema, table}.Sanitize()).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// free are engines that have been used and emptied, since it takes longer to make one.
var free struct {
	mu  sync.Mutex
	all []*postgres.Engine
}

// lent is an engine that goes back when it is closed for the first time.
type lent struct {
	*postgres.Engine
	back func()
}

func (l lent) Close() error {
	l.back()
	return nil
}

// lend returns an engine that has nothing.
func lend(t testing.TB) kb.Engine {
	free.mu.Lock()
	defer free.mu.Unlock()
	var e *postgres.Engine
	if n := len(free.all); n > 0 {
		e, free.all = free.all[n-1], free.all[:n-1]
	} else {
		e = opened(t, schema(t))
	}
	return lent{e, sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		stats, err := e.Stats(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range stats {
			if err := e.Forget(ctx, s.Source); err != nil {
				t.Fatal(err)
			}
		}
		free.mu.Lock()
		defer free.mu.Unlock()
		free.all = append(free.all, e)
	})}
}
