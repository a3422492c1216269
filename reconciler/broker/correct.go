package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/broker/repair"
	"github.com/mainstay-dev/mainstay/spec"
)

const (
	// maxCorrections is how often a model is asked again whose answer is of no use.
	maxCorrections = 2
	// maxReminded bounds what a model is reminded of what it said, in bytes.
	maxReminded = 2000
)

// useful asks a model, and again where its answer is of no use: what it is told then is no part of the agent's conversation. The
// tokens of all its answers count, also beside an error. A scripted model and a replay are taken at their word, for they would say the
// same again.
func (b *Broker) useful(ctx context.Context, m *spec.Model, request model.Request, delta func(string)) (model.Answer, error) {
	if !model.AsksServer(m) {
		return b.opts.Chat(ctx, m, request, delta)
	}
	var used spec.Usage
	var repaired []string
	asked := request
	open := false // What was shown has not ended its line.
	show := func(piece string) {
		if piece != "" {
			open = !strings.HasSuffix(piece, "\n")
		}
		delta(piece)
	}
	for n := 0; ; n++ {
		got, problem, err := b.chatOnce(ctx, m, asked, show)
		used = used.Add(got.Used)
		if err != nil {
			if e, ok := errors.AsType[*model.Error](err); ok && n > 0 {
				e.Used = used
			}
			return model.Answer{Used: used}, err
		}
		repaired = append(repaired, got.Repaired...)
		if problem == "" {
			got.Used, got.Usage, got.Repaired = used, plugins.Usage{Input: used.Input, Output: used.Output}, repaired
			return got, nil
		}
		if n == maxCorrections {
			return model.Answer{Used: used}, &model.AskError{Model: m.Name, Err: &model.Error{Reason: model.Refused, Used: used,
				Err: fmt.Errorf("its answer is of no use, and it was told so %d times: %s: try another model, or fewer and simpler tools", maxCorrections, problem)}}
		}
		repaired = append(repaired, "it was asked again, because of its answer: "+problem)
		if open {
			show("\n")
		}
		asked.Messages = append(slices.Clip(request.Messages), correction(got.Text, problem)...)
	}
}

// correction is what a model is told about an answer that is of no use.
func correction(said, problem string) []plugins.Message {
	var told []plugins.Message
	if said = strings.TrimSpace(said); said != "" {
		told = append(told, plugins.Message{Role: plugins.RoleAssistant, Text: excerpt(said, maxReminded)})
	}
	return append(told, plugins.Message{Role: plugins.RoleUser, Text: "Your last answer cannot be used: " + problem +
		". Answer again: call a tool in the way you were told to, with arguments that fit its schema, or write your answer as text."})
}

// errRepeats ends an answer that repeats itself.
var errRepeats = errors.New("the answer repeats itself")

// chatOnce asks a model once, and mends what it says. A text that may be a tool call is not given to delta before it is known to be none,
// and a text that repeats itself is not waited for: its tokens are estimated then.
func (b *Broker) chatOnce(ctx context.Context, m *spec.Model, request model.Request, delta func(string)) (model.Answer, string, error) {
	asking, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	var repeats repair.Repeats
	var text strings.Builder
	hold := repair.NewHold(request, delta)
	got, err := b.once(asking, m, request, func(piece string) {
		text.WriteString(piece)
		if !hold.Write(piece) {
			delta("") // Something has come.
		}
		if repeats.Write(piece) {
			leave(errRepeats)
		}
	})
	switch {
	case ctx.Err() == nil && errors.Is(context.Cause(asking), errRepeats):
		got = model.Answer{ModelAnswer: plugins.ModelAnswer{Text: text.String()},
			Used: spec.Usage{Input: request.Bytes() / model.BytesPerToken, Output: text.Len() / model.BytesPerToken}}
		return got, fmt.Sprintf("it repeats itself without end, as in %q", ending(got.Text)), nil
	case err != nil:
		return got, "", err
	}
	whole := len(got.Text)
	got, problem := repair.Answer(got, request)
	if problem == "" { // What is of no use, and was held, is not shown.
		hold.Close(min(whole, len(got.Text)))
	}
	return got, problem, nil
}

// once sends a request. What its answer took is estimated where the server does not say it, as it cannot of one that was cut for its
// length or broke off: then it is returned beside the error.
func (b *Broker) once(ctx context.Context, m *spec.Model, request model.Request, delta func(string)) (model.Answer, error) {
	begun, seen := false, 0
	got, err := b.opts.Chat(ctx, m, request, func(piece string) {
		begun = true
		seen += len(piece)
		delta(piece)
	})
	if err != nil {
		got = model.Answer{}
	}
	if got.Used.Input+got.Used.Output == 0 && model.AsksServer(m) && (err == nil || begun) {
		got.Used = request.Estimate(seen, got)
		got.Usage = plugins.Usage{Input: got.Used.Input, Output: got.Used.Output}
	}
	return got, err
}

// ending is the end of a text, of a few words.
func ending(text string) string {
	const most = 60
	return strings.ToValidUTF8(text[max(len(text)-most, 0):], "")
}
