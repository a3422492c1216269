package graph

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// JSON writes the answer as JSON.
func (a Answer) JSON(w io.Writer) error { return indented(w, a) }

// JSON writes the changes as JSON.
func (c Changes) JSON(w io.Writer) error { return indented(w, c) }

func indented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// maxColumn is how wide the column of names is at most, in characters. A longer one sticks out, and moves no other.
const maxColumn = 60

// Text writes the answer for people: what was found, with its distance and a place that declares it, and then how each is related and
// where that is written.
func (a Answer) Text(w io.Writer) error {
	var b strings.Builder
	if len(a.Found) == 0 {
		b.WriteString("nothing was found\n")
	}
	width := 0
	for _, f := range a.Found {
		if n := len([]rune(visible(f.Node.String()))); n <= maxColumn {
			width = max(width, n)
		}
	}
	for _, f := range a.Found {
		fmt.Fprintf(&b, "%d  %-*s  %s\n", f.Depth, width, visible(f.Node.String()), declared(f.Declared))
	}
	if a.LeftOut > 0 {
		fmt.Fprintf(&b, "and %d more, which were left out\n", a.LeftOut)
	}
	if len(a.Edges) > 0 {
		b.WriteByte('\n')
	}
	for _, e := range a.Edges {
		b.WriteString(e.sentence())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func declared(places []Place) string {
	if len(places) == 0 {
		return "not declared here"
	}
	text := visible(places[0].File)
	if places[0].First > 0 {
		text = fmt.Sprintf("%s:%d", text, places[0].First)
	}
	if more := len(places) - 1; more > 0 {
		text = fmt.Sprintf("%s and %d more", text, more)
	}
	return text
}

// sentence is an edge on a line.
func (e Edge) sentence() string {
	text := fmt.Sprintf("%s %s %s", visible(e.From.String()), e.Relation, visible(e.To.String()))
	if e.Version != "" {
		text += " " + visible(e.Version)
	}
	if e.File != "" {
		text += fmt.Sprintf("  %s:%d", visible(e.File), e.Line)
	}
	return text + "\n"
}

// Text writes the changes as a diff: + is new, - is gone.
func (c Changes) Text(w io.Writer) error {
	var b strings.Builder
	for _, n := range c.RemovedEntities {
		fmt.Fprintf(&b, "- %s\n", visible(n.String()))
	}
	for _, n := range c.AddedEntities {
		fmt.Fprintf(&b, "+ %s\n", visible(n.String()))
	}
	for _, e := range c.RemovedEdges {
		b.WriteString("- " + e.sentence())
	}
	for _, e := range c.AddedEdges {
		b.WriteString("+ " + e.sentence())
	}
	if b.Len() == 0 {
		b.WriteString("nothing has changed\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// numbered gives the nodes of an answer short names, in the order in which they are told.
func (a Answer) numbered() ([]Node, map[Node]string) {
	var nodes []Node
	names := map[Node]string{}
	add := func(n Node) {
		if _, known := names[n]; !known {
			names[n] = fmt.Sprintf("n%d", len(nodes))
			nodes = append(nodes, n)
		}
	}
	for _, n := range a.Of {
		add(n)
	}
	for _, f := range a.Found {
		add(f.Node)
	}
	for _, e := range a.Edges {
		add(e.From)
		add(e.To)
	}
	return nodes, names
}

// Mermaid writes the answer as a flowchart of Mermaid. https://mermaid.js.org/syntax/flowchart.html
func (a Answer) Mermaid(w io.Writer) error {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	nodes, names := a.numbered()
	for _, n := range nodes {
		fmt.Fprintf(&b, "  %s[\"%s\"]\n", names[n], mermaid(n.String()))
	}
	for _, e := range a.Edges {
		fmt.Fprintf(&b, "  %s -->|\"%s\"| %s\n", names[e.From], mermaid(e.label()), names[e.To])
	}
	if a.LeftOut > 0 {
		fmt.Fprintf(&b, "  more[\"%d more, left out\"]\n", a.LeftOut)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// DOT writes the answer in the language of Graphviz. https://graphviz.org/doc/info/lang.html
func (a Answer) DOT(w io.Writer) error {
	var b strings.Builder
	b.WriteString("digraph {\n  rankdir=LR\n  node [shape=box]\n")
	nodes, names := a.numbered()
	for _, n := range nodes {
		fmt.Fprintf(&b, "  %s [label=%s]\n", names[n], dot(n.String()))
	}
	for _, e := range a.Edges {
		fmt.Fprintf(&b, "  %s -> %s [label=%s]\n", names[e.From], names[e.To], dot(e.label()))
	}
	if a.LeftOut > 0 {
		fmt.Fprintf(&b, "  more [label=\"%d more, left out\" shape=plaintext]\n", a.LeftOut)
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (e Edge) label() string {
	if e.Version == "" {
		return string(e.Relation)
	}
	return string(e.Relation) + " " + e.Version
}

// mermaid writes a text as Mermaid shows it: signs that mean something to it, or to HTML, are told by number.
func mermaid(text string) string {
	var b strings.Builder
	for _, r := range visible(text) {
		if r < 0x80 && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" -_./:@=,+", r) {
			fmt.Fprintf(&b, "#%d;", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// dot quotes a text as Graphviz reads it. A backslash begins an escape in a label.
func dot(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(visible(text)) + `"`
}

// visible replaces what a terminal or a browser would act on instead of showing it: names are whatever somebody wrote.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text, string(unicode.ReplacementChar)))
}
