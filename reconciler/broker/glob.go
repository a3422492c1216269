package broker

import (
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// maxGlobs bounds the globs of one call, with each combination of alternatives counted as one.
const maxGlobs = 64

// plainGlobs returns globs without alternatives that together match what some globs of an agent do: {a,b}/{c,d} becomes four. To match
// alternatives takes twice as long with each pair of them, and nothing cuts that short; without them it takes no longer than the path is.
func plainGlobs(globs []string) ([]string, error) {
	if len(globs) > maxGlobs {
		return nil, refuse("%d globs are too many: at most %d are allowed", len(globs), maxGlobs)
	}
	var plain []string
	for _, glob := range globs {
		if len(glob) > maxPath || !doublestar.ValidatePattern(glob) || strings.HasPrefix(glob, "/") || slices.Contains(strings.Split(glob, "/"), "..") {
			return nil, refuse("%.100q is not a glob over paths from the root, such as docs/**", glob)
		}
		for open := []string{glob}; len(open) > 0; {
			one := open[len(open)-1]
			open = open[:len(open)-1]
			if begin, end, alternatives := firstAlternatives(one); alternatives != nil {
				for _, a := range slices.Backward(alternatives) {
					open = append(open, one[:begin]+a+one[end:])
				}
			} else {
				plain = append(plain, one)
			}
			if len(open)+len(plain) > maxGlobs {
				return nil, refuse("%.100q has too many alternatives: with all combinations of them at most %d globs are allowed", glob, maxGlobs)
			}
		}
	}
	return plain, nil
}

// firstAlternatives finds the first {a,b} of a glob that is valid; without one there are none.
func firstAlternatives(glob string) (begin, end int, alternatives []string) {
	depth, from := 0, 0
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; {
		case c == '\\':
			i++
		case c == '[':
			for i++; i < len(glob) && glob[i] != ']'; i++ {
				if glob[i] == '\\' {
					i++
				}
			}
		case c == '{':
			if depth++; depth == 1 {
				begin, from = i, i+1
			}
		case c == ',' && depth == 1:
			alternatives, from = append(alternatives, glob[from:i]), i+1
		case c == '}' && depth == 1:
			return begin, i + 1, append(alternatives, glob[from:i])
		case c == '}':
			depth--
		}
	}
	return 0, 0, nil
}
