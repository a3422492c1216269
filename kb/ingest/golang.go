package ingest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

// maxGo is how long Go source may be that is parsed, in bytes; longer source is read by its lines.
const maxGo = 4 << 20

// golang reads Go source: a chunk is a declaration with its comment, and one more is what stands before the first.
func (c *cutter) golang() {
	source := strings.Join(c.lines, "\n")
	files := token.NewFileSet()
	var file *ast.File
	if len(source) <= maxGo && !deepSource(source) {
		file, _ = parser.ParseFile(files, "", source, parser.ParseComments|parser.SkipObjectResolution)
	}
	if file == nil || file.Name == nil || len(file.Decls) == 0 {
		c.code(golike)
		return
	}
	line := func(p token.Pos) int { return min(max(files.PositionFor(p, false).Line-1, 0), len(c.lines)-1) }
	var all []declared
	from := 0
	for _, d := range file.Decls {
		name, doc := goName(d)
		if name == "" {
			continue
		}
		first, last := line(d.Pos()), line(d.End())
		if doc != nil {
			first = line(doc.Pos())
		}
		if first < from { // A line may hold several.
			first = from
		}
		if last < first {
			continue
		}
		from = last + 1
		all = append(all, declared{name: name, first: first, line: first, last: last})
	}
	if len(all) > 0 && all[0].first > 0 {
		c.section([]string{"package " + file.Name.Name}, block{first: 0, last: all[0].first - 1})
		c.declarations(nil, all, all[0].first, len(c.lines)-1)
		return
	}
	c.declarations(nil, all, 0, len(c.lines)-1)
}

// deepSource says whether brackets are nested deeper than anybody means it. The parser is recursive, and its stack would grow to a hundred megabytes.
func deepSource(source string) bool {
	depth := 0
	for i := range len(source) {
		switch source[i] {
		case '(', '[', '{':
			if depth++; depth > 10*maxDepth {
				return true
			}
		case ')', ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return false
}

// goName is what a declaration declares: a method with its type, several names with commas. Imports and what is broken declare nothing.
func goName(d ast.Decl) (string, *ast.CommentGroup) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil || len(d.Recv.List) == 0 {
			return d.Name.Name, d.Doc
		}
		t := d.Recv.List[0].Type
		for {
			switch x := t.(type) {
			case *ast.StarExpr:
				t = x.X
				continue
			case *ast.IndexExpr:
				t = x.X
				continue
			case *ast.IndexListExpr:
				t = x.X
				continue
			case *ast.Ident:
				return x.Name + "." + d.Name.Name, d.Doc
			}
			return d.Name.Name, d.Doc
		}
	case *ast.GenDecl:
		var names []string
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				for _, n := range s.Names {
					names = append(names, n.Name)
				}
			}
		}
		return strings.Join(names[:min(len(names), 20)], ", "), d.Doc
	}
	return "", nil
}
