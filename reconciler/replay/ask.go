package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/spec"
)

// ask asks the model again. x is what it was asked before in its place, or nil. Where it decides the same, the answer is the
// recorded one, so that what follows can be compared byte by byte.
func (p *player) ask(ctx context.Context, call run.Call, x *run.Exchange) (run.Reply, error) {
	reply, err := p.Ask(ctx, call)
	if err != nil {
		return run.Reply{}, fmt.Errorf("ask the model: %w", err)
	}
	is := saidIn(reply.Answer)
	d := Difference{Exchange: p.Recording.Len() + 1, Lane: call.Request.Lane, Kind: Said, Is: is,
		Text: "the model had come to its end there, and is asked once more."}
	if x != nil {
		if x.Answer == nil {
			d.Was = "nothing: it was never answered"
		} else if d.Was = saidIn(x.Answer); d.Was == is {
			return run.Reply{Answer: x.Answer}, nil
		}
		d.Exchange, d.Text = x.N, "asked again, the model decides otherwise."
	}
	p.differ(d)
	p.afresh[call.Request.Lane] = true
	return reply, nil
}

// saidIn is what a model has decided, as a text.
func saidIn(a *spec.Answer) string {
	if a == nil {
		return ""
	}
	if a.Error != "" {
		return "no answer: " + a.Error
	}
	var said plugins.ModelAnswer
	if json.Unmarshal(a.Body, &said) != nil {
		return string(a.Body)
	}
	var b strings.Builder
	b.WriteString(said.Text)
	for _, c := range said.Calls {
		arguments, err := spec.Canonical(c.Arguments)
		if err != nil {
			arguments = c.Arguments
		}
		fmt.Fprintf(&b, "\ncalls %s %s", c.Name, arguments)
	}
	return strings.TrimPrefix(b.String(), "\n")
}
