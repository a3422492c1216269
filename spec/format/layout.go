package format

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// unsupported is what keeps a file from being formatted although it can be read.
type unsupported struct {
	line, column int
	what         string
}

func (e *unsupported) Error() string { return e.what }

// collection is a map or list in lines of its own that is open at some line.
type collection struct {
	column, indent int // where it stands in the source, and where in the output
	list           bool
}

// layout goes through YAML that the parser has accepted, line by line, and gives each line its new indentation. What it
// takes for something else than the parser does is found by comparing what both texts mean.
type layout struct {
	text string
	pos  int
	// begin is where the current line begins, and number its number from 1.
	begin, number int
	// newline is where the current line ends, once it has been looked for.
	newline int

	open  []collection
	lines []line
	// waiting are the comments whose indentation the next line decides: positions in lines.
	waiting []int
	// expects says that the last line ended before its value.
	expects bool
	// fixed says that the order of fields means something: an alias stands behind its anchor.
	fixed bool
	// endless says that the last line is part of a text, to which a newline would add one.
	endless bool
}

// lay goes through all of text.
func lay(text string) (*layout, error) {
	s := &layout{text: text, number: 1}
	for s.pos < len(s.text) {
		s.begin = s.pos
		if err := s.line(); err != nil {
			return nil, err
		}
	}
	s.settle(-1)
	return s, nil
}

// String is the text in its new layout.
func (s *layout) String() string {
	out := render(s.lines)
	if s.endless {
		out = strings.TrimSuffix(out, "\n")
	}
	return out
}

func (s *layout) fail(what string) error {
	return &unsupported{s.number, s.pos - s.begin + 1, what}
}

// rest is the rest of the current line.
func (s *layout) rest() string {
	if s.pos > s.newline || s.newline == 0 {
		s.newline = len(s.text)
		if n := strings.IndexByte(s.text[s.pos:], '\n'); n >= 0 {
			s.newline = s.pos + n
		}
	}
	return s.text[s.pos:s.newline]
}

// next goes to the next line.
func (s *layout) next() {
	s.pos = min(s.pos+len(s.rest())+1, len(s.text))
	s.begin = s.pos
	s.number++
}

// skip goes past spaces and tabs, and returns how many there were.
func (s *layout) skip() int {
	n := 0
	for s.pos < len(s.text) && (s.text[s.pos] == ' ' || s.text[s.pos] == '\t') {
		s.pos++
		n++
	}
	return n
}

func (s *layout) column() int { return s.pos - s.begin }

// characters is the column in characters, as a person sees it.
func (s *layout) characters() int { return utf8.RuneCountInString(s.text[s.begin:s.pos]) }

// last is the line that is being written.
func (s *layout) last() *line { return &s.lines[len(s.lines)-1] }

func (s *layout) write(text string) {
	l := s.last()
	l.code = append(l.code, text...)
}

// line lays one line outside of values that span several.
func (s *layout) line() error {
	whole := s.rest()
	s.pos += len(whole) - len(strings.TrimLeft(whole, " "))
	switch rest := s.rest(); {
	case strings.TrimLeft(rest, " \t") == "":
		s.lines = append(s.lines, line{})
		s.next()
		return nil
	case strings.TrimLeft(rest, " \t")[0] == '#':
		s.skip()
		s.comment()
		return nil
	case isMarker(whole):
		return s.marker()
	case whole[0] == '%' && len(s.open) == 0:
		s.lines = append(s.lines, line{code: []byte(strings.TrimRight(whole, " \t")), marker: true})
		s.next()
		return nil
	case rest[0] == '\t':
		return s.fail("a tab indents this line, which cannot be formatted")
	}
	return s.content(true)
}

// isMarker reports lines that begin or end a document.
func isMarker(whole string) bool {
	return (strings.HasPrefix(whole, "---") || strings.HasPrefix(whole, "...")) &&
		(len(whole) == 3 || whole[3] == ' ' || whole[3] == '\t')
}

func (s *layout) marker() error {
	s.settle(-1)
	s.open = nil
	s.lines = append(s.lines, line{code: []byte(s.text[s.pos : s.pos+3]), marker: true})
	s.pos += 3
	s.skip()
	if s.ended() {
		return s.end(true)
	}
	s.write(" ")
	return s.content(false)
}

// comment keeps a line that holds nothing but a comment.
func (s *layout) comment() {
	l := line{comment: strings.TrimRight(s.rest(), " \t"), column: s.characters()}
	if n := len(s.lines); n > 0 && s.lines[n-1].comment != "" && s.lines[n-1].column == l.column && (len(s.lines[n-1].code) > 0 || s.lines[n-1].gap > 0) {
		l.gap = 1 // It goes on with the comment behind the code above, unless it stands right above what follows.
	}
	s.lines = append(s.lines, l)
	s.waiting = append(s.waiting, len(s.lines)-1)
	s.next()
}

// settle indents the comments that wait and stand deeper than the next content, which stands in column: they belong to
// what is above them. A column of -1 is the end of the document.
func (s *layout) settle(column int) {
	left := s.waiting[:0]
	for _, i := range s.waiting {
		l := &s.lines[i]
		if l.column == column {
			l.gap = 0
		}
		switch {
		case l.gap > 0:
			continue
		case l.column <= column:
			left = append(left, i)
			continue
		}
		for n, c := range s.open {
			switch {
			case l.column < c.column:
			case n == len(s.open)-1 && l.column > c.column && s.expects:
				l.indent = c.indent + 2
			default:
				l.indent = c.indent
			}
		}
	}
	s.waiting = left
}

// begun sets the indentation of the line that has begun, and of the comments above that belong to it.
func (s *layout) begun(indent int) {
	s.last().indent = indent
	for _, i := range s.waiting {
		s.lines[i].indent = indent
	}
	s.waiting = s.waiting[:0]
}

