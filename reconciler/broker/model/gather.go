package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

// The ends of a stream that is not read to its own end.
var (
	// errCut ends a stream whose answer has become too long.
	errCut = errors.New("the answer is too long")
	// errUnfinished is a stream that ends before the answer does.
	errUnfinished = errors.New("the server ended the answer before it was complete")
)

// read gives each event of a stream to add, and closes it. An answer that is cut for its length is no error, one that ends
// before done is set is one.
func read[T any](stream interface {
	Next() bool
	Current() T
	Err() error
	Close() error
}, add func(T) error, done *bool) error {
	defer stream.Close()
	for stream.Next() {
		if err := add(stream.Current()); errors.Is(err, errCut) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if err := stream.Err(); err != nil || *done {
		return err
	}
	return errUnfinished
}

// gathering puts an answer together as its pieces come, within the limits.
type gathering struct {
	delta func(string)
	text  strings.Builder
	calls []*gatheredCall
	// arguments counts the bytes of those of all calls.
	arguments int
	// cut says that the answer ended for its length.
	cut bool
}

type gatheredCall struct {
	id, name  string
	arguments strings.Builder
}

// say adds a piece of the text. The error is errCut where there is room for no more.
func (g *gathering) say(piece string) error {
	if !utf8.ValidString(piece) {
		piece = strings.ToValidUTF8(piece, "\uFFFD")
	}
	full := false
	if room := MaxText - g.text.Len(); len(piece) > room {
		piece, full = wholeRunes(piece, room), true
	}
	if piece != "" {
		g.text.WriteString(piece)
		g.delta(piece)
	}
	if full {
		g.cut = true
		return errCut
	}
	return nil
}

// stir says that something has come which is no text, such as a thought.
func (g *gathering) stir() { g.delta("") }

// call begins a tool call.
func (g *gathering) call(id, name string) (*gatheredCall, error) {
	if len(g.calls) == MaxCalls {
		return nil, failed(Refused, "the answer asks for more than %d tool calls, at most %d are allowed", MaxCalls, MaxCalls)
	}
	c := &gatheredCall{id: id, name: name}
	g.calls = append(g.calls, c)
	g.stir()
	return c, nil
}

// argue adds a piece of a call's arguments.
func (g *gathering) argue(c *gatheredCall, piece string) error {
	if g.arguments += len(piece); g.arguments > MaxText {
		return failed(Refused, "the arguments of the answer's tool calls have more than %d bytes, which is the most that is allowed", MaxText)
	}
	c.arguments.WriteString(piece)
	g.stir()
	return nil
}

// answer is what was gathered. Arguments that are no JSON are given on as a string of it, so that those who know the tool
// can say what is wrong; but a call that the answer's end has cut off is left out.
func (g *gathering) answer(used spec.Usage) (Answer, error) {
	a := Answer{ModelAnswer: plugins.ModelAnswer{Text: g.text.String()}}
	for i, c := range g.calls {
		written := strings.TrimSpace(c.arguments.String())
		if written == "" && !g.cut {
			written = "{}" // as some models write it for a tool that takes none
		}
		arguments, err := plugins.Canonical(json.RawMessage(written))
		if err != nil && g.cut && i == len(g.calls)-1 {
			continue
		}
		if err != nil {
			if arguments, err = plugins.Canonical(strings.ToValidUTF8(written, "\uFFFD")); err != nil {
				return Answer{}, fmt.Errorf("arguments of %s: %w", c.name, err)
			}
		}
		a.Calls = append(a.Calls, plugins.ToolUse{Name: strings.ToValidUTF8(c.name, "\uFFFD"), Arguments: arguments})
	}
	a.use(used)
	a.finish()
	if g.cut {
		a.Finish = plugins.FinishLength
	}
	return a, nil
}
