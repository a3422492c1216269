package knowledge

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/spec"
)

// A server that drops what is sent to it is waited for once by all who search, and not by one after another. Who does not wait any more is
// not waited for.
func TestSearchesWaitForOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 10 * time.Second
		silent := errors.New("PostgreSQL does not answer in time")
		connections := 0
		k := New(Options{Now: time.Now, Engine: func(ctx context.Context, _ *spec.Postgres, _ Here) (kb.Engine, error) {
			connections++
			select {
			case <-time.After(timeout):
				return nil, silent
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}})
		s := filesSource(t, "docs/**")
		var all sync.WaitGroup
		search := func(patience, takes time.Duration, want error) {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				began := time.Now()
				if _, _, err := k.Search(ctx, []*spec.KnowledgeSource{s}, kb.Query{Text: "alpha", Most: 9}); !errors.Is(err, want) || time.Since(began) != takes {
					t.Errorf("after %v: %v; want %v after %v", time.Since(began), err, want, takes)
				}
			})
			synctest.Wait()
		}
		for range 4 {
			search(time.Hour, timeout, silent)
		}
		search(time.Second, time.Second, context.DeadlineExceeded)
		all.Wait()
		if connections != 1 {
			t.Errorf("%d connections were tried", connections)
		}

		// The first one leaves, so that another one tries.
		search(time.Second, time.Second, context.DeadlineExceeded)
		for range 4 {
			search(time.Hour, time.Second+timeout, silent)
		}
		all.Wait()
		if connections != 3 {
			t.Errorf("%d connections were tried", connections)
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
}
