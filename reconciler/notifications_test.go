package reconciler

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/notify"
	"github.com/mainstay-dev/mainstay/spec"
)

// nowhere keeps nothing.
type nowhere struct{}

func (nowhere) Get(context.Context, string) ([]byte, error)            { return nil, nil }
func (nowhere) Put(context.Context, string, []byte) error              { return nil }
func (nowhere) text(text string) string                                { return text }
func (nowhere) never(time.Duration) <-chan time.Time                   { return nil }
func (nowhere) secret(context.Context, spec.SecretRef) (string, error) { return "", nil }

// The waits of a command that is to end are counted on its clock, so that the test takes none of them.
func TestACommandThatEndsWaitsForAWebhookThatHangsForAWhileAlone(t *testing.T) {
	asked, hangs := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{}; <-hangs }))
	defer slow.Close()
	defer close(hangs)
	var said []string
	var waited time.Duration
	r := &Reconciler{opts: Options{
		Now:     time.Now,
		Observe: func(e Event) { said = append(said, e.Err.Error()) },
		After: func(d time.Duration) <-chan time.Time {
			waited += d
			fired := make(chan time.Time, 1)
			fired <- time.Time{}
			return fired
		},
	}}
	r.notifier = notify.New(notify.Options{Store: nowhere{}, Secret: nowhere{}.secret, Hide: nowhere{}.text, Failed: func(error) {}, Now: time.Now,
		After: nowhere{}.never, Backoff: func(int) time.Duration { return time.Hour }, Timeout: time.Hour})
	r.notifier.Accept([]spec.Notification{{Name: "slow", URL: slow.URL}})
	r.notifier.Tell(t.Context(), notify.Event{Event: spec.EventRunFailed}.Key("one"))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.notifier.Run(ctx) }()
	<-asked
	r.flush(ctx)
	stop()
	<-ended
	if waited != flushTime || flushTime > 3*time.Second {
		t.Errorf("it waited for %s", waited)
	}
	if len(said) != 1 || !strings.HasPrefix(said[0], "notify slow: 1 event not delivered (run-failed): ") {
		t.Errorf("a person is told %q", said)
	}
}
