package spec

import (
	"strings"
	"unicode"
)

// Visible returns text that is safe to show to a person in a terminal or a browser, whoever wrote it. What those would act
// on instead of showing becomes U+FFFD: control characters other than tabs and newlines, and the characters that reorder
// or hide text. A carriage return before a newline is dropped. To make visible text visible again changes nothing.
func Visible(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\u200d': // The last one joins emoji.
			return r
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return '\uFFFD'
		}
		return r
	}, text)
}
