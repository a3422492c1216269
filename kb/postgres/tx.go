package postgres

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// tx is a transaction. Its SQL names schemas as {kb} and {vector}.
type tx struct {
	pgx.Tx
	names *strings.Replacer
}

// limit is how long the server works at most on each statement that follows; 0 is no limit. None takes so long that to compile it pays.
func (t *tx) limit(ctx context.Context, d time.Duration) error {
	_, err := t.exec(ctx, `SELECT set_config('statement_timeout', $1, true), set_config('jit', 'off', true)`, strconv.FormatInt(d.Milliseconds(), 10))
	return err
}

func (t *tx) exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return t.Exec(ctx, t.names.Replace(sql), args...)
}

// each calls one for each row, whose columns are read to fields before.
func (t *tx) each(ctx context.Context, fields []any, one func() error, sql string, args ...any) error {
	rows, err := t.Query(ctx, t.names.Replace(sql), args...)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, fields, one)
	return err
}

// collect returns the rows, whose columns are read to fields.
func collect[T any](ctx context.Context, t *tx, fields func(*T) []any, sql string, args ...any) ([]T, error) {
	rows, err := t.Query(ctx, t.names.Replace(sql), args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (is T, err error) {
		return is, row.Scan(fields(&is)...)
	})
}
