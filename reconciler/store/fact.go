package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mainstay-dev/mainstay/spec"
)

// kept is what is written for a run: its summary, and how far its record had come at least.
type kept struct {
	spec.RunSummary
	Record uint64 `json:"record,omitempty"`
}

// PutRun keeps the summary of a run in place of the one before, unless that one is derived from more of the record: a
// decision may be recorded while whoever works on the run still writes down what was before it.
func (s *Store) PutRun(ctx context.Context, summary spec.RunSummary) error {
	if _, err := subject("record", summary.Run); err != nil {
		return fmt.Errorf("keep summary: %w", err)
	}
	s.mu.Lock()
	k := kept{summary, s.tips[summary.Run]}
	s.mu.Unlock()
	data, err := encode(k)
	if err != nil {
		return fmt.Errorf("keep summary of run %s: %w", summary.Run, err)
	}
	s.glance.Lock()
	defer s.glance.Unlock()
	if err := s.loadRuns(ctx); err != nil {
		return err
	}
	if s.summaries[summary.Run].Entries > summary.Entries {
		return nil
	}
	return s.durable(ctx, "summary", func(ctx context.Context) error {
		if _, err := s.runs.Put(ctx, string(summary.Run), data); err != nil {
			return fmt.Errorf("keep summary of run %s: %w", summary.Run, told(err))
		}
		s.summarize(summary)
		s.unshow(summary.Run, summary.Entries)
		return nil
	})
}

// GetRun returns the summary of a run. The error wraps [ErrNotFound].
func (s *Store) GetRun(ctx context.Context, run spec.RunID) (spec.RunSummary, error) {
	k, err := s.kept(ctx, run)
	if err != nil {
		return spec.RunSummary{}, fmt.Errorf("read summary of run %.80s: %w", run, err)
	}
	return s.newest(k.RunSummary), nil
}

func (s *Store) kept(ctx context.Context, run spec.RunID) (kept, error) {
	var k kept
	if _, err := subject("record", run); err != nil {
		return k, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	value, err := read(ctx, s.runs, string(run))
	if err != nil {
		return k, err
	}
	if err := json.Unmarshal(value, &k); err != nil {
		return k, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return k, nil
}

// Runs returns the summaries of all runs, in no particular order. Every write that has returned is in it.
func (s *Store) Runs(ctx context.Context) ([]spec.RunSummary, error) {
	s.glance.Lock()
	defer s.glance.Unlock()
	if err := s.loadRuns(ctx); err != nil {
		return nil, err
	}
	runs := make([]spec.RunSummary, 0, len(s.summaries))
	for _, kept := range s.summaries {
		runs = append(runs, s.newest(kept))
	}
	return runs, nil
}

// loadRuns reads all summaries into memory, once. The caller holds s.glance.
func (s *Store) loadRuns(ctx context.Context) error {
	if s.summaries != nil {
		return nil
	}
	runs, err := s.readRuns(ctx)
	if err != nil {
		return err
	}
	s.summaries = make(map[spec.RunID]spec.RunSummary, len(runs))
	for _, summary := range runs {
		s.summarize(summary)
	}
	if err := s.loadForgotten(ctx); err != nil {
		s.summaries = nil // Nothing is known in part.
		return err
	}
	return nil
}

// readRuns reads all summaries from the bucket. Nothing may be written meanwhile: a watcher passes over a key that is
// replaced while it reads.
func (s *Store) readRuns(ctx context.Context) ([]spec.RunSummary, error) {
	watcher, err := s.runs.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	defer func() { _ = watcher.Stop() }() // Only reading ends.
	runs := []spec.RunSummary{}
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("list runs: %w", ctx.Err())
		case entry, ok := <-watcher.Updates():
			if !ok {
				return nil, errors.New("list runs: the store was closed")
			}
			if entry == nil { // The mark after the last one.
				return runs, nil
			}
			var summary spec.RunSummary
			if err := json.Unmarshal(entry.Value(), &summary); err != nil {
				return nil, fmt.Errorf("list runs: %s: %w: %w", entry.Key(), ErrDamaged, err)
			}
			runs = append(runs, summary)
		}
	}
}

var factRE = regexp.MustCompile(`^[a-zA-Z0-9_=-]+([/.][a-zA-Z0-9_=-]+)*$`)

// maxKey is the longest key of a fact, in bytes.
const maxKey = 256

func checkKey(key string) error {
	if len(key) > maxKey || !factRE.MatchString(key) {
		return fmt.Errorf("%.80q is not a key: use letters, digits and -_= in parts divided by / or dots, at most %d bytes", key, maxKey)
	}
	return nil
}

// Put keeps a fact in place of the one before. Keys look like trigger/nightly. The error wraps [ErrTooLarge] and [ErrFull].
func (s *Store) Put(ctx context.Context, key string, value []byte) error {
	if err := checkKey(key); err != nil {
		return fmt.Errorf("keep fact: %w", err)
	}
	if len(value) > MaxEntry {
		return fmt.Errorf("keep fact %s: %w", key, ErrTooLarge)
	}
	name, _, _ := strings.Cut(key, "/")
	return s.durable(ctx, "fact "+name, func(ctx context.Context) error {
		if _, err := s.facts.Put(ctx, key, value); err != nil {
			return fmt.Errorf("keep fact %s: %w", key, told(err))
		}
		return nil
	})
}

// Get returns a fact. The error wraps [ErrNotFound].
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("read fact: %w", err)
	}
	value, err := read(ctx, s.facts, key)
	if err != nil {
		return nil, fmt.Errorf("read fact %s: %w", key, err)
	}
	return value, nil
}

func read(ctx context.Context, bucket jetstream.KeyValue, key string) ([]byte, error) {
	entry, err := bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return entry.Value(), nil
}
