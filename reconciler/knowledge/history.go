package knowledge

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/reconciler/knowledge/past"
	"github.com/mainstay-dev/mainstay/spec"
)

// Past has the runs of the fleet.
type Past interface {
	// Runs returns the summaries of all runs that are kept, in any order.
	Runs(ctx context.Context) ([]spec.RunSummary, error)
	// Record returns the entries of a run, none where it is not kept any more, and the position of the last one, which is not used.
	Record(ctx context.Context, run spec.RunID) ([]spec.Entry, uint64, error)
}

// maxRuns bounds the runs of a source: the newest are read.
const maxRuns = 50_000

const (
	// restful is how many times longer a history rests than it took to look at it, and maxRest how long it rests at most, where runs end
	// all the time.
	restful = 10
	maxRest = 5 * time.Second
)

// RunsChanged says that a run has ended, waits, or is not kept any more. From the next call of Keep on what reads them is looked at, soon.
func (k *Keeper) RunsChanged() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, one := range k.kept {
		if one.source != nil && one.source.Spec.History != nil && one.failures == 0 {
			one.next, one.again = one.rested, true
		}
	}
}

// rests is how long it is until something is looked at because runs have changed; 0 where nothing is. The caller holds k.mu.
func (k *Keeper) rests() time.Duration {
	var least time.Duration
	for _, one := range k.kept {
		if rest := one.next.Sub(k.opts.Now()); one.again && one.failures == 0 && rest > 0 && (least == 0 || rest < least) {
			least = rest
		}
	}
	return least
}

// Origin says which run a document is about, and which sources that had read; "" where it is about none.
func (*Keeper) Origin(f kb.File) (run spec.RunID, read []string) { return past.Origin(f) }

// history brings the source to the runs that are kept. Of one that is known already only the summary is read.
func (j *job) history(ctx context.Context, h *spec.KnowledgeHistory) error {
	if !j.opts.Own && j.shares() {
		return nil
	}
	runs, done, err := j.pastRuns(ctx, h)
	if err != nil {
		return err
	}
	defer done()
	files, err := j.engine.Files(ctx, j.source.Name)
	if err != nil {
		return indexError{err}
	}
	// gone is what the engine has and has not been met again, and of the files that it has of each run.
	gone, of := map[string]kb.File{}, map[spec.RunID][]kb.File{}
	for _, f := range files {
		gone[f.Path] = f
		of[past.RunOf(f.Path)] = append(of[past.RunOf(f.Path)], f)
	}
	u := j.update(j.opts.Now().UTC().Format("2006-01-02T15:04:05Z"))
	// Where the source was declared as it is now, what the engine has of a run is all there is of it. Where nothing else is to be done,
	// as to make vectors that could not be made then, what differs is an update.
	same := j.was != "" && j.was == j.selected(commitOf(j.was))
	alike := same || strings.HasPrefix(j.was, j.selected(commitOf(j.was))+" ")
	if same {
		u.From, u.Progress = j.was, nil
	}
	made, size := map[string]kb.Document{}, 0
	byID := map[spec.RunID]spec.RunSummary{}
	for _, run := range runs {
		byID[run.Run] = run
		if f := past.File(run, h); alike && run.Outcome != nil && gone[f.Path].Blob == f.Blob {
			for _, f := range of[run.Run] {
				delete(gone, f.Path)
				if !same {
					u.Put = append(u.Put, f)
				}
			}
			continue
		}
		items, err := j.pastItems(ctx, run, h)
		if err != nil {
			return err
		}
		for _, i := range items {
			had := gone[i.File.Path].Blob == i.File.Blob
			delete(gone, i.File.Path)
			if had && same {
				continue
			}
			u.Put = append(u.Put, i.File)
			if had || size > maxKept { // It is not read, or once more when it is taken in.
				continue
			}
			d, err := i.Document(ctx, j.cut())
			if err != nil {
				return err
			}
			made[i.File.Path] = d
			for _, c := range d.Chunks {
				size += len(c.Text)
			}
		}
	}
	if same {
		u.Removed = slices.Sorted(maps.Keys(gone))
		if len(u.Put) == 0 && len(u.Removed) == 0 {
			return nil
		}
	}
	u.Read = func(ctx context.Context, f kb.File) (kb.Document, error) {
		if d, ok := made[f.Path]; ok {
			return d, nil
		}
		items, err := j.pastItems(ctx, byID[past.RunOf(f.Path)], h)
		if err != nil {
			return kb.Document{}, err
		}
		for _, i := range items {
			if i.File.Path == f.Path && i.File.Blob == f.Blob {
				return i.Document(ctx, j.cut())
			}
		}
		return kb.Document{}, unavailable{fmt.Errorf("%s is not kept any more", f.Path)}
	}
	return j.write(ctx, u)
}

// shares reports whether the engine is one that other processes write to.
func (k *Keeper) shares() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.in != nil
}

// pastRuns are the runs that the source is about: those that have ended, and those that wait. Until done is called their records can be
// read.
func (j *job) pastRuns(ctx context.Context, h *spec.KnowledgeHistory) (runs []spec.RunSummary, done func(), err error) {
	j.past, done, err = j.opts.Past(ctx)
	if err != nil {
		return nil, nil, unavailable{fmt.Errorf("the runs of the fleet cannot be read: %w", err)}
	}
	if j.past == nil {
		return nil, done, nil
	}
	all, err := j.past.Runs(ctx)
	if err != nil {
		done()
		return nil, nil, unavailable{fmt.Errorf("the runs of the fleet cannot be listed: %w", err)}
	}
	oldest := j.opts.Now().Add(-time.Duration(h.Since))
	all = slices.DeleteFunc(all, func(r spec.RunSummary) bool {
		return !h.Of(r.Agent) || r.Outcome == nil && len(r.Waiting) == 0 || r.Outcome != nil && h.Since > 0 && r.Updated.Before(oldest)
	})
	slices.SortFunc(all, func(a, b spec.RunSummary) int { return cmp.Or(b.Updated.Compare(a.Updated), cmp.Compare(b.Run, a.Run)) })
	return all[:min(len(all), maxRuns)], done, nil
}

// pastItems are the documents of a run: none of one that is not kept any more.
func (j *job) pastItems(ctx context.Context, run spec.RunSummary, h *spec.KnowledgeHistory) ([]past.Item, error) {
	if run.Outcome == nil {
		return past.Of(nil, run, h), nil
	}
	entries, _, err := j.past.Record(ctx, run.Run)
	if err != nil {
		return nil, unavailable{fmt.Errorf("the record of run %s cannot be read: %w", run.Run, err)}
	}
	if len(entries) == 0 {
		return nil, nil
	}
	return past.Of(entries, run, h), nil
}
