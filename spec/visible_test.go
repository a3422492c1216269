package spec_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/mainstay-dev/mainstay/spec"
)

func TestTextBecomesVisible(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "",
		"plain\ttext,\nä 名 👩\u200d🚀": "plain\ttext,\nä 名 👩\u200d🚀",
		"lines\r\nof Windows\r\n":    "lines\nof Windows\n",
		"overwrite\rme":              "overwrite\uFFFDme",
		"\x1b]0;title\x07\x1b[2J":    "\uFFFD]0;title\uFFFD\uFFFD[2J",
		"\u009b2J\x7f\x00\b":         "\uFFFD2J\uFFFD\uFFFD\uFFFD",
		"gpj\u202eexe\u2066\u200b":   "gpj\uFFFDexe\uFFFD\uFFFD",
		"not UTF-8 \xff\xfe":         "not UTF-8 \uFFFD",
	} {
		if got := spec.Visible(text); got != want {
			t.Errorf("Visible(%q) is %q, want %q", text, got, want)
		}
	}
}

func FuzzVisibleTextHidesNothing(f *testing.F) {
	f.Add("a\r\r\n\x1b[0m\u202e")
	f.Fuzz(func(t *testing.T, text string) {
		got := spec.Visible(text)
		if strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) || spec.Visible(got) != got {
			t.Errorf("%q became %q", text, got)
		}
	})
}
