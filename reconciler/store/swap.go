package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Held is a fact with its position, for [Store.Swap].
type Held struct {
	Key   string
	Value []byte
	// Position is 0 where there is no such fact.
	Position uint64
}

// Held returns a fact with its position. A fact that is not there has none, and that is no error.
func (s *Store) Held(ctx context.Context, key string) (Held, error) {
	if err := checkKey(key); err != nil {
		return Held{}, fmt.Errorf("read fact: %w", err)
	}
	entry, err := s.facts.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Held{Key: key}, nil
	}
	if err != nil {
		return Held{}, fmt.Errorf("read fact %s: %w", key, err)
	}
	return Held{Key: key, Value: entry.Value(), Position: entry.Revision()}, nil
}

// Swap keeps a value in place of the fact that the caller has read. The error wraps [ErrConflict] where somebody else wrote
// since then, [ErrTooLarge] and [ErrFull].
func (s *Store) Swap(ctx context.Context, was Held, value []byte) error {
	if err := checkKey(was.Key); err != nil {
		return fmt.Errorf("keep fact: %w", err)
	}
	if len(value) > MaxEntry {
		return fmt.Errorf("keep fact %s: %w", was.Key, ErrTooLarge)
	}
	name, _, _ := strings.Cut(was.Key, "/")
	return s.durable(ctx, "fact "+name, func(ctx context.Context) (err error) {
		if was.Position == 0 {
			_, err = s.facts.Create(ctx, was.Key, value)
		} else {
			_, err = s.facts.Update(ctx, was.Key, value, was.Position)
		}
		if errors.Is(err, jetstream.ErrKeyExists) {
			err = ErrConflict
		}
		if err != nil {
			return fmt.Errorf("keep fact %s: %w", was.Key, told(err))
		}
		return nil
	})
}

// Drop removes the fact that the caller has read; where there was none it does nothing. The error wraps [ErrConflict] where somebody else wrote since then.
func (s *Store) Drop(ctx context.Context, was Held) error {
	if err := checkKey(was.Key); err != nil {
		return fmt.Errorf("drop fact: %w", err)
	}
	if was.Position == 0 {
		return nil // To the server 0 would mean any position.
	}
	name, _, _ := strings.Cut(was.Key, "/")
	return s.durable(ctx, "drop fact "+name, func(ctx context.Context) error {
		if err := s.facts.Purge(ctx, was.Key, jetstream.LastRevision(was.Position)); err != nil {
			return fmt.Errorf("drop fact %s: %w", was.Key, told(err))
		}
		return nil
	})
}

// Keys returns the keys of facts that begin with a part, sorted: Keys(ctx, "trigger") has trigger/nightly.
func (s *Store) Keys(ctx context.Context, part string) ([]string, error) {
	if err := checkKey(part); err != nil || strings.ContainsAny(part, "/.") {
		return nil, fmt.Errorf("list facts: %.80q is not the first part of a key", part)
	}
	keys, err := s.facts.ListKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list facts: %w", err)
	}
	defer func() { _ = keys.Stop() }() // Only reading ends.
	var found []string
	for key := range keys.Keys() {
		if strings.HasPrefix(key, part+"/") {
			found = append(found, key)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list facts: %w", err)
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}
