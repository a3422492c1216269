package words

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Runs of ASCII are divided as all others are.
func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run := rapid.StringMatching(`[a-cA-C0-2._'-]{0,12}s?`).Draw(t, "run")
		if got, want := splitASCII(nil, run), splitRunes(nil, run); !slices.Equal(got, want) {
			t.Fatalf("%q is divided into %q, want %q", run, got, want)
		}
	})
}
