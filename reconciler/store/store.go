// Package store keeps what must outlive the process on this machine: the records of runs, the queue of runs that have
// work to do, and small facts such as the last good revision. It keeps them in a NATS JetStream server that it starts
// inside the process, without a listener, on a folder that it locks; every write is on the disk before it returns.
//
// It never is the only copy of a truth that matters: specs, approvals, claims and receipts are in Git. It knows nothing
// of how a run proceeds, and it never repairs a damaged folder in silence.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mainstay-dev/mainstay/spec"
)

// The bounds of the store, in bytes.
const (
	// MaxEntry is the largest entry of a record, summary or fact, as JSON.
	MaxEntry = maxMessage - headerRoom
	// maxMessage is what the server takes without a warning; headerRoom is what a message may need besides an entry.
	maxMessage = 8 << 20
	headerRoom = 64 << 10
	// maxRecords bounds the records of all runs together, unless a fleet says otherwise, which may say up to largestBound.
	// Where it is reached, finished runs are forgotten, oldest first.
	maxRecords   = 4 << 30
	largestBound = 1 << 40
	maxQueue     = 16 << 20
	maxRuns      = 512 << 20
	maxFacts     = 128 << 20
)

var (
	// ErrNotFound says that there is no such run or fact. It has a method NotFound, and ErrConflict a method Conflict, so that
	// callers need not import this package to tell them apart.
	ErrNotFound error = notFound{}
	// ErrConflict says that somebody else wrote in between: read again and decide again.
	ErrConflict error = conflict{}
	// ErrTooLarge says that an entry is larger than [MaxEntry].
	ErrTooLarge = fmt.Errorf("larger than %d bytes", MaxEntry)
	// ErrFull says that the bound of the store is reached by runs that are not finished.
	ErrFull = errors.New("the store is full: finish or cancel runs that wait, or give it a new folder")
	// ErrDamaged says that the folder does not hold what was written into it.
	ErrDamaged = errors.New("the store is damaged")
)

type notFound struct{}

func (notFound) Error() string  { return "not found in the store" }
func (notFound) NotFound() bool { return true }

type conflict struct{}

func (conflict) Error() string  { return "somebody else wrote first" }
func (conflict) Conflict() bool { return true }

// Options say where a store is.
type Options struct {
	// Dir is the folder. It is made where it does not exist, readable by its owner only.
	Dir string
	// Barrier is called before and after every durable write with its name, such as "append answer: before", so that a
	// test can end the process there. It is called by several goroutines at once. May be nil.
	Barrier func(point string)
	// Logger gets the warnings of the embedded server. May be nil.
	Logger *slog.Logger
	// maxRecords replaces the bound in tests.
	maxRecords int64
}

// Store is an open store. Its methods may be called by several goroutines at once.
type Store struct {
	opts   Options
	lock   *lock
	server *embedded
	named  bool // the server's files have second names, and what it has done to them does not count yet
	conn   *nats.Conn
	js     jetstream.JetStream
	// appends are the writes to the records.
	appends *gather

	records jetstream.Stream
	queue   jetstream.Stream
	runs    jetstream.KeyValue
	facts   jetstream.KeyValue

	mu       sync.Mutex
	consumer jetstream.Consumer
	held     map[spec.RunID]jetstream.Msg
	tips     map[spec.RunID]uint64

	// bound is how many bytes the records may have.
	bound atomic.Int64

	glance    sync.Mutex // held while a summary is written, and while all of them are read
	summaries map[spec.RunID]spec.RunSummary
	ended     endings

	showing sync.Mutex // the innermost lock
	// shown are summaries newer than those that are kept.
	shown map[spec.RunID]spec.RunSummary
	spending
}

// formatFile marks a folder in which every stream has been made. Its absence means a new store, or one whose making was
// cut off; its presence means that a stream that is not there has been lost.
const (
	formatFile = "format"
	format     = "mainstay store 1\n"
)

