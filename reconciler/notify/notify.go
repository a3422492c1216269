// Package notify tells webhooks what waits and what fails. An event is kept in the store before [Notifier.Tell] returns, and
// stays there until a webhook has taken it or can never take it: so it arrives at least once, also after a restart, and
// always with the same id. Nothing that a webhook does, or does not do, holds anybody up.
//
// It follows no redirect, sends nothing but what is in [Event], and never shows where a webhook is: that may be a secret.
package notify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// The bounds of what is kept.
const (
	maxPending   = 256  // events of one webhook
	maxDelivered = 1000 // ids of events that one webhook has taken, which are not told again
	maxText      = 1000 // characters of a message
)

// maxAge is how long an event is tried.
const maxAge = 24 * time.Hour

// Event is what a webhook is told, as JSON.
type Event struct {
	// ID is the same each time that the event is sent.
	ID string `json:"id"`
	// Event is one of [spec.NotifyEvents].
	Event string    `json:"event"`
	At    time.Time `json:"at"`
	// Fleet names the fleet, Revision what it declared then.
	Fleet    string        `json:"fleet,omitempty"`
	Revision spec.Revision `json:"revision,omitempty"`
	// Agent, Run, Action and Proposal are set where the event is about one.
	Agent    spec.AgentName   `json:"agent,omitempty"`
	Run      spec.RunID       `json:"run,omitempty"`
	Action   spec.ActionID    `json:"action,omitempty"`
	Proposal spec.ProposalKey `json:"proposal,omitempty"`
	// State is one word: the state of an Action, or the reason of a failure. Message is one sentence for people.
	State   string `json:"state,omitempty"`
	Message string `json:"message,omitempty"`
}

// Key gives the event its id: two events of the same kind with the same key are the same event.
func (e Event) Key(key string) Event {
	sum := sha256.Sum256([]byte(e.Event + "\n" + key))
	e.ID = hex.EncodeToString(sum[:16])
	return e
}

// Store keeps what has not been sent yet.
type Store interface {
	// Get returns nil where nothing was kept.
	Get(ctx context.Context, name string) ([]byte, error)
	Put(ctx context.Context, name string, value []byte) error
}

// Options are what [New] needs.
type Options struct {
	Store Store
	// Secret resolves a reference, at the last moment.
	Secret func(ctx context.Context, ref spec.SecretRef) (string, error)
	// Hide takes secrets out of a text.
	Hide func(text string) string
	// Failed is told what needs a person. It must not block.
	Failed func(error)
	// Timeout is how long a webhook has for its answer. Default 10 seconds.
	Timeout time.Duration
	// Backoff is the wait after a number of failures in a row.
	Backoff func(failures int) time.Duration
	Now     func() time.Time
	After   func(time.Duration) <-chan time.Time
}

// Notifier sends events. It is safe for concurrent use.
type Notifier struct {
	opts   Options
	client *http.Client
	wake   chan struct{}

	mu      sync.Mutex
	boxes   map[string]*box
	sinks   []spec.Notification
	sending sync.WaitGroup
}

// box is what is kept of one webhook, by its name.
type box struct {
	Pending   []Event  `json:"pending"`
	Delivered []string `json:"delivered,omitempty"`

	failures int
	due      time.Time
	busy     bool
}

