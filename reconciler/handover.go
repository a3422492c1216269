package reconciler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/reconciler/shelf"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// openShelf makes the shelf. A record counts if a reconciler that the ledger lists has signed it, or this one.
func (r *Reconciler) openShelf() {
	r.shelf = shelf.New(shelf.Options{
		Remote: r.parts.Remote, Signer: r.parts.Signer, Name: r.opts.Name, Email: r.opts.Email, Now: r.opts.Now,
		Trusted: func() ([]spec.Key, error) {
			keys := []spec.Key{r.parts.Signer.Public(r.opts.Name)}
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.trusted != nil && r.trusted.Ledger != nil {
				keys = append(keys, r.trusted.Ledger.Signers...)
			}
			return keys, nil
		},
	})
}

// takeOver brings the records of waiting runs that another process has left on the remote into the store, and takes those
// off that have finished here.
func (r *Reconciler) takeOver(ctx context.Context) error {
	if r.current() == nil {
		return nil // Without a fleet nobody is trusted yet.
	}
	contents, err := r.shelf.List(ctx)
	if err != nil {
		return err
	}
	for _, sentence := range contents.Ignored {
		r.tellChange("shelf "+sentence, errors.New(sentence), Warned)
	}
	var finished, queued []spec.RunID
	for _, id := range contents.Runs {
		summary, fresh, err := r.takeOverRun(ctx, id)
		if err != nil {
			return fmt.Errorf("take over run %s: %w", id, err)
		}
		switch {
		case summary.Outcome != nil:
			finished = append(finished, id)
		case fresh && summary.Phase != spec.PhaseWaiting:
			queued = append(queued, id)
		}
	}
	// Only now, because whoever works on a run looks at the runs above and beneath it.
	for _, id := range queued {
		if err := r.parts.Store.Enqueue(ctx, id); err != nil {
			return err
		}
	}
	for name, p := range contents.Triggers {
		if _, known, err := r.position(ctx, name); err != nil || known {
			if err != nil {
				return err
			}
			continue
		}
		value, err := json.Marshal(position(p))
		if err != nil {
			return err
		}
		if err := r.parts.Store.Put(ctx, positionKey(name), value); err != nil {
			return err
		}
	}
	if len(finished) == 0 {
		return nil
	}
	return r.shelf.Sync(ctx, shelf.Changes{Remove: finished})
}

// takeOverRun completes a run's record from the shelf's, and returns its summary, and whether it was not here. A record that is longer here has gone
// on since; a crash in the middle of the copy leaves a shorter one, which is completed the next time.
func (r *Reconciler) takeOverRun(ctx context.Context, id spec.RunID) (summary spec.RunSummary, fresh bool, err error) {
	summary, err = r.parts.Store.GetRun(ctx, id)
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return summary, false, err
	}
	entries, err := r.shelf.Get(ctx, id)
	if err != nil {
		return summary, false, err
	}
	kept, last, err := r.parts.Store.Record(ctx, id)
	if err != nil {
		return summary, false, err
	}
	for i := len(kept); i < len(entries); i++ {
		if last, err = r.parts.Store.Append(ctx, id, last, entries[i]); err != nil {
			return summary, false, err
		}
	}
	summary = run.Summarize(entries)
	return summary, true, r.parts.Store.PutRun(ctx, summary)
}

// handOver leaves the records of waiting runs, and how far the triggers have come, on the remote.
func (r *Reconciler) handOver(ctx context.Context) error {
	runs, err := r.parts.Store.Runs(ctx)
	if err != nil {
		return err
	}
	changes := shelf.Changes{Put: map[spec.RunID][]spec.Entry{}, Triggers: map[string]shelf.Position{}}
	for _, summary := range runs {
		if summary.Outcome != nil {
			changes.Remove = append(changes.Remove, summary.Run)
			continue
		}
		entries, _, err := r.parts.Store.Record(ctx, summary.Run)
		if err != nil {
			return err
		}
		changes.Put[summary.Run] = entries
	}
	if fleet := r.current(); fleet != nil {
		for _, t := range fleet.Triggers {
			p, known, err := r.position(ctx, t.Name)
			if err != nil {
				return err
			}
			if known {
				changes.Triggers[t.Name] = shelf.Position(p)
			}
		}
	}
	if err := r.shelf.Sync(ctx, changes); err != nil {
		return fmt.Errorf("leave waiting runs (%s) on %s: %w", joinRuns(changes.Put), shelf.Branch, err)
	}
	return nil
}

func joinRuns(runs map[spec.RunID][]spec.Entry) string {
	return fmt.Sprint(slices.Sorted(maps.Keys(runs)))
}
