package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/notify"
	"github.com/mainstay-dev/mainstay/reconciler/source"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// outbox keeps in the store what webhooks have not been told yet.
type outbox struct{ *store.Store }

func (o outbox) Get(ctx context.Context, name string) ([]byte, error) {
	value, err := o.Store.Get(ctx, "notify/"+name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return value, err
}

func (o outbox) Put(ctx context.Context, name string, value []byte) error {
	return o.Store.Put(ctx, "notify/"+name, value)
}

// openNotifier makes what tells webhooks.
func (r *Reconciler) openNotifier() {
	r.notifier = notify.New(notify.Options{
		Store: outbox{r.parts.Store}, Secret: r.parts.Reveal, Hide: r.broker.Redactor().Text, Failed: r.warn,
		Backoff: source.Backoff{Interval: time.Second, Random: r.fraction}.Delay, Now: r.opts.Now, After: r.opts.After,
	})
}

// notify tells the webhooks that the fleet declares of an event. What has the same key is the same event.
func (r *Reconciler) notify(e notify.Event, key string) {
	r.mu.Lock()
	fleet := r.fleet
	if fleet != nil {
		e.Fleet, e.Revision = fleet.Name, cmp.Or(e.Revision, r.applied)
	}
	r.mu.Unlock()
	if fleet == nil || len(fleet.Notify) == 0 || r.notifier == nil {
		return
	}
	e.At = r.opts.Now().UTC()
	r.notifier.Tell(context.Background(), e.Key(key))
}

// notifyEvent tells webhooks of what happens in runs and on the branch. Actions are told by notifyAction.
func (r *Reconciler) notifyEvent(e Event) {
	about := notify.Event{Agent: e.Task.Agent, Run: e.Run, Message: e.Text}
	switch e.Type {
	case RunWaiting:
		about.Event, about.Message = spec.EventRunWaiting, "it waits for "+e.Text
		r.notify(about, string(e.Run)+" "+e.At.UTC().Format(time.RFC3339Nano))
	case RunFinished:
		if e.Outcome.Phase == spec.PhaseFailed {
			about.Event, about.State, about.Message, about.Proposal = spec.EventRunFailed, e.Outcome.Reason, e.Outcome.Message, e.Outcome.Escalated
			r.notify(about, string(e.Run))
		}
	case Proposed:
		about.Event, about.Message, about.Proposal, about.Action = spec.EventProposalOpened, e.Proposal.Title, e.Proposal.Key, e.Proposal.Action
		r.notify(about, string(e.Run)+" "+string(e.Proposal.Key)+" "+e.Proposal.At.UTC().Format(time.RFC3339Nano))
	case RevisionBroken:
		about.Event, about.Revision = spec.EventRevisionBroken, e.Revision
		if len(e.Problems) > 0 {
			about.Message = count(len(e.Problems), "problem") + ", first " + e.Problems[0].String()
		}
		r.notify(about, string(e.Revision))
	case RevisionHeld:
		about.Event, about.Revision, about.Message = spec.EventRevisionHeld, e.Revision, e.Err.Error()
		r.notify(about, string(e.Revision))
	case SourceFailed:
		about.Event, about.Message = spec.EventSourceFailed, e.Err.Error()
		r.notify(about, e.At.UTC().Format(time.RFC3339Nano))
	}
}

// notifyAction tells webhooks where an Action stands now, if it waits or is settled.
func (r *Reconciler) notifyAction(action *spec.Action, s execute.State, before execute.Phase) {
	asked := action.Spec.Evidence
	about := notify.Event{Agent: asked.Agent, Run: asked.Run, Action: action.ID, State: cmp.Or(s.Reason, string(s.State)), Message: s.Message}
	switch s.State {
	case execute.Waiting:
		about.Event = spec.EventActionWaiting
	case execute.Unknown:
		about.Event = spec.EventActionUnknown
	case execute.Failed, execute.Refused, execute.Expired, execute.Abandoned:
		about.Event = spec.EventActionFailed
	case execute.Done:
		if before == "" {
			return // It was done before this process looked.
		}
		about.Event, about.Message = spec.EventActionDone, cmp.Or(s.Message, "it was executed, and the receipt is in the ledger: "+action.Spec.Summary)
	default:
		return
	}
	r.notify(about, string(action.ID)+" "+string(s.State)+" "+s.Reason)
}

// flushTime is how long a command that is to end waits until webhooks have been told, all of them together.
const flushTime = 3 * time.Second

// flush waits until webhooks have been told, or have failed, for as long as its patience lasts. What they have not taken stays in
// the store, and a person is told of it.
func (r *Reconciler) flush(ctx context.Context) {
	const step = 50 * time.Millisecond
	for range int(flushTime / step) {
		if !slices.ContainsFunc(r.notifier.Left(), func(l notify.Left) bool { return !l.Failed }) {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-r.opts.After(step):
		}
	}
	for _, l := range r.notifier.Left() {
		r.warn(fmt.Errorf("notify %s: %s not delivered (%s): the next process with this state folder sends them, and without the folder they are lost",
			l.Webhook, count(len(l.Events), "event"), strings.Join(l.Events, ", ")))
	}
}
