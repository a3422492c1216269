package format

import (
	"strings"
)

// bracket is a `[` or `{` that is open.
type bracket struct {
	// indent is that of the line in which it stands.
	indent int
	// padded says that there is a space inside, as in { a: b }.
	padded bool
}

// The tokens that decide about the space before the next one.
type token int

const (
	opened token = iota
	colon
	text
	other
)

// flow lays what stands in brackets: one space behind each comma and colon, and line breaks where they are.
func (s *layout) flow() error {
	indent := s.last().indent
	if len(s.last().code) > 0 && len(s.open) > 0 {
		if indent = s.inside(); !s.open[len(s.open)-1].list {
			indent -= 2
		}
	}
	var open []bracket
	previous := opened
	// place indents the line that the next token begins.
	place := func(to int) {
		indent = to
		s.last().indent = to
	}
	// before writes what stands before a token.
	before := func() {
		switch {
		case len(open) == 0:
		case len(s.last().code) == 0:
			place(open[len(open)-1].indent + 2)
		case previous != opened || open[len(open)-1].padded:
			s.write(" ")
		}
	}
	for {
		s.skip()
		if s.ended() {
			if s.pos == len(s.text) {
				return s.fail("this cannot be formatted")
			}
			if err := s.end(false); err != nil {
				return err
			}
			if l := s.last(); len(l.code) == 0 && l.comment != "" {
				l.indent, l.gap = open[len(open)-1].indent+2, 0
			}
			s.lines = append(s.lines, line{raw: previous == text && strings.TrimSpace(s.rest()) == ""})
			continue
		}
		rest := s.rest()
		switch c := rest[0]; c {
		case '[', '{':
			before()
			inside := strings.TrimLeft(rest[1:], " \t")
			open = append(open, bracket{indent, c == '{' && inside != "" && inside[0] != '#' && len(inside) < len(rest)-1})
			s.write(rest[:1])
			s.pos++
			previous = opened
		case ']', '}':
			last := open[len(open)-1]
			open = open[:len(open)-1]
			if len(s.last().code) == 0 {
				place(last.indent)
			} else if last.padded && previous != opened || previous == colon {
				s.write(" ")
			}
			s.write(rest[:1])
			s.pos++
			previous = other
			if len(open) == 0 {
				return s.end(false)
			}
		case ',', ':':
			if len(s.last().code) == 0 {
				place(open[len(open)-1].indent + 2)
			} else if previous == colon {
				s.write(" ") // There is no value.
			}
			s.write(rest[:1])
			s.pos++
			previous = other
			if c == ':' {
				previous = colon
			}
		case '"', '\'':
			before()
			n, ok := quoted(s.text[s.pos:])
			if !ok {
				return s.fail("this cannot be formatted")
			}
			for i, part := range quotedLines(s.text[s.pos : s.pos+n]) {
				if i > 0 {
					s.lines = append(s.lines, line{raw: true})
					place(open[len(open)-1].indent + 2)
				}
				s.write(part)
			}
			s.over(n)
			previous = other
		default:
			n := plain(rest, true)
			if c == '&' || c == '!' || c == '*' {
				if n = strings.IndexAny(rest, " \t,[]{}"); n < 0 {
					n = len(rest)
				}
				s.fixed = s.fixed || c == '*'
			}
			if n == 0 || hasIndicator(rest, '?') {
				return s.fail("this cannot be formatted")
			}
			before()
			s.write(rest[:n])
			s.pos += n
			previous = text
		}
	}
}

// layJSON goes through JSON, which is one value in brackets.
func layJSON(text string) (*layout, error) {
	s := &layout{text: text, number: 1, lines: []line{{}}, fixed: true}
	s.over(len(text) - len(strings.TrimLeft(text, " \t\n")))
	if s.pos == len(text) || text[s.pos] != '[' && text[s.pos] != '{' {
		return nil, s.fail("a resource is a map of fields")
	}
	return s, s.flow()
}
