package spec

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// markdown is a Markdown file taken apart: its front matter as an object, which is empty where there is none, and its
// body without blank lines around it.
type markdown struct {
	front *node
	body  *node
	text  string
}

// parseMarkdown takes a Markdown file apart. Front matter stands between two lines of `---`, the first of which is the
// file's first line.
func parseMarkdown(f *file) (markdown, error) {
	m := markdown{
		front: &node{kind: objectNode, file: f, line: 1, column: 1},
		body:  &node{kind: scalarNode, style: bodyText, file: f, line: 1, column: 1},
	}
	body := f.text
	if first, rest, _ := strings.Cut(f.text, "\n"); strings.TrimRight(first, " \t") == "---" {
		front, after, lines, ok := cutFrontMatter(rest)
		if !ok {
			return m, &parseError{1, 1, "the front matter has no end", "end it with a line of `---`"}
		}
		nodes, err := parseYAML(f, front, 1)
		if err != nil {
			return m, err
		}
		if len(nodes) > 1 {
			return m, &parseError{nodes[1].line, nodes[1].column, "the front matter holds more than one document", ""}
		}
		if len(nodes) == 1 {
			m.front = nodes[0]
		}
		if m.front.kind != objectNode {
			return m, &parseError{m.front.line, m.front.column, "the front matter is " + m.front.describe() + ", not a map", "write `field: value` in each line"}
		}
		body = after
		m.body.line += lines + 1
	} else if line, missed := missedFrontMatter(f.text); missed {
		return m, &parseError{line, 1, "this is not read as front matter, which begins in the first line of a file", "make a line of `---` the first line, and put another one where the fields end"}
	}
	trimmed := strings.TrimLeft(body, "\n")
	m.body.line += len(body) - len(trimmed)
	m.text = strings.TrimSpace(trimmed)
	m.body.value, m.body.written = m.text, m.text
	return m, nil
}

// cutFrontMatter returns what stands before and after the line that ends the front matter, and how many lines the front
// matter and its end have.
func cutFrontMatter(text string) (front, after string, lines int, ok bool) {
	rest := text
	for rest != "" {
		line, next, _ := strings.Cut(rest, "\n")
		lines++
		if strings.TrimRight(line, " \t") == "---" {
			return text[:len(text)-len(rest)], next, lines, true
		}
		rest = next
	}
	return "", "", 0, false
}

// missedFrontMatter finds front matter that would be read as text, because it does not begin as it must: behind a blank
// line, a heading or a comment, with another line than `---`, or with none.
func missedFrontMatter(text string) (line int, missed bool) {
	lines := strings.Split(text, "\n")
	for line < len(lines) && isBefore(lines, &line) {
		line++
	}
	if line == len(lines) {
		return 0, false
	}
	begin := line
	if marksFront(lines[line]) {
		for line++; line < len(lines) && strings.TrimSpace(lines[line]) == ""; line++ {
		}
	}
	if line == len(lines) {
		return 0, false
	}
	m := frontField.FindStringSubmatch(lines[line])
	if m == nil {
		return 0, false
	}
	if known := writtenFields(); !slices.Contains(known, m[1]) && near.Name(m[1], known) == "" {
		return 0, false
	}
	return begin + 1, slices.ContainsFunc(lines[line:], marksFront)
}

// isBefore reports whether a line may stand before what somebody takes for the first one, and moves on to the end of a
// comment.
func isBefore(lines []string, at *int) bool {
	line := strings.TrimSpace(lines[*at])
	if strings.HasPrefix(line, "<!--") {
		for *at < len(lines)-1 && !strings.Contains(lines[*at], "-->") {
			*at++
		}
		return true
	}
	return line == "" || strings.HasPrefix(line, "#")
}

// marksFront reports whether a line looks as if front matter began or ended there.
func marksFront(line string) bool {
	line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
	line = strings.TrimSpace(line)
	return len(line) >= 3 && (strings.Trim(line, "-") == "" || line == "+++")
}

var frontField = regexp.MustCompile(`^\s*([a-z][A-Za-z]*):(?:\s|$)`)

// writtenFields are the names of the fields that front matter may have.
var writtenFields = sync.OnceValue(func() []string {
	fields := []string{"apiVersion", "kind", "metadata", "spec"}
	for _, t := range Written {
		for _, r := range RulesOf(t) {
			fields = append(fields, r.Name)
		}
	}
	return fields
})
