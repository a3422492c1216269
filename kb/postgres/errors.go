package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// told is an error of whoever called, which is not the database's.
type told struct{ error }

func (t told) Unwrap() error { return t.error }

// errGone says that a table is not there, which was there when the engine was opened.
var errGone = errors.New("somebody has dropped it; where all of the schema is gone, it is made and filled anew when a source is looked at next, and else drop the rest of it")

// explained makes of an error one that says what to do, and nothing of the connection string. Errors that are not of the database stay.
func explained(ctx context.Context, err error) error {
	if err == nil || errors.As(err, new(told)) {
		return err
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var refused *pgconn.ConnectError
	if errors.As(err, &refused) {
		return connecting(err)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return server(pg)
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) || pgconn.SafeToRetry(err) {
		return errors.New("the connection to PostgreSQL broke: nothing was changed that was not said to be done; try again")
	}
	return err
}

// connecting says why there is no connection.
func connecting(err error) error {
	var pg *pgconn.PgError
	var name *net.DNSError
	switch {
	case errors.As(err, &pg):
		switch {
		case strings.HasPrefix(pg.Code, "28"):
			return fmt.Errorf("PostgreSQL refuses the user or the password (SQLSTATE %s): check both in the connection string, and pg_hba.conf on the server", pg.Code)
		case pg.Code == "3D000":
			return errors.New("PostgreSQL has no such database (SQLSTATE 3D000): create it, or correct its name in the connection string")
		case pg.Code == "53300":
			return errors.New("PostgreSQL has no connection left (SQLSTATE 53300): use fewer, or raise max_connections")
		}
		return fmt.Errorf("PostgreSQL refuses the connection (SQLSTATE %s)", pg.Code)
	case errors.As(err, &name):
		return errors.New("the host of the connection string is not known: check its name")
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("nothing listens at the host and port of the connection string: check both, and that PostgreSQL runs")
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("PostgreSQL does not answer in time: check host, port and firewalls, or set connect_timeout in the connection string")
	case strings.Contains(err.Error(), "tls"):
		return errors.New("there is no connection by TLS: check sslmode and sslrootcert in the connection string, and the server's certificate")
	}
	return errors.New("PostgreSQL cannot be reached: check host, port and sslmode in the connection string")
}

func forbidden(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "42501" || pg.Code == "0A000" || pg.Code == "58P01")
}

// server says what the server refused. Its details may tell what is kept, and are left out.
func server(pg *pgconn.PgError) error {
	says := fmt.Sprintf("PostgreSQL: %s (SQLSTATE %s)", pg.Message, pg.Code)
	switch {
	case pg.Code == "42P01" || pg.Code == "3F000":
		return fmt.Errorf("%s: %w", says, errGone)
	case pg.Code == "42501":
		return errors.New(says + ": grant the user CREATE on the database, or make the schema and give it to the user (CREATE SCHEMA ... AUTHORIZATION ...)")
	case pg.Code == "57014":
		return errors.New(says + ": it took longer than it may; narrow the question, or allow more time")
	case pg.Code == "25P03":
		return errors.New(says + ": idle_in_transaction_session_timeout is shorter than it takes to read or embed a document: raise it for this user")
	case strings.HasPrefix(pg.Code, "53"):
		return errors.New(says + ": give the server more room")
	case pg.Code == "25006":
		return errors.New(says + ": this server is a replica: name the primary one")
	}
	return errors.New(says)
}
