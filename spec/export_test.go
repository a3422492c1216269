package spec

import (
	"path"
	"slices"
	"strings"
)

// Form returns what the loader says of the form of a resource called a, before it looks at what it names and means.
func Form(kind Kind, extension string, data []byte) Problems {
	l := &loader{overlays: map[string][]*document{}}
	name := FileOf(Ref{kind, "a"})
	l.parse(&file{path: name, raw: data, text: string(data)}, path.Dir(name), extension)
	l.indexAll()
	return slices.DeleteFunc(l.problems, func(p Problem) bool { return strings.Contains(p.Summary, "is named after it") }) // Of no form.
}
