package ingest

import (
	"strings"
	"unicode/utf8"
)

// declared is a declaration, with the comment before it.
type declared struct {
	name string
	// first and last are its lines, from 0; line is the one that names it.
	first, line, last int
	members           []declared
}

// smallDeclaration is how many lines a declaration has that is no chunk of its own, with its comment: it stands with its neighbours.
const smallDeclaration = 2

// code reads source code: a chunk is a declaration with its comment. One that is too long is cut into its members, or else at blank lines.
// What stands between declarations is cut at blank lines.
func (c *cutter) code(l *language) {
	c.declarations(nil, c.findIn(l, 0, len(c.lines), -1, 0), 0, len(c.lines)-1)
}

// declarations adds what is in these lines beneath a heading, which are declarations and what stands between.
func (c *cutter) declarations(heading []string, all []declared, first, last int) {
	var between []block
	at := first
	for _, d := range all {
		for d.last > d.first && blank(c.lines[d.last]) {
			d.last--
		}
		if d.last-d.first < smallDeclaration {
			continue
		}
		if c.err != nil {
			return
		}
		if d.first > at {
			between = append(between, block{first: at, last: d.first - 1})
		}
		c.section(heading, between...)
		between = nil
		own := append(append([]string(nil), heading...), d.name)
		if len(d.members) > 0 && len(own) < maxDepth && c.tooLong(d.first, d.last) {
			c.declarations(own, d.members, d.first, d.last)
		} else {
			c.section(own, block{first: d.first, last: d.last})
		}
		at = d.last + 1
	}
	if at <= last {
		c.section(heading, block{first: at, last: last})
	}
}

func (c *cutter) tooLong(first, last int) bool {
	n := 0
	for i := first; i <= last; i++ {
		if n += utf8.RuneCountInString(c.lines[i]) + 1; n > c.size {
			return true
		}
	}
	return false
}

// maxMembers is how deep declarations are looked for in declarations.
const maxMembers = 6

// findIn finds the declarations from one line to another, which are the outermost there. Members are within what begins this far in,
// and further in than that; -1 means that they are no members.
func (c *cutter) findIn(l *language, first, end, within, depth int) []declared {
	var all []declared
	top := -1 // how far in the declarations are
	for i := first; i < end; i++ {
		line := c.lines[i]
		if len(line) > longLine || line == "" {
			continue
		}
		in := indent(line)
		if top >= 0 && in > top || in <= within {
			continue
		}
		name := l.name(line, within >= 0)
		if name == "" {
			continue
		}
		if top < 0 || in < top {
			top = in
		}
		d := declared{name: name, line: i, first: c.comment(l, i, first)}
		d.last = c.end(l, i, end, in)
		if l.container != nil && l.container.MatchString(line) && d.last > i && depth < maxMembers {
			d.members = c.findIn(l, i+1, d.last+1, in, depth+1)
		}
		if n := len(all); n > 0 && d.first <= all[n-1].last {
			d.first = all[n-1].last + 1
		}
		all = append(all, d)
		i = max(i, d.last)
	}
	return all
}

// notNames are words before a parenthesis that name nothing.
var notNames = map[string]bool{"if": true, "for": true, "while": true, "switch": true, "catch": true, "return": true, "else": true, "do": true,
	"try": true, "throw": true, "await": true, "yield": true, "sizeof": true, "super": true, "new": true, "with": true, "using": true, "lock": true, "when": true, ".PHONY": true}

// name returns what a line declares.
func (l *language) name(line string, inside bool) string {
	m := l.declaration.FindStringSubmatch(line)
	if m == nil && inside && l.member != nil {
		m = l.member.FindStringSubmatch(line)
	}
	if m == nil {
		return ""
	}
	name := oneLine(strings.Join(m[1:], " "))
	if notNames[name] {
		return ""
	}
	return name
}

// comment is the line at which what belongs to a declaration begins: comments, decorators and attributes.
func (c *cutter) comment(l *language, line, first int) int {
	for i := line - 1; i >= first; i-- {
		t := strings.TrimSpace(c.lines[i])
		belongs := false
		for _, mark := range l.comment {
			belongs = belongs || strings.HasPrefix(t, mark)
		}
		if l.spread && t != "" && strings.IndexByte(";{}:#", t[len(t)-1]) < 0 && t[0] != '#' {
			belongs = true
		}
		if !belongs || i == 0 && strings.HasPrefix(t, "#!") {
			return i + 1
		}
	}
	return first
}

// end is the last line of a declaration that begins at a line.
func (c *cutter) end(l *language, line, end, in int) int {
	opened := false
	last := line
	for i := line; i < end; i++ {
		t := strings.TrimSpace(c.lines[i])
		if t == "" {
			continue
		}
		further := indent(c.lines[i]) > in
		switch l.ending {
		case endsWithBrace:
			if strings.HasSuffix(t, ";") && !opened && !strings.Contains(t, "{") {
				return i
			}
			opens := strings.Contains(t, "{") || strings.HasSuffix(t, "(")
			if opened && !further && i > line && c.closes(t, i, end) || opens && !opened && balanced(t) {
				return i
			}
			opened = opened || opens
			if !opened && i > line && !further && !strings.HasPrefix(t, "{") && l.name(c.lines[i], false) != "" {
				return last
			}
		case endsWithIndent:
			if i > line && !further && strings.IndexByte(")]}\"'#", t[0]) < 0 {
				return last
			}
			if i > line && !further && t[0] == '#' {
				continue // A comment does not say whether it still belongs.
			}
		case endsWithWord:
			if i > line && !further && (t[0] == '}' || t[0] == ')' || t == "end" || strings.HasPrefix(t, "end ") || t == "esac") || i == line && strings.HasSuffix(t, "}") {
				return i
			}
		case endsWithSemicolon:
			if strings.HasSuffix(t, ";") && !further {
				return i
			}
			if i > line && !further && l.name(c.lines[i], false) != "" {
				return last
			}
		case endsWithNext:
			if i > line && l.name(c.lines[i], false) != "" {
				return c.comment(l, i, line+1) - 1
			}
		}
		last = i
	}
	return last
}

// closes says whether a line closes what was opened before it, and opens nothing again: parameters are followed by a body.
func (c *cutter) closes(t string, line, end int) bool {
	switch {
	case t[0] == '}':
		return true
	case t[0] != ')' || strings.HasSuffix(t, "{"):
		return false
	}
	for i := line + 1; i < end; i++ {
		if next := strings.TrimSpace(c.lines[i]); next != "" {
			return next[0] != '{'
		}
	}
	return true
}

// balanced says whether all braces of a line are closed in it.
func balanced(t string) bool {
	return strings.Contains(t, "{") && strings.Count(t, "{") == strings.Count(t, "}")
}
