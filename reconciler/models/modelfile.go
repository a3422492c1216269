package models

import (
	"fmt"
	"strings"

	"github.com/ollama/ollama/api"
)

// modelfile is what a Modelfile says (https://docs.ollama.com/modelfile). Of its instructions all are read but those that newer versions
// of Ollama may have.
type modelfile struct {
	from, template, system string
	adapters               []string
	// projectors are the FROMs after the first one, as a server shows those of a model that sees.
	projectors []string
	licenses   []string
	parameters map[string][]string
	messages   []api.Message
}

// instructions are those that are read.
const instructions = "FROM, ADAPTER, PARAMETER, TEMPLATE, SYSTEM, LICENSE, MESSAGE"

// parseModelfile reads a Modelfile that a person wrote. An error names the line.
func parseModelfile(text string) (modelfile, error) {
	m, err := parseShown(text, false)
	if err == nil && len(m.adapters) > 1 {
		err = fmt.Errorf("there are %d ADAPTERs, and a model is made with one at most", len(m.adapters))
	}
	return m, err
}

// parseShown reads a Modelfile, with what a server shows in one besides.
func parseShown(text string, shown bool) (modelfile, error) {
	m := modelfile{parameters: map[string][]string{}}
	lines := strings.Split(strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line, at := strings.TrimSpace(lines[i]), i+1
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest := word(line)
		var role string
		switch strings.ToUpper(name) {
		case "PARAMETER", "MESSAGE":
			role, rest = word(rest)
		}
		value, next, err := quotedValue(lines, i, rest)
		if err != nil {
			return m, err
		}
		i = next
		if value == "" && strings.ToUpper(name) != "SYSTEM" {
			return m, fmt.Errorf("line %d: %s says nothing", at, name)
		}
		switch strings.ToUpper(name) {
		case "FROM":
			switch {
			case m.from == "":
				m.from = value
			case shown:
				m.projectors = append(m.projectors, value)
			default:
				return m, fmt.Errorf("line %d: a second FROM", at)
			}
		case "ADAPTER":
			m.adapters = append(m.adapters, value)
		case "PARAMETER":
			m.parameters[role] = append(m.parameters[role], value)
		case "TEMPLATE":
			m.template = value
		case "SYSTEM":
			m.system = value
		case "LICENSE":
			m.licenses = append(m.licenses, value)
		case "MESSAGE":
			if role != "system" && role != "user" && role != "assistant" {
				return m, fmt.Errorf("line %d: a message is of system, user or assistant, and not of %q", at, role)
			}
			m.messages = append(m.messages, api.Message{Role: role, Content: value})
		default:
			if shown {
				continue
			}
			return m, fmt.Errorf("line %d: %q cannot be read; known are %s", at, name, instructions)
		}
	}
	if m.from == "" {
		return m, fmt.Errorf("there is no FROM, which names a GGUF file or a model")
	}
	return m, nil
}

// word splits off the first word of a line.
func word(line string) (first, rest string) {
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		return line[:i], strings.TrimSpace(line[i:])
	}
	return line, ""
}

// quotedValue returns the value that begins with rest on line i, and the line on which it ends: all between three quotes, all
// between two, or what is there.
func quotedValue(lines []string, i int, rest string) (string, int, error) {
	const long = `"""`
	if text, ok := strings.CutPrefix(rest, long); ok {
		for at := i; ; at++ {
			if before, _, ok := strings.Cut(text, long); ok {
				return before, at, nil
			}
			if at+1 == len(lines) {
				return "", at, fmt.Errorf("line %d: the text after %s has no end", i+1, long)
			}
			text += "\n" + lines[at+1]
		}
	}
	if len(rest) >= 2 && rest[0] == '"' && rest[len(rest)-1] == '"' {
		return rest[1 : len(rest)-1], i, nil
	}
	return rest, i, nil
}
