package postgres_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/postgres"
)

// database is a PostgreSQL with pgvector: the one that MAINSTAY_TEST_POSTGRES connects to, or PGlite, which the command that
// MAINSTAY_TEST_PGLITE names serves. That is PostgreSQL in one process with a single session, whatever number of connections it is.
var database struct {
	connection string
	skip       string
	end        func()
}

func TestMain(m *testing.M) {
	// Each try takes some tens of statements, so that there are fewer, unless more are asked for.
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
	flag.Parse()
	database.end = func() {}
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	database.end()
	os.Exit(code)
}

func start() error {
	if database.connection = os.Getenv("MAINSTAY_TEST_POSTGRES"); database.connection != "" {
		return nil
	}
	command := os.Getenv("MAINSTAY_TEST_PGLITE")
	if command == "" {
		database.skip = "SKIPPED: MAINSTAY_TEST_PGLITE does not name a command pglite-server of @electric-sql/pglite-socket; .ci/run installs it"
		return nil
	}
	cmd := exec.Command(command, "--host", "127.0.0.1", "--port", "0", "--max-connections", "50", "--extensions", "@electric-sql/pglite-pgvector:vector")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("start PGlite: %w", err)
	}
	database.end = func() {
		_ = cmd.Process.Kill() // It is of no use any more.
		_ = cmd.Wait()
	}
	listens := regexp.MustCompile(`listening on \{.*"port":(\d+)`)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if found := listens.FindStringSubmatch(lines.Text()); found != nil {
			go func() {
				for lines.Scan() { // So that it never waits for us to read.
				}
			}()
			// A prepared statement of one connection is one of all of them there, so that there must be none.
			database.connection = "postgres://postgres:postgres@127.0.0.1:" + found[1] + "/postgres?sslmode=disable&default_query_exec_mode=cache_describe"
			return nil
		}
	}
	database.end()
	return fmt.Errorf("%s ended before it listened", command)
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
