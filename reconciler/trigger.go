package reconciler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/mainstay-dev/mainstay/reconciler/policy"
	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// position is how far a trigger has come: the last revision it looked at, or the last time it was due.
type position struct {
	Revision spec.Revision `json:"revision,omitempty"`
	At       time.Time     `json:"at"`
}

func positionKey(trigger string) string { return "trigger/" + trigger }

// maxChanged bounds the paths that a task names; the agent can list the rest itself.
const maxChanged = 200

// trigger starts the runs that are due. The run is recorded before the position moves: a crash in between makes the same
// run again, because its id is derived from what started it, and queueing it twice is harmless.
func (r *Reconciler) trigger(ctx context.Context) error {
	r.mu.Lock()
	fleet, revision := r.fleet, r.applied
	r.mu.Unlock()
	if fleet == nil {
		return nil
	}
	var errs []error
	for _, t := range fleet.Triggers {
		if err := r.triggerOne(ctx, fleet, revision, t); err != nil {
			errs = append(errs, fmt.Errorf("trigger %s: %w", t.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (r *Reconciler) triggerOne(ctx context.Context, fleet *spec.Fleet, revision spec.Revision, t *spec.Trigger) error {
	if r.suspendedAny(t.Ref, agentRef(t.Agent)) != "" {
		return nil // What it misses starts one run once it is resumed, as after an outage.
	}
	last, known, err := r.position(ctx, t.Name)
	if err != nil {
		return err
	}
	now := r.opts.Now().UTC()
	next := position{Revision: revision, At: now}
	switch {
	case t.Cron != nil && !known:
		// A schedule that is new is due at its next time, not for all the times that passed before it existed.
	case t.Cron != nil:
		due := t.Cron.Next(last.At)
		if now.Before(due) {
			return nil
		}
		// Times missed while nothing ran are made up for by one run, as cron daemons that catch up do.
		if err := r.startRun(ctx, fleet, revision, t, due, due.Format(time.RFC3339), nil); err != nil {
			return err
		}
	case last.Revision == revision:
		return nil
	default:
		changed, err := r.changedPaths(ctx, last.Revision, revision, t.Paths)
		if err != nil {
			return err
		}
		if len(changed) > 0 {
			at, err := r.commitTime(revision)
			if err != nil {
				return err
			}
			if err := r.startRun(ctx, fleet, revision, t, at, string(revision), changed); err != nil {
				return err
			}
		}
	}
	value, err := json.Marshal(next)
	if err != nil {
		return err
	}
	return r.parts.Store.Put(ctx, positionKey(t.Name), value)
}

func (r *Reconciler) position(ctx context.Context, trigger string) (position, bool, error) {
	var p position
	value, err := r.parts.Store.Get(ctx, positionKey(trigger))
	if errors.Is(err, store.ErrNotFound) {
		return p, false, nil
	}
	if err != nil {
		return p, false, err
	}
	return p, true, json.Unmarshal(value, &p)
}

// changedPaths lists what changed between two revisions and matches a glob. Where the older revision is gone, after a
// force-push, every path counts as changed.
func (r *Reconciler) changedPaths(ctx context.Context, from, to spec.Revision, globs []string) ([]string, error) {
	paths, err := r.parts.Source.Changed(ctx, from, to)
	if err != nil && from != "" {
		paths, err = r.parts.Source.Changed(ctx, "", to)
	}
	if err != nil {
		return nil, err
	}
	var matching []string
	for _, p := range paths {
		for _, glob := range globs {
			if ok, _ := doublestar.Match(glob, p); ok { // Loading has checked the pattern.
				matching = append(matching, p)
				break
			}
		}
	}
	return matching, nil
}

// startRun records and queues a run. Its id is derived from the trigger and from what made it due, so that every
// reconciler of the same branch makes the same run, with the same actions and proposals.
func (r *Reconciler) startRun(ctx context.Context, fleet *spec.Fleet, revision spec.Revision, t *spec.Trigger, at time.Time, cause string, changed []string) error {
	more := ""
	if len(changed) > maxChanged {
		more = fmt.Sprintf("\nand %d more", len(changed)-maxChanged)
		changed = changed[:maxChanged]
	}
	text := strings.NewReplacer("{{ revision }}", string(revision), "{{ changed }}", strings.Join(changed, "\n")+more).Replace(t.Task)
	task := spec.Task{
		Run: run.DerivedID(at, t.Name, cause), Agent: t.Agent, Text: text, Revision: revision,
		Digest: fleet.Agents[t.Agent].Digest, Trigger: t.Name, At: at,
	}
	if err := r.Submit(ctx, task); errors.Is(err, ErrDenied) {
		r.warn(err) // It would be denied in every pass: the trigger has done what it can.
		return nil
	} else if err != nil {
		return err
	}
	return nil
}

// ErrDenied means that a policy does not let a run start.
var ErrDenied = errors.New("denied by policy")

// mayRun asks whether a run may start: its agent is not suspended, and the policies of the newest revision let it.
func (r *Reconciler) mayRun(task spec.Task) error {
	if err := r.mayBegin(task); err != nil {
		return err
	}
	policies, err := r.policies()
	if err != nil {
		return err
	}
	d := policy.DecideRun(policy.Run{Agent: string(task.Agent), Task: task.Text, Trigger: task.Trigger}, policies)
	if d.Decision == spec.DecisionAllow {
		return nil
	}
	reason := ""
	if d.Reason != "" {
		reason = ": " + d.Reason
	}
	return fmt.Errorf("start a run of %s: %w %s%s", task.Agent, ErrDenied, d.Rule, reason)
}

// Submit records a task as a new run and queues it. A run that is already recorded is only queued again, if it is not
// finished. The images are those that the task names, with their data. The error has [ErrDenied] where a policy does not let it start.
func (r *Reconciler) Submit(ctx context.Context, task spec.Task, images ...spec.Image) error {
	entries, _, err := r.parts.Store.Record(ctx, task.Run)
	if err != nil {
		return fmt.Errorf("read record of run %s: %w", task.Run, err)
	}
	if len(entries) == 0 {
		if err := r.mayRun(task); err != nil {
			return err
		}
	}
	summary, err := r.record(ctx, task, images...)
	if err != nil || summary.Outcome != nil {
		return err
	}
	return r.Enqueue(ctx, task)
}

// record records a task as a new run, if it is not recorded yet.
func (r *Reconciler) record(ctx context.Context, task spec.Task, images ...spec.Image) (spec.RunSummary, error) {
	var none spec.RunSummary
	entry := spec.Entry{Type: spec.EntryTask, At: task.At, Task: &task, Images: images}
	if _, err := r.parts.Store.Append(ctx, task.Run, 0, entry); err != nil && !errors.Is(err, store.ErrConflict) {
		return none, fmt.Errorf("record run %s: %w", task.Run, err)
	}
	entries, _, err := r.parts.Store.Record(ctx, task.Run)
	if err != nil {
		return none, fmt.Errorf("read record of run %s: %w", task.Run, err)
	}
	summary := run.Summarize(entries)
	if summary.Outcome != nil {
		return summary, nil
	}
	if err := r.parts.Store.PutRun(ctx, summary); err != nil {
		return none, fmt.Errorf("record run %s: %w", task.Run, err)
	}
	return summary, nil
}

// Enqueue queues a run that is recorded for the workers of this process.
func (r *Reconciler) Enqueue(ctx context.Context, task spec.Task) error {
	if err := r.parts.Store.Enqueue(ctx, task.Run); err != nil {
		return fmt.Errorf("queue run %s: %w", task.Run, err)
	}
	r.tell(Event{Type: RunQueued, Run: task.Run, Task: task})
	return nil
}
