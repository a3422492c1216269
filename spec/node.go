package spec

import (
	"fmt"
	"slices"
	"strings"
)

// The bounds of what one revision may hold. They are far above what people write, and keep a hostile file cheap.
const (
	// maxFile is the largest file that is read, in bytes.
	maxFile = 1 << 20
	// maxFiles is how many files the folders of a spec repository may hold.
	maxFiles = 50_000
	// maxTotal is how many bytes the files that are read may have together.
	maxTotal = 64 << 20
	// maxNodes is how many values one file may hold after its aliases are expanded.
	maxNodes = 100_000
	// maxDepth is how deep values may be nested.
	maxDepth = 64
	// maxProblems is how many problems are reported.
	maxProblems = 1000
)

// file is one file as it was read.
type file struct {
	path string
	// text is the content without a byte order mark and with \n as line ends.
	text string
	// raw is the content as it is.
	raw []byte
}

// nodeKind is the kind of a value in a file.
type nodeKind uint8

const (
	nullNode nodeKind = iota
	scalarNode
	listNode
	objectNode
)

// textStyle says how a text stands in its file, so that a place inside the text can be found there.
type textStyle uint8

const (
	plainText   textStyle = iota // as it is, from the node's place on
	quotedText                   // after a quote
	literalText                  // in the lines after the node's
	foldedText                   // not line by line
	bodyText                     // the body of a Markdown file, from the node's place on
)

// node is a value in a file, with its place. The formats are read into it, and everything else starts from it.
type node struct {
	kind    nodeKind
	style   textStyle
	value   any // of a scalar: bool, int64, float64 or string
	written string
	file    *file
	line    int
	column  int
	fields  []field
	items   []*node
	// index finds fields by name, where there are many.
	index map[string]int
	// removed are the nulls by which an overlay removed fields: what is then missing is reported there.
	removed map[string]*node
}

// field is one field of an object.
type field struct {
	name  string
	key   *node
	value *node
}

// isText says that the value is a text.
func (n *node) isText() bool {
	_, ok := n.value.(string)
	return ok && n.kind == scalarNode
}

func (n *node) place() Place { return Place{File: n.file.path, Line: n.line, Column: n.column} }

// get returns the value of a field, or nil.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	if i := n.position(name); i >= 0 {
		return n.fields[i].value
	}
	return nil
}

// fewFields is how many fields are looked through rather than indexed: nearly all objects have no more.
const fewFields = 12

// position is that of a field, or -1.
func (n *node) position(name string) int {
	if n.index != nil {
		if i, ok := n.index[name]; ok {
			return i
		}
		return -1
	}
	return slices.IndexFunc(n.fields, func(f field) bool { return f.name == name })
}

// add appends a field that is not there yet.
func (n *node) add(f field) {
	n.fields = append(n.fields, f)
	switch {
	case n.index != nil:
		n.index[f.name] = len(n.fields) - 1
	case len(n.fields) > fewFields:
		n.index = make(map[string]int, 2*len(n.fields))
		for i, f := range n.fields {
			n.index[f.name] = i
		}
	}
}

// has reports whether a field is there and not null.
func (n *node) has(name string) bool {
	v := n.get(name)
	return v != nil && v.kind != nullNode
}

// at follows a path of field names (string) and positions (int), and stops at the last value that is there: problems of
// what is missing are shown where it should be.
func (n *node) at(path ...any) *node {
	for _, step := range path {
		var next *node
		switch step := step.(type) {
		case string:
			if next = n.get(step); next == nil {
				next = n.removed[step]
			}
		case int:
			if step < len(n.items) {
				next = n.items[step]
			}
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// keyOf returns the node of a field's name, or n.
func (n *node) keyOf(name string) *node {
	if i := n.position(name); i >= 0 {
		return n.fields[i].key
	}
	return n
}

// inText returns the place of a line (from 1) and column (from 0) within the text of a scalar.
func (n *node) inText(line, column int) Place {
	p := n.place()
	switch {
	case line < 1:
	case n.style == plainText && line == 1:
		p.Column += column
	case n.style == quotedText && line == 1:
		p.Column += 1 + column
	case n.style == bodyText:
		p.Line += line - 1
		p.Column = column + 1
	case n.style == literalText:
		text, _ := n.value.(string)
		p.Line += line
		p.Column = column + 1 + indentation(n.file.text, p.Line) - indentation(text, line)
	}
	return p
}

// indentation counts the spaces that begin a line of text, counted from 1.
func indentation(text string, line int) int {
	for range line - 1 {
		_, rest, ok := strings.Cut(text, "\n")
		if !ok {
			return 0
		}
		text = rest
	}
	return len(text) - len(strings.TrimLeft(text, " "))
}

// json returns the value as a JSON tree of nil, bool, int64, float64, string, []any and map[string]any.
func (n *node) json() any {
	switch n.kind {
	case scalarNode:
		return n.value
	case listNode:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = item.json()
		}
		return list
	case objectNode:
		object := make(map[string]any, len(n.fields))
		for _, f := range n.fields {
			object[f.name] = f.value.json()
		}
		return object
	}
	return nil
}

// describe says what a value is, for people.
func (n *node) describe() string {
	switch n.kind {
	case scalarNode:
		switch n.value.(type) {
		case bool:
			return fmt.Sprintf("%s, which is true or false", n.written)
		case int64, float64:
			return "the number " + shorten(n.written, 40)
		}
		return fmt.Sprintf("the text %q", shorten(n.written, 40))
	case listNode:
		return "a list"
	case objectNode:
		return "a map"
	}
	return "nothing"
}
