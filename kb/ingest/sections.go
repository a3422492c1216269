package ingest

import (
	"context"
	"fmt"
	"strings"

	"github.com/mainstay-dev/mainstay/kb"
)

// Section is a part of a text that stands beneath headings, the outermost first.
type Section struct {
	Heading []string
	Text    string
}

// Sections makes a document of a text that is no file, whose sections are known. Nothing in the texts is taken for a heading, so whoever
// wrote them cannot make up sections. Lines are counted over all sections, and headings are none. Errors are those of [Read].
func Sections(ctx context.Context, kind kb.Kind, title string, sections []Section, o Options) (kb.Document, error) {
	if err := o.check(); err != nil {
		return kb.Document{}, err
	}
	c := &cutter{ctx: ctx, path: title, size: o.size(), overlap: o.Overlap}
	blocks := make([]block, len(sections))
	bytes := 0
	for i, s := range sections {
		if bytes += len(s.Text); bytes > MaxSource {
			return kb.Document{}, &Error{Path: title, Message: fmt.Sprintf("it is longer than %d MiB", MaxSource>>20), Hint: "leave it out"}
		}
		lines := linesOf(strings.ToValidUTF8(s.Text, "\ufffd"))
		blocks[i] = block{first: len(c.lines), last: len(c.lines) + len(lines) - 1}
		c.lines = append(c.lines, conceal(lines)...)
	}
	for i, s := range sections {
		c.section(s.Heading, blocks[i])
	}
	if c.err != nil {
		return kb.Document{}, c.err
	}
	return kb.Document{Kind: kind, Title: brief(concealLine(title)), Chunks: c.chunks}, nil
}
