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
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// startTime is how long the embedded server may take to read a large folder.
	startTime = 60 * time.Second
	// writeTime is how long one write may take.
	writeTime = 30 * time.Second
	// maxSaid bounds the lines of the server that are kept for error messages.
	maxSaid = 8
)

// The names of the streams and buckets.
const (
	recordStream = "RECORDS"
	queueStream  = "QUEUE"
	runBucket    = "runs"
	factBucket   = "facts"
)

// embedded is the server inside this process.
type embedded struct {
	server *server.Server
	done   sync.WaitGroup
	logger *slog.Logger
	// writes ends when the server takes no more of them, as where the disk is full. It does not answer the one that fails.
	writes context.Context
	broken context.CancelFunc

	mu    sync.Mutex
	lines []string
	fatal chan struct{}
}

func startServer(dir string, logger *slog.Logger) (*embedded, error) {
	e := &embedded{logger: logger, fatal: make(chan struct{})}
	e.writes, e.broken = context.WithCancel(context.Background())
	s, err := server.NewServer(&server.Options{
		ServerName: "mainstay", DontListen: true, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: dir, SyncAlways: true, DisableJetStreamBanner: true,
		MaxPayload: maxMessage,
		// The bounds of the streams are what limits the disk. These leave room for them, and keep the server from guessing
		// by the free space at the moment.
		JetStreamMaxStore: 2 * largestBound, JetStreamMaxMemory: 64 << 20,
	})
	if err != nil {
		return nil, fmt.Errorf("make the embedded server: %w", err)
	}
	e.server = s
	s.SetLogger(e, false, false)
	started := make(chan struct{})
	e.done.Go(func() {
		defer close(started)
		s.Start() // Without a listener it returns once all is ready, or nothing will be.
	})
	ok := false
	select {
	case <-started:
		ok = true
	case <-e.fatal:
	case <-time.After(startTime):
	}
	if !ok || !s.JetStreamEnabled() {
		e.stop()
		return nil, fmt.Errorf("start the embedded server: %s", e.said())
	}
	return e, nil
}

func (e *embedded) stop() {
	e.server.Shutdown()
	e.server.WaitForShutdown()
	e.done.Wait()
}

// said returns what the server complained about, on one line.
func (e *embedded) said() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.lines, "; ")
}

func (e *embedded) complain(level slog.Level, format string, args []any) {
	line := strings.TrimSpace(fmt.Sprintf(format, args...))
	e.logger.Log(context.Background(), level, line, "part", "nats")
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.lines) < maxSaid {
		e.lines = append(e.lines, line)
	}
	for _, sign := range []string{"failed to store a msg", "will be DISABLED", "disabling JetStream"} {
		if strings.Contains(line, sign) {
			e.broken()
		}
	}
}

// The methods below make embedded the server's logger.

// Noticef drops a notice.
func (e *embedded) Noticef(string, ...any) {}

// Debugf drops a line.
func (e *embedded) Debugf(string, ...any) {}

// Tracef drops a line.
func (e *embedded) Tracef(string, ...any) {}

// Warnf keeps a warning.
func (e *embedded) Warnf(format string, args ...any) { e.complain(slog.LevelWarn, format, args) }

// Errorf keeps an error.
func (e *embedded) Errorf(format string, args ...any) { e.complain(slog.LevelError, format, args) }

// Fatalf keeps an error after which the server does not start. It must not end the process, as the server's own does.
func (e *embedded) Fatalf(format string, args ...any) {
	e.complain(slog.LevelError, format, args)
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.fatal:
	default:
		close(e.fatal)
	}
}

// make creates what is not there yet. It can be cut off anywhere and done again.
func (s *Store) make(ctx context.Context) error {
	streams := []jetstream.StreamConfig{{
		Name: recordStream, Subjects: []string{"record.*"}, Storage: jetstream.FileStorage,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, MaxBytes: s.opts.maxRecords, MaxMsgSize: maxMessage,
		Compression: jetstream.S2Compression, AllowDirect: true, AllowAtomicPublish: true,
	}, {
		// One message for each run: to queue a run again replaces its message, so that a run that is being worked on is
		// taken up once more afterwards, and no wake-up is lost.
		Name: queueStream, Subjects: []string{"queue.*"}, Storage: jetstream.FileStorage,
		Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardOld, MaxMsgsPerSubject: 1, MaxBytes: maxQueue,
	}}
	for _, cfg := range streams {
		if _, err := s.js.CreateOrUpdateStream(ctx, cfg); err != nil {
			return fmt.Errorf("make stream %s: %w", cfg.Name, err)
		}
	}
	for bucket, size := range map[string]int64{runBucket: maxRuns, factBucket: maxFacts} {
		_, err := s.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: bucket, History: 1, Storage: jetstream.FileStorage, MaxBytes: size, MaxValueSize: MaxEntry, Compression: true,
		})
		if err != nil {
			return fmt.Errorf("make bucket %s: %w", bucket, err)
		}
	}
	return writeSynced(filepath.Join(s.opts.Dir, formatFile), format)
}

// writeSynced writes a file that is either there as a whole, after a power cut too, or not there.
func writeSynced(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder waits until the names in a folder are on the disk.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// find looks the streams up, and complains about what has been lost from them.
func (s *Store) find(ctx context.Context) error {
	lost := func(what string, err error) error {
		return fmt.Errorf("%w: %s: %v; move the folder away to start with an empty one", ErrDamaged, what, err)
	}
	var err error
	if s.records, err = s.js.Stream(ctx, recordStream); err != nil {
		return lost("records of runs", err)
	}
	s.bound.Store(s.records.CachedInfo().Config.MaxBytes)
	if s.queue, err = s.js.Stream(ctx, queueStream); err != nil {
		return lost("queue", err)
	}
	if s.runs, err = s.js.KeyValue(ctx, runBucket); err != nil {
		return lost("summaries of runs", err)
	}
	if s.facts, err = s.js.KeyValue(ctx, factBucket); err != nil {
		return lost("facts", err)
	}
	return nil
}