// enter returns the indentation of an entry of a map or list in a column. The entry may be its first.
func (s *layout) enter(column int, list bool) int {
	for n := len(s.open); n > 0; n-- {
		top := s.open[n-1]
		if top.column < column || top.column == column && (top.list == list || list) {
			break
		}
		s.open = s.open[:n-1]
	}
	if n := len(s.open); n == 0 || s.open[n-1].column < column || s.open[n-1].list != list {
		s.open = append(s.open, collection{column, s.inside(), list})
	}
	return s.open[len(s.open)-1].indent
}

// inside is the indentation of what the innermost collection holds.
func (s *layout) inside() int {
	if len(s.open) == 0 {
		return 0
	}
	return s.open[len(s.open)-1].indent + 2
}

// outer is the column of the innermost collection, or -1.
func (s *layout) outer() int {
	if len(s.open) == 0 {
		return -1
	}
	return s.open[len(s.open)-1].column
}

// content lays what begins at the current position: dashes, a key, a value. fresh says that a line begins with it.
func (s *layout) content(fresh bool) error {
	if fresh {
		s.settle(s.column())
		s.lines = append(s.lines, line{})
	}
	for begins := fresh; ; begins = false {
		rest, column := s.rest(), s.column()
		list := hasIndicator(rest, '-')
		key, colon := keyOf(rest)
		switch {
		case hasIndicator(rest, '?'), hasIndicator(rest, ':'):
			return s.fail("a key behind `?` cannot be formatted; write it as `key: value`")
		case !list && colon == 0:
			if begins {
				for s.outer() >= column {
					s.open = s.open[:len(s.open)-1]
				}
				s.begun(s.inside())
			}
			return s.value()
		case !fresh:
			return s.fail("what stands behind `---` cannot be formatted; write it in the next line")
		}
		indent := s.enter(column, list)
		if begins {
			s.begun(indent)
		}
		if list {
			s.write("-")
			s.pos++
		} else {
			if begins && len(s.open) == 1 {
				s.last().key = strings.Trim(key, `"'`)
			}
			s.write(key + ":")
			s.pos += colon + 1
		}
		s.skip()
		if s.ended() {
			return s.end(true)
		}
		s.write(" ")
		if !list {
			return s.value()
		}
	}
}

// ended reports whether the line holds nothing more but a comment. What is before it has been skipped.
func (s *layout) ended() bool {
	return s.pos == len(s.text) || s.text[s.pos] == '\n' || s.text[s.pos] == '#'
}

// end ends a line. expects says that its value is still to come.
func (s *layout) end(expects bool) error {
	gap := 0
	for p := s.pos; p > s.begin && (s.text[p-1] == ' ' || s.text[p-1] == '\t'); p-- {
		gap++
	}
	gap += s.skip()
	switch {
	case !s.ended():
		return s.fail("this cannot be formatted")
	case s.pos < len(s.text) && s.text[s.pos] == '#':
		l := s.last()
		l.comment, l.gap, l.column = strings.TrimRight(s.rest(), " \t"), max(gap, 1), s.characters()
	}
	s.last().code = bytes.TrimRight(s.last().code, " ")
	s.expects = expects
	s.next()
	return nil
}

// hasIndicator reports whether text begins with an indicator that stands alone.
func hasIndicator(text string, indicator byte) bool {
	return text != "" && text[0] == indicator && (len(text) == 1 || text[1] == ' ' || text[1] == '\t')
}

// keyOf returns the key that text begins with, and where the colon behind it is, or 0 where there is none.
func keyOf(text string) (key string, colon int) {
	at := properties(text)
	switch {
	case at == len(text):
		return "", 0
	case text[at] == '"' || text[at] == '\'':
		n, ok := quoted(text[at:])
		if !ok {
			return "", 0
		}
		at += n
	case strings.IndexByte("|>[{", text[at]) >= 0:
		return "", 0
	default:
		at += plain(text[at:], false)
	}
	key = text[:at]
	for at < len(text) && (text[at] == ' ' || text[at] == '\t') {
		at++
	}
	if at == 0 || !hasIndicator(text[at:], ':') {
		return "", 0
	}
	if strings.HasPrefix(key, "*") {
		key += " " // Without it the colon might be read as part of the name.
	}
	return key, at
}

// properties returns how long the anchors and tags are that text begins with, and the spaces behind them.
func properties(text string) int {
	at := 0
	for at < len(text) && (text[at] == '&' || text[at] == '!') {
		for at < len(text) && text[at] != ' ' && text[at] != '\t' {
			at++
		}
		for at < len(text) && (text[at] == ' ' || text[at] == '\t') {
			at++
		}
	}
	return at
}

// quoted returns how long the quoted text is that text begins with, or false where it does not end.
func quoted(text string) (int, bool) {
	for i := 1; i < len(text); i++ {
		switch {
		case text[0] == '"' && text[i] == '\\':
			i++
		case text[i] != text[0]:
		case text[0] == '\'' && i+1 < len(text) && text[i+1] == '\'':
			i++
		default:
			return i + 1, true
		}
	}
	return 0, false
}

// plain returns how long the text without quotes is that text begins with, in its line and without spaces at its end. flow
// says that brackets and commas end it.
func plain(text string, flow bool) int {
	end := 0
	for i := 0; i < len(text) && text[i] != '\n'; i++ {
		c := text[i]
		switch {
		case c == ' ' || c == '\t':
			continue
		case c == '#' && i > end, // A space is before it.
			c == ':' && (i+1 == len(text) || strings.IndexByte(" \t\n", text[i+1]) >= 0),
			flow && strings.IndexByte(",?[]{}", c) >= 0:
			return end
		}
		end = i + 1
	}
	return end
}
