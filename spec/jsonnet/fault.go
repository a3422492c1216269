package jsonnet

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-jsonnet"
	"github.com/google/go-jsonnet/ast"
	"github.com/google/go-jsonnet/toolutils"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// maxText is how much of what a program says itself is shown, in bytes.
const maxText = 400

// located is an error that the parser found.
type located interface {
	error
	Loc() ast.LocationRange
}

// fault says for people what the engine says.
func (p *program) fault(err error) *Fault {
	switch err := err.(type) {
	case jsonnet.RuntimeError:
		return p.runtimeFault(err)
	case located:
		return p.parseFault(err)
	case *refusal:
		return &Fault{Place{File: p.in.Entry}, err.summary, err.hint}
	}
	return p.broken(err.Error())
}

// broken is the fault of a program that the engine itself breaks at.
func (p *program) broken(why string) *Fault {
	f := &Fault{Place{File: p.in.Entry}, "the program cannot be evaluated: " + line(why), "write it in a simpler way"}
	if strings.Contains(why, "makeslice") || strings.Contains(why, "out of range") || strings.Contains(why, "too large") {
		f.Summary, f.Hint = "the program makes a value that is larger than the memory", "look for a text or a list that grows without end"
	}
	return f
}

func (p *program) parseFault(err located) *Fault {
	loc := err.Loc()
	text := strings.TrimSpace(err.Error())
	if loc.IsSet() {
		text = strings.TrimSpace(strings.TrimPrefix(text, loc.String()))
	}
	f := &Fault{Place: Place{File: p.in.Entry}}
	if place := p.place(&loc); place != nil {
		f.Place = *place
	}
	f.Summary, f.Hint = p.reword(token.ReplaceAllString(text, "$1"))
	if r, n := utf8.DecodeRuneInString(f.Summary); n > 0 { // The parser's sentences begin with a capital letter.
		f.Summary = string(unicode.ToLower(r)) + f.Summary[n:]
	}
	return f
}

func (p *program) runtimeFault(err jsonnet.RuntimeError) *Fault {
	f := &Fault{Place: Place{File: p.in.Entry}}
	for _, frame := range slices.Backward(err.StackTrace) {
		if place := p.place(&frame.Loc); place != nil {
			f.Place = *place
			break
		}
	}
	if pointer := manifested(err.StackTrace); f.Line == 0 && len(pointer) > 0 {
		if node, _, err := p.vm.ImportAST("", p.in.Entry); err == nil {
			f.Place = p.placeOf(node, pointer)
		}
	}
	switch {
	case p.refused != nil && err.Msg == p.refused.summary:
		f.Summary, f.Hint = p.refused.summary, p.refused.hint
		return f
	case strings.HasPrefix(err.Msg, "max stack frames exceeded"):
		f.Summary = fmt.Sprintf("calls are nested deeper than %d", maxStack)
		f.Hint = "look for a function or a value that needs itself"
		if circle := p.circle(p.in.Entry); circle != nil {
			f.Hint = "the files import one another in a circle: " + line(strings.Join(circle, " imports "))
		}
		return f
	}
	// What is wrong in an imported file is a text to the engine; it is said where it is.
	if _, parsed := jsonnet.SnippetToAST(p.last, p.text(p.last)); parsed != nil && parsed.Error() == err.Msg {
		if at, ok := parsed.(located); ok {
			inside := p.parseFault(at)
			if name := strings.ToLower(inside.File); strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
				inside.Summary, inside.Hint = "this file is imported as Jsonnet, and is YAML", "read it with std.parseYaml(importstr '...')"
				if f.Line > 0 {
					inside.Place = f.Place
				}
			}
			return inside
		}
	}
	f.Summary, f.Hint = p.reword(err.Msg)
	return f
}

// manifested returns the names and positions of the value that was being written when the engine failed.
func manifested(frames []jsonnet.TraceFrame) []any {
	var path []any
	for _, frame := range frames {
		if frame.Loc.IsSet() {
			continue
		}
		if text, ok := strings.CutPrefix(frame.Loc.FileName, "Field "); ok {
			if name, err := strconv.Unquote(text); err == nil {
				path = append(path, name)
			}
		} else if text, ok := strings.CutPrefix(frame.Loc.FileName, "Array element "); ok {
			if n, err := strconv.Atoi(text); err == nil {
				path = append(path, n)
			}
		}
	}
	return path
}

