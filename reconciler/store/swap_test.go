package store

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestAFactIsSwappedByOneOfTwo(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	fact, err := s.Held(t.Context(), "thread/a")
	if err != nil || fact.Position != 0 {
		t.Fatalf("a fact that is not there: %+v, %v", fact, err)
	}
	// Of many who have read the same, one writes; whether it is there for the first time, or was there, or was dropped.
	for round := range 3 {
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() { errs[i] = s.Swap(t.Context(), fact, fmt.Appendf(nil, "%d %d", round, i)) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, ErrConflict) {
				t.Errorf("round %d: %v", round, err)
			}
		}
		if won != 1 {
			t.Errorf("round %d: %d have written", round, won)
		}
		if err := s.Drop(t.Context(), fact); errors.Is(err, ErrConflict) != (fact.Position != 0) {
			t.Errorf("round %d: what was read before is dropped: %v", round, err)
		}
		if fact, err = s.Held(t.Context(), "thread/a"); err != nil || fact.Position == 0 {
			t.Fatalf("round %d: %+v, %v", round, fact, err)
		}
		if round == 1 {
			if err := s.Drop(t.Context(), fact); err != nil {
				t.Fatal(err)
			}
			if err := s.Swap(t.Context(), fact, []byte("late")); !errors.Is(err, ErrConflict) {
				t.Errorf("what was dropped is written again: %v", err)
			}
			if fact, err = s.Held(t.Context(), "thread/a"); err != nil || fact.Position != 0 {
				t.Fatalf("after it was dropped: %+v, %v", fact, err)
			}
		}
	}
}

func TestKeysAreListedByTheirFirstPart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	for _, key := range []string{"thread/b", "thread/a", "threads/c", "thread/gone"} {
		if err := s.Put(t.Context(), key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	gone, err := s.Held(t.Context(), "thread/gone")
	if err == nil {
		err = s.Drop(t.Context(), gone)
	}
	if err != nil {
		t.Fatal(err)
	}
	list := func() string {
		keys, err := s.Keys(t.Context(), "thread")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(keys, " ")
	}
	if got := list(); got != "thread/a thread/b" {
		t.Errorf("got %s", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	if got := list(); got != "thread/a thread/b" {
		t.Errorf("after it was opened again: %s", got)
	}
	if _, err := s.Keys(t.Context(), "no part/"); err == nil {
		t.Error("a part that is none is listed")
	}
}
