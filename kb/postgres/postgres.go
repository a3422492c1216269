// Package postgres is the engine for what outgrows a machine: it keeps documents in PostgreSQL, with pgvector, and finds them there. It ranks
// as the embedded engine does, with the same terms, weights and setting, which package index has. By words, scores are the same within
// 0.0001; with meaning, whose places are rounded otherwise, within 0.004 where both have learned of the same chunks.
//
// Terms are made here and kept as postings, with how often each stands in a chunk and how long that is, so that the server adds up what
// chunks score and returns the best only. How rare terms are is kept for each source and added up for those that are asked. Scores are
// sums of whole numbers, so that they do not depend on the order in which the server adds. What was learned of meaning lies with its
// source, and a place in it with each chunk, as a halfvec; vectors of a model are of type vector, and all of a source are compared.
//
// An update is one transaction, under an advisory lock of its source, and a search is one too, of one snapshot: it meets either the former
// state or the new one. Several processes may use one schema. The transaction is open while documents are read and embedded; a server
// that ends sessions which are idle in a transaction has to allow for that.
//
// A schema has one owner, where those who use it say who they are: two that keep other documents under the same names would answer from each
// other's. Each transaction looks, for a schema may be dropped, and made by another one, while an engine is open.
//
// All is in a schema that is made when it is first used. Outside of it nothing is changed, but for the extension, which is made where it is
// not there and the user may. Names and texts are kept as the bytes they are.
// Errors say neither the connection string nor a part of it.
//
// Read schema.go first, then update.go and search.go.
package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/index"
)

// Options say how the database is used. What is not set is as told.
type Options struct {
	// Schema is the name of the schema, mainstay_kb.
	Schema string
	// Owner says whose documents the schema has, in words that people read, and that are the same for all who may share it. The first one
	// makes the schema its own, and another one gets [ErrOwner], whenever it asks. "" asks nobody, and makes nothing its own.
	Owner string
	// Renew returns the connection string as it is now, before each connection that is made: of it the user and the password count, which
	// may have been changed. Nil means that they never are.
	Renew func(context.Context) (string, error)
	// Connections is how many are open at once at most, 8. Who needs one more waits.
	Connections int
	// SearchTimeout is how long the server works at most on a statement that asks, 30 s, and UpdateTimeout on one that changes something,
	// an hour.
	SearchTimeout, UpdateTimeout time.Duration
}

// Engine is a kb.Engine in PostgreSQL.
type Engine struct {
	pool    *pgxpool.Pool
	options Options
	// names puts the names of schemas where SQL has {kb} and {vector}.
	names atomic.Pointer[strings.Replacer]

	mu      sync.Mutex
	closed  bool
	ends    context.Context
	end     context.CancelFunc
	running sync.WaitGroup
	// meanings are some that were read, by their ID.
	meanings map[string]*index.Meaning
}

var _ kb.Engine = (*Engine)(nil)

// maxMeanings is how many meanings are kept in memory.
const maxMeanings = 64

var errClosed = errors.New("the engine is closed")

// Open connects to a database: "postgres://user:password@host:5432/database?sslmode=verify-full", or what else libpq understands. The schema
// is made where it is not there. The connection string is a secret, and told to nobody.
func Open(ctx context.Context, connection string, o Options) (*Engine, error) {
	e, err := open(ctx, connection, o)
	if err != nil {
		return nil, fmt.Errorf("open the index in PostgreSQL: %w", explained(ctx, err))
	}
	return e, nil
}

func open(ctx context.Context, connection string, o Options) (*Engine, error) {
	if o.Schema == "" {
		o.Schema = "mainstay_kb"
	}
	if len(o.Schema) > 63 || strings.ContainsRune(o.Schema, 0) || strings.HasPrefix(o.Schema, "pg_") {
		return nil, fmt.Errorf("the schema %.80q: a name has at most 63 bytes and does not begin with pg_", o.Schema)
	}
	if o.Connections <= 0 {
		o.Connections = 8
	}
	if o.SearchTimeout <= 0 {
		o.SearchTimeout = 30 * time.Second
	}
	if o.UpdateTimeout <= 0 {
		o.UpdateTimeout = time.Hour
	}
	config, err := parsed(connection)
	if err != nil {
		return nil, err
	}
	if o.Renew != nil {
		config.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) error { return renew(ctx, o.Renew, c) }
	}
	config.MaxConns, config.MinConns = int32(o.Connections), 0
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "mainstay"
	}
	e := &Engine{options: o, meanings: map[string]*index.Meaning{}}
	if e.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	if err := e.prepare(ctx); err != nil {
		e.pool.Close()
		return nil, err
	}
	e.ends, e.end = context.WithCancel(context.Background())
	return e, nil
}