// wording puts what the engine says into our words. What is wanted is looked for among the names in the program, and is
// the hint where something is near. What the engine says is a regular expression, compiled once it has something to say.
var wording = []struct {
	says, summary, hint, wanted string
}{
	{`^Field does not exist: (.*)$`, `there is no field "$1"`, "", "$1"},
	{`^No such field: (.*)$`, `the format names the field "$1", which its object does not have`, "", "$1"},
	{`^Unknown variable: (.*)$`, `there is no variable "$1"`, "", "$1"},
	{`^Missing argument: (.*)$`, `the call lacks the argument "$1"`, "", ""},
	{`^function has no parameter (.*)$`, `the function has no parameter "$1"`, "", ""},
	{`^Unexpected type (\w+), expected (\w+)$`, "this is of the type $1, and must be of the type $2", "", ""},
	{`^couldn't manifest function as JSON$`, "this is a function, and a resource holds only values", "call it, or hide the field with ::", ""},
	{`^Undefined external variable: (.*)$`, `there is no external variable "$1"`, "a spec depends on nothing but the files of its repository: put the value into a file and import it", ""},
	{`^Duplicate (?:field name|field|local var): "?([^"]*)"?$`, `"$1" is there twice`, "keep one of them", ""},
	{`^Computed imports are not allowed$`, "the path of an import must be a plain text", "write it out", ""},
	{`^Division by zero\.$`, "this divides by zero", "", ""},
	{`^[Oo]verflow$`, "the number is too large", "", ""},
	{`^Unexpected end of file$|^(?:Unexpected|Expected|Did not expect).*(?:end of file|END_OF_FILE)`, "the file ends in the middle of an expression", "look for a bracket or a text that is not closed", ""},
	{`^Expected a comma before next (.+?)(?:, got.*)?$`, "a comma is missing before the next $1", "", ""},
	{`^Expected (?:token |operator )?(.*?) but got (.*?)(?: while .*)?$`, "$1 is expected here, and not $2", "", ""},
	{`^(?:Unexpected|Did not expect): (.*?)(?: while .*)?$`, "$1 is not expected here", "", ""},
}

// token is how the parser writes a word of a program: (IDENTIFIER, "name").
var token = regexp.MustCompile(`\((?:\w+|"[^"]*"), ("[^"]*")\)`)

func (p *program) reword(text string) (summary, hint string) {
	text = strings.TrimSpace(text)
	for _, w := range wording {
		says := regexp.MustCompile(w.says)
		m := says.FindStringSubmatchIndex(text)
		if m == nil {
			continue
		}
		expand := func(s string) string { return line(string(says.ExpandString(nil, s, text, m))) }
		summary, hint = expand(w.summary), w.hint
		if w.wanted != "" {
			hint = near.Hint(expand(w.wanted), p.names(), hint)
		}
		return summary, hint
	}
	return line(text), ""
}

// names are the names that the program and the library write, sorted.
func (p *program) names() []string {
	set := map[string]bool{}
	for name := range p.read {
		node, _, err := p.vm.ImportAST("", name)
		if err != nil && name == libraryPath {
			node, err = jsonnet.SnippetToAST(libraryPath, library)
		}
		if err != nil {
			// The variable that is not there keeps the file from being read: its words have to do.
			for _, word := range strings.FieldsFunc(p.text(name), func(r rune) bool {
				return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
			}) {
				set[word] = true
			}
			continue
		}
		collect(node, set)
	}
	all := make([]string, 0, len(set))
	for name := range set {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func collect(node ast.Node, set map[string]bool) {
	if node == nil || len(set) > 10_000 {
		return
	}
	switch n := node.(type) {
	case *ast.DesugaredObject:
		for _, f := range n.Fields {
			if name, ok := f.Name.(*ast.LiteralString); ok {
				set[name.Value] = true
			}
		}
	case *ast.Local:
		for _, b := range n.Binds {
			set[string(b.Variable)] = true
		}
	}
	for _, child := range toolutils.Children(node) {
		collect(child, set)
	}
}

// place returns where in the repository's files a range begins, or nil where it is not in one of them.
func (p *program) place(loc *ast.LocationRange) *Place {
	if loc == nil || loc.File == nil || !loc.IsSet() || loc.Begin.Line > len(loc.File.Lines) {
		return nil
	}
	name := string(loc.File.DiagnosticFileName)
	if _, ok := p.files[name]; !ok {
		return nil
	}
	return &Place{name, loc.Begin.Line, p.column(loc.File, loc.Begin)}
}

// stride is how far the marks in a long line are apart, in bytes.
const stride = 256

// column counts in characters what the engine counts in bytes. All of a file may be in one line, so each line is counted
// once: marks say how many characters are before every stride.
func (p *program) column(file *ast.Source, at ast.Location) int {
	text := file.Lines[at.Line-1]
	before := max(0, min(at.Column-1, len(text)))
	if len(text) <= stride {
		return utf8.RuneCountInString(text[:before]) + 1
	}
	key := lineKey{file, at.Line}
	marks := p.lines[key]
	if marks == nil {
		n := 0
		for i := 0; i <= len(text); i += stride {
			marks = append(marks, n)
			n += runeStarts(text[i:min(i+stride, len(text))])
		}
		p.lines[key] = marks
	}
	return marks[before/stride] + runeStarts(text[before/stride*stride:before]) + 1
}

// lineKey is a line of a file.
type lineKey struct {
	file *ast.Source
	line int
}

// runeStarts counts the characters that begin in a piece of a text that is UTF-8.
func runeStarts(text string) int {
	n := 0
	for i := range len(text) {
		if utf8.RuneStart(text[i]) {
			n++
		}
	}
	return n
}

// line makes one short line of a text that a program may have chosen.
func line(text string) string {
	var b strings.Builder
	for _, r := range text {
		if b.Len() > maxText {
			b.WriteString("...")
			break
		}
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// short is a name that a program chose, to be quoted.
func short(name string) string {
	if len(name) > 120 {
		return strings.ToValidUTF8(name[:120], "") + "..."
	}
	return name
}
