package repair

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
)

// Hold is a text that comes in pieces, of which it gives on what is no tool call, whatever follows. What may be the beginning of one is
// held back until that is known: a few characters at the beginning of a line, or all that follows a marker. It is for one goroutine.
type Hold struct {
	out func(string)
	// open says that there may be calls, and whole that they may be JSON without a marker.
	open, whole bool
	// given is how many bytes were given on.
	given int
	held  string
	// after is what follows held once a call has begun: it is long, and only put away.
	after strings.Builder
	// stuck says that a call has begun, first that nothing but blanks has come, fresh that a line begins.
	stuck, first, fresh, thinking bool
	// tail is the end of what was given on, in which the thoughts may end.
	tail string
}

// NewHold returns a Hold of the answer to a request.
func NewHold(r model.Request, out func(string)) *Hold {
	return &Hold{out: out, open: len(r.Tools) > 0, whole: len(r.OutputSchema) == 0, first: true, fresh: true}
}

// Write takes the next piece, and reports whether it has given something on.
func (h *Hold) Write(piece string) bool {
	if h.stuck {
		h.after.WriteString(piece)
		return false
	}
	before := h.given
	h.held += piece
	for h.held != "" && !h.stuck && h.step() {
	}
	if len(h.held) > maxUndecided {
		h.stuck = true
	}
	return h.given > before
}

// maxUndecided is how long a beginning may be, in bytes, before it is put away with all that follows: it is looked at again with each
// piece.
const maxUndecided = 4 << 10

// Close gives on what is held, up to so many bytes of the whole text. It may not be valid UTF-8.
func (h *Hold) Close(upTo int) {
	h.held += h.after.String()
	h.after.Reset()
	if n := min(upTo-h.given, len(h.held)); n > 0 {
		h.give(n)
	}
	h.held = ""
}

func (h *Hold) give(n int) {
	piece := h.held[:n]
	h.held = strings.Clone(h.held[n:])
	h.given += n
	h.tail += piece
	h.tail = h.tail[max(len(h.tail)-len(thinkEnds), 0):]
	h.out(strings.ToValidUTF8(piece, "\uFFFD"))
}

// step decides about the next part of what is held. It reports false where more has to come first.
func (h *Hold) step() bool {
	if !h.open {
		return h.pass(len(h.held))
	}
	if h.first {
		switch h.opening(strings.TrimLeft(h.held, blanks)) {
		case maybe:
			return false
		case yes:
			h.stuck = true
			return false
		}
		h.first = false
	}
	if h.fresh && !h.thinking {
		line := strings.TrimLeft(h.held, blanks)
		for _, m := range markers {
			if strings.HasPrefix(line, m) {
				h.stuck = true
				return false
			}
			if strings.HasPrefix(m, line) {
				return false
			}
		}
	}
	end := len(h.held)
	if i := strings.IndexByte(h.held, '\n'); i >= 0 {
		end = i + 1
	}
	if h.thinking {
		if i := strings.Index(h.tail+h.held, thinkEnds); i >= 0 && i+len(thinkEnds)-len(h.tail) <= end {
			h.thinking, h.first = false, true
			h.give(i + len(thinkEnds) - len(h.tail))
			h.fresh = true
			return true
		}
	}
	h.fresh = h.held[end-1] == '\n'
	return h.pass(end)
}

// pass gives on whole characters of what is held, and reports whether there were any.
func (h *Hold) pass(n int) bool {
	for i := n - 1; n == len(h.held) && i >= max(n-utf8.UTFMax+1, 0); i-- {
		if utf8.RuneStart(h.held[i]) {
			if !utf8.FullRuneInString(h.held[i:n]) {
				n = i
			}
			break
		}
	}
	if n <= 0 {
		return false
	}
	h.give(n)
	return true
}

// verdict says whether a text begins as a call does.
type verdict int

const (
	no verdict = iota
	maybe
	yes
)

// opening judges the beginning of the text, after blanks.
func (h *Hold) opening(text string) verdict {
	switch {
	case text == "":
		return maybe
	case strings.HasPrefix(text, thinkBegins) && h.given == 0:
		h.thinking = true
		return no
	case strings.HasPrefix(thinkBegins, text) && h.given == 0:
		return maybe
	case !h.whole:
		return no
	case strings.HasPrefix("```", text):
		return maybe
	case strings.HasPrefix(text, "```"):
		info, rest, ended := strings.Cut(text[3:], "\n")
		language := strings.TrimSpace(info)
		switch {
		case ended && slices.Contains(fences, language):
			return opensCall(rest)
		case !ended && slices.ContainsFunc(fences, func(f string) bool { return strings.HasPrefix(f, language) }):
			return maybe
		}
		return no
	}
	return opensCall(text)
}

// opensCall says whether a text begins as JSON of a call, or of a list of calls.
func opensCall(text string) verdict {
	text = strings.TrimLeft(text, blanks)
	if strings.HasPrefix(text, "[") {
		text = strings.TrimLeft(text[1:], blanks)
	}
	if text == "" {
		return maybe
	}
	if text[0] != '{' {
		return no
	}
	text = strings.TrimLeft(text[1:], blanks)
	if text == "" {
		return maybe
	}
	if text[0] != '"' {
		return no
	}
	key, _, ended := strings.Cut(text[1:], `"`)
	switch {
	case ended && slices.Contains(callKeys, key):
		return yes
	case !ended && slices.ContainsFunc(callKeys, func(k string) bool { return strings.HasPrefix(k, key) }):
		return maybe
	}
	return no
}