// parsed is a connection string. The error does not hold it.
func parsed(connection string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(connection)
	if err != nil {
		// Its own words may hold what stands there.
		return nil, errors.New("the connection string cannot be understood: it is like postgres://user:password@host:5432/database?sslmode=verify-full, with signs such as @ and / in the password as %40 and %2F")
	}
	return config, nil
}

// renew gives a connection that is to be made the user and the password as they are now.
func renew(ctx context.Context, now func(context.Context) (string, error), c *pgx.ConnConfig) error {
	connection, err := now(ctx)
	if err != nil {
		return err
	}
	config, err := parsed(connection)
	if err == nil {
		c.User, c.Password = config.ConnConfig.User, config.ConnConfig.Password
	}
	return err
}

// Close ends updates that run, and waits for them and for searches.
func (e *Engine) Close() error {
	e.mu.Lock()
	closed := e.closed
	e.closed = true
	e.mu.Unlock()
	if !closed {
		e.end()
		e.running.Wait()
		e.pool.Close()
	}
	return nil
}

// begin counts what runs, which done ends.
func (e *Engine) begin() (done func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errClosed
	}
	e.running.Add(1)
	return e.running.Done, nil
}

// rollbackTimeout is how long the end of a transaction is waited for that is given up.
const rollbackTimeout = 5 * time.Second

// within runs what is done in a transaction, and commits it.
func (e *Engine) within(ctx context.Context, o pgx.TxOptions, timeout time.Duration, do func(context.Context, *tx) error) error {
	began, err := e.pool.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	// Whatever is left of it.
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = began.Rollback(ctx) // After a commit there is nothing to do, and without a connection the server does it.
	}()
	t := &tx{began, e.names.Load()}
	if err := t.limit(ctx, timeout); err != nil {
		return err
	}
	if err := do(ctx, t); err != nil {
		return err
	}
	return began.Commit(ctx)
}

// asking runs what only asks, in one snapshot.
func (e *Engine) asking(ctx context.Context, do func(context.Context, *tx) error) error {
	done, err := e.begin()
	if err != nil {
		return err
	}
	defer done()
	return explained(ctx, e.within(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, e.options.SearchTimeout, func(ctx context.Context, t *tx) error {
		if err := e.owned(ctx, t); err != nil {
			return err
		}
		return do(ctx, t)
	}))
}

// changing runs what changes a source, one at a time of all processes. It ends with the engine.
func (e *Engine) changing(ctx context.Context, source string, do func(context.Context, *tx) error) error {
	done, err := e.begin()
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(e.ends, func() { cancel(errClosed) })()
	return explained(ctx, e.within(ctx, pgx.TxOptions{}, 0, func(ctx context.Context, t *tx) error {
		// Without a limit: another update may take long.
		if _, err := t.exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, fmt.Sprintf("%s %x", e.options.Schema, keyOf(source))); err != nil {
			return err
		}
		if err := t.limit(ctx, e.options.UpdateTimeout); err != nil {
			return err
		}
		if err := e.owned(ctx, t); err != nil {
			return err
		}
		return do(ctx, t)
	}))
}

// keyOf is what a name is found by, however long it is and whatever it holds.
func keyOf(name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return sum[:]
}

// source is a source as it is kept.
type source struct {
	id                                 int64
	name, state, format, space, labels []byte
	chunks                             int
	length                             float64
	learned, added, dims               int
	meaning                            string
}

// embedded is how many numbers the vectors of the source have; 0 where it has none.
func (s *source) embedded() int {
	if len(s.space) == 0 || s.chunks == 0 {
		return 0
	}
	return s.dims
}

const sourceColumns = `s.id, s.name, s.state, s.format, s.space, s.labels, s.chunks, s.length, s.learned, s.added, s.dims, coalesce(m.id, '')`

func (s *source) fields() []any {
	return []any{&s.id, &s.name, &s.state, &s.format, &s.space, &s.labels, &s.chunks, &s.length, &s.learned, &s.added, &s.dims, &s.meaning}
}

