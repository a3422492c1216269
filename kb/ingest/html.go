package ingest

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// html reads a page (https://html.spec.whatwg.org) and returns its title. Only main and article count where a page has them; scripts,
// navigation and what frames the page do not. It goes by tags as they come, without a tree, so that a page takes the time and memory of
// its length however it is nested.
func (c *cutter) html(content []byte) (string, error) {
	page := newPage()
	z := html.NewTokenizer(bytes.NewReader(content))
	line := 1
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			if err := z.Err(); !errors.Is(err, io.EOF) {
				return "", c.failed(line, "correct it, or leave it out with exclude", "it cannot be parsed: %v", err)
			}
			break
		}
		raw := z.Raw()
		next := line + bytes.Count(raw, []byte{'\n'})
		switch kind {
		case html.TextToken:
			page.text(string(z.Text()), line, raw)
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			tag := atom.Lookup(name)
			main, alt := tag == atom.Main || tag == atom.Article, ""
			for more {
				var key, value []byte
				key, value, more = z.TagAttr()
				switch string(key) {
				case "role":
					main = main || string(value) == "main"
				case "alt":
					alt = string(value)
				}
			}
			page.open(tag, main, alt, line)
		case html.EndTagToken:
			name, _ := z.TagName()
			page.close(atom.Lookup(name))
		}
		line = next
	}
	page.endLine()
	c.pageLines(page)
	return page.title(), nil
}

// pageLine is a line of a page, and what it is.
type pageLine struct {
	text  string
	lines span
	// level is that of a heading, or 0. frame says it is outside of what the page is about, main that it is in it.
	level       int
	main, frame bool
	// table counts the tables before it where it is a row, and head says that it is the first row of one.
	table int
	head  bool
}

// pageReader makes lines of tags and text.
type pageReader struct {
	all  []pageLine
	line strings.Builder
	at   span
	name strings.Builder // the title

	hidden  atom.Atom // an element that is skipped, with how often it is open
	hiding  int
	mains   int
	pre     int
	level   int
	inTitle bool
	tables  int // how many tables there were
	table   int // the table that is open, or 0
	cells   int
	head    bool
	lists   int
}

func newPage() *pageReader { return &pageReader{} }

func (p *pageReader) title() string { return oneLine(p.name.String()) }

// text takes a text that begins in a line of the file. raw is how it is written there.
func (p *pageReader) text(s string, line int, raw []byte) {
	switch {
	case p.inTitle:
		p.name.WriteString(s)
		return
	case p.hiding > 0 && p.hidden != atom.Header && p.hidden != atom.Footer && p.hidden != atom.Nav && p.hidden != atom.Aside:
		return
	}
	if p.pre > 0 {
		for i, part := range strings.Split(s, "\n") {
			if i > 0 {
				p.endLine()
			}
			p.add(part, line+i, line+i)
		}
		return
	}
	if strings.TrimSpace(s) == "" {
		if p.line.Len() > 0 {
			p.line.WriteByte(' ')
		}
		return
	}
	lead := raw[:len(raw)-len(bytes.TrimLeft(raw, " \t\r\n"))]
	body := bytes.TrimSpace(raw)
	first := line + bytes.Count(lead, []byte{'\n'})
	p.add(spaced(s), first, first+bytes.Count(body, []byte{'\n'}))
}

// spaced makes single spaces of spaces, and keeps one at either end.
func spaced(s string) string {
	t := strings.Join(strings.Fields(s), " ")
	if strings.IndexByte(" \t\r\n", s[0]) >= 0 {
		t = " " + t
	}
	if strings.IndexByte(" \t\r\n", s[len(s)-1]) >= 0 {
		t += " "
	}
	return t
}

func (p *pageReader) add(s string, first, last int) {
	if p.pre == 0 && p.line.Len() == 0 {
		s = strings.TrimLeft(s, " ")
	}
	if s == "" {
		return
	}
	if p.at.first == 0 {
		p.at.first = first
	}
	p.at.last = max(p.at.last, last)
	p.line.WriteString(s)
}

// endLine ends the line that has begun.
func (p *pageReader) endLine() {
	s := p.line.String()
	p.line.Reset()
	if p.pre == 0 {
		s = strings.Join(strings.Fields(s), " ")
	}
	// A line of marks alone, as of an item or a cell that is empty, says nothing, and is in no line of the file.
	if p.at.first > 0 && (p.pre > 0 || strings.Trim(s, "-| ") != "") {
		p.all = append(p.all, pageLine{text: strings.ToValidUTF8(lineFeeds(s), "\ufffd"), lines: p.at, level: p.level, main: p.mains > 0, frame: p.hiding > 0,
			table: p.table, head: p.table > 0 && p.head})
	}
	p.at = span{}
}

// gap leaves an empty line.
func (p *pageReader) gap() {
	p.endLine()
	if n := len(p.all); n > 0 && p.all[n-1].text != "" {
		last := p.all[n-1]
		p.all = append(p.all, pageLine{lines: span{last.lines.last, last.lines.last}, main: last.main, frame: last.frame})
	}
}

