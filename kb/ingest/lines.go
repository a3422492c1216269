package ingest

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/kb"
)

// lineFeeds is kb.LineFeeds of a text, with no NUL in it.
func lineFeeds(s string) string { return strings.ReplaceAll(kb.LineFeeds(s), "\x00", "\ufffd") }

// textOf makes lines of a file. It is false for what is binary, by the rule of Git: a NUL among the first bytes.
func textOf(content []byte) ([]string, bool) {
	if order := wide(content); order != nil {
		units := make([]uint16, 0, len(content)/2)
		for rest := content[2:]; len(rest) >= 2; rest = rest[2:] {
			units = append(units, order.Uint16(rest))
		}
		return linesOf(string(utf16.Decode(units))), true
	}
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	head := content[:min(len(content), 8000)]
	if bytes.IndexByte(head, 0) >= 0 || bytes.HasPrefix(head, []byte("%PDF-")) {
		return nil, false
	}
	if bad, all := invalid(head); bad*10 > all {
		return nil, false
	}
	return linesOf(strings.ToValidUTF8(string(content), "\ufffd")), true
}

// wide returns the order of bytes of a text in UTF-16, which begins with a mark.
func wide(content []byte) binary.ByteOrder {
	switch {
	case bytes.HasPrefix(content, []byte{0xff, 0xfe}):
		return binary.LittleEndian
	case bytes.HasPrefix(content, []byte{0xfe, 0xff}):
		return binary.BigEndian
	}
	return nil
}

// invalid counts the characters that are none, or that control a terminal, and all of them.
func invalid(s []byte) (bad, all int) {
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		if r == utf8.RuneError && n == 1 && len(s) >= utf8.UTFMax || r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' && r != '\x1b' {
			bad++
		}
		all++
		s = s[n:]
	}
	return bad, all
}

func linesOf(s string) []string {
	lines := strings.Split(lineFeeds(s), "\n")
	if n := len(lines); lines[n-1] == "" {
		lines = lines[:n-1]
	}
	return lines
}

// oneLine returns a text with single spaces, and without what does not show.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// blank says whether nothing but space stands in a line.
func blank(line string) bool { return strings.TrimSpace(line) == "" }
