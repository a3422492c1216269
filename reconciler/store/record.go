package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mainstay-dev/mainstay/spec"
)

// runRE is what may become a token of a subject. It admits no dot, wildcard or space.
var runRE = regexp.MustCompile(`^[0-9a-z]{1,64}$`)

func subject(kind string, run spec.RunID) (string, error) {
	if !runRE.MatchString(string(run)) {
		return "", fmt.Errorf("%.80q is not the id of a run", run)
	}
	return kind + "." + string(run), nil
}

// Append adds entries to the record of a run, all or none of them, in one write. The position after is the last one that the
// writer has seen, as Append or [Store.Record] returned it, and 0 for an empty record. The error wraps [ErrConflict] where
// somebody else wrote since then, [ErrTooLarge] where the entries together are larger than [MaxEntry], or [ErrFull].
func (s *Store) Append(ctx context.Context, run spec.RunID, after uint64, entries ...spec.Entry) (uint64, error) {
	subj, err := subject("record", run)
	if err != nil {
		return 0, fmt.Errorf("append to record: %w", err)
	}
	what := named(entries)
	data, err := encodeEntries(entries)
	if err != nil {
		return 0, fmt.Errorf("append %s to record of run %s: %w", what, run, err)
	}
	var seq uint64
	write := func(ctx context.Context) (err error) {
		seq, err = s.appends.publish(subj, data, after)
		if isFull(err) {
			if err := s.trim(ctx); err != nil {
				return err
			}
			seq, err = s.appends.publish(subj, data, after)
		}
		if err == nil {
			s.setTip(run, seq)
		}
		return told(err)
	}
	if err := s.durable(ctx, "append "+what, write); err != nil {
		return 0, fmt.Errorf("append %s to record of run %s: %w", what, run, err)
	}
	return seq, nil
}

// Record returns the entries of a run in order, and the position of the last one. A run without a record has none, and
// the position 0. The error wraps [ErrDamaged] where entries are missing.
func (s *Store) Record(ctx context.Context, run spec.RunID) ([]spec.Entry, uint64, error) {
	subj, err := subject("record", run)
	if err != nil {
		return nil, 0, fmt.Errorf("read record: %w", err)
	}
	// First, because the record may grow while it is read.
	least, err := s.leastTip(ctx, run)
	if err != nil {
		return nil, 0, fmt.Errorf("read record of run %s: %w", run, err)
	}
	var entries []spec.Entry
	var last uint64
	for {
		msg, err := s.records.GetMsg(ctx, last+1, jetstream.WithGetMsgSubject(subj))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			if last < least {
				return nil, 0, fmt.Errorf("read record of run %s: %w: it ends at position %d and had come to %d", run, ErrDamaged, last, least)
			}
			s.setTip(run, last)
			return entries, last, nil
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read record of run %s: %w", run, err)
		}
		some, err := decode(msg.Data, msg.Header, last)
		if err != nil {
			return nil, 0, fmt.Errorf("read record of run %s: %w", run, err)
		}
		entries, last = append(entries, some...), msg.Sequence
	}
}

// encode writes JSON without HTML escapes, so that the canonical bodies within keep their bytes.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	if b.Len() > MaxEntry {
		return nil, ErrTooLarge
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// named is the types of entries in one word, such as answer+request.
func named(entries []spec.Entry) string {
	types := make([]string, len(entries))
	for i, e := range entries {
		types[i] = e.Type
	}
	return strings.Join(types, "+")
}

// encodeEntries writes one entry as an object, and several as an array.
func encodeEntries(entries []spec.Entry) ([]byte, error) {
	if len(entries) == 1 {
		return encode(entries[0])
	}
	return encode(entries)
}

// decode reads the entries of a message. Every one carries the position that it was written after: a gap shows as a difference.
func decode(data []byte, header nats.Header, last uint64) ([]spec.Entry, error) {
	after, err := strconv.ParseUint(header.Get(jetstream.ExpectedLastSubjSeqHeader), 10, 64)
	if err != nil || after != last {
		return nil, fmt.Errorf("%w: entries are missing after position %d", ErrDamaged, last)
	}
	entries := make([]spec.Entry, 1)
	if bytes.HasPrefix(data, []byte("[")) {
		err = json.Unmarshal(data, &entries)
	} else {
		err = json.Unmarshal(data, &entries[0])
	}
	if err != nil {
		return nil, fmt.Errorf("%w: after position %d: %w", ErrDamaged, last, err)
	}
	return entries, nil
}

// told makes the server's errors ours.
func told(err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case isFull(err):
		return ErrFull
	case errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant):
		return ErrConflict
	}
	return err
}

// codeStoreFailed is the server's code where a stream did not take a message; jetstream has no name for it.
const codeStoreFailed = 10077

func isFull(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == codeStoreFailed && api.Description == "maximum bytes exceeded"
}

// trim forgets finished runs, oldest first, until a tenth of the bound is free or none is left.
func (s *Store) trim(ctx context.Context) error {
	runs, err := s.Runs(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(runs, func(a, b spec.RunSummary) int { return cmp.Or(a.Updated.Compare(b.Updated), cmp.Compare(a.Run, b.Run)) })
	for _, run := range runs {
		if run.Outcome == nil {
			continue
		}
		info, err := s.records.Info(ctx)
		if err != nil {
			return err
		}
		if int64(info.State.Bytes) < s.bound.Load()/10*9 {
			return nil
		}
		if err := s.Forget(ctx, run.Run); err != nil {
			return err
		}
	}
	return nil
}

// Forget removes the record and the summary of a run. To forget an unknown run does nothing.
func (s *Store) Forget(ctx context.Context, run spec.RunID) error {
	subj, err := subject("record", run)
	if err != nil {
		return fmt.Errorf("forget run: %w", err)
	}
	s.glance.Lock()
	defer s.glance.Unlock()
	if err := s.loadRuns(ctx); err != nil {
		return err
	}
	return s.forget(ctx, run, subj)
}

// forget is called by whoever holds s.glance, and has loaded all summaries. What the run has cost stays known.
func (s *Store) forget(ctx context.Context, run spec.RunID, subj string) error {
	if err := s.keepSpent(ctx, run); err != nil {
		return err
	}
	return s.durable(ctx, "forget", func(ctx context.Context) error {
		s.unshow(run, math.MaxInt)
		// In this order, because a summary without its record would look like damage.
		if err := s.runs.Purge(ctx, string(run)); err != nil {
			return fmt.Errorf("forget run %s: %w", run, err)
		}
		delete(s.summaries, run)
		s.showing.Lock()
		s.forgot(run)
		s.showing.Unlock()
		if err := s.records.Purge(ctx, jetstream.WithPurgeSubject(subj)); err != nil {
			return fmt.Errorf("forget run %s: %w", run, err)
		}
		return nil
	})
}

// setTip remembers how far a record has come, for the run's next summary.
func (s *Store) setTip(run spec.RunID, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.tips[run]; !known && len(s.tips) >= maxHeld {
		for other := range s.tips { // Any one: its next summary only vouches for less.
			delete(s.tips, other)
			break
		}
	}
	s.tips[run] = max(s.tips[run], seq)
}

// leastTip is how far the record of a run had come at least, as was kept with its summary. The server drops what it cannot
// read from the end of a file without a word; this is what notices.
func (s *Store) leastTip(ctx context.Context, run spec.RunID) (uint64, error) {
	k, err := s.kept(ctx, run)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return k.Record, err
}
