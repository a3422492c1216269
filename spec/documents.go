package spec

import (
	"errors"
	"fmt"
	"path"
)

// Folders returns the folders beneath the root in which every file is a resource, sorted. In skills/ that is so outside of
// the skills' own folders.
func Folders() []string { return append([]string(nil), folders...) }

// MaxFile is the largest file that is read, in bytes.
const MaxFile = maxFile

// Documents returns the values in a YAML, JSON or Markdown file, whatever they declare: nil, bool, int64, float64, string,
// []any and map[string]any, with aliases followed. A Markdown file holds two, its front matter and its text. What keeps
// the file from being read is a problem; there is at most one.
func Documents(name string, content []byte) ([]any, Problems) {
	var nodes []*node
	f, bad := newFile(name, content)
	switch {
	case len(content) > maxFile:
		bad = &parseError{summary: fmt.Sprintf("the file is larger than %d KiB", maxFile>>10), hint: "split it"}
	case bad == nil:
		var err error
		switch path.Ext(name) {
		case ".md":
			var m markdown
			m, err = parseMarkdown(f)
			nodes = []*node{m.front, m.body}
		case ".json":
			var n *node
			n, err = parseJSON(f)
			nodes = []*node{n}
		default:
			nodes, err = parseYAML(f, f.text, 0)
		}
		errors.As(err, &bad)
	}
	if bad != nil {
		place := Place{File: name, Line: bad.line, Column: bad.column}
		return nil, Problems{{Place: place, Severity: SeverityError, Summary: bad.summary, Hint: bad.hint}}
	}
	values := make([]any, len(nodes))
	for i, n := range nodes {
		values[i] = n.json()
	}
	return values, nil
}
