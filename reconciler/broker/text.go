package broker

import (
	"strings"
	"unicode"

	"github.com/mainstay-dev/mainstay/plugins"
)

// oneLine returns text as one line of at most n characters, without control characters.
func oneLine(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, text)
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > n {
		runes = append(runes[:n-1], '…')
	}
	return string(runes)
}

// inline returns a JSON value as text of one line.
func inline(value any) string {
	raw, err := plugins.Canonical(value)
	if err != nil {
		return "?"
	}
	return oneLine(string(raw), 1000)
}

// code returns text as a code span of Markdown, in which nothing is markup: its fence is longer than any run of
// backticks in the text.
func code(text string) string {
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		return fence + " " + text + " " + fence
	}
	return fence + text + fence
}

// cell returns text as a code span in a cell of a table.
func cell(text string) string { return strings.ReplaceAll(code(text), "|", `\|`) }