func (s *source) labelled(want map[string]string) (bool, error) {
	var labels map[string]string
	if err := json.Unmarshal(s.labels, &labels); err != nil {
		return false, fmt.Errorf("the labels of source %q: %w", s.name, err)
	}
	for name, value := range want {
		if is, ok := labels[name]; !ok || is != value {
			return false, nil
		}
	}
	return true, nil
}

// sources are those of these names that there are, sorted by name.
func (t *tx) sources(ctx context.Context, names ...string) ([]source, error) {
	var keys [][]byte
	for _, name := range names {
		keys = append(keys, keyOf(name))
	}
	return collect(ctx, t, (*source).fields, `SELECT `+sourceColumns+` FROM {kb}.sources s LEFT JOIN {kb}.meanings m ON m.source = s.id
		WHERE s.key = ANY($1) ORDER BY s.name`, keys)
}

// State is the state a source is in. Where the schema is gone, as after another database was put in the place of this one, it is made anew:
// nothing is known of any source then.
func (e *Engine) State(ctx context.Context, source string) (state string, err error) {
	ask := func() error {
		return e.asking(ctx, func(ctx context.Context, t *tx) error {
			found, err := t.sources(ctx, source)
			if len(found) > 0 {
				state = string(found[0].state)
			}
			return err
		})
	}
	if err = ask(); errors.Is(err, errGone) {
		if err = explained(ctx, e.prepare(ctx)); err == nil {
			err = ask()
		}
	}
	return state, err
}

// document is a document as it is kept.
type document struct {
	id             int64
	path, blob     []byte
	seconds        *int64
	nanos          int
	kind           string
	title, problem []byte
	chunks         int
}

const documentColumns = `d.id, d.path, d.blob, d.seconds, d.nanos, d.kind, d.title, d.problem, d.chunks`

func (d *document) fields() []any {
	return []any{&d.id, &d.path, &d.blob, &d.seconds, &d.nanos, &d.kind, &d.title, &d.problem, &d.chunks}
}

func (d *document) file() kb.File {
	f := kb.File{Path: string(d.path), Blob: string(d.blob)}
	if d.seconds != nil {
		f.Time = time.Unix(*d.seconds, int64(d.nanos)).UTC()
	}
	return f
}

// timeOf is a time as it is kept: none is NULL.
func timeOf(t time.Time) (seconds *int64, nanos int) {
	if t.IsZero() {
		return nil, 0
	}
	s := t.Unix()
	return &s, t.Nanosecond()
}

// Files are the files of a source, sorted by path.
func (e *Engine) Files(ctx context.Context, source string) (files []kb.File, err error) {
	err = e.asking(ctx, func(ctx context.Context, t *tx) error {
		found, err := collect(ctx, t, (*document).fields, `SELECT `+documentColumns+` FROM {kb}.documents d JOIN {kb}.sources s ON s.id = d.source
			WHERE s.key = $1 ORDER BY d.path`, keyOf(source))
		for _, d := range found {
			files = append(files, d.file())
		}
		return err
	})
	return files, err
}

// chunk is a chunk as it is kept, without its terms.
type chunk struct {
	id            int64
	first, last   int
	heading, text []byte
}

const chunkColumns = `c.id, c.first, c.last, c.heading, c.text`

func (c *chunk) fields() []any { return []any{&c.id, &c.first, &c.last, &c.heading, &c.text} }

func (c *chunk) chunk() (kb.Chunk, error) {
	is := kb.Chunk{First: c.first, Last: c.last, Text: string(c.text)}
	var heading [][]byte
	if err := json.Unmarshal(c.heading, &heading); err != nil {
		return is, fmt.Errorf("the headings of chunk %d: %w", c.id, err)
	}
	for _, h := range heading {
		is.Heading = append(is.Heading, string(h))
	}
	return is, nil
}

// document reads a whole document.
func (t *tx) document(ctx context.Context, d document) (kb.Document, error) {
	is := kb.Document{Kind: kb.Kind(d.kind), Title: string(d.title), Problem: string(d.problem)}
	chunks, err := collect(ctx, t, (*chunk).fields, `SELECT `+chunkColumns+` FROM {kb}.chunks c WHERE c.document = $1 ORDER BY c.place`, d.id)
	for _, c := range chunks {
		one, err := c.chunk()
		if err != nil {
			return is, err
		}
		is.Chunks = append(is.Chunks, one)
	}
	return is, err
}

