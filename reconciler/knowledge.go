package reconciler

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/mainstay-dev/mainstay/reconciler/knowledge"
	"github.com/mainstay-dev/mainstay/spec"
)

// keepKnowledge has the declared knowledge sources looked after, beside the pass: there may be a hundred thousand documents. While
// everything is suspended nothing new is read.
func (r *Reconciler) keepKnowledge(ctx context.Context) {
	r.mu.Lock()
	fleet, revision := r.fleet, r.applied
	r.mu.Unlock()
	if fleet == nil || r.suspendedAny(spec.Ref{Kind: spec.KindFleet}) != "" {
		return
	}
	r.knowledge.Keep(ctx, fleet, knowledge.Here{Commit: revision.Commit(), History: r.parts.Remote})
}

// hidden is how sources are read with nothing secret told to the models that searches ask: what stands in a document is hidden from an
// agent only once it is found.
func (r *Reconciler) hidden(o knowledge.Options) knowledge.Options {
	ask, embed := o.Ask, o.Embed
	o.Ask = func(ctx context.Context, m *spec.Model, instructions, message string, schema json.RawMessage) (string, error) {
		return ask(ctx, m, instructions, r.broker.Redactor().Text(message), schema)
	}
	o.Embed = func(ctx context.Context, m *spec.Model, texts []string) ([][]float32, error) {
		clean := make([]string, len(texts))
		for i, text := range texts {
			clean[i] = r.broker.Redactor().Text(text)
		}
		return embed(ctx, m, clean)
	}
	return o
}

// settle waits until what goes on beside the passes has come to an end, and gives free what it holds.
func (r *Reconciler) settle() {
	r.keeper.Wait()
	if err := r.knowledge.Close(); err != nil {
		r.warn(fmt.Errorf("close the index of knowledge: %w", err))
	}
}

// knowledgeChanged tells how a source is doing, and has the next pass publish it.
func (r *Reconciler) knowledgeChanged(source spec.Ref, s knowledge.State) {
	e := Event{Type: KnowledgeChanged, Resource: source, Text: r.broker.Redactor().Text(s.Message)}
	if s.Reason != knowledge.Indexed && s.Reason != knowledge.Indexing {
		e.Err, e.Text = fmt.Errorf("%s: %s", s.Reason, e.Text), ""
	}
	r.tell(e)
	r.Look()
}

// knowledgeVerdict says how a source is doing. The caller holds r.mu.
func (r *Reconciler) knowledgeVerdict(res spec.Resource) verdict {
	s, ok := r.knowledge.State(res.Name)
	text := r.broker.Redactor().Text(s.Message)
	switch {
	case !ok:
		return reconciling(knowledge.Indexing, "it has not been looked at yet")
	case s.Reason == knowledge.Indexing:
		return reconciling(s.Reason, text)
	case s.Reason == knowledge.Indexed:
		return ready(s.Reason, text)
	}
	return stalled(s.Reason, text)
}
