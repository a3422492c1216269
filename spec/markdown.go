package spec

import (
	"strings"
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
