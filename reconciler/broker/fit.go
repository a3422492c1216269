package broker

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

const (
	// leftOut stands where the result of a tool was.
	leftOut = "(left out, because the conversation is longer than the model reads)"
	// goOn is said to a model after a summary that its own words would follow.
	goOn = "Go on."
	// maxSummaries is how many summaries of parts of runs are kept in memory.
	maxSummaries = 200
)

// chat asks a model, if it is the one that is pinned, and makes the request fit what it reads, as the model declares in spec.context. A
// server that finds it too long all the same, for it knows better than an estimate, is asked once more with half.
func (b *Broker) chat(ctx context.Context, m *spec.Model, request model.Request, delta func(string)) (model.Answer, error) {
	if err := b.checkPin(ctx, m); err != nil {
		return model.Answer{}, &model.AskError{Model: m.Name, Err: err}
	}
	request = b.show(ctx, m, request)
	most := window(m)
	fits, err := b.fit(ctx, m, request, most, delta)
	answer, err := b.ifFits(ctx, m, fits, err, delta)
	if model.ReasonOf(err) == model.ContextExceeded {
		if sent := fits.request.Bytes(); most == 0 || sent < most {
			most = sent
		}
		smaller, its := b.fit(ctx, m, request, most/2, delta)
		fits.used = fits.used.Add(smaller.used)
		if smaller.how != "" && smaller.how != fits.how {
			fits.request, fits.how = smaller.request, smaller.how
			answer, err = b.ifFits(ctx, m, fits, its, delta)
		}
	}
	if err != nil {
		if e, ok := errors.AsType[*model.Error](err); ok && fits.used != (spec.Usage{}) {
			e.Used = answer.Used.Add(fits.used)
		}
		return model.Answer{}, err
	}
	if fits.used != (spec.Usage{}) {
		answer.Used = answer.Used.Add(fits.used)
		answer.Usage = plugins.Usage{Input: answer.Used.Input, Output: answer.Used.Output}
	}
	answer.Compacted = fits.how
	return answer, nil
}

// ifFits asks a model what fits of a request, if nothing has failed and it does. It returns what [Broker.useful] does.
func (b *Broker) ifFits(ctx context.Context, m *spec.Model, fits fit, failed error, delta func(string)) (model.Answer, error) {
	if failed == nil {
		failed = checkSize(m, fits.request)
	}
	if failed != nil {
		if _, named := errors.AsType[*model.AskError](failed); !named && ctx.Err() == nil {
			failed = &model.AskError{Model: m.Name, Err: failed}
		}
		return model.Answer{}, failed
	}
	return b.useful(ctx, m, fits.request, delta)
}

// fit is what has become of a request. how says what was done to it, or "".
type fit struct {
	request model.Request
	how     string
	used    spec.Usage
}

// fit makes a request fit so many bytes, as the model declares. With 0 it stays, and what cannot be made to fit stays too long.
func (b *Broker) fit(ctx context.Context, m *spec.Model, r model.Request, most int, delta func(string)) (fit, error) {
	if most == 0 || r.Bytes() <= most || r.Instructions == summaryInstructions { // A summary is made of what was cut already.
		return fit{request: r}, nil
	}
	switch compactBy(m) {
	case spec.CompactDropToolResults:
		return dropResults(r, most), nil
	case spec.CompactSummarize:
		return b.summarized(ctx, m, r, most, delta)
	}
	return fit{request: r}, nil
}

// dropResults leaves out the oldest results of tools until the request fits. What the model has not answered to yet stays.
func dropResults(r model.Request, most int) fit {
	n, answered, dropped := r.Bytes(), 0, 0
	for i, message := range r.Messages {
		if message.Role == plugins.RoleAssistant {
			answered = i
		}
	}
	r.Messages = slices.Clone(r.Messages)
	for i := 0; i < answered && n > most; i++ {
		if message := &r.Messages[i]; message.Role == plugins.RoleTool && (len(message.Text) > len(leftOut) || len(message.Images) > 0) {
			n -= len(message.Text) - len(leftOut) + len(message.Images)*model.PerImage
			message.Text, message.Images = leftOut, nil
			dropped++
		}
	}
	if dropped == 0 {
		return fit{request: r}
	}
	return fit{request: r, how: fmt.Sprintf("the oldest results of tools are left out: %d", dropped)}
}

// part is the beginning of a conversation: the messages before one that is no tool's.
type part struct {
	end int
	key [sha256.Size]byte
}

// parts lists the beginnings of a conversation for a model that can be summarized, the shortest one first: what answers to the calls of a
// message stays with it.
func parts(m *spec.Model, messages []plugins.Message) ([]part, error) {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\x00%s\x00", m.Name, m.Digest)
	var all []part
	for i, message := range messages {
		if i > 0 && message.Role != plugins.RoleTool {
			all = append(all, part{i, [sha256.Size]byte(hash.Sum(nil))})
		}
		raw, err := json.Marshal(message)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(hash, "%d\x00%s", len(raw), raw)
	}
	return all, nil
}

