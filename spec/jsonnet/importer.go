package jsonnet

import (
	_ "embed"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/go-jsonnet"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// LibraryName is what a program imports to get the library.
const LibraryName = "mainstay.libsonnet"

// libraryPath is where the library is found. It is no path that a file of a repository can have.
const libraryPath = "//" + LibraryName

//go:embed mainstay.libsonnet
var library string

// Library returns the text of the library that every program can import as "mainstay.libsonnet".
func Library() string { return library }

// importer finds what a program imports.
type importer struct {
	files map[string]string
	// read are the files that were read already; the engine wants the same bytes each time.
	read map[string]jsonnet.Contents
	// imports are the files that each file imported so far, so that a circle can be told.
	imports map[string][]string
	// refused is why the last import was refused.
	refused *refusal
	// last is the file that was imported last.
	last string
}

// refusal is an import that is not allowed.
type refusal struct{ summary, hint string }

func (r *refusal) Error() string { return r.summary }

// Import implements the interface of the engine.
func (i *importer) Import(from, name string) (jsonnet.Contents, string, error) {
	i.refused = nil
	found, refused := i.resolve(from, name)
	if refused == nil && found != libraryPath && !utf8.ValidString(i.files[found]) {
		refused = &refusal{fmt.Sprintf("%q is not UTF-8", found), "save the file as UTF-8"}
	}
	if refused != nil {
		i.refused = refused
		return jsonnet.Contents{}, "", refused
	}
	if from != "" && !slices.Contains(i.imports[from], found) {
		i.imports[from] = append(i.imports[from], found)
	}
	i.last = found
	contents, ok := i.read[found]
	if !ok {
		contents = jsonnet.MakeContents(i.text(found))
		i.read[found] = contents
	}
	return contents, found, nil
}

// text returns a file as other formats are read too: without a byte order mark, and with \n as line ends.
func (i *importer) text(name string) string {
	if name == libraryPath {
		return library
	}
	if contents, ok := i.read[name]; ok {
		return contents.String()
	}
	text := strings.TrimPrefix(i.files[name], "\ufeff")
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
}

// resolve returns the file that an import names. The entry is imported from nowhere.
func (i *importer) resolve(from, name string) (string, *refusal) {
	if from == "" {
		if _, ok := i.files[name]; !ok {
			return "", &refusal{"there is no such file", ""}
		}
		return name, nil
	}
	if name == LibraryName {
		return libraryPath, nil
	}
	const allowed = "only files of this repository and " + LibraryName + " can be imported"
	found := path.Join(path.Dir(from), name)
	switch {
	case name == "" || path.IsAbs(name) || strings.Contains(name, "://") || strings.Contains(name, `\`):
		return "", &refusal{fmt.Sprintf("%q cannot be imported", short(name)), allowed + "; write the path from this file's folder"}
	case found == ".." || strings.HasPrefix(found, "../"):
		return "", &refusal{fmt.Sprintf("%q is outside the repository", short(name)), allowed}
	}
	if _, ok := i.files[found]; ok {
		return found, nil
	}
	hint := allowed
	if near := i.near(from, name); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return "", &refusal{fmt.Sprintf("there is no file %q to import", short(found)), hint}
}

// near returns what may have been meant by an import that names no file: the library, a file whose path is much like it, or
// the only file of that name elsewhere. It is "" where nothing is near.
func (i *importer) near(from, name string) string {
	if len(i.files) > 2000 {
		return "" // It would take longer than it helps.
	}
	written := map[string]string{LibraryName: ""}
	var sameName []string
	for _, f := range slices.Sorted(maps.Keys(i.files)) {
		if f != from {
			written[relative(path.Dir(from), f)] = f
			if path.Base(f) == path.Base(name) {
				sameName = append(sameName, relative(path.Dir(from), f))
			}
		}
	}
	if len(sameName) == 1 {
		return sameName[0]
	}
	return near.Name(name, slices.Sorted(maps.Keys(written)))
}

// relative returns the path of a file as a file in a folder writes it.
func relative(folder, file string) string {
	if folder == "." {
		return file
	}
	up := ""
	for {
		if rest, ok := strings.CutPrefix(file, folder+"/"); ok {
			return up + rest
		}
		up += "../"
		if folder = path.Dir(folder); folder == "." || folder == "/" {
			return up + file
		}
	}
}

// circle returns files that import one another, in order, the first one again at the end, or nothing.
func (i *importer) circle(from string) []string {
	done := map[string]bool{}
	var trail []string
	var visit func(string) []string
	visit = func(name string) []string {
		if at := slices.Index(trail, name); at >= 0 {
			return append(slices.Clone(trail[at:]), name)
		}
		if done[name] || len(trail) > maxStack {
			return nil
		}
		done[name] = true
		trail = append(trail, name)
		defer func() { trail = trail[:len(trail)-1] }()
		for _, next := range i.imports[name] {
			if found := visit(next); found != nil {
				return found
			}
		}
		return nil
	}
	return visit(from)
}
