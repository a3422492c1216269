package kb

import "strings"

// LeftOut stands where a secret stood.
const LeftOut = "(secret left out)"

// Without is a text with LeftOut in place of each of some secrets, of which the longest come first.
func Without(text string, secrets []string) string {
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, LeftOut)
	}
	return text
}

// Rendered is an object that a file of the source does not hold as it is: a Kubernetes resource of a Helm chart, or one that a kustomization
// builds. It is cited as lines of the file that it comes from.
type Rendered struct {
	// From says, for people, what has rendered it, and of what.
	From string
	// Text is one document of YAML.
	Text string
	// First and Last are lines of the file that it is cited as, from 1.
	First, Last int
	// Lines are, for each line of the text, the one that it comes from, as far as that can be told; 0 where it cannot.
	Lines []int
}
