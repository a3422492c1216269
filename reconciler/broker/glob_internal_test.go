package broker

import (
	"slices"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
	"pgregory.net/rapid"
)

func TestGlobsWithoutAlternatives(t *testing.T) {
	for glob, want := range map[string]string{
		"docs/**":              "docs/**",
		"**/*.{yaml,yml}":      "**/*.yaml **/*.yml",
		"{a,b}/{c,}":           "a/c a/ b/c b/",
		"{a,{b,c}d}e":          "ae bde cde",
		`\{a,b\}/[{,}]/{x\,y}`: `\{a,b\}/[{,}]/x\,y`,
	} {
		got, err := plainGlobs([]string{glob})
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s is %q: %v", glob, got, err)
		}
	}
	for _, glob := range []string{strings.Repeat("{a,b}", 7), strings.Repeat("{", 600) + strings.Repeat("}", 600), strings.Repeat("a", 2000), "/a", "../a", "["} {
		if got, err := plainGlobs([]string{glob}); err == nil {
			t.Errorf("%.20s is %q", glob, got)
		}
	}
}

// They match what the glob does that they are made of.
func TestGlobsWithoutAlternativesMatchTheSame(t *testing.T) {
	glob := rapid.StringOfN(rapid.SampledFrom([]rune(`ab/*?{}{},,[]^\`)), 1, 14, -1)
	name := rapid.StringOfN(rapid.SampledFrom([]rune(`ab/,{}`)), 1, 8, -1)
	rapid.Check(t, func(t *rapid.T) {
		glob, name := glob.Draw(t, "glob"), name.Draw(t, "name")
		plain, err := plainGlobs([]string{glob})
		if err != nil {
			return
		}
		got := slices.ContainsFunc(plain, func(p string) bool { return doublestar.MatchUnvalidated(p, name) })
		if want := doublestar.MatchUnvalidated(glob, name); got != want {
			t.Fatalf("%q matches %q: %v, and %q do: %v", glob, name, want, plain, got)
		}
	})
}