// New returns a notifier. It sends nothing before [Notifier.Run].
func New(opts Options) *Notifier {
	opts.Timeout = cmp.Or(opts.Timeout, sendTime)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	return &Notifier{opts: opts, wake: make(chan struct{}, 1), boxes: map[string]*box{}, client: &http.Client{
		Transport: transport, Timeout: opts.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Accept says which webhooks there are now. What was kept for one that is not there any more is not sent.
func (n *Notifier) Accept(sinks []spec.Notification) {
	n.mu.Lock()
	n.sinks = sinks
	n.mu.Unlock()
	n.look()
}

func (n *Notifier) look() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Tell keeps an event for every webhook that wants it and has not got it before.
func (n *Notifier) Tell(ctx context.Context, e Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e.Message = shorten(spec.Visible(n.opts.Hide(e.Message)))
	for _, sink := range n.sinks {
		if !slices.Contains(sink.Wanted(), e.Event) {
			continue
		}
		b, err := n.box(ctx, sink.Name)
		if err != nil {
			n.opts.Failed(err)
			continue
		}
		known := slices.ContainsFunc(b.Pending, func(p Event) bool { return p.ID == e.ID }) || slices.Contains(b.Delivered, e.ID)
		if known {
			continue
		}
		if len(b.Pending) >= maxPending {
			n.opts.Failed(fmt.Errorf("notify %s: %d events wait for it, and the oldest is dropped: see whether it is reachable", sink.Name, len(b.Pending)))
			b.Pending = b.Pending[1:]
		}
		b.Pending = append(b.Pending, e)
		n.keep(ctx, sink.Name, b)
	}
	n.look()
}

// box returns what is kept of a webhook. The caller holds n.mu.
func (n *Notifier) box(ctx context.Context, name string) (*box, error) {
	if b := n.boxes[name]; b != nil {
		return b, nil
	}
	b := &box{}
	raw, err := n.opts.Store.Get(ctx, name)
	if err == nil && raw != nil {
		err = json.Unmarshal(raw, b)
	}
	if err != nil {
		return nil, fmt.Errorf("notify %s: read what is kept for it: %w", name, err)
	}
	n.boxes[name] = b
	return b, nil
}

// keep writes down what is to be sent. The caller holds n.mu.
func (n *Notifier) keep(ctx context.Context, name string, b *box) {
	raw, err := json.Marshal(b)
	if err == nil {
		err = n.opts.Store.Put(ctx, name, raw)
	}
	if err != nil && ctx.Err() == nil {
		n.opts.Failed(fmt.Errorf("notify %s: keep what is to be sent: %w", name, err))
	}
}

// Run sends what is kept until ctx ends, each webhook's by themselves and in order.
func (n *Notifier) Run(ctx context.Context) error {
	defer n.sending.Wait()
	for {
		var timer <-chan time.Time
		if wait, ok := n.send(ctx); ok {
			timer = n.opts.After(wait)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.wake:
		case <-timer:
		}
	}
}

// send begins to send what is due, and returns the time until something else is, if anything waits for its time.
func (n *Notifier) send(ctx context.Context) (wait time.Duration, waits bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, sink := range n.sinks {
		b, err := n.box(ctx, sink.Name)
		if err != nil || b.busy || len(b.Pending) == 0 {
			continue // Tell has told what cannot be read.
		}
		if left := b.due.Sub(n.opts.Now()); left > 0 {
			if !waits || left < wait {
				wait, waits = left, true
			}
			continue
		}
		b.busy = true
		event := b.Pending[0]
		n.sending.Go(func() {
			delay, err := n.post(ctx, sink, event)
			n.sent(ctx, sink.Name, b, event, delay, err)
		})
	}
	return wait, waits
}

// sent decides what becomes of an event that was sent, or was not.
func (n *Notifier) sent(ctx context.Context, name string, b *box, e Event, delay time.Duration, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer n.look()
	b.busy = false
	if ctx.Err() != nil && err != nil {
		return // It is sent again after the restart.
	}
	_, never := errors.AsType[*refusedError](err)
	never = never || err != nil && n.opts.Now().Sub(e.At) > maxAge
	if err != nil && !never {
		if b.failures++; b.failures == 1 {
			n.opts.Failed(fmt.Errorf("notify %s: %w; it is tried again for %s", name, err, maxAge))
		}
		b.due = n.opts.Now().Add(max(delay, n.opts.Backoff(b.failures)))
		return
	}
	if never {
		n.opts.Failed(fmt.Errorf("notify %s: %w; the event %s is dropped", name, err, e.Event))
	}
	b.failures, b.due = 0, time.Time{}
	b.Pending = slices.DeleteFunc(b.Pending, func(p Event) bool { return p.ID == e.ID })
	if b.Delivered = append(b.Delivered, e.ID); len(b.Delivered) > maxDelivered {
		b.Delivered = slices.Clone(b.Delivered[len(b.Delivered)-maxDelivered:])
	}
	n.keep(context.WithoutCancel(ctx), name, b)
}

// Left is what a webhook has not taken yet.
type Left struct {
	Webhook string
	// Events are their kinds, the oldest first.
	Events []string
	// Failed says that the last try has failed, and that the next one has its time.
	Failed bool
}

// Left returns what is kept, so that a process which is to end knows whether to wait.
func (n *Notifier) Left() []Left {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []Left
	for _, sink := range n.sinks {
		b := n.boxes[sink.Name]
		if b == nil || len(b.Pending) == 0 {
			continue
		}
		l := Left{Webhook: sink.Name, Failed: b.failures > 0 && !b.busy}
		for _, e := range b.Pending {
			l.Events = append(l.Events, e.Event)
		}
		all = append(all, l)
	}
	return all
}

func shorten(text string) string {
	if r := []rune(text); len(r) > maxText {
		return string(r[:maxText-1]) + "…"
	}
	return text
}
