package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
)

// What goes wrong beside the branch does not keep commits waiting: the one that puts it right is seen as soon as any other.
func TestAFailingLedgerDelaysNoCommit(t *testing.T) {
	w := world{t, t.TempDir()}
	key, err := remote.GenerateSigner(w.path("reconciler"), "reconciler")
	if err != nil {
		t.Fatal(err)
	}
	w.declares(map[string]string{
		"mainstay.yaml": "apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\nspec:\n  defaults: {model: m}\n" +
			"  ledger: {genesis: " + strings.Repeat("5a", 20) + ", signers: [{name: r, key: " + strconv.Quote(key.AuthorizedKey()) + "}]}\n",
	})
	const interval = 7 * time.Second
	waits := make(chan bool)
	var failed atomic.Bool
	ctx, stop := context.WithCancel(t.Context())
	after := func(d time.Duration) <-chan time.Time {
		now := make(chan time.Time, 1)
		if d != interval { // Something else waits, or a pass that is put off.
			return now
		}
		select {
		case waits <- failed.Load():
			now <- time.Now()
		case <-ctx.Done():
		}
		return now
	}
	all, err := wire(t.Context(), environment{after: after}, wiring{repo: repoFlags{repo: w.path("repo"), ref: "main"}, state: stateFlags{dir: w.path("state")},
		interval: interval, log: slog.New(slog.DiscardHandler), getenv: os.LookupEnv, observe: func(e reconciler.Event) {
			if e.Type == reconciler.Warned && strings.Contains(e.Err.Error(), "follow the actions") {
				failed.Store(true)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- all.Run(ctx) }()
	for passes := 0; passes < 5; {
		select {
		case after := <-waits:
			if after {
				passes++
			}
		case <-time.After(patience):
			stop()
			t.Fatal("a pass after a failing one is put off: ", errors.Join(<-ended, all.close(context.WithoutCancel(ctx))))
		}
	}
	stop()
	if err := errors.Join(<-ended, all.close(t.Context())); err != nil {
		t.Error(err)
	}
}
