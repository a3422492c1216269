package spec

import (
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

// What is inserted into instructions as data must not begin a section, nor end or swallow one. What may do so at the
// beginning of a line gets a backslash before it, as CommonMark (https://spec.commonmark.org) takes it for text then.

// lineBreaks is everything but a line feed that CommonMark, a model or a terminal may take for the end of a line.
const lineBreaks = "\r\v\f\u0085\u2028\u2029"

var lineFeeds = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\v", "\n", "\f", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

// withLineFeeds returns a text in which only line feeds end a line.
func withLineFeeds(text string) string {
	if !strings.ContainsAny(text, lineBreaks) {
		return text // The replacer would copy it.
	}
	return lineFeeds.Replace(text)
}

// lineStart is what may stand before a block begins: spaces, and the marks of quotes and lists.
var lineStart = regexp.MustCompile(`^(?:[ \t]|>|[-*+][ \t]|[0-9]{1,9}[.)][ \t])*`)

// inert returns a value in which no line begins a heading, a rule, a fence or HTML.
func inert(value string) string {
	lines := strings.Split(value, "\n")
	for i, line := range lines {
		at := len(lineStart.FindString(line))
		if rest := line[at:]; rest != "" && (strings.ContainsAny(rest[:1], "#=<`~") || strings.Trim(rest, "-_* \t") == "") {
			lines[i] = line[:at] + "\\" + rest
		}
	}
	return strings.Join(lines, "\n")
}

// fill replaces the placeholders of an authored text by values, which are data.
func fill(authored string, value func(name string) any) string {
	var b strings.Builder
	end := 0
	for _, at := range placeholder.FindAllStringSubmatchIndex(authored, -1) {
		b.WriteString(authored[end:at[0]])
		before := authored[strings.LastIndexByte(authored[:at[0]], '\n')+1 : at[0]]
		after, _, _ := strings.Cut(authored[at[1]:], "\n")
		v := argumentText(value(authored[at[2]:at[3]]), strings.TrimSpace(before+after) == "")
		if lineStart.FindString(before) == before {
			b.WriteString(inert(v))
		} else { // The first line goes on in a line that has begun.
			first, rest, more := strings.Cut(v, "\n")
			b.WriteString(first)
			if more {
				b.WriteString("\n" + inert(rest))
			}
		}
		end = at[1]
	}
	b.WriteString(authored[end:])
	return b.String()
}

// endMark is a heading that stands behind an authored text to see whether it is one.
const endMark = "mainstay-end-of-text"

// authored returns a text that somebody wrote as instructions, which may hold headings of its own, made so that it has none
// of the first level and leaves nothing open behind it. what names it for people.
func (l *loader) authored(e *entry[AgentSpec], what, written string) string {
	written = strings.TrimSpace(withLineFeeds(written))
	if !strings.ContainsAny(written, "#=<`~") {
		return written // Nothing in it can be a heading of the first level, or stay open.
	}
	if level1, closed := outline(written); level1 == 0 && closed {
		return written
	}
	lower := lowered(written)
	for _, end := range []string{"", "\n```", "\n~~~", "\n````````", "\n~~~~~~~~", "\n-->"} {
		if level1, closed := outline(lower + end); level1 == 0 && closed {
			if end != "" {
				l.warn(e.spec, "close it", "%s: a code block or comment of agent %q is left open, and is closed where the text ends", what, e.name)
			}
			return lower + end
		}
	}
	l.error(e.spec, "use headings of the second level and below, and close code blocks, comments and HTML", "%s would begin or swallow a section of the instructions of agent %q", what, e.name)
	return ""
}

// outline parses a text with a mark behind it, and returns how many headings of the first level it holds, and whether the
// mark is a heading, so that nothing of the text is open.
func outline(written string) (level1 int, closed bool) {
	source := []byte(written + "\n\n# " + endMark + "\n")
	document := goldmark.DefaultParser().Parse(text.NewReader(source))
	_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if h, ok := n.(*ast.Heading); ok && entering && h.Level == 1 {
			lines := h.Lines()
			if n.Parent() == document && lines.Len() == 1 && string(lines.Value(source)) == endMark {
				closed = true
			} else {
				level1++
			}
		}
		return ast.WalkContinue, nil
	})
	return level1, closed
}

var (
	atxHeading = regexp.MustCompile(`^((?:[ \t]|>|[-*+][ \t]|[0-9]{1,9}[.)][ \t])*)(#{1,5})([ \t]|$)`)
	underline  = regexp.MustCompile(`^((?:[ \t]|>)*)=+[ \t]*$`)
	fence      = regexp.MustCompile("^ {0,3}(`{3,}|~{3,})")
)

// lowered moves every heading down by one level. What is between fences is left alone.
func lowered(written string) string {
	lines := strings.Split(written, "\n")
	open := ""
	for i, line := range lines {
		if m := fence.FindStringSubmatch(line); m != nil {
			switch {
			case open == "":
				open = m[1]
				continue
			case m[1][0] == open[0] && len(m[1]) >= len(open) && strings.TrimSpace(line) == m[1]:
				open = ""
				continue
			}
		}
		if open != "" {
			continue
		}
		if m := underline.FindStringSubmatch(line); m != nil && i > 0 && strings.TrimSpace(lines[i-1]) != "" {
			lines[i] = m[1] + strings.Repeat("-", len(line)-len(m[1]))
			continue
		}
		lines[i] = atxHeading.ReplaceAllString(line, "$1#$2$3")
	}
	return strings.Join(lines, "\n")
}
