package reconciler

import (
	"context"
	"errors"
	"sync"

	"github.com/mainstay-dev/mainstay/reconciler/broker/tool"
	"github.com/mainstay-dev/mainstay/spec"
)

// checkModels asks for the digest of every model that is pinned, unless it was the right one before. A model whose server
// cannot be asked is looked at again in the next pass; whoever asks it finds out by himself.
func (r *Reconciler) checkModels(ctx context.Context) {
	fleet := r.current()
	if fleet == nil || fleet.Lock == nil {
		return
	}
	var wg sync.WaitGroup
	for _, m := range fleet.Models {
		r.mu.Lock()
		err, checked := r.modelErrs[m.Digest]
		r.mu.Unlock()
		if checked && err == nil || m.Pin == "" {
			continue
		}
		wg.Go(func() {
			err := r.parts.Models.CheckPin(ctx, m, fleet.Lock)
			if ctx.Err() != nil || err != nil && !tool.IsMismatch(err) {
				return
			}
			r.mu.Lock()
			r.modelErrs[m.Digest] = err
			r.mu.Unlock()
			r.tellMismatch(m.Ref, err)
		})
	}
	wg.Wait()
}

// tellMismatch tells once that something is not what the lock pins.
func (r *Reconciler) tellMismatch(ref spec.Ref, err error) {
	if !tool.IsMismatch(err) {
		err = nil
	}
	r.tellChange("lock "+ref.String(), err, Warned)
}

// refused says why one of the resources is not what the lock pins, or nil. The caller holds r.mu.
func (r *Reconciler) refused(refs ...spec.Ref) error {
	for _, ref := range refs {
		var err error
		switch ref.Kind {
		case spec.KindToolServer:
			if server := r.fleet.Servers[ref.Name]; server != nil {
				err = r.serverErrs[server.Digest]
			}
		case spec.KindModel:
			if m := r.fleet.Models[ref.Name]; m != nil {
				err = r.modelErrs[m.Digest]
			}
		}
		if mismatch, ok := errors.AsType[*spec.LockMismatch](err); ok {
			return mismatch
		}
	}
	return nil
}
