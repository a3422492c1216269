// Package postgrestest gives tests a PostgreSQL with pgvector: the one that MAINSTAY_TEST_POSTGRES connects to, or PGlite, which the
// command that MAINSTAY_TEST_PGLITE names serves. That is PostgreSQL in one process with a single session, whatever number of connections
// it is.
package postgrestest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
)

// ErrNone says that neither is there, and what to do.
var ErrNone = errors.New("SKIPPED: MAINSTAY_TEST_PGLITE does not name a command pglite-server of @electric-sql/pglite-socket; .ci/run installs it")

// There reports whether one of them is named.
func There() bool {
	return os.Getenv("MAINSTAY_TEST_POSTGRES") != "" || os.Getenv("MAINSTAY_TEST_PGLITE") != ""
}

// Password is the one of PGlite's user, who has any: what is looked for where no secret may be.
const Password = "hunter2"

// Start returns how to connect to it. Call end when nobody needs it any more.
func Start() (connection string, end func(), err error) {
	if connection := os.Getenv("MAINSTAY_TEST_POSTGRES"); connection != "" {
		return connection, func() {}, nil
	}
	return pglite("--extensions", "@electric-sql/pglite-pgvector:vector")
}

// Bare is Start for a server that does not have pgvector, which is PGlite.
func Bare() (connection string, end func(), err error) { return pglite() }

func pglite(args ...string) (connection string, end func(), err error) {
	command := os.Getenv("MAINSTAY_TEST_PGLITE")
	if command == "" {
		return "", nil, ErrNone
	}
	cmd := exec.Command(command, append([]string{"--host", "127.0.0.1", "--port", "0", "--max-connections", "50"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return "", nil, fmt.Errorf("start PGlite: %w", err)
	}
	end = func() {
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
			return "postgres://postgres:" + Password + "@127.0.0.1:" + found[1] + "/postgres?sslmode=disable&default_query_exec_mode=cache_describe", end, nil
		}
	}
	end()
	return "", nil, fmt.Errorf("%s ended before it listened", command)
}
