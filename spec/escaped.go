package spec

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Escaped returns text, in one line, in which every character that cannot be seen is written as the escape that Go and
// YAML have for it, such as \n, \u200b or \U000e0041: what [Visible] only marks, a reader can then tell apart. All else stays
// as it is.
func Escaped(text string) string {
	return escaped(text, "", func(r rune) string { return fmt.Sprintf(`\U%08x`, r) })
}

// EscapedJSON is [Escaped] for JSON, also of many lines, which then means the same as before.
func EscapedJSON(text string) string {
	return escaped(text, "\n", func(r rune) string {
		high, low := utf16.EncodeRune(r)
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	})
}

func escaped(text, keep string, beyond func(rune) string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if !strings.ContainsFunc(text, unseen) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case !unseen(r) || strings.ContainsRune(keep, r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r > 0xFFFF:
			b.WriteString(beyond(r))
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// unseen reports characters that show nothing, or that change how others are shown.
func unseen(r rune) bool {
	if r < 0x80 {
		return r < ' ' || r == 0x7F
	}
	return !unicode.IsPrint(r) || unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) || r == '\u2800' // The blank of Braille.
}
