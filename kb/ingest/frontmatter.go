package ingest

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFrontMatter is how many lines front matter may have.
const maxFrontMatter = 1000

// frontMatter reads what stands before a Markdown text, in YAML between lines of --- or in TOML between lines of +++. It returns the
// line at which the text begins, the title, and the lines that say what the document is about.
func (c *cutter) frontMatter() (begin int, title string, summary []block) {
	if len(c.lines) == 0 {
		return 0, "", nil
	}
	mark := strings.TrimRight(c.lines[0], " \t")
	if mark != "---" && mark != "+++" {
		return 0, "", nil
	}
	end := 0
	for i := 1; i < min(len(c.lines), maxFrontMatter) && end == 0; i++ {
		if strings.TrimRight(c.lines[i], " \t") == mark {
			end = i
		}
	}
	if end == 0 {
		return 0, "", nil // It was a rule.
	}
	if mark == "---" {
		title, summary = yamlFrontMatter(c.lines[1:end])
	}
	if title == "" {
		for _, line := range c.lines[1:end] {
			key, value, ok := strings.Cut(line, "=")
			if !ok {
				key, value, _ = strings.Cut(line, ":")
			}
			if strings.TrimSpace(key) == "title" {
				title = strings.Trim(strings.TrimSpace(value), `"'`)
				break
			}
		}
	}
	return end + 1, title, summary
}

// yamlFrontMatter finds the title, and the lines of what is prose, which are counted from the document's begin.
func yamlFrontMatter(lines []string) (title string, summary []block) {
	var document yaml.Node
	if yaml.Unmarshal([]byte(strings.Join(lines, "\n")), &document) != nil || len(document.Content) == 0 {
		return "", nil
	}
	root := document.Content[0]
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		switch key.Value {
		case "title":
			if value.Kind == yaml.ScalarNode {
				title = value.Value
			}
		case "description", "summary", "abstract":
			last := len(lines)
			if i+2 < len(root.Content) {
				last = root.Content[i+2].Line - 1
			}
			summary = append(summary, block{first: key.Line, last: last})
		}
	}
	return title, summary
}
