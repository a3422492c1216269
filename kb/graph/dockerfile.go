package graph

import (
	"bytes"
	"strings"
)

// readDockerfile reads which images a Dockerfile builds upon and copies out of. Stages that it names itself are none. Arguments with a
// default are filled in; where there is none, it is not known which image is meant.
// https://docs.docker.com/reference/dockerfile/
func readDockerfile(c *collector, data []byte) {
	stages, arguments := map[string]bool{}, map[string]string{}
	from := func(name string, line int) {
		name = expand(name, arguments)
		if stages[strings.ToLower(name)] || strings.EqualFold(name, "scratch") || isNumber(name) {
			return
		}
		node, version := image(name)
		c.add(Link{From: c.file(), Relation: BuiltFrom, To: node, Version: version, Line: line})
	}
	for line, words := range instructions(data) {
		switch strings.ToUpper(words[0]) {
		case "ARG":
			for _, w := range words[1:] {
				if name, value, found := strings.Cut(w, "="); found {
					if _, known := arguments[name]; !known && len(arguments) < 1000 && len(value) <= maxName {
						arguments[name] = expand(strings.Trim(value, `"'`), arguments)
					}
				}
			}
		case "FROM":
			words = flagless(words)
			if len(words) > 1 {
				from(words[1], line)
			}
			if len(words) > 3 && strings.EqualFold(words[2], "AS") {
				stages[strings.ToLower(words[3])] = true
			}
		case "COPY", "ADD", "RUN":
			for _, w := range words[1:] {
				if !strings.HasPrefix(w, "--") {
					break
				}
				if name, found := strings.CutPrefix(w, "--from="); found {
					from(name, line)
				} else if mount, found := strings.CutPrefix(w, "--mount="); found {
					for part := range strings.SplitSeq(mount, ",") {
						if name, found := strings.CutPrefix(part, "from="); found {
							from(name, line)
						}
					}
				}
			}
		}
	}
}

func flagless(words []string) []string {
	for len(words) > 1 && strings.HasPrefix(words[1], "--") {
		words = append(words[:1:1], words[2:]...)
	}
	return words
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// instructions yields the words of each instruction, with lines that go on joined, and the line it begins at. Text in here-documents is
// passed over.
func instructions(data []byte) func(func(int, []string) bool) {
	return func(yield func(int, []string) bool) {
		var words []string
		begin, n, until := 0, 0, ""
		for raw := range bytes.Lines(data) {
			n++
			line := strings.TrimSpace(string(raw))
			if until != "" {
				if line == until {
					until = ""
				}
				continue
			}
			if line == "" || line[0] == '#' {
				continue
			}
			if len(words) == 0 {
				begin = n
			}
			text, more := strings.CutSuffix(line, `\`)
			if len(words) < 10_000 {
				words = append(words, strings.Fields(text)...)
			}
			if more {
				continue
			}
			if len(words) > 0 {
				if !yield(begin, words) {
					return
				}
				until = hereDocument(words)
			}
			words = nil
		}
		if len(words) > 0 {
			yield(begin, words)
		}
	}
}

// hereDocument is the word that ends the here-document an instruction begins, or "".
func hereDocument(words []string) string {
	if !strings.EqualFold(words[0], "RUN") && !strings.EqualFold(words[0], "COPY") {
		return ""
	}
	for _, w := range words[1:] {
		if rest, found := strings.CutPrefix(w, "<<"); found {
			return strings.Trim(strings.TrimPrefix(rest, "-"), `"'`)
		}
	}
	return ""
}

// expand fills in $NAME, ${NAME} and ${NAME:-default}. What is not known stays as it is.
func expand(text string, arguments map[string]string) string {
	for range 16 {
		at := strings.IndexByte(text, '$')
		if at < 0 || len(text) > maxName {
			return text
		}
		rest, after, fallback := text[at+1:], "", ""
		var name string
		if inner, found := strings.CutPrefix(rest, "{"); found {
			end := strings.IndexByte(inner, '}')
			if end < 0 {
				return text
			}
			name, after = inner[:end], inner[end+1:]
			name, fallback, _ = strings.Cut(name, ":-")
		} else {
			end := 0
			for end < len(rest) && (rest[end] == '_' || rest[end] >= '0' && rest[end] <= '9' || rest[end]|0x20 >= 'a' && rest[end]|0x20 <= 'z') {
				end++
			}
			name, after = rest[:end], rest[end:]
		}
		value := arguments[name]
		if value == "" {
			value = fallback
		}
		if value == "" {
			return text
		}
		text = text[:at] + value + after
	}
	return text
}
