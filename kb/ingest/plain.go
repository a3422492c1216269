package ingest

import (
	"path"
	"strings"
)

// plain reads a text: it is cut at blank lines. A table of values, one row a line, repeats its first row.
func (c *cutter) plain() {
	all := block{first: 0, last: len(c.lines) - 1}
	switch strings.ToLower(path.Ext(c.path)) {
	case ".csv", ".tsv":
		all.header = 1
	}
	c.section(nil, all)
}

// owners reads a CODEOWNERS file: its sections are those of GitLab, and comments stand with the rules behind them.
func (c *cutter) owners() {
	first, heading := 0, []string(nil)
	for i, line := range c.lines {
		if name := ownersSection(line); name != "" && c.err == nil {
			c.section(heading, block{first: first, last: i - 1})
			first, heading = i, []string{name}
		}
	}
	c.section(heading, block{first: first, last: len(c.lines) - 1})
}

// ownersSection returns the name of a section (https://docs.gitlab.com/user/project/codeowners/reference/#sections).
func ownersSection(line string) string {
	line = strings.TrimPrefix(strings.TrimSpace(line), "^")
	if !strings.HasPrefix(line, "[") {
		return ""
	}
	name, _, closed := strings.Cut(line[1:], "]")
	if !closed {
		return ""
	}
	return strings.TrimSpace(name)
}
