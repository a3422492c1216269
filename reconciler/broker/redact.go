package broker

import (
	"slices"
	"strings"
)

// Redacted stands where a secret was.
const Redacted = "[redacted]"

// minSecret is the shortest value that is redacted, in bytes. A shorter one would tear holes into ordinary text.
const minSecret = 6

// Redactor replaces secrets in texts. It is safe for concurrent use.
type Redactor struct {
	secrets func() []string
}

// NewRedactor returns a Redactor of the values that secrets returns; it is asked anew for each text. Values shorter than
// six bytes are left alone.
func NewRedactor(secrets func() []string) *Redactor { return &Redactor{secrets: secrets} }

// values returns the secrets that count, the longest first.
func (r *Redactor) values() []string {
	values := slices.DeleteFunc(slices.Clone(r.secrets()), func(s string) bool { return len(s) < minSecret })
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	return values
}

// Text returns text without secrets. Where secrets overlap all of them are gone.
func (r *Redactor) Text(text string) string {
	s := scanner{secrets: r.values()}
	return s.scan(text, true)
}

// Holds reports whether text holds a secret.
func (r *Redactor) Holds(text string) bool {
	return slices.ContainsFunc(r.values(), func(s string) bool { return strings.Contains(text, s) })
}

// Value returns a JSON value (maps, slices, strings, numbers and so on) without secrets, in keys as in strings. What it
// changes is a copy.
func (r *Redactor) Value(value any) any {
	values := r.values()
	if len(values) == 0 {
		return value
	}
	return redactValue(value, func(text string) string {
		s := scanner{secrets: values}
		return s.scan(text, true)
	})
}

func redactValue(value any, text func(string) string) any {
	switch v := value.(type) {
	case string:
		return text(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[text(key)] = redactValue(item, text)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = redactValue(item, text)
		}
		return out
	default:
		return value
	}
}

// Stream redacts a text that comes in pieces. It holds back what may be the beginning of a secret, which is always
// shorter than the longest one, until the next piece shows what it is.
type Stream struct {
	redactor *Redactor
	scanner  *scanner
	held     string
	out      func(string)
}

// Stream returns a stream that gives clean pieces to out. It knows the secrets of the moment when the first piece comes:
// those that whoever writes it was given are among them.
func (r *Redactor) Stream(out func(string)) *Stream {
	return &Stream{redactor: r, out: out}
}

// Write takes the next piece.
func (s *Stream) Write(piece string) { s.push(piece, false) }

// Close gives out what is still held back. The pieces together are then what [Redactor.Text] makes of the whole text.
func (s *Stream) Close() { s.push("", true) }

func (s *Stream) push(piece string, last bool) {
	if s.scanner == nil {
		s.scanner = &scanner{secrets: s.redactor.values()}
	}
	text := s.held + piece
	clean := s.scanner.scan(text, last)
	s.held = text[s.scanner.read:]
	if clean != "" {
		s.out(clean)
	}
}

// scanner walks over a text once. At each byte it knows the longest secret that begins there; bytes covered by a secret
// are dropped, and each secret that begins outside of another leaves one mark.
type scanner struct {
	secrets []string // the longest first
	covered int      // how many bytes from here on belong to a secret
	read    int      // how much of the last text was decided on
}

// scan returns the clean form of text as far as it can be decided; last says that nothing follows.
func (s *scanner) scan(text string, last bool) string {
	if len(s.secrets) == 0 {
		s.read = len(text)
		return text
	}
	var out strings.Builder
	i := 0
	for ; i < len(text); i++ {
		found, open := s.at(text[i:])
		if open && !last {
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

// at returns the length of the longest secret at the beginning of text, and whether text may be the beginning of a
// longer one.
func (s *scanner) at(text string) (found int, open bool) {
	for _, secret := range s.secrets {
		switch {
		case strings.HasPrefix(text, secret):
			return max(found, len(secret)), open
		case strings.HasPrefix(secret, text):
			open = true
		}
	}
	return found, open
}
