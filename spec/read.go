package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// rootFile declares the Fleet. Its folder is the root of a spec repository.
const rootFile = "mainstay.yaml"

// readAll reads the root file, and the folders beneath the root that hold resources.
func (l *loader) readAll() {
	entries, err := fs.ReadDir(l.root, ".")
	if err != nil {
		l.errorAt(Place{File: "."}, "", "the folder cannot be read: %s", reason(err))
		return
	}
	found := map[string]fs.DirEntry{}
	for _, e := range entries {
		found[e.Name()] = e
	}
	if !l.alone {
		l.checkFolders(found)
	}
	if e := found[rootFile]; e != nil {
		l.readFile(rootFile, "", e)
	} else {
		hint := "it declares the Fleet, and its folder is the root of a spec repository"
		if found["mainstay.yml"] != nil {
			hint = "rename mainstay.yml"
		}
		l.errorAt(Place{File: rootFile}, hint, "there is no such file")
	}
	if !l.alone && !l.ignoreLock {
		l.readLock(found)
	}
	for _, folder := range folders {
		if e := found[folder]; e != nil {
			l.readFolder(folder, folder, e)
		}
	}
	if e := found[".agents"]; e != nil && l.folder(".agents", e) {
		inside, err := fs.ReadDir(l.root, ".agents")
		if err != nil {
			l.errorAt(Place{File: ".agents"}, "", "the folder cannot be read: %s", reason(err))
		}
		for _, e := range inside {
			if e.Name() == "skills" {
				l.readFolder(".agents/skills", "skills", e)
			}
		}
	}
}

// folder reports whether an entry is a folder, and reports what else it is.
func (l *loader) folder(name string, e fs.DirEntry) bool {
	switch {
	case e.IsDir():
		return true
	case e.Type()&fs.ModeSymlink != 0:
		l.linked(name)
	default:
		l.errorAt(Place{File: name}, "", "this is not a folder")
	}
	return false
}

func (l *loader) linked(name string) {
	l.errorAt(Place{File: name}, "put here what it points to", "this is a symbolic link, and links are never followed")
}

// readFolder reads a folder and those in it. top is the folder of the root that it is in.
func (l *loader) readFolder(name, top string, e fs.DirEntry) {
	if !l.folder(name, e) {
		return
	}
	l.cached(l.cachedFolders(), name, idOf(e), func() { l.readEntries(name, top) })
}

// readEntries reads what is in a folder.
func (l *loader) readEntries(name, top string) {
	if strings.Count(name, "/") > maxDepth {
		l.errorAt(Place{File: name}, "", "folders are nested deeper than %d levels", maxDepth)
		return
	}
	if top == "overlays" && path.Dir(name) == top && !l.overlay(name) {
		return
	}
	entries, err := fs.ReadDir(l.root, name)
	if err != nil {
		l.errorAt(Place{File: name}, "", "the folder cannot be read: %s", reason(err))
		return
	}
	l.checkNames(name, entries)
	if top == "skills" {
		for _, e := range entries {
			if e.Name() == skillFile {
				l.readSkill(name, entries)
				return
			}
		}
	}
	for _, e := range entries {
		inside := path.Join(name, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case e.IsDir():
			l.readFolder(inside, top, e)
		default:
			l.readFile(inside, top, e)
		}
	}
}

// extensions are those of the files that are read. A .libsonnet holds what programs import.
var extensions = []string{".yaml", ".yml", ".json", ".jsonnet", ".libsonnet", ".md"}

// readFile reads a file that must hold resources. READMEs are for people.
func (l *loader) readFile(name, top string, e fs.DirEntry) {
	base := path.Base(name)
	if strings.EqualFold(base, "README.md") || base == LockFile && path.Dir(path.Dir(name)) == "overlays" {
		return // People read the one, and readLock the other.
	}
	here := Place{File: name}
	if e.Type()&fs.ModeSymlink != 0 {
		l.linked(name)
		return
	}
	switch extension := path.Ext(base); {
	case e.Type()&fs.ModeIrregular != 0:
		l.errorAt(here, "commit the files themselves", "this is a submodule, and submodules are never read")
	case !slices.Contains(extensions, extension):
		l.errorAt(here, "write it as .yaml, .json, .jsonnet or .md, or move it out of this folder", "this is not a resource")
	case top == "skills" && (extension == ".md" || strings.HasPrefix(name, ".")):
		l.errorAt(here, "put it into a folder of its own, as skills/NAME/SKILL.md", "this file is in no skill's folder")
	case top == "overlays" && path.Dir(name) == top:
		l.errorAt(here, "put it into the folder of an environment, as overlays/ENV/"+base, "this file is in no overlay")
	case top == "overlays" && extension == ".md":
		l.errorAt(here, "name in YAML the resource to change, and the fields of its spec", "an overlay is written as .yaml or .json")
	default:
		l.cached(l.cachedFiles(), name, idOf(e), func() {
			if f := l.readRegular(name, e); f != nil && !l.importable(f) {
				l.parse(f, top, extension)
			}
		})
	}
}

// readRegular reads a text file, or reports why it cannot be read and returns nil.
func (l *loader) readRegular(name string, e fs.DirEntry) *file {
	raw, ok := l.readBytes(name, e)
	if !ok {
		return nil
	}
	return l.asText(name, raw)
}

