package spec_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// formats are the functions that report a problem, and which of their arguments says what is wrong.
var formats = map[string]int{"error": 2, "errorAt": 2, "warn": 2, "missing": 3, "absent": 3, "report": 1}

var verb = regexp.MustCompile(`%(?:\[\d+\])?[-+# 0]*\d*(?:\.\d+)?[a-zA-Z%]`)

// TestEveryProblemIsShown finds every message in the code of this package, and each of them in problems.golden or, where an
// archive cannot hold what is wrong, in a test.
func TestEveryProblemIsShown(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	shown := ""
	for _, file := range append(files, "testdata/problems.golden") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") || filepath.Dir(file) == "testdata" {
			shown += string(text)
		}
	}
	set, found := token.NewFileSet(), 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			literal := said(n)
			if literal == nil {
				return true
			}
			format, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			found++
			var pattern strings.Builder
			rest := 0
			for _, v := range verb.FindAllStringIndex(format, -1) {
				pattern.WriteString(regexp.QuoteMeta(format[rest:v[0]]) + ".*")
				rest = v[1]
			}
			pattern.WriteString(regexp.QuoteMeta(format[rest:]))
			if !regexp.MustCompile(pattern.String()).MatchString(shown) {
				t.Errorf("%s: no test shows %q: add a file to testdata/problems that has this problem", set.Position(literal.Pos()), format)
			}
			return true
		})
	}
	if found < 100 {
		t.Errorf("only %d messages were found in the code: does this test still know how problems are reported?", found)
	}
}

// said returns what is written as the message of a problem, or its format, where n reports one.
func said(n ast.Node) *ast.BasicLit {
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Summary" {
			return worded(n.Value)
		}
	case *ast.CallExpr:
		if method, ok := n.Fun.(*ast.SelectorExpr); ok {
			if at, ok := formats[method.Sel.Name]; ok && len(n.Args) > at {
				return worded(n.Args[at])
			}
		}
	}
	return nil
}

// worded returns the text that an expression is, or that it formats; nil where it is neither.
func worded(e ast.Expr) *ast.BasicLit {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			return e
		}
	case *ast.BinaryExpr:
		if l := worded(e.X); l != nil {
			return l
		}
		return worded(e.Y)
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Sprintf" {
			return worded(e.Args[0])
		}
	}
	return nil
}
