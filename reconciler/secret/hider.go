package secret

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Redacted stands where a secret was.
const Redacted = "[redacted]"

// Hider takes secrets out of texts, in each form that programs write them in: as they are, without the blanks around them,
// escaped as in JSON, Go, Python and HTML, percent-encoded and in base64, and each line of at least 16 bytes of those that
// have several. It is safe for concurrent use.
type Hider struct {
	least int
	// forms are all forms by their first least bytes, the longest first.
	forms map[string][]string
	// first says which bytes a form begins with.
	first [256]bool
	// numbers are the secrets that are numbers: as a number one may be written in many ways.
	numbers map[float64]bool
}

// NewHider returns a Hider of secrets. What is shorter than least bytes, of which there is at least one, is left alone.
func NewHider(secrets []string, least int) *Hider {
	h := &Hider{least: least, forms: map[string][]string{}, numbers: map[float64]bool{}}
	for _, value := range secrets {
		for _, form := range forms(value) {
			if len(form) >= least {
				h.forms[form[:least]] = append(h.forms[form[:least]], form)
				h.first[form[0]] = true
			}
		}
		if n, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil && len(inFull(n)) >= least {
			h.numbers[n] = true
		}
	}
	for key, group := range h.forms {
		slices.SortFunc(group, func(a, b string) int { return len(b) - len(a) })
		h.forms[key] = slices.Compact(group)
	}
	return h
}

// Text returns text without secrets. Where secrets overlap all of them are gone.
func (h *Hider) Text(text string) string {
	if !h.Holds(text) {
		return text
	}
	s := scanner{hider: h}
	return s.scan(text, true)
}

// Holds reports whether text holds a secret.
func (h *Hider) Holds(text string) bool {
	for i := range len(text) - h.least + 1 {
		if found, _ := h.at(text[i:], true); found > 0 {
			return true
		}
	}
	return false
}

// Error returns an error without secrets in its text, that unwraps to err; it is err itself where there are none.
func (h *Hider) Error(err error) error {
	if err == nil || !h.Holds(err.Error()) {
		return err
	}
	return &cleanError{h.Text(err.Error()), err}
}

// cleanError is an error whose text is another.
type cleanError struct {
	text string
	err  error
}

func (c *cleanError) Error() string { return c.text }

func (c *cleanError) Unwrap() error { return c.err }

// Value returns a JSON value (maps, slices, strings, numbers and so on) without secrets, in keys as in strings. A number that
// is or holds one becomes a string. What it changes is a copy.
func (h *Hider) Value(value any) any {
	switch v := value.(type) {
	case string:
		return h.Text(v)
	case json.Number:
		n, err := v.Float64()
		if err == nil && h.numbers[n] || h.Holds(v.String()) {
			return Redacted
		}
	case float64:
		if h.numbers[v] || h.Holds(inFull(v)) {
			return Redacted
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[h.Text(key)] = h.Value(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = h.Value(item)
		}
		return out
	}
	return value
}

// inFull is a number without an exponent.
func inFull(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// at returns the length of the longest form at the beginning of text, and whether text may be the beginning of a longer
// one, unless nothing follows it.
func (h *Hider) at(text string, last bool) (found int, open bool) {
	if !h.first[text[0]] {
		return 0, false
	}
	if len(text) < h.least {
		if !last {
			for key := range h.forms {
				if strings.HasPrefix(key, text) {
					return 0, true
				}
			}
		}
		return 0, false
	}
	for _, form := range h.forms[text[:h.least]] {
		switch {
		case strings.HasPrefix(text, form):
			return len(form), open
		case !last && strings.HasPrefix(form, text):
			open = true
		}
	}
	return 0, open
}

// Stream takes secrets out of a text that comes in pieces. It holds back what may be the beginning of one, which is always
// shorter than its longest form, until the next piece shows what it is. It is for one goroutine at a time.
type Stream struct {
	hider   func() *Hider
	scanner scanner
	held    string
	out     func(string)
}

// NewStream returns a stream that gives clean pieces to out. It asks for the hider when the first piece comes: whoever writes
// it may have been given a secret by then.
func NewStream(hider func() *Hider, out func(string)) *Stream {
	return &Stream{hider: hider, out: out}
}

// Write takes the next piece.
func (s *Stream) Write(piece string) {
	if s.scanner.hider == nil {
		s.scanner.hider = s.hider()
	}
	text := s.held + piece
	clean := s.scanner.scan(text, false)
	s.held = strings.Clone(text[s.scanner.read:])
	if clean != "" {
		s.out(clean)
	}
}

// Close gives out what is still held back. The pieces together are then what [Hider.Text] makes of the whole text.
func (s *Stream) Close() {
	if rest := s.Rest(); rest != "" {
		s.out(rest)
	}
	s.held = ""
}

// Rest returns what Close would give out now. More may be written afterwards.
func (s *Stream) Rest() string {
	scanner := s.scanner
	return scanner.scan(s.held, true)
}

// scanner walks over a text once. At each byte it knows the longest form that begins there; bytes covered by a secret are
// dropped, and each secret that begins outside of another leaves one mark.
type scanner struct {
	hider   *Hider
	covered int // how many bytes from here on belong to a secret
	read    int // how much of the last text was decided on
}

// scan returns the clean form of text as far as it can be decided; last says that nothing follows.
func (s *scanner) scan(text string, last bool) string {
	var out strings.Builder
	i := 0
	for ; i < len(text); i++ {
		found, open := s.hider.at(text[i:], last)
		if open {
			break
		}
		if found > 0 && s.covered == 0 {
			out.WriteString(Redacted)
		}
		s.covered = max(s.covered, found)
		if s.covered > 0 {
			s.covered--
		} else {
			out.WriteByte(text[i])
		}
	}
	s.read = i
	return out.String()
}
