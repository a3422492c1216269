package format

import (
	"strconv"
	"strings"
)

// value lays the value at the current position, to the end of its last line.
func (s *layout) value() error {
	if n := properties(s.rest()); n > 0 {
		s.write(strings.Join(strings.Fields(s.text[s.pos:s.pos+n]), " "))
		s.pos += n
		if s.ended() {
			return s.end(true)
		}
		s.write(" ")
	}
	switch c := s.text[s.pos]; c {
	case '|', '>':
		return s.block()
	case '"', '\'':
		return s.quoted()
	case '[', '{':
		return s.flow()
	case '*':
		s.fixed = true
	}
	return s.plain()
}

// plain lays a text without quotes. It goes on in the lines that stand deeper than the collection it is in.
func (s *layout) plain() error {
	n := plain(s.rest(), false)
	if n == 0 {
		return s.fail("this cannot be formatted")
	}
	s.write(s.rest()[:n])
	s.pos += n
	for {
		if err := s.end(false); err != nil {
			return err
		}
		blanks, more := s.goesOn()
		if s.last().comment != "" || !more {
			return nil
		}
		for range blanks { // Each is a line break of the text.
			s.lines = append(s.lines, line{raw: true})
			s.next()
		}
		s.skip()
		n := plain(s.rest(), false)
		s.lines = append(s.lines, line{indent: s.inside(), code: []byte(s.rest()[:n]), raw: true})
		s.pos += n
	}
}

// goesOn reports whether a plain text goes on below, and after how many blank lines.
func (s *layout) goesOn() (blanks int, ok bool) {
	text := s.text[s.pos:]
	for text != "" {
		whole, rest, _ := strings.Cut(text, "\n")
		trimmed := strings.TrimLeft(whole, " \t")
		if trimmed != "" {
			column := len(whole) - len(strings.TrimLeft(whole, " "))
			return blanks, column > s.outer() && trimmed[0] != '#' && !isMarker(whole)
		}
		blanks++
		text = rest
	}
	return 0, false
}

// quoted lays a text in quotes, of which each line but the first gets an indentation.
func (s *layout) quoted() error {
	n, ok := quoted(s.text[s.pos:])
	if !ok {
		return s.fail("this cannot be formatted")
	}
	for i, part := range quotedLines(s.text[s.pos : s.pos+n]) {
		if i == 0 {
			s.write(part)
			continue
		}
		s.lines = append(s.lines, line{indent: s.inside(), code: []byte(part), raw: true})
	}
	s.over(n)
	return s.end(false)
}

// over goes past n bytes, which may hold several lines.
func (s *layout) over(n int) {
	passed := s.text[s.pos : s.pos+n]
	s.pos += n
	if i := strings.LastIndexByte(passed, '\n'); i >= 0 {
		s.begin = s.pos - len(passed) + i + 1
		s.number += strings.Count(passed, "\n")
	}
}

// quotedLines are the lines of a quoted text, without the spaces around line breaks, which mean nothing.
func quotedLines(text string) []string {
	parts := strings.Split(text, "\n")
	for i := range parts {
		if i > 0 {
			parts[i] = strings.TrimLeft(parts[i], " \t")
		}
		if i < len(parts)-1 {
			trimmed := strings.TrimRight(parts[i], " \t")
			if text[0] == '"' && len(trimmed) < len(parts[i]) && strings.HasSuffix(trimmed, `\`) {
				trimmed += parts[i][len(trimmed) : len(trimmed)+1] // It escapes the space.
			}
			parts[i] = trimmed
		}
	}
	return parts
}

// block lays a literal or folded text. Its lines move together.
func (s *layout) block() error {
	n := 1
	for s.pos+n < len(s.text) && strings.IndexByte("+-0123456789", s.text[s.pos+n]) >= 0 {
		n++
	}
	header := s.text[s.pos : s.pos+n]
	s.write(header)
	s.pos += n
	if err := s.end(false); err != nil {
		return err
	}
	// from and to are the indentation of the text, in the source and in the output.
	from, to := 0, max(s.inside(), 2)
	if digits := strings.Trim(header, "|>+-"); digits != "" {
		explicit, err := strconv.Atoi(digits)
		if err != nil {
			return s.fail("this cannot be formatted")
		}
		from, to = max(s.outer(), 0)+explicit, max(s.inside()-2, 0)+explicit
	} else {
		from = max(s.outer()+1, indentation(s.text[s.pos:]), 1)
	}
	var lines []line
	kept := 0 // how many of the lines are the text's, whatever follows
	for s.pos < len(s.text) {
		whole := s.rest()
		content := strings.TrimLeft(whole, " ")
		spaces := len(whole) - len(content)
		if content != "" && spaces < from {
			break
		}
		if spaces <= from && content == "" {
			lines = append(lines, line{raw: true})
		} else {
			lines = append(lines, line{indent: to, code: []byte(whole[from:]), raw: true})
			kept = len(lines)
		}
		s.next()
	}
	if n := len(lines); kept == n && n > 0 && s.pos == len(s.text) && !strings.HasSuffix(s.text, "\n") && !strings.Contains(header, "-") {
		s.endless, s.fixed = true, true
	}
	if !strings.Contains(header, "+") {
		for i := range lines[kept:] {
			lines[kept+i].raw = false
		}
	}
	s.lines = append(s.lines, lines...)
	return nil
}

// indentation counts the spaces before the first line of text that is not blank.
func indentation(text string) int {
	for text != "" {
		whole, rest, _ := strings.Cut(text, "\n")
		if content := strings.TrimLeft(whole, " "); content != "" {
			return len(whole) - len(content)
		}
		text = rest
	}
	return 0
}
