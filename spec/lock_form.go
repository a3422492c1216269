package spec

import (
	"encoding/json"
	"regexp"
	"strings"
)

var platformName = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9]+$`)

// checkLockForm reports what a reviewer of the file would not see. What [Lock.Format] writes is free of it; a lock that was
// merged by hand may look different from that, and must be free of it, too.
func (l *loader) checkLockForm(f *file) {
	line, column := 1, 1
	text := strings.ReplaceAll(string(f.raw), "\r\n", "\n")
	for _, r := range text {
		switch {
		case r == '\n':
			line, column = line+1, 1
			continue
		case unseen(r):
			l.errorAt(Place{File: f.path, Line: line, Column: column}, lockHint, "the character %U cannot be seen here: it must be an escape", r)
			return
		}
		column++
	}
}

// checkLockNames reports names that nothing can have: they would be shown to people as they are.
func (l *loader) checkLockNames(top *node, written *writtenLock) {
	check := func(key *node, what, name string, ok bool) {
		if !ok {
			l.error(key, lockHint, "%q is not the name of a %s", shorten(name, 80), what)
		}
	}
	name := Patterns["name"].matches
	for _, model := range names(written.Models) {
		check(top.at("models").keyOf(model), "model", model, name(model))
	}
	for _, runtime := range names(written.Runtimes) {
		check(top.at("runtimes").keyOf(runtime), "runtime", runtime, Patterns["runtime"].matches(runtime))
		for _, platform := range names(written.Runtimes[runtime]) {
			check(top.at("runtimes", runtime).keyOf(platform), "platform such as linux/amd64", platform, platformName.MatchString(platform))
		}
	}
	for _, server := range names(written.Servers) {
		check(top.at("servers").keyOf(server), "tool server", server, name(server))
		for _, tool := range names(written.Servers[server].Tools) {
			check(top.at("servers", server, "tools").keyOf(tool), "tool", tool, len(tool) <= maxFullName && toolName.MatchString(tool))
		}
	}
}

// lockedSchema returns the schema that stands in a lock in the form of [Canonical], and reports what is wrong with it.
func (l *loader) lockedSchema(n *node, tool, text string) string {
	if text == "" {
		return "" // That it is missing is reported.
	}
	raw, err := decodeSchema(text)
	if err != nil {
		l.error(n, lockHint, "the input schema of %q is not JSON: %s", tool, oneLine(err.Error()))
		return ""
	}
	if key, line, ok := repeatedKey(text); ok {
		l.errorAt(n.inText(line, 0), lockHint, "%q is written twice in one object of the input schema of %q, and only the last one would count", shorten(key, 80), tool)
	}
	return string(raw)
}

func decodeSchema(text string) (json.RawMessage, error) {
	if !json.Valid([]byte(text)) { // What follows a value is reported, too.
		return nil, json.Unmarshal([]byte(text), new(any))
	}
	return Canonical(json.RawMessage(text))
}

// repeatedKey finds a key that an object in valid JSON has twice, and its line, counted from 1.
func repeatedKey(text string) (key string, line int, ok bool) {
	decoder := json.NewDecoder(strings.NewReader(text))
	var open []map[string]bool // The keys of each object around the token, and nil for a list.
	isKey := false
	for {
		token, err := decoder.Token()
		if err != nil {
			return "", 0, false // It is its end.
		}
		within := len(open) > 0 && open[len(open)-1] != nil
		switch token {
		case json.Delim('{'):
			open, isKey = append(open, map[string]bool{}), true
			continue
		case json.Delim('['):
			open = append(open, nil)
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
			isKey = len(open) > 0 && open[len(open)-1] != nil
			continue
		}
		if !within {
			continue
		}
		if isKey {
			name := token.(string)
			keys := open[len(open)-1]
			if keys[name] {
				return name, 1 + strings.Count(text[:decoder.InputOffset()], "\n"), true
			}
			keys[name] = true
		}
		isKey = !isKey
	}
}
