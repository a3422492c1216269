package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strconv"
	"strings"
)

// Evaluated is what a Jsonnet program evaluates to, and where its parts were written.
type Evaluated struct {
	// JSON is the value.
	JSON []byte
	// Places are those of the values, and Keys those of the fields' names, by the JSON pointer (RFC 6901) of the value. Where
	// one is missing, that of the nearest value around it counts.
	Places, Keys map[string]Place
	// Fault is set where the program fails: what is wrong, where, and what to do.
	Fault *Problem
}

// Evaluator evaluates Jsonnet programs, each an entry among the files, by their paths from the root. They can import those
// files and nothing else. Its error means that programs cannot be evaluated at all.
type Evaluator func(entries []string, files map[string]string) ([]Evaluated, error)

// evaluate reads the resources that programs evaluate to. What one of them imports is not known, so that all are evaluated
// again when any file has changed that they could import.
func (l *loader) evaluate() {
	if len(l.programs) == 0 {
		return
	}
	sum := sha256.New()
	for _, f := range append(l.programs[:len(l.programs):len(l.programs)], l.imports...) {
		own := sha256.Sum256(f.raw)
		sum.Write([]byte(f.path + "\x00"))
		sum.Write(own[:])
	}
	// No file has this name.
	l.cached(l.cachedFiles(), "", hex.EncodeToString(sum.Sum(nil)), l.evaluateAll)
	if l.unknown {
		delete(l.cachedFiles(), "") // The next time it may go well.
	}
}

func (l *loader) evaluateAll() {
	if l.evaluator == nil {
		l.errorAt(Place{File: l.programs[0].path}, "write it as YAML, JSON or Markdown", "Jsonnet is not evaluated here")
		return
	}
	files, entries := map[string]string{}, []string{}
	for _, f := range l.imports {
		files[f.path] = f.text
	}
	for _, f := range l.programs {
		files[f.path] = f.text
		entries = append(entries, f.path)
	}
	values, err := l.evaluator(entries, files)
	if err != nil {
		l.errorAt(Place{File: l.programs[0].path}, "try again", "Jsonnet cannot be evaluated: %s", oneLine(err.Error()))
		l.unknown = true
		return
	}
	for i, f := range l.programs {
		if fault := values[i].Fault; fault != nil {
			l.errorAt(fault.Place, fault.Hint, "%s", oneLine(fault.Summary))
			continue
		}
		l.program(f, values[i])
	}
}

// program reads the resources that a program evaluates to: one, or a list of them, with lists in it.
func (l *loader) program(f *file, value Evaluated) {
	made := &file{path: f.path, text: string(value.JSON), raw: f.raw}
	top, err := parseJSON(made)
	if err != nil {
		l.errorAt(Place{File: f.path}, "", "%s", err)
		return
	}
	placer := placer{value: value, files: map[string]*file{f.path: f}, here: Place{File: f.path, Line: 1, Column: 1}}
	placer.put(top, "", placer.here)
	before := len(l.documents) + len(l.problems) + l.more
	l.resourcesIn(f, top)
	if len(l.documents)+len(l.problems)+l.more == before {
		l.errorAt(Place{File: f.path}, "evaluate to one, or to a list of them, or remove the file", "the program evaluates to no resource")
	}
}

func (l *loader) resourcesIn(f *file, n *node) {
	switch n.kind {
	case nullNode:
	case listNode:
		for _, item := range n.items {
			l.resourcesIn(f, item)
		}
	default:
		folder, _, _ := strings.Cut(f.path, "/")
		l.document(f, folder, n)
	}
}

// placer moves the values of a program to where they were written.
type placer struct {
	value Evaluated
	files map[string]*file
	here  Place
}

// put moves a value; around is the place of the value that it is in.
func (p *placer) put(n *node, pointer string, around Place) {
	here := around
	if known, ok := p.value.Places[pointer]; ok {
		here = known
	}
	p.move(n, here)
	for i, item := range n.items {
		p.put(item, pointer+"/"+strconv.Itoa(i), here)
	}
	for _, f := range n.fields {
		inside := pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(f.name)
		p.put(f.value, inside, here)
		key, ok := p.value.Keys[inside]
		if !ok {
			key = f.value.place()
		}
		p.move(f.key, key)
	}
}

func (p *placer) move(n *node, to Place) {
	f := p.files[to.File]
	if f == nil {
		f = &file{path: to.File}
		p.files[to.File] = f
	}
	n.file, n.line, n.column, n.style = f, to.Line, to.Column, foldedText
}

// importable reports whether a file is for programs alone, and notes what programs can import.
func (l *loader) importable(f *file) bool {
	switch path.Ext(f.path) {
	case ".jsonnet":
		l.programs = append(l.programs, f)
		return true
	case ".libsonnet":
		l.imports = append(l.imports, f)
		return true
	case ".json":
		l.imports = append(l.imports, f)
	}
	return false
}