// asText returns a file that is text, or reports that it is not and returns nil.
func (l *loader) asText(name string, raw []byte) *file {
	f, err := newFile(name, raw)
	if err != nil {
		l.errorAt(Place{File: name, Line: err.line}, err.hint, "%s", err.summary)
		return nil
	}
	return f
}

// newFile returns a file with the text that it holds.
func newFile(name string, raw []byte) (*file, *parseError) {
	if at := invalidUTF8(raw); at >= 0 {
		return nil, &parseError{line: bytes.Count(raw[:at], []byte("\n")) + 1, summary: "this is not UTF-8", hint: "save the file as UTF-8"}
	}
	text := strings.TrimPrefix(string(raw), "\ufeff")
	if strings.Contains(text, "\r") {
		text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	}
	return &file{path: name, raw: raw, text: text}, nil
}

// readBytes reads a file, or reports why it cannot be read.
func (l *loader) readBytes(name string, e fs.DirEntry) ([]byte, bool) {
	here := Place{File: name}
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		l.linked(name)
		return nil, false
	case e.IsDir():
		l.errorAt(here, "", "this is a folder, not a file")
		return nil, false
	case !e.Type().IsRegular():
		l.errorAt(here, "", "this is not a regular file")
		return nil, false
	}
	if l.files++; l.files > maxFiles {
		if l.files == maxFiles+1 { // This must be seen, however much else is wrong.
			l.problems = append(l.problems, Problem{Place: here, Severity: SeverityError, Summary: fmt.Sprintf("there are more than %d files", maxFiles)})
		}
		return nil, false
	}
	most, hint := int64(maxFile), "split it, or move it out of this folder"
	if path.Base(name) == LockFile {
		most, hint = maxLock, "declare fewer tools"
	}
	raw, err := readAtMost(l.root, name, most)
	if err != nil {
		l.errorAt(here, "", "the file cannot be read: %s", reason(err))
		return nil, false
	}
	if int64(len(raw)) > most {
		l.errorAt(here, hint, "the file is larger than %d KiB", most>>10)
		return nil, false
	}
	before := l.total
	if l.total += len(raw); l.total > maxTotal {
		if before <= maxTotal {
			l.problems = append(l.problems, Problem{Place: here, Severity: SeverityError, Summary: fmt.Sprintf("the files are larger than %d MiB together", maxTotal>>20)})
		}
		return nil, false
	}
	return raw, true
}

// readAtMost reads a file, and at most one byte more than n.
func readAtMost(root fs.FS, name string, n int64) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	if info, err := f.Stat(); err == nil && info.Size() <= n {
		b.Grow(int(info.Size()) + bytes.MinRead) // So that it is read at once.
	}
	_, err = b.ReadFrom(io.LimitReader(f, n+1))
	return b.Bytes(), err
}

// reason is an error without the path, which the problem's place says already.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return oneLine(err.Error())
}

func invalidUTF8(raw []byte) int {
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return -1
}

// parse reads the resources of a file.
func (l *loader) parse(f *file, top, extension string) {
	var err error
	var nodes []*node
	switch extension {
	case ".md":
		err = l.parseMarkdown(f, top)
	case ".json":
		var n *node
		if n, err = parseJSON(f); err == nil {
			nodes = []*node{n}
		}
	default:
		if nodes, err = parseYAML(f, f.text, 0); err == nil && len(nodes) == 0 {
			err = &parseError{summary: "the file holds no resource", hint: "write one, or remove the file"}
		}
	}
	var bad *parseError
	if errors.As(err, &bad) {
		l.errorAt(Place{File: f.path, Line: bad.line, Column: bad.column}, bad.hint, "%s", bad.summary)
	}
	if len(nodes) > 1 && top == "actions" {
		l.error(nodes[1], "an Action's digest is that of its file", "a file in actions/ holds one Action")
	}
	for _, n := range nodes {
		l.document(f, top, n)
	}
}

// parseMarkdown reads a resource whose kind is given by the folder and whose name by the file.
func (l *loader) parseMarkdown(f *file, top string) error {
	m, err := parseMarkdown(f)
	if err != nil {
		return err
	}
	kind := folderKinds[top]
	d := &document{kind: kind, name: strings.TrimSuffix(path.Base(f.path), ".md"), file: f, spec: m.front}
	d.top = &node{file: f}
	d.named = d.top
	textField := map[Kind]string{KindAgent: "instructions", KindPrompt: "text"}[kind]
	switch {
	case kind == KindAction:
		return &parseError{summary: "an Action is a YAML file", hint: "name it actions/ID.yaml"}
	case m.front.has("apiVersion") || m.front.has("kind"):
		n := m.front.keyOf("apiVersion")
		return &parseError{n.line, n.column, "front matter holds the fields of the spec alone",
			fmt.Sprintf("the folder says that this is %s, and the file name that it is %q: leave out apiVersion, kind and metadata, and write what is under spec", article(kind), d.name)}
	case m.text == "":
	case textField == "":
		return &parseError{m.body.line, m.body.column, article(kind) + " has no text below the front matter", "write it in a field of the front matter"}
	case m.front.has(textField):
		n := m.front.keyOf(textField)
		return &parseError{n.line, n.column, fmt.Sprintf("%q is in the front matter and below it", textField), "keep one of them"}
	default:
		front := *m.front
		front.fields, front.index = nil, nil
		for _, f := range m.front.fields {
			if f.name != textField { // It is there without a value.
				front.add(f)
			}
		}
		front.add(field{textField, m.body, m.body})
		d.spec = &front
	}
	l.documents = append(l.documents, d)
	return nil
}
