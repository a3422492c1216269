package host_test

import (
	"context"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/host"
)

func TestWhatAProcessTakesIsLookedAtByTheClockOfTheHost(t *testing.T) {
	looks, ended := make(chan struct{}), make(chan struct{}, 100)
	h := newHost(t, func(o *host.Options) {
		o.Sleep = func(ctx context.Context, d time.Duration) error {
			if d != host.GuardPause { // between two looks at all processes
				<-ctx.Done()
				return ctx.Err()
			}
			select {
			case looks <- struct{}{}:
				return nil
			case <-ctx.Done():
				ended <- struct{}{}
				return ctx.Err()
			}
		}
	}, "honest")
	start(t, h, agentA)
	s := open(t, h, "exit")
	for range 3 { // As often as the test lets it, and no time passes.
		<-looks
	}
	if _, err := s.Recv(); err == nil {
		t.Fatal("the agent did not exit")
	}
	<-ended // Nobody looks at a process that is gone.
}
