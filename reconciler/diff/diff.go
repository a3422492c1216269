// Package diff writes the unified diff of two texts for people. It is a function of the texts. What a terminal would act on
// is shown as U+FFFD, so that nobody can hide a line from a reviewer.
package diff

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pmezard/go-difflib/difflib"

	"github.com/mainstay-dev/mainstay/spec"
)

// The limits of a text. What is larger is not shown.
const (
	maxBytes = 512 << 10
	maxLines = 5000
)

// Unified returns the hunks of a unified diff with three lines of context, without a header. It is "" exactly where the
// texts are the same. Of what is binary, too long, or different in what cannot be shown, it says so in one line instead.
func Unified(before, after string) (string, error) {
	switch {
	case before == after:
		return "", nil
	case !isText(before) || !isText(after):
		return fmt.Sprintf("a binary file: %d bytes before, %d bytes after\n", len(before), len(after)), nil
	case tooLong(before) || tooLong(after):
		return fmt.Sprintf("too long to show: %d bytes before, %d bytes after\n", len(before), len(after)), nil
	}
	hunks, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: lines(before), B: lines(after), Context: 3})
	if err == nil && hunks == "" {
		hunks = "they differ only in characters that cannot be shown\n"
	}
	return hunks, err
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func tooLong(s string) bool { return len(s) > maxBytes || strings.Count(s, "\n") > maxLines }

// lines splits s as diff(1) does, and marks a last line that does not end.
func lines(s string) []string {
	if s == "" {
		return nil
	}
	out := strings.SplitAfter(strings.TrimSuffix(s, "\n"), "\n")
	for i := range out {
		out[i] = spec.Visible(strings.ReplaceAll(out[i], "\r", "\uFFFD")) // Another line ending is a change too.
	}
	out[len(out)-1] += "\n"
	if !strings.HasSuffix(s, "\n") {
		out[len(out)-1] += "\\ No newline at end of file\n"
	}
	return out
}
