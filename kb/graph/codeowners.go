package graph

import (
	"bytes"
	"strings"
)

// codeownersPaths are where GitHub and GitLab look for the file, the one that counts first.
var codeownersPaths = []string{".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS"}

// readCodeowners reads patterns and who owns what they match. A pattern without owners is declared too: it takes owners away.
// https://docs.github.com/en/repositories/managing-your-repositorys-settings-and-features/customizing-your-repository/about-code-owners
func readCodeowners(c *collector, data []byte) {
	line := 0
	for raw := range bytes.Lines(data) {
		line++
		text, _, _ := strings.Cut(string(raw), " #")
		words := strings.Fields(text)
		if len(words) == 0 || words[0][0] == '#' || words[0][0] == '[' || words[0][0] == '^' {
			continue // The last two are sections of GitLab.
		}
		for len(words) > 1 && strings.HasSuffix(words[0], `\`) { // A blank in a pattern.
			words = append([]string{words[0][:len(words[0])-1] + " " + words[1]}, words[2:]...)
		}
		pattern := Node{Kind: KindPattern, Name: words[0]}
		c.entity(Entity{Node: pattern, First: line, Last: line})
		for _, owner := range words[1:] {
			if strings.Contains(owner, "@") {
				c.link(pattern, OwnedBy, Node{Kind: KindCodeOwner, Name: owner}, line)
			}
		}
	}
}
