package generator

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// readDocs reads the comments of the types in a folder, by Type, and of their fields, by Type.Field, as one line each.
func readDocs(dir string) (map[string]string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	docs := map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.TYPE {
				continue
			}
			for _, s := range decl.Specs {
				t := s.(*ast.TypeSpec)
				comment := t.Doc
				if comment == nil {
					comment = decl.Doc
				}
				if comment != nil {
					docs[t.Name.Name] = plain(t.Name.Name, comment.Text())
				}
				if fields, ok := t.Type.(*ast.StructType); ok {
					for _, f := range fields.Fields.List {
						for _, n := range f.Names {
							if f.Doc != nil {
								docs[t.Name.Name+"."+n.Name] = plain(n.Name, f.Doc.Text())
							}
						}
					}
				}
			}
		}
	}
	return docs, nil
}

var (
	goLink = regexp.MustCompile(`\[([A-Za-z.]+)\]`)
	goName = regexp.MustCompile(`^(\S+) (is|are|says|names|holds|bounds|gives|lets|declares|starts|brings|chooses|selects|answers|tells|limits|shares|renders|grants)\b`)
)

// plain makes a Go comment one for those who read no Go: in one line, without links, and not beginning with the Go name.
func plain(name, text string) string {
	text = goLink.ReplaceAllString(strings.Join(strings.Fields(text), " "), "$1")
	if m := goName.FindStringSubmatch(text); m != nil && m[1] == name {
		rest := strings.TrimPrefix(text, name+" ")
		switch {
		case m[2] == "is" || m[2] == "are":
			rest = strings.TrimPrefix(rest, m[2]+" ")
		}
		text = strings.ToUpper(rest[:1]) + rest[1:]
	}
	return text
}