func (p *pageReader) open(tag atom.Atom, main bool, alt string, line int) {
	if main {
		p.endLine()
		p.mains++
		p.hiding = 0 // A frame that was not closed ends here.
	}
	switch tag {
	case atom.Nav, atom.Header, atom.Footer, atom.Aside, atom.Script, atom.Style, atom.Template, atom.Noscript, atom.Svg, atom.Iframe, atom.Select, atom.Button:
		inMain := p.mains > 0 && (tag == atom.Header || tag == atom.Footer || tag == atom.Aside)
		switch {
		case p.hiding > 0 && tag == p.hidden:
			p.hiding++
		case p.hiding == 0 && !inMain:
			p.endLine()
			p.hidden, p.hiding = tag, 1
		}
	case atom.Title:
		p.inTitle = p.name.Len() == 0 && (p.hiding == 0 || p.hidden != atom.Svg)
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		p.gap()
		p.level = int(tag.String()[1] - '0')
	case atom.Pre:
		p.gap()
		p.pre++
	case atom.Table:
		p.gap()
		p.tables++
		p.table = p.tables
		p.head = true
	case atom.Tr:
		p.endLine()
		p.cells = 0
	case atom.Td, atom.Th:
		if p.cells > 0 {
			p.line.WriteString(" | ")
		}
		p.cells++
	case atom.Ul, atom.Ol:
		if p.lists == 0 {
			p.gap()
		}
		p.endLine()
		p.lists++
	case atom.Li:
		p.endLine()
		p.line.WriteString("- ")
	case atom.P, atom.Div, atom.Section, atom.Blockquote, atom.Dl, atom.Figure, atom.Form, atom.Main, atom.Article, atom.Details:
		switch {
		case p.table > 0:
			p.line.WriteByte(' ')
		case p.lists > 0:
			if p.line.String() != "- " {
				p.endLine()
			}
		default:
			p.gap()
		}
	case atom.Br, atom.Dt, atom.Dd, atom.Hr, atom.Summary, atom.Figcaption, atom.Option:
		if p.table > 0 || p.level > 0 {
			p.line.WriteByte(' ')
		} else {
			p.endLine()
		}
	case atom.Img:
		if alt = strings.TrimSpace(alt); alt != "" && p.hiding == 0 {
			p.add(" "+spaced(alt)+" ", line, line)
		}
	}
}

func (p *pageReader) close(tag atom.Atom) {
	switch tag {
	case atom.Title:
		p.inTitle = false
	case atom.Pre:
		p.endLine()
		p.pre = max(p.pre-1, 0)
		p.gap()
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		p.endLine()
		p.level = 0
	case atom.Table:
		p.endLine()
		p.table = 0
		p.gap()
	case atom.Tr:
		p.endLine()
		p.head = false
	case atom.Ul, atom.Ol:
		p.endLine()
		if p.lists = max(p.lists-1, 0); p.lists == 0 {
			p.gap()
		}
	case atom.P, atom.Div, atom.Section, atom.Blockquote, atom.Dl, atom.Figure, atom.Form, atom.Details:
		if p.table == 0 && p.lists == 0 {
			p.gap()
		}
	case atom.Li, atom.Dt, atom.Dd:
		if p.table == 0 {
			p.endLine()
		}
	case atom.Main, atom.Article:
		p.gap()
		p.mains = max(p.mains-1, 0)
	}
	if p.hiding > 0 && tag == p.hidden {
		p.endLine()
		p.hiding--
	}
}

// pageLines adds what was found on a page: what is in main or article, or else what is in no frame, or else all there is.
func (c *cutter) pageLines(p *pageReader) {
	all := p.all
	for _, wanted := range []func(pageLine) bool{
		func(l pageLine) bool { return l.main && !l.frame },
		func(l pageLine) bool { return !l.frame },
	} {
		var some []pageLine
		found := false
		for _, l := range all {
			if wanted(l) {
				some = append(some, l)
				found = found || l.text != "" && l.level == 0
			}
		}
		if found {
			all = some
			break
		}
	}
	c.lines, c.at = make([]string, len(all)), make([]span, len(all))
	for i, l := range all {
		c.lines[i], c.at[i] = l.text, l.lines
	}
	c.lines = conceal(c.lines)
	c.outline(len(all), func(i int) (level, table int, head bool) { return all[i].level, all[i].table, all[i].head })
}

// outline adds lines of which it is known what they are: headings of a level, rows of tables counted from 1, or neither.
func (c *cutter) outline(n int, is func(i int) (level, table int, head bool)) {
	var heading []string
	var levels []int
	var pending []block
	last := -1 // a heading with nothing beneath it
	end := func(level int) {
		if last >= 0 && len(pending) == 0 && level <= levels[len(levels)-1] {
			pending = []block{{first: last, last: last}}
		}
		c.section(heading, pending...)
		pending, last = nil, -1
	}
	for i := 0; i < n && c.err == nil; i++ {
		level, table, head := is(i)
		switch {
		case level > 0:
			end(level)
			for len(levels) > 0 && levels[len(levels)-1] >= level {
				levels, heading = levels[:len(levels)-1], heading[:len(heading)-1]
			}
			heading, levels = append(heading[:len(heading):len(heading)], c.lines[i]), append(levels, level)
			last = i
		case table > 0:
			b := block{first: i, last: i}
			if head {
				b.header = 1
			}
			for i++; i < n; i++ {
				if _, t, _ := is(i); t != table {
					break
				}
				b.last = i
			}
			i--
			pending = append(pending, b)
		default:
			if k := len(pending) - 1; k >= 0 && pending[k].last == i-1 && pending[k].header == 0 {
				pending[k].last = i
			} else if !blank(c.lines[i]) {
				pending = append(pending, block{first: i, last: i})
			}
		}
	}
	end(0)
}
