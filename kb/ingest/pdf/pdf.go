// Package pdf reads the text of PDF files (ISO 32000) in a process of its own.
//
// The parser that it uses can be led to loop without end, or to ask for more memory than there is, by a few bytes of a hostile file, and
// neither can be stopped from within a process. So a Child reads a file, as package child says.
package pdf

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/ledongthuc/pdf"
)

// Limits of a file.
const (
	// MaxPages is how many pages are read.
	MaxPages = 10_000
	// MaxText is how much text is read, in bytes.
	MaxText = 32 << 20
)

// document is the text of a file.
type document struct {
	Title string
	Pages [][]string
}

// read reads a file. It may not return, and it may end the process.
func read(content []byte) (d document, err error) {
	at := 0
	defer func() {
		if p := recover(); p != nil {
			d, err = document{}, fmt.Errorf("it is broken: %.200v", p)
			if at > 0 {
				err = fmt.Errorf("page %d is broken: %.200v", at, p)
			}
		}
	}()
	r, err := pdf.NewReader(bytes.NewReader(content), int64(len(content)))
	if errors.Is(err, pdf.ErrInvalidPassword) {
		return d, errors.New("it needs a password")
	}
	if err != nil {
		return d, err
	}
	pages := r.NumPage()
	if pages > MaxPages {
		return d, fmt.Errorf("it has more than %d pages", MaxPages)
	}
	size := 0
	for at = 1; at <= pages; at++ {
		lines := linesOf(glyphsOf(r.Page(at)))
		for _, line := range lines {
			size += len(line) + 1
		}
		if size > MaxText {
			return d, fmt.Errorf("it has more than %d MiB of text", MaxText>>20)
		}
		d.Pages = append(d.Pages, lines)
	}
	d.Title = title(r)
	return d, nil
}

// title is what the file says of itself, if it says so in a way that can be read.
func title(r *pdf.Reader) (s string) {
	defer func() {
		if recover() != nil {
			s = ""
		}
	}()
	return strings.ToValidUTF8(r.Trailer().Key("Info").Key("Title").Text(), "\ufffd")
}

// How far glyphs are from each other, in parts of the size of their font.
const (
	sameLine  = .5  // less is the same line, up or down, as for exponents
	wordGap   = .18 // more than that behind the last glyph there is a space
	paragraph = 1.7 // more than that further down is a paragraph of its own
)

// linesOf makes lines of glyphs, in the order in which they are drawn. Spaces are where glyphs are apart, since many files draw none.
func linesOf(glyphs []glyph) []string {
	var lines []string
	var line strings.Builder
	end := func() {
		if s := strings.Join(strings.Fields(strings.ToValidUTF8(line.String(), "\ufffd")), " "); s != "" {
			lines = append(lines, s)
		}
		line.Reset()
	}
	began := false
	var last glyph
	for _, g := range glyphs {
		if strings.TrimSpace(g.s) == "" { // A space tells nothing of where the line is: some stand behind every string.
			line.WriteByte(' ')
			continue
		}
		size := max(g.size, 1)
		if began {
			down := last.y - g.y
			switch {
			case abs(down) > sameLine*size:
				end()
				if n := len(lines); n > 0 && lines[n-1] != "" && (down > paragraph*max(size, last.size) || down < 0) {
					lines = append(lines, "")
				}
			case g.x-(last.x+last.wide) > wordGap*size || g.x < last.x-size:
				line.WriteByte(' ')
			}
		}
		line.WriteString(g.s)
		last, began = g, true
	}
	end()
	return lines
}
