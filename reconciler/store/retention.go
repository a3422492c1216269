package store

import (
	"container/heap"
	"context"
	"fmt"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// endings is a heap of finished runs, those that ended first on top. A run that was forgotten since may still be in it.
type endings []ending

type ending struct {
	run spec.RunID
	at  time.Time
}

func (e endings) Len() int           { return len(e) }
func (e endings) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e endings) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }

// Push is for package heap.
func (e *endings) Push(x any) { *e = append(*e, x.(ending)) }

// Pop is for package heap.
func (e *endings) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

// summarize keeps a summary in memory. The caller holds s.glance.
func (s *Store) summarize(sum spec.RunSummary) {
	old, known := s.summaries[sum.Run]
	s.summaries[sum.Run] = sum
	s.showing.Lock()
	s.spend(sum)
	s.showing.Unlock()
	if sum.Outcome != nil && !(known && old.Outcome != nil && old.Updated.Equal(sum.Updated)) {
		heap.Push(&s.ended, ending{sum.Run, sum.Updated})
	}
}

// ForgetEnded forgets runs that ended before a time, those that ended first, but at most so many, and no run that held
// reports to be needed. It returns how many it has forgotten, and whether more are due. What it costs follows how many are
// due, and not how many there are.
func (s *Store) ForgetEnded(ctx context.Context, before time.Time, most int, held func(spec.RunSummary) bool) (n int, more bool, err error) {
	s.glance.Lock()
	defer s.glance.Unlock()
	if err := s.loadRuns(ctx); err != nil {
		return 0, false, err
	}
	var kept []ending
	defer func() {
		for _, e := range kept {
			heap.Push(&s.ended, e)
		}
	}()
	for len(s.ended) > 0 && s.ended[0].at.Before(before) {
		if n == most {
			return n, true, nil
		}
		e := heap.Pop(&s.ended).(ending)
		sum, ok := s.summaries[e.run]
		switch {
		case !ok || sum.Outcome == nil || !sum.Updated.Equal(e.at):
			continue // It was forgotten otherwise, or is told of by another one.
		case held(sum):
			kept = append(kept, e)
			continue
		}
		subj, err := subject("record", e.run)
		if err == nil {
			err = s.forget(ctx, e.run, subj)
		}
		if err != nil {
			kept = append(kept, e)
			return n, true, err
		}
		n++
	}
	return n, false, nil
}

// SetBound bounds the records of all runs together, in bytes before they are compressed; 0 is the default. Where there are
// more, finished runs are forgotten.
func (s *Store) SetBound(ctx context.Context, bytes int64) error {
	if bytes == 0 {
		bytes = s.opts.maxRecords
	}
	if s.bound.Load() == bytes {
		return nil
	}
	err := s.durable(ctx, "bound", func(ctx context.Context) error {
		cfg := s.records.CachedInfo().Config
		cfg.MaxBytes = bytes
		stream, err := s.js.UpdateStream(ctx, cfg)
		if err != nil {
			return err
		}
		s.bound.Store(stream.CachedInfo().Config.MaxBytes)
		return nil
	})
	if err != nil {
		return fmt.Errorf("bound the records to %d bytes: %w", bytes, err)
	}
	info, err := s.records.Info(ctx)
	if err == nil && int64(info.State.Bytes) > bytes {
		err = s.trim(ctx)
	}
	return err
}
