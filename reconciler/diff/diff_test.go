package diff_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/reconciler/diff"
)

func TestUnified(t *testing.T) {
	for _, tt := range []struct{ name, before, after, want string }{
		{"the same texts differ in nothing", "a\n", "a\n", ""},
		{"a new text is all plus", "", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n"},
		{"a removed text is all minus", "a\n", "", "@@ -1 +0,0 @@\n-a\n"},
		{"a line changes", "a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
		{"a last line without an end is marked", "a\n", "a", "@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n"},
		{"another line ending is a change", "a\n", "a\r\n", "@@ -1 +1 @@\n-a\n+a\uFFFD\n"},
		{"what a terminal would act on is shown as a mark", "a\n", "a\x1b[2J\u202e\n", "@@ -1 +1 @@\n-a\n+a\uFFFD[2J\uFFFD\n"},
		{"a binary file is named", "a", "\x00", "a binary file: 1 bytes before, 1 bytes after\n"},
		{"what is too long is named", "a", strings.Repeat("a\n", 5001), "too long to show: 1 bytes before, 10002 bytes after\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := diff.Unified(tt.before, tt.after)
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// Two texts have no diff exactly where they are the same.
func TestEveryChangeIsShown(t *testing.T) {
	text := rapid.StringOfN(rapid.SampledFrom([]rune("ab\n\r\x1b\u202e")), 0, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		before, after := text.Draw(t, "before"), text.Draw(t, "after")
		got, err := diff.Unified(before, after)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(got, "\r\x1b\u202e") {
			t.Fatalf("%q and %q: %q can act on a terminal", before, after, got)
		}
		if (before == after) != (got == "") {
			t.Fatalf("%q and %q: %q", before, after, got)
		}
	})
}
