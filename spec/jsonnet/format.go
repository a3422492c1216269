package jsonnet

import (
	"fmt"

	"github.com/google/go-jsonnet/formatter"
)

// Format returns a program with its spaces, quotes and commas in order. Its error is a *[Fault] where the text is no
// program. It runs in this process, and a text that nests brackets a million times deep ends the process: [Child.Format]
// is for files that other people wrote.
func Format(name, text string) (out string, err error) {
	p := newProgram(Input{Entry: name, Files: map[string]string{name: text}})
	defer func() {
		if r := recover(); r != nil {
			out, err = "", p.broken(fmt.Sprint(r))
		}
	}()
	// The parser keeps the name in the places of what it finds.
	out, err = formatter.Format(name, p.importer.text(name), formatter.DefaultOptions())
	if err != nil {
		return "", p.fault(err)
	}
	return out, nil
}
