// Package format writes the files of a spec repository in canonical form, as gofmt does for Go: what a person wrote, with
// the spaces in order.
//
// In YAML, and in the front matter of Markdown, it indents by two spaces, lists in maps among them, writes one space where
// spaces mean nothing, keeps at most one blank line, and ends lines with \n. Line breaks, quotes, the spaces inside of
// braces and before comments, and the order of fields stay as they are, but that a document begins with apiVersion, kind,
// metadata and spec. JSON is treated the same, but keeps the order. Jsonnet is what its own formatter makes of it. The
// body of Markdown is left as it is, to the byte.
//
// A file that would not mean the same afterwards, or would lose a comment, is never changed: both texts are read by the
// loader's own parser and compared, and so is every character that is not a space.
package format

import (
	"context"
	"errors"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/jsonnet"
)

// Formatter formats files. It may be used from many goroutines.
type Formatter struct {
	// Jsonnet evaluates and formats programs. Without it they are an error.
	Jsonnet *jsonnet.Child
}

// File returns the content of a file in canonical form. The name says how it is written. What keeps it from being formatted
// is a problem. An error is one of the machine, or the end of ctx.
func (f *Formatter) File(ctx context.Context, name string, content []byte) ([]byte, spec.Problems, error) {
	before, problems := spec.Documents(name, content)
	isJsonnet := slices.Contains([]string{".jsonnet", ".libsonnet"}, path.Ext(name))
	switch {
	case isJsonnet:
		return f.jsonnet(ctx, name, content)
	case problems != nil:
		return nil, problems, nil
	case slices.ContainsFunc(before, isAction):
		return nil, problem(name, 0, 0, "an Action is approved as it stands, and never formatted", ""), nil
	}
	out, err := source(name, string(content))
	if bad, ok := errors.AsType[*unsupported](err); ok {
		return nil, problem(name, bad.line, bad.column, bad.what, "the file is left as it is"), nil
	}
	after, unreadable := spec.Documents(name, []byte(out))
	again, err := source(name, out)
	if err != nil || unreadable != nil || again != out || !reflect.DeepEqual(before, after) {
		return nil, changed(name), nil
	}
	return []byte(out), nil, nil
}

func isAction(document any) bool {
	fields, _ := document.(map[string]any)
	return fields["kind"] == string(spec.KindAction)
}

func problem(name string, line, column int, summary, hint string) spec.Problems {
	return spec.Problems{{Place: spec.Place{File: name, Line: line, Column: column}, Severity: spec.SeverityError, Summary: summary, Hint: hint}}
}

// changed is the problem of a file that would not mean the same.
func changed(name string) spec.Problems {
	return problem(name, 0, 0, "this cannot be formatted without a change to what it says", "the file is left as it is; write what is unusual in it in a simpler way")
}

// source formats YAML, JSON or Markdown that the loader's parser reads.
func source(name, content string) (string, error) {
	text := strings.TrimPrefix(content, "\ufeff")
	if path.Ext(name) != ".md" {
		return inOrder(newlines(text), path.Ext(name) == ".json")
	}
	opening, rest, _ := strings.Cut(text, "\n")
	if strings.TrimRight(opening, " \t\r") != "---" {
		return content, nil // There is no front matter.
	}
	// The front matter ends at the next line of dashes.
	end := 0
	for end < len(rest) {
		line, _, _ := strings.Cut(rest[end:], "\n")
		if strings.TrimRight(line, " \t\r") == "---" {
			break
		}
		end += len(line) + 1
	}
	end = min(end, len(rest))
	line, body, more := strings.Cut(rest[end:], "\n")
	front, err := inOrder(newlines(rest[:end]), false)
	if bad, ok := errors.AsType[*unsupported](err); ok {
		bad.line++
	}
	out := "---\n" + front + "---\n"
	if !more && line == "---" {
		out = strings.TrimSuffix(out, "\n") // The file ends here: there is no body to begin.
	}
	if strings.Contains(body, "\r\n") {
		out = strings.ReplaceAll(out, "\n", "\r\n") // The body stays as it is, and a file has one kind of line ends.
	}
	return out + body, err
}

func newlines(text string) string {
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
}

// inOrder formats YAML or JSON.
func inOrder(text string, isJSON bool) (string, error) {
	read := lay
	if isJSON {
		read = layJSON
	}
	s, err := read(text)
	if err != nil {
		return "", err
	}
	if visible(s.String()) != visible(text) {
		return "", &unsupported{what: "this cannot be formatted"}
	}
	want := comments(s.lines)
	if !s.fixed {
		s.lines = order(s.lines)
	}
	out := s.String()
	again, err := read(out)
	if err == nil && !slices.Equal(want, comments(again.lines)) {
		err = &unsupported{what: "this cannot be formatted without losing a comment"}
	}
	return out, err
}

// visible is a text without what formatting may change.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '\n' {
			return -1
		}
		return r
	}, text)
}

// comments are the comments in lines, sorted.
func comments(lines []line) []string {
	var all []string
	for _, l := range lines {
		if l.comment != "" {
			all = append(all, l.comment)
		}
	}
	slices.Sort(all)
	return all
}
