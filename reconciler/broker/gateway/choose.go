package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// choose returns who answers in a model's place, by its routes and its split, and by theirs. That they end is checked when they are
// loaded.
func (q *question) choose(m *spec.Model, why string) (*spec.Model, string) {
	for {
		other, because := q.route(m)
		if other == nil {
			other, because = q.share(m)
		}
		if other == nil || other == m {
			return m, why
		}
		if why != "" {
			because = why + ", " + because
		}
		m, why = other, because
	}
}

// route returns the model of the first route that holds, or nil. A condition that cannot be evaluated does not hold.
func (q *question) route(m *spec.Model) (*spec.Model, string) {
	if len(m.Spec.Routes) == 0 {
		return nil, ""
	}
	labels := map[string]any{}
	for name, value := range q.Agent.Labels {
		labels[name] = value
	}
	images := 0
	for _, message := range q.Request.Messages {
		images += len(message.Images)
	}
	vars := map[string]any{"request": map[string]any{
		"agent": string(q.Agent.Name), "images": images, "labels": labels, "task": q.Task, "tokens": q.Request.Bytes() / model.BytesPerToken, "turn": q.Turn,
	}}
	for i, r := range m.Spec.Routes {
		if holds, err := m.Routing[i].Holds(vars); err == nil && holds {
			return m.Other(r.Model), fmt.Sprintf("route %d of %s", i+1, m.Name)
		}
	}
	return nil, ""
}

// share returns the model that a run got of a split, or nil. A run gets the same one each time.
func (q *question) share(m *spec.Model) (*spec.Model, string) {
	sum := 0
	for _, s := range m.Spec.Split {
		sum += s.Weight
	}
	if sum == 0 {
		return nil, ""
	}
	hash := sha256.Sum256([]byte(m.Name + "\x00" + string(q.Run)))
	at := int(binary.BigEndian.Uint64(hash[:8]) % uint64(sum))
	for _, s := range m.Spec.Split {
		if at -= s.Weight; at < 0 {
			return m.Other(s.Model), "split of " + m.Name
		}
	}
	return nil, ""
}