// Document returns a document of a source.
func (e *Engine) Document(ctx context.Context, source, path string) (f kb.File, d kb.Document, err error) {
	err = e.asking(ctx, func(ctx context.Context, t *tx) error {
		found, err := collect(ctx, t, (*document).fields, `SELECT `+documentColumns+` FROM {kb}.documents d JOIN {kb}.sources s ON s.id = d.source
			WHERE s.key = $1 AND d.key = $2`, keyOf(source), keyOf(path))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("%q of source %q: %w", path, source, kb.ErrNotFound)
		}
		f = found[0].file()
		d, err = t.document(ctx, found[0])
		return err
	})
	return f, d, err
}

// Stats are those of all sources, sorted by source. Disk is not known.
func (e *Engine) Stats(ctx context.Context) (all []kb.Stats, err error) {
	err = e.asking(ctx, func(ctx context.Context, t *tx) error {
		sources, err := collect(ctx, t, (*source).fields, `SELECT `+sourceColumns+` FROM {kb}.sources s LEFT JOIN {kb}.meanings m ON m.source = s.id ORDER BY s.name`)
		if err != nil {
			return err
		}
		for _, s := range sources {
			is := kb.Stats{Source: string(s.name), State: string(s.state), Format: string(s.format), Space: string(s.space), Chunks: s.chunks, Dims: s.embedded()}
			if is.Space != "" {
				is.Vectors = s.chunks
			}
			if err := t.QueryRow(ctx, t.names.Replace(`SELECT count(*) FILTER (WHERE chunks > 0), coalesce(sum(bytes), 0)::bigint, count(*) FILTER (WHERE problem <> '')
				FROM {kb}.documents WHERE source = $1`), s.id).Scan(&is.Documents, &is.Bytes, &is.Unread); err != nil {
				return err
			}
			problems, err := collect(ctx, t, (*document).fields, `SELECT `+documentColumns+` FROM {kb}.documents d WHERE d.source = $1 AND d.problem <> ''
				ORDER BY d.path LIMIT `+strconv.Itoa(kb.MaxProblems), s.id)
			if err != nil {
				return err
			}
			for _, d := range problems {
				is.Problems = append(is.Problems, kb.Problem{Path: string(d.path), Text: string(d.problem)})
			}
			all = append(all, is)
		}
		return nil
	})
	return all, err
}

// Forget removes a source.
func (e *Engine) Forget(ctx context.Context, source string) error {
	err := e.changing(ctx, source, func(ctx context.Context, t *tx) error {
		found, err := t.sources(ctx, source)
		if err != nil || len(found) == 0 {
			return err
		}
		for _, q := range []string{
			`DELETE FROM {kb}.postings p USING {kb}.terms t WHERE t.source = $1 AND p.term = t.id`,
			`DELETE FROM {kb}.terms WHERE source = $1`,
			`DELETE FROM {kb}.vectors WHERE source = $1`,
			`DELETE FROM {kb}.places WHERE source = $1`,
			`DELETE FROM {kb}.chunks c USING {kb}.documents d WHERE d.source = $1 AND c.document = d.id`,
			`DELETE FROM {kb}.documents WHERE source = $1`,
			`DELETE FROM {kb}.meanings WHERE source = $1`,
			`DELETE FROM {kb}.sources WHERE id = $1`,
		} {
			if _, err := t.exec(ctx, q, found[0].id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget source %q: %w", source, err)
	}
	return nil
}

// meaning is what was learned of a source; nil where that is nothing.
func (e *Engine) meaning(ctx context.Context, t *tx, s source) (*index.Meaning, error) {
	if s.meaning == "" {
		return nil, nil
	}
	e.mu.Lock()
	m := e.meanings[s.meaning]
	e.mu.Unlock()
	if m != nil {
		return m, nil
	}
	var file []byte
	if err := t.QueryRow(ctx, t.names.Replace(`SELECT file FROM {kb}.meanings WHERE source = $1`), s.id).Scan(&file); err != nil {
		return nil, err
	}
	m, err := index.OpenMeaning(slices.Clone(file))
	if err != nil {
		return nil, fmt.Errorf("the meaning of source %q: %w: forget the source and put it again", s.name, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for id := range e.meanings {
		if len(e.meanings) < maxMeanings {
			break
		}
		delete(e.meanings, id)
	}
	e.meanings[s.meaning] = m
	return m, nil
}