// summarized puts a summary in place of the oldest messages, if the request is too long: the last one that was made, as far as it
// suffices, or else one of that and of what has come since, after which half of the room is free. Summaries are kept in memory. The last
// thing that the user said stays in his own words.
func (b *Broker) summarized(ctx context.Context, m *spec.Model, r model.Request, most int, delta func(string)) (fit, error) {
	bare := r
	bare.Messages = nil
	room := most - bare.Bytes()
	all, err := parts(m, r.Messages)
	if err != nil || room <= 0 || len(all) == 0 {
		return fit{request: r}, err
	}
	with := func(p part, summary string) fit {
		r := r
		r.Messages = append(opening(r.Messages, p.end, summary, room/8), r.Messages[p.end:]...)
		return fit{request: r, how: fmt.Sprintf("the oldest messages are a summary: %d", p.end)}
	}
	base, summary := part{}, ""
	for _, p := range slices.Backward(all) {
		if known, ok := b.summaries.Get(p.key); ok {
			base, summary = p, known
			break
		}
	}
	if kept := with(base, summary); base.end > 0 && kept.request.Bytes() <= most {
		return kept, nil
	}
	cut := all[len(all)-1]
	tail := model.Request{Messages: r.Messages[cut.end:]}.Bytes()
	for i := len(all) - 2; i >= 0 && all[i].end > base.end; i-- {
		if tail += (model.Request{Messages: r.Messages[all[i].end:all[i+1].end]}).Bytes(); tail > room/2 {
			break
		}
		cut = all[i]
	}
	if cut.end <= base.end {
		return with(base, summary), nil
	}
	material := make([]spec.ThreadMessage, 0, cut.end)
	if summary != "" {
		material = append(material, spec.ThreadMessage{Role: plugins.RoleAssistant, Text: summary})
	}
	for _, message := range r.Messages[base.end:cut.end] {
		material = append(material, told(message))
	}
	raw, err := json.Marshal(excerpts(material, room/4*3))
	if err != nil {
		return fit{request: r}, err
	}
	got, err := b.once(ctx, m, model.Request{
		Instructions: summaryInstructions, Messages: []plugins.Message{{Role: plugins.RoleUser, Text: string(raw)}},
	}, func(string) { delta("") }) // It is no answer, but a sign of life.
	if err != nil {
		return fit{request: r}, err
	}
	if summary = excerpt(strings.TrimSpace(got.Text), room/4); summary == "" {
		return fit{request: r, used: got.Used}, &model.Error{Reason: model.ContextExceeded, Err: errors.New(
			"the conversation is longer than the model reads, and asked for a summary of it the model wrote nothing: raise spec.context.window, or name a fallback on contextExceeded that reads more")}
	}
	b.summaries.Add(cut.key, summary)
	made := with(cut, summary)
	made.used = got.Used
	return made, nil
}

// opening is what a conversation begins with whose messages until end are summarized.
func opening(messages []plugins.Message, end int, summary string, most int) []plugins.Message {
	begin := []plugins.Message{{Role: plugins.RoleUser, Text: summaryQuestion}, {Role: plugins.RoleAssistant, Text: summary}}
	for _, message := range slices.Backward(messages[:end]) {
		if message.Role == plugins.RoleUser {
			begin[0].Text, begin[0].Images = excerpt(message.Text, most), message.Images
			break
		}
	}
	if messages[end].Role == plugins.RoleAssistant {
		begin = append(begin, plugins.Message{Role: plugins.RoleUser, Text: goOn})
	}
	return begin
}

// told is a message as whoever writes a summary reads it.
func told(m plugins.Message) spec.ThreadMessage {
	t := spec.ThreadMessage{Role: m.Role, Text: m.Text}
	if m.Role == plugins.RoleTool {
		t.Text = m.Tool + " answers: " + m.Text
	}
	for _, call := range m.Calls {
		t.Text = strings.TrimPrefix(t.Text+"\ncalls "+call.Name+" with "+string(call.Arguments), "\n")
	}
	return t
}

// checkSize refuses a request that is longer than what the model reads, where its context declares that: some servers cut such a one
// without a word. Where only num_ctx says it the server is asked, which counts where this estimates. A summary is made of what was cut
// already.
func checkSize(m *spec.Model, r model.Request) error {
	n, most := r.Bytes(), window(m)
	if m.Spec.Context == nil || m.Spec.Context.Window == 0 || n <= most || r.Instructions == summaryInstructions {
		return nil
	}
	hint := fmt.Sprintf("raise spec.context.window of Model/%s, or name a fallback on contextExceeded that reads more", m.Name)
	results := slices.ContainsFunc(r.Messages, func(m plugins.Message) bool { return m.Role == plugins.RoleTool })
	if how := compactBy(m); results && how != spec.CompactDropToolResults && how != spec.CompactSummarize {
		hint = fmt.Sprintf("set spec.context.compact of Model/%s to %s or %s, raise spec.context.window, or name a fallback on contextExceeded that reads more",
			m.Name, spec.CompactSummarize, spec.CompactDropToolResults)
	}
	return &model.Error{Reason: model.ContextExceeded, Err: fmt.Errorf(
		"the conversation with its tools has about %d tokens, and the model reads %d: %s", (n+model.BytesPerToken-1)/model.BytesPerToken, most/model.BytesPerToken, hint)}
}
