package format

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// line is one line of the output, before comments are aligned.
type line struct {
	indent int
	code   []byte
	// raw is part of a text, in which blank lines and spaces count.
	raw bool
	// comment begins with #. What is before it was gap wide, and it stood in column.
	comment     string
	gap, column int
	// key is the field of a document that begins here, marker that a document begins or ends.
	key    string
	marker bool
}

func (l line) blank() bool { return len(l.code) == 0 && l.comment == "" && !l.raw }

// width is where the code ends, in characters.
func (l line) width() int {
	if len(l.code) == 0 {
		return 0
	}
	return l.indent + utf8.RuneCount(l.code)
}

// render writes lines: at most one blank line in a row, none at the beginning, at the end and after a marker, and comments
// that stood below one another still do.
func render(lines []line) string {
	align(lines)
	var b strings.Builder
	blank, begun := false, false
	for _, l := range lines {
		if l.blank() {
			blank = begun
			continue
		}
		if blank {
			b.WriteByte('\n')
			blank = false
		}
		if len(l.code) > 0 || l.comment != "" {
			b.WriteString(strings.Repeat(" ", l.indent))
		}
		b.Write(l.code)
		if l.comment != "" {
			b.WriteString(strings.Repeat(" ", l.gap) + l.comment)
		}
		b.WriteByte('\n')
		begun = !l.marker || string(l.code) == "..."
	}
	return b.String()
}

// align sets the gap of comments behind code. In lines that follow one another, comments that stood in one column get one
// again. A comment without code in such a column goes on with the one above.
func align(lines []line) {
	for i := 0; i < len(lines); {
		if lines[i].comment == "" || len(lines[i].code) == 0 {
			i++
			continue
		}
		end, widest, gap := i, 0, lines[i].gap
		for end < len(lines) && lines[end].comment != "" && lines[end].column == lines[i].column {
			if l := lines[end]; len(l.code) > 0 {
				widest, gap = max(widest, l.width()), min(gap, l.gap)
			} else if l.gap == 0 {
				break // A comment of its own, with its own indentation.
			}
			end++
		}
		for ; i < end; i++ {
			l := &lines[i]
			if len(l.code) == 0 {
				l.indent, l.gap = 0, widest+gap
			} else {
				l.gap = widest + gap - l.width()
			}
		}
	}
}

// first are the fields that begin a document, in this order.
var first = []string{"apiVersion", "kind", "metadata", "spec", "status"}

// order puts the fields of each document in order. Comments go with the field below them, but those at the top of a
// document stay there, and those at its end too.
func order(lines []line) []line {
	var out []line
	for len(lines) > 0 {
		end := slices.IndexFunc(lines[1:], func(l line) bool { return l.marker }) + 1
		if end == 0 {
			end = len(lines)
		}
		out = append(out, orderDocument(lines[:end])...)
		lines = lines[end:]
	}
	return out
}

func orderDocument(lines []line) []line {
	var begins []int
	for i, l := range lines {
		if l.key != "" {
			begins = append(begins, i)
		}
	}
	if len(begins) == 0 {
		return lines
	}
	// loose reports lines between two fields that belong to no value.
	loose := func(i int) bool {
		return lines[i].blank() || len(lines[i].code) == 0 && lines[i].comment != "" && lines[i].indent == 0 && !lines[i].raw && lines[i].gap == 0
	}
	end := len(lines)
	for end > begins[len(begins)-1]+1 && loose(end-1) {
		end--
	}
	head, tail := lines[:begins[0]], lines[end:]
	var parts [][]line
	from := begins[0]
	for i, begin := range begins {
		to := end
		if i+1 < len(begins) {
			for to = begins[i+1]; to > begin+1 && loose(to-1); to-- {
			}
		}
		parts = append(parts, lines[from:to])
		from = to
	}
	rank := func(part []line) int {
		key := part[slices.IndexFunc(part, func(l line) bool { return l.key != "" })].key
		if i := slices.Index(first, key); i >= 0 {
			return i
		}
		return len(first)
	}
	if !slices.ContainsFunc(parts, func(part []line) bool { return rank(part) < 2 }) {
		return lines // The front matter of a Markdown file has other fields.
	}
	slices.SortStableFunc(parts, func(a, b []line) int { return rank(a) - rank(b) })
	return slices.Concat(head, slices.Concat(parts...), tail)
}
