// Package near finds the name that a misspelt one may have meant to be.
package near

import (
	"fmt"
	"slices"
	"strings"
)

// maxCompared bounds what is compared of a name, in bytes.
const maxCompared = 64

// Name returns the candidate that name may be a misspelling of, or "". Case does not count. Of several that are as near,
// the first in the order of their bytes is returned; name itself is never.
func Name(name string, candidates []string) string {
	best, bestDistance := "", min(3, len(name)/3)+1
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if c == name {
			continue
		}
		if d := Distance(strings.ToLower(name), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// Hint asks whether the candidate that name may be a misspelling of was meant: `did you mean "triage"?`. Where none is near it is otherwise.
func Hint(name string, candidates []string, otherwise string) string {
	if meant := Name(name, candidates); meant != "" {
		return fmt.Sprintf("did you mean %q?", meant)
	}
	return otherwise
}

// Distance is the Levenshtein distance, in bytes, of the beginnings of two texts; two letters that changed places count once.
func Distance(a, b string) int {
	a, b = a[:min(len(a), maxCompared)], b[:min(len(b), maxCompared)]
	before, previous, current := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			current[j] = min(previous[j]+1, current[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}
