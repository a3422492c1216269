package ingest

import (
	"slices"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extensionast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// blocks parses what CommonMark (https://spec.commonmark.org) calls blocks, and tables, without what is in their lines. Definitions of links
// stay where they are: looking for them takes time that grows with the square of their number.
func blocks() parser.Parser {
	return parser.NewParser(
		parser.WithBlockParsers(parser.DefaultBlockParsers()...),
		parser.WithParagraphTransformers(util.Prioritized(extension.NewTableParagraphTransformer(), 200)),
	)
}

// maxMarkdown is how long a Markdown document may be that is parsed, in bytes; a longer one is read as a text.
const maxMarkdown = 4 << 20

// markdown reads a Markdown document and returns its title: that of its front matter, or its first heading.
//
// A chunk is what stands beneath a heading, or a part of it. Tables, lists and code blocks stay whole where they fit. A longer list
// is cut between its items, longer code at blank lines, and each part of a longer table begins with its header.
func (c *cutter) markdown() string {
	begin, title, summary := c.frontMatter()
	source := []byte(strings.Join(c.lines[begin:], "\n"))
	if nested(c.lines) || len(source) > maxMarkdown {
		c.section(nil, block{first: begin, last: len(c.lines) - 1})
		return title
	}
	m := &markdownReader{cutter: c, source: source, starts: lineStarts(source), begin: begin}
	document := blocks().Parse(text.NewReader(source))
	pending := summary
	var path []string
	var levels []int
	var heading *block // Its lines, while nothing stands beneath it.
	end := func(level int) {
		if heading != nil && len(pending) == 0 && level <= levels[len(levels)-1] {
			pending = []block{*heading} // A heading with nothing beneath it is all there is to find.
		}
		c.section(path, pending...)
		pending, heading = nil, nil
	}
	for n := document.FirstChild(); n != nil && c.err == nil; n = n.NextSibling() {
		b := m.block(n)
		h, ok := n.(*ast.Heading)
		if !ok {
			if html, ok := n.(*ast.HTMLBlock); ok && html.HTMLBlockType == ast.HTMLBlockType2 && len(pending) == 0 {
				continue // a comment before the text, such as a licence
			}
			pending = append(pending, b)
			continue
		}
		end(h.Level)
		for len(levels) > 0 && levels[len(levels)-1] >= h.Level {
			levels, path = levels[:len(levels)-1], path[:len(path)-1]
		}
		name := inlineText(strings.Join(m.own(h), " "))
		if title == "" && name != "" {
			title = name
		}
		path, levels = append(slices.Clip(path), name), append(levels, h.Level)
		heading = &b
	}
	end(0)
	return title
}

// markdownReader finds the lines of what goldmark has parsed.
type markdownReader struct {
	*cutter
	source []byte
	starts []int // where each line begins
	begin  int   // the line of the document where source begins
}

func lineStarts(source []byte) []int {
	starts := []int{0}
	for i, b := range source {
		if b == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// lineAt is the line of the document in which a byte of source stands.
func (m *markdownReader) lineAt(at int) int {
	i, found := slices.BinarySearch(m.starts, at)
	if !found {
		i--
	}
	return max(i, 0) + m.begin
}

// own are the lines of a node, without marks.
func (m *markdownReader) own(n ast.Node) []string {
	var lines []string
	for _, s := range n.Lines().Sliced(0, n.Lines().Len()) {
		lines = append(lines, string(s.Value(m.source)))
	}
	return lines
}

// block is a node with all lines until the next one begins.
func (m *markdownReader) block(n ast.Node) block {
	last := len(m.lines) - 1
	for p := n; p != nil; p = p.Parent() {
		if next := p.NextSibling(); next != nil {
			last = max(m.lineAt(next.Pos())-1, m.lineAt(n.Pos()))
			break
		}
	}
	b := block{first: m.lineAt(n.Pos()), last: last}
	switch n := n.(type) {
	case *ast.List:
		for item := n.FirstChild(); item != nil; item = item.NextSibling() {
			b.parts = append(b.parts, m.block(item))
		}
	case *extensionast.Table:
		b.header = 2
		for i := b.first; i <= b.last; i++ {
			b.parts = append(b.parts, block{first: i, last: i})
		}
	}
	return b
}

// nested says whether quotes and lists are nested deeper than anybody means it. It would take long to parse.
func nested(lines []string) bool {
	for _, line := range lines {
		marks := 0
		for i := 0; i < len(line) && strings.IndexByte("> \t-*+0123456789.)", line[i]) >= 0; i++ {
			if strings.IndexByte(">-*+.)", line[i]) >= 0 && (line[i] == '>' || i+1 < len(line) && line[i+1] == ' ') {
				marks++
			}
		}
		if in := indent(line); marks > maxDepth/2 || in > maxDepth && in < len(line) && strings.IndexByte(">-*+0123456789", line[in]) >= 0 {
			return true
		}
	}
	return false
}

var (
	markdownLink = lazily(`!?\[([^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])`)
	headingID    = lazily(`\s*\{#[^}]*\}\s*$`)
	htmlTag      = lazily(`</?[A-Za-z][^<>]*>|<!--.*?-->`)
	shortcode    = lazily(`\{\{[<%]\s*\w*\s*(.*?)\s*/?[%>]\}\}`)
)

// inlineText is what a reader sees of a heading: without marks, with the texts of links.
func inlineText(s string) string {
	s = headingID.ReplaceAllString(s, "")
	s = shortcode.ReplaceAllString(s, "$1")
	s = markdownLink.ReplaceAllString(s, "$1")
	s = htmlTag.ReplaceAllString(s, "")
	s = strings.NewReplacer("**", "", "__", "", "`", "", `\`, "").Replace(s)
	if t := strings.TrimSpace(s); len(t) > 2 && (t[0] == '*' || t[0] == '_') && t[len(t)-1] == t[0] {
		s = t[1 : len(t)-1]
	}
	return oneLine(s)
}