// Open opens the store in a folder, or makes it. The error is an [ErrLocked] where another process has it open, and wraps
// [ErrDamaged] where the folder has lost something.
func Open(ctx context.Context, opts Options) (_ *Store, err error) {
	if opts.Barrier == nil {
		opts.Barrier = func(string) {}
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.maxRecords == 0 {
		opts.maxRecords = maxRecords
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{opts: opts, held: map[spec.RunID]jetstream.Msg{}, tips: map[spec.RunID]uint64{}, shown: map[spec.RunID]spec.RunSummary{}, spending: newSpending()}
	if s.lock, err = acquire(filepath.Join(opts.Dir, "lock")); err != nil {
		return nil, fmt.Errorf("open store %s: %w", opts.Dir, err)
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", opts.Dir, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	made, err := s.checkFormat()
	if err != nil {
		return err
	}
	if err := putBack(s.opts.Dir); err != nil {
		return err
	}
	if made {
		if s.named, err = keep(s.opts.Dir); err != nil {
			return err
		}
	}
	if s.server, err = startServer(s.opts.Dir, s.opts.Logger); err != nil {
		return err
	}
	s.conn, err = nats.Connect("", nats.InProcessServer(s.server.server), nats.NoReconnect(), nats.Name("mainstay"))
	if err != nil {
		return fmt.Errorf("connect to the embedded server: %w", err)
	}
	if s.js, err = jetstream.New(s.conn); err != nil {
		return fmt.Errorf("connect to the embedded server: %w", err)
	}
	s.appends = &gather{js: s.js, writes: s.server.writes}
	if !made {
		if err := s.make(ctx); err != nil {
			return s.because(err)
		}
	}
	if err := s.find(ctx); err != nil {
		return s.because(err)
	}
	if !s.named {
		return nil
	}
	s.named = false
	return letGo(s.opts.Dir)
}

// because adds to an error what the embedded server has said. Where the disk is full that is all there is to tell, for the
// server then answers nothing, or that it never had a stream.
func (s *Store) because(err error) error {
	said := s.server.said()
	switch {
	case strings.Contains(said, "no space left"):
		return fmt.Errorf("there is no space left on the disk of %s: free some, and start again; what was written before is kept", s.opts.Dir)
	case said != "":
		return fmt.Errorf("%w; the embedded server says: %s", err, said)
	}
	return err
}

// errBroken says that an earlier write has failed, or this one.
var errBroken = errors.New("the store takes nothing more since a write has failed: start again")

// checkFormat reports whether the folder holds a store already.
func (s *Store) checkFormat() (made bool, err error) {
	b, err := os.ReadFile(filepath.Join(s.opts.Dir, formatFile))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case string(b) != format:
		return false, fmt.Errorf("%w: %s says %.40q and this build reads %q", ErrDamaged, formatFile, b, format)
	}
	return true, nil
}

// Close writes everything out, stops the embedded server and unlocks the folder. A second call does nothing.
func (s *Store) Close() error {
	if s.conn != nil {
		s.conn.Close()
	}
	if s.server != nil {
		s.server.stop()
	}
	var err error
	if s.named {
		err = putBack(s.opts.Dir)
		s.named = false
	}
	return errors.Join(err, s.lock.release())
}

// durable runs a write between its two barriers. The write is not cut off when ctx ends, because then nobody could tell
// whether it happened; it has its own time limit instead.
func (s *Store) durable(ctx context.Context, name string, write func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	s.opts.Barrier(name + ": before")
	if s.server.writes.Err() != nil {
		return s.because(errBroken)
	}
	defer context.AfterFunc(s.server.writes, cancel)()
	if err := write(ctx); err != nil {
		if s.server.writes.Err() != nil && errors.Is(err, context.Canceled) {
			return s.because(errBroken)
		}
		return err
	}
	s.opts.Barrier(name + ": after")
	return nil
}
