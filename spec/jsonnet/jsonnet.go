package jsonnet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/google/go-jsonnet"
)

const (
	// maxStack is how deep calls may be nested within a program.
	maxStack = 500
	// maxJSON is the longest value that a file may evaluate to, in bytes of JSON.
	maxJSON = 4 << 20
)

// Input is what one evaluation may see.
type Input struct {
	// Entry is the path of the file to evaluate, from the repository's root, with slashes.
	Entry string
	// Files are the texts of all files that may be imported, by their paths from the root, the entry's included. A file
	// that is not here cannot be imported.
	Files map[string]string
}

// Output is what a file evaluates to.
type Output struct {
	// JSON is the value, with the fields of objects sorted by name. It is nil where there is a Fault.
	JSON []byte `json:"json,omitempty"`
	// Places says where values were written, by their JSON pointers (RFC 6901). "" is always there. Where a pointer is
	// missing, that of the nearest value around it counts.
	Places map[string]Place `json:"places,omitempty"`
	// Keys says where the names of fields were written, by the pointers of their values. Where one is missing, as for a
	// field that the library writes, the place of the value counts.
	Keys map[string]Place `json:"keys,omitempty"`
	// Fault says why there is no value.
	Fault *Fault `json:"fault,omitempty"`
}

// Place is a place in a file of the repository.
type Place struct {
	File string `json:"file"`
	// Line and Column count from 1, columns in characters. Both are 0 where only the file is known.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

// Fault is what is wrong with a program, for people.
type Fault struct {
	Place
	// Summary says what is wrong, in one line.
	Summary string `json:"summary"`
	// Hint says what to do, in one line. It may be empty.
	Hint string `json:"hint,omitempty"`
}

// Error returns the fault in one line: `agents/team.jsonnet:3:9: there is no variable "nmae" (did you mean "name"?)`.
func (f *Fault) Error() string {
	text := f.File
	if f.Line > 0 {
		text += fmt.Sprintf(":%d:%d", f.Line, f.Column)
	}
	text += ": " + f.Summary
	if f.Hint != "" {
		text += " (" + f.Hint + ")"
	}
	return text
}

// Evaluate evaluates a file in this process. Nothing bounds its time and its memory: it is for programs that are trusted,
// and for what [Child] starts.
func Evaluate(in Input) (out Output) {
	p := newProgram(in)
	defer func() {
		if r := recover(); r != nil {
			out = Output{Fault: p.broken(fmt.Sprint(r))}
		}
	}()
	node, _, err := p.vm.ImportAST("", in.Entry)
	if err != nil {
		return Output{Fault: p.fault(err)}
	}
	text, err := p.vm.Evaluate(node)
	if err != nil {
		return Output{Fault: p.fault(err)}
	}
	tree, compact, err := read(text)
	switch {
	case err != nil:
		return Output{Fault: p.broken(err.Error())}
	case len(compact) > maxJSON:
		return Output{Fault: &Fault{Place{File: in.Entry},
			fmt.Sprintf("the program evaluates to more than %d MiB of JSON", maxJSON>>20), "split it into several files"}}
	}
	out = Output{JSON: compact}
	out.Places, out.Keys = p.places(node, tree)
	return out
}

// program is one evaluation.
type program struct {
	in Input
	vm *jsonnet.VM
	importer
	// lines are the marks of long lines; see column.
	lines map[lineKey][]int
}

func newProgram(in Input) *program {
	p := &program{in: in, vm: jsonnet.MakeVM(), lines: map[lineKey][]int{}}
	p.importer = importer{files: in.Files, read: map[string]jsonnet.Contents{}, imports: map[string][]string{}}
	p.vm.MaxStack = maxStack
	p.vm.Importer(&p.importer)
	p.vm.SetTraceOut(io.Discard)
	return p
}

// read reads what the engine wrote, and writes it again without spaces and with numbers as short as they can be: the
// engine writes 0.1 as 0.10000000000000001.
func read(text string) (tree any, compact []byte, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, nil, err
	}
	tree = shortNumbers(tree)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(tree); err != nil {
		return nil, nil, err
	}
	return tree, bytes.TrimSpace(b.Bytes()), nil
}

func shortNumbers(tree any) any {
	switch v := tree.(type) {
	case json.Number:
		if v == "-0" {
			return json.Number("0")
		}
		if f, err := v.Float64(); err == nil && strings.ContainsAny(v.String(), ".eE") {
			return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
		}
	case []any:
		for i := range v {
			v[i] = shortNumbers(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = shortNumbers(v[name])
		}
	}
	return tree
}
