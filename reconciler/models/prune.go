package models

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// pruning is how far the deletion of models is that nothing names any more.
type pruning struct {
	// working is true while a goroutine is at it.
	working  bool
	next     time.Time
	failures int
	// told is what was told last of those that cannot be deleted.
	told map[spec.Ref]model.Reason
}

// keepPruned looks beside everything else for models that were got here and that nothing names any more. The caller holds k.mu.
func (k *Keeper) keepPruned(ctx context.Context, fleet *spec.Fleet) {
	if !fleet.Prune || k.opts.Used == nil || k.prune.working || k.opts.Now().Before(k.prune.next) {
		return
	}
	k.prune.working = true
	k.works.Go(func() {
		err := k.pruneAll(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		wait := recheck
		if k.prune.failures++; err == nil {
			k.prune.failures = 0
		} else {
			wait = min(retry<<min(k.prune.failures-1, 10), maxRetry)
		}
		k.prune.working = false
		if k.fleet == fleet {
			k.prune.next = k.opts.Now().Add(wait)
		}
	})
}

// pruneAll deletes what is to be deleted. An error was told, and it is tried again.
func (k *Keeper) pruneAll(ctx context.Context) error {
	all, err := k.opts.Memory.All(ctx)
	all = slices.DeleteFunc(all, func(m *spec.Model) bool { return !k.unnamed(m) })
	if err != nil || len(all) == 0 {
		return err
	}
	used, err := k.opts.Used(ctx)
	if err != nil {
		return err // Whoever knows what is used tells what is wrong.
	}
	var errs []error
	for _, m := range all {
		if slices.ContainsFunc(used, func(f *spec.Fleet) bool { return names(f, m.Spec.Name) }) {
			continue
		}
		text, err := k.pruneOne(ctx, m)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		k.tellPruned(m, text, err)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Prunes reports whether a fleet would have a model deleted that Mainstay got, by its name on the server: where the fleet prunes, and
// no Model of it has that name. Where a Model is served counts for nothing, nor by which provider: two addresses may be those of one
// server, which speaks the protocols of others too.
func Prunes(fleet *spec.Fleet, name string) bool { return fleet.Prune && !names(fleet, name) }

// unnamed reports whether the newest revision would have m deleted.
func (k *Keeper) unnamed(m *spec.Model) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return Prunes(k.fleet, m.Spec.Name)
}

func names(fleet *spec.Fleet, name string) bool {
	for _, m := range fleet.Models {
		if model.SameName(m.Spec.Name, name) {
			return true
		}
	}
	return false
}

// pruneOne deletes a model from its server if that still has the one that was got here, and then forgets it. Where the process
// ends in between, the next look finds it gone.
func (k *Keeper) pruneOne(ctx context.Context, m *spec.Model) (text string, err error) {
	look, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	digest, err := k.opts.Models.Digest(look, m)
	switch {
	case model.ReasonOf(err) == model.Missing:
	case err != nil:
		return "", err
	case digest != m.Pin:
		text = fmt.Sprintf("%s stays on its server, which has another one by now, %s: Mainstay got %s", m.Spec.Name, digest.Short(), m.Pin.Short())
	case !k.unnamed(m):
		return "", nil
	default:
		err := k.opts.Models.Delete(ctx, m)
		if err != nil && model.ReasonOf(err) != model.Missing {
			return "", err
		}
		text = fmt.Sprintf("%s, %s, is deleted from its server, for no Model names it any more", m.Spec.Name, digest.Short())
	}
	return text, k.opts.Memory.Forget(context.WithoutCancel(ctx), m)
}

// tellPruned tells what has become of a model, and why it cannot be deleted only once.
func (k *Keeper) tellPruned(m *spec.Model, text string, err error) {
	var says model.Reason // The words about a server that cannot be reached differ each time.
	if err != nil {
		says = model.ReasonOf(err)
	}
	k.mu.Lock()
	if k.prune.told == nil {
		k.prune.told = map[spec.Ref]model.Reason{}
	}
	old, told := k.prune.told[m.Ref]
	news := !told || old != says
	k.prune.told[m.Ref] = says
	k.mu.Unlock()
	if text != "" || err != nil && news {
		k.opts.Pruned(m, text, err)
	}
}
