package reconciler

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/mainstay-dev/mainstay/reconciler/models"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// keepModels has the declared models looked after, beside the pass: gigabytes take their time, and nobody else waits for them.
func (r *Reconciler) keepModels(ctx context.Context) {
	r.mu.Lock()
	fleet, revision := r.fleet, r.applied
	r.mu.Unlock()
	if fleet == nil {
		return
	}
	seen, err := r.parts.Source.At(ctx, revision)
	if err != nil {
		r.tellChange("files of models", fmt.Errorf("read the files of models: %w", err), Warned)
		return
	}
	r.tellChange("files of models", nil, Warned)
	r.keeper.Keep(ctx, fleet, revision, seen.Tree)
}

// modelChanged tells how a model is doing, and has the next pass publish it.
func (r *Reconciler) modelChanged(m *spec.Model, s models.State) {
	e := Event{Type: ModelChanged, Resource: m.Ref, Text: r.broker.Redactor().Text(s.Message)}
	if !s.Working() && s.Reason != models.Present {
		e.Err, e.Text = fmt.Errorf("%s: %s", s.Reason, e.Text), ""
	}
	r.tell(e)
	r.Look()
}

// modelVerdict says how a model of provider ollama is doing; false where there is nothing to say. The caller holds r.mu.
func (r *Reconciler) modelVerdict(res spec.Resource) (verdict, bool) {
	m := r.fleet.Models[res.Name]
	if res.Kind != spec.KindModel || m == nil {
		return verdict{}, false
	}
	s, ok := r.keeper.State(m)
	text := r.broker.Redactor().Text(s.Message)
	switch {
	case !ok:
		return verdict{}, false
	case s.Working():
		return reconciling(s.Reason, text), true
	case s.Reason == models.Present && len(res.DependsOn) == 0:
		return ready(s.Reason, text), true
	case s.Reason == models.Present:
		return verdict{}, false
	}
	return stalled(s.Reason, text), true
}

// modelStatus shows one model. The caller holds r.mu.
func (r *Reconciler) modelStatus(m *spec.Model) ModelStatus {
	s, _ := r.keeper.State(m)
	return ModelStatus{Name: m.Name, Provider: m.Spec.Provider, Model: m.Spec.Name, Has: s.Digest, Percent: s.Percent, Conditions: r.resources[m.Ref]}
}

// madeModels remembers in the store which models were made of files.
type madeModels struct{ store *store.Store }

func madeKey(m *spec.Model) string {
	return fmt.Sprintf("model/made/%x", sha256.Sum256([]byte(m.Spec.Endpoint+"\n"+m.Spec.Name)))
}

// Made returns the digest of a model that was made, or "".
func (s madeModels) Made(ctx context.Context, m *spec.Model) (spec.Digest, error) {
	value, err := s.store.Get(ctx, madeKey(m))
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return spec.Digest(value), err
}

// Remember keeps the digest of a model that was made.
func (s madeModels) Remember(ctx context.Context, m *spec.Model, digest spec.Digest) error {
	return s.store.Put(ctx, madeKey(m), []byte(digest))
}
