package reconciler

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
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
	return ModelStatus{Name: m.Name, Provider: m.Spec.Provider, Model: m.Spec.Name, Has: s.Digest, Made: s.Made, Percent: s.Percent, Conditions: r.resources[m.Ref]}
}

// modelPruned tells that a model was deleted from its server, or why not.
func (r *Reconciler) modelPruned(m *spec.Model, text string, err error) {
	e := Event{Type: ModelPruned, Resource: m.Ref, Text: r.broker.Redactor().Text(text)}
	if err != nil {
		e.Err = errors.New(r.broker.Redactor().Text(err.Error()))
	}
	r.tell(e)
}

// usedFleets are what [Reconciler.pinnedFleets] returns, and tell of what is wrong with them. While everything is suspended nothing is deleted.
func (r *Reconciler) usedFleets(ctx context.Context) ([]*spec.Fleet, error) {
	if why := r.suspendedAny(spec.Ref{Kind: spec.KindFleet}); why != "" {
		return nil, fmt.Errorf("%w: %s", ErrSuspended, why)
	}
	fleets, err := r.pinnedFleets(ctx)
	if err != nil {
		err = fmt.Errorf("no model is pruned: %w", err)
	}
	r.tellChange("models in use", err, Warned)
	return fleets, err
}

// pinnedFleets are the revisions that runs which have not ended are pinned to.
func (r *Reconciler) pinnedFleets(ctx context.Context) ([]*spec.Fleet, error) {
	runs, err := r.parts.Store.Runs(ctx)
	if err != nil {
		return nil, err
	}
	var fleets []*spec.Fleet
	for _, run := range runs {
		if run.Outcome != nil {
			continue
		}
		fleet, err := r.fleetAt(ctx, run.Revision)
		if err != nil {
			return nil, fmt.Errorf("run %s has not ended, and its revision cannot be had: %w", run.Run, err)
		}
		fleets = append(fleets, fleet)
	}
	return fleets, nil
}

// madeModels remembers in the store which models were pulled, or made of files, and where.
type madeModels struct {
	store  *store.Store
	models model.Providers
}

// made is what is kept of a model. References to secrets are kept, and no secret.
type made struct {
	// Resource is the name of the Model that was declared, and Server the address that its endpoint stood for.
	Resource string          `json:"resource"`
	Server   string          `json:"server"`
	Name     string          `json:"name"`
	Endpoint string          `json:"endpoint,omitempty"`
	APIKey   *spec.SecretRef `json:"apiKey,omitempty"`
	Headers  []spec.Header   `json:"headers,omitempty"`
	Digest   spec.Digest     `json:"digest"`
}

// madePart begins the keys of the facts that say what was made.
const madePart = "made-model"

func (s madeModels) key(m *spec.Model) string {
	return fmt.Sprintf("%s/%x", madePart, sha256.Sum256([]byte(s.models.OllamaAt(m)+"\n"+model.WholeName(m.Spec.Name))))
}

// Made returns the digest of a model that was made, or "".
func (s madeModels) Made(ctx context.Context, m *spec.Model) (spec.Digest, error) {
	is, err := s.get(ctx, s.key(m))
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return is.Digest, err
}

func (s madeModels) get(ctx context.Context, key string) (made, error) {
	var is made
	value, err := s.store.Get(ctx, key)
	if err == nil {
		err = json.Unmarshal(value, &is)
	}
	return is, err
}

// Remember keeps a model that was made.
func (s madeModels) Remember(ctx context.Context, m *spec.Model, digest spec.Digest) error {
	value, err := json.Marshal(made{m.Name, s.models.OllamaAt(m), m.Spec.Name, m.Spec.Endpoint, m.Spec.APIKey, m.Spec.Headers, digest})
	if err != nil {
		return err
	}
	return s.store.Put(ctx, s.key(m), value)
}

// All returns what was made, but for what was on another server than the one that OLLAMA_HOST stands for now.
func (s madeModels) All(ctx context.Context) ([]*spec.Model, error) {
	keys, err := s.store.Keys(ctx, madePart)
	if err != nil {
		return nil, err
	}
	var all []*spec.Model
	for _, key := range keys {
		is, err := s.get(ctx, key)
		if err != nil {
			return nil, err
		}
		m := &spec.Model{Resource: spec.Resource{Ref: spec.Ref{Kind: spec.KindModel, Name: is.Resource}}, Pin: is.Digest,
			Spec: spec.ModelSpec{Provider: spec.ProviderOllama, Name: is.Name, Endpoint: is.Endpoint, APIKey: is.APIKey, Headers: is.Headers}}
		if s.models.OllamaAt(m) == is.Server {
			all = append(all, m)
		}
	}
	return all, nil
}

// Forget forgets a model that was made.
func (s madeModels) Forget(ctx context.Context, m *spec.Model) error {
	held, err := s.store.Held(ctx, s.key(m))
	if err != nil {
		return err
	}
	return s.store.Drop(ctx, held)
}
