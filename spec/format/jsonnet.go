package format

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/jsonnet"
)

func (f *Formatter) jsonnet(ctx context.Context, name string, content []byte) ([]byte, spec.Problems, error) {
	if len(content) > spec.MaxFile {
		_, problems := spec.Documents(name, content)
		return nil, problems, nil
	}
	if f.Jsonnet == nil {
		return nil, nil, errors.New("there is nothing to format Jsonnet with")
	}
	out, err := f.Jsonnet.Format(ctx, name, string(content))
	if fault, ok := errors.AsType[*jsonnet.Fault](err); ok {
		return nil, problem(name, fault.Line, fault.Column, fault.Summary, fault.Hint), nil
	}
	if err != nil {
		return nil, nil, err
	}
	if out == string(content) {
		return content, nil, nil
	}
	again, err := f.Jsonnet.Format(ctx, name, out)
	if ctx.Err() != nil {
		return nil, nil, err
	}
	if err != nil || again != out || !slices.Equal(programComments(string(content)), programComments(out)) {
		return nil, changed(name), nil
	}
	return []byte(out), nil, nil
}

// programComments are the comments of a Jsonnet program without their marks and spaces, sorted: the formatter has one mark,
// and puts imports in order with the comments above them.
func programComments(text string) []string {
	var all []string
	add := func(comment string) { all = append(all, strings.Join(strings.Fields(comment), " ")) }
	for text != "" {
		switch {
		case strings.HasPrefix(text, "//"), text[0] == '#':
			comment, rest, _ := strings.Cut(text, "\n")
			add(strings.TrimPrefix(strings.TrimPrefix(comment, "#"), "//"))
			text = rest
		case strings.HasPrefix(text, "/*"):
			comment, rest, _ := strings.Cut(text[2:], "*/")
			add(comment)
			text = rest
		case strings.HasPrefix(text, "|||"):
			_, text, _ = strings.Cut(text[3:], "|||")
		case text[0] == '@' && len(text) > 1 && (text[1] == '"' || text[1] == '\''):
			_, text, _ = strings.Cut(text[2:], text[1:2]) // A doubled quote begins what looks like the next text.
		case text[0] == '"' || text[0] == '\'':
			end := 1
			for end < len(text) && text[end] != text[0] {
				if text[end] == '\\' {
					end++
				}
				end++
			}
			text = text[min(end+1, len(text)):]
		default:
			text = text[1:]
		}
	}
	slices.Sort(all)
	return all
}

// Programs evaluates Jsonnet programs before and after they were formatted, with the files that they import, and returns a
// problem for each that evaluates to something else. Programs that have been broken may stay so.
func (f *Formatter) Programs(ctx context.Context, before, after map[string]string) (spec.Problems, error) {
	var entries []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if strings.HasSuffix(name, ".jsonnet") {
			entries = append(entries, name)
		}
	}
	if len(entries) == 0 {
		return nil, nil
	}
	was, err := f.Jsonnet.EvaluateAll(ctx, entries, before)
	if err != nil {
		return nil, err
	}
	is, err := f.Jsonnet.EvaluateAll(ctx, entries, after)
	if err != nil {
		return nil, err
	}
	var problems spec.Problems
	for i, name := range entries {
		if (was[i].Fault == nil) != (is[i].Fault == nil) || string(was[i].JSON) != string(is[i].JSON) {
			problems = append(problems, changed(name)...)
		}
	}
	return problems, nil
}
