package spec

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"cel.dev/cel-go/cel"
)

// Template is a string in which each `${ CEL }` is replaced by its value; `$${` is a literal `${`. It is safe for
// concurrent use.
type Template struct {
	text  string
	parts []templatePart
}

// templatePart is literal text, or an expression where program is set.
type templatePart struct {
	literal string
	program cel.Program
}

// NewTemplate compiles a template over `arguments`, the arguments of a tool call: a tool's summary, or a string in the
// arguments of its precondition.
func NewTemplate(text string) (*Template, error) { return argumentsLanguage.template(text) }

// String returns the template as it was written.
func (t *Template) String() string { return t.text }

func (l *language) template(text string) (*Template, error) {
	t := &Template{text: text}
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			t.parts = append(t.parts, templatePart{literal: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(text); {
		switch rest := text[i:]; {
		case strings.HasPrefix(rest, "$${"):
			literal.WriteString("${")
			i += 3
		case strings.HasPrefix(rest, "${"):
			n := expressionEnd(rest[2:])
			if n < 0 {
				return nil, at(text, i, &expressionError{Line: 1, Message: "`${` has no closing `}`"})
			}
			expression := rest[2 : 2+n]
			if strings.TrimSpace(expression) == "" {
				return nil, at(text, i, &expressionError{Line: 1, Message: "`${ }` holds no expression"})
			}
			program, err := l.compile(expression, nil)
			if err != nil {
				return nil, at(text, i+2, err)
			}
			flush()
			t.parts = append(t.parts, templatePart{program: program})
			i += 2 + n + 1
		default:
			literal.WriteByte(text[i])
			i++
		}
	}
	flush()
	return t, nil
}

// at moves the place of an expression's error to where the expression stands in text.
func at(text string, offset int, err error) error {
	var e *expressionError
	if !errors.As(err, &e) || e.Line == 0 {
		return err
	}
	before := text[:offset]
	lines := strings.Count(before, "\n")
	moved := &expressionError{Line: e.Line + lines, Column: e.Column, Message: e.Message, Hint: e.Hint}
	if e.Line == 1 {
		moved.Column += len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))
	}
	return moved
}

// expressionEnd returns the index of the brace that closes an expression, or -1. Braces in CEL strings and comments do
// not count.
func expressionEnd(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return i
			}
			depth--
		case '/':
			if strings.HasPrefix(text[i:], "//") {
				n := strings.IndexByte(text[i:], '\n')
				if n < 0 {
					return -1
				}
				i += n
			}
		case '"', '\'':
			n := stringEnd(text, i)
			if n < 0 {
				return -1
			}
			i = n
		}
	}
	return -1
}

// stringEnd returns the index of the last byte of the CEL string literal whose quote is at i, or -1.
func stringEnd(text string, i int) int {
	quote := text[i : i+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(text[i:], triple) {
		quote = triple
	}
	// In a raw string a backslash is only a backslash. Its prefix is r, alone or with b, and no name's last letter.
	j := i
	for j > 0 && strings.IndexByte("rRbB", text[j-1]) >= 0 && i-j < 2 {
		j--
	}
	raw := strings.ContainsAny(text[j:i], "rR") && (j == 0 || !isNameByte(text[j-1]))
	for k := i + len(quote); k < len(text); k++ {
		if text[k] == '\\' && !raw {
			k++
			continue
		}
		if strings.HasPrefix(text[k:], quote) {
			return k + len(quote) - 1
		}
	}
	return -1
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// Value renders the template. Where the whole string is one expression, the value keeps its type; otherwise it is a
// string. The value is a JSON tree of nil, bool, int64, float64, string, []any and map[string]any.
func (t *Template) Value(vars map[string]any) (any, error) {
	if len(t.parts) == 1 && t.parts[0].program != nil {
		return t.part(t.parts[0], vars)
	}
	return t.Text(vars)
}

// Text renders the template as text. Strings go in as they are, null as nothing, and every other value as compact JSON.
// The text is at most 4 MiB.
func (t *Template) Text(vars map[string]any) (string, error) {
	var b strings.Builder
	for _, part := range t.parts {
		text := part.literal
		if part.program != nil {
			value, err := t.part(part, vars)
			if err != nil {
				return "", err
			}
			if text, err = inline(value); err != nil {
				return "", err
			}
		}
		if b.Len()+len(text) > maxText {
			return "", fmt.Errorf("render %q: the text is longer than %d bytes", shorten(t.text, 80), maxText)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

func (t *Template) part(part templatePart, vars map[string]any) (any, error) {
	value, err := evaluate(part.program, vars)
	if err == nil {
		var tree any
		if tree, err = jsonTree(value); err == nil {
			return tree, nil
		}
	}
	return nil, fmt.Errorf("render %q: %w", shorten(t.text, 80), err)
}

// inline returns a JSON value as it stands in a text.
func inline(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	raw, err := Canonical(value)
	return string(raw), err
}

// RenderValue renders every string of a JSON tree as a template over vars, which holds `arguments`. Keys are left as they
// are, and so is v.
func RenderValue(v any, vars map[string]any) (any, error) {
	compiled, err := argumentsLanguage.tree(v)
	if err != nil {
		return nil, err
	}
	return compiled.value(vars)
}

// tree is a JSON tree whose strings are compiled templates.
type tree struct {
	template *Template
	object   map[string]*tree
	list     []*tree
	isList   bool
	literal  any
}

// tree compiles a JSON tree. Its errors are those of the first string that is wrong, in the order of sorted keys.
func (l *language) tree(v any) (*tree, error) { return l.treeDepth(v, 0) }

func (l *language) treeDepth(v any, depth int) (*tree, error) {
	if depth > maxValueDepth {
		return nil, fmt.Errorf("the value is nested deeper than %d levels", maxValueDepth)
	}
	switch v := v.(type) {
	case string:
		t, err := l.template(v)
		return &tree{template: t}, err
	case map[string]any:
		out := &tree{object: make(map[string]*tree, len(v))}
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		for _, key := range keys {
			item, err := l.treeDepth(v[key], depth+1)
			if err != nil {
				return nil, err
			}
			out.object[key] = item
		}
		return out, nil
	case []any:
		out := &tree{isList: true}
		for _, one := range v {
			item, err := l.treeDepth(one, depth+1)
			if err != nil {
				return nil, err
			}
			out.list = append(out.list, item)
		}
		return out, nil
	}
	return &tree{literal: v}, nil
}

func (t *tree) value(vars map[string]any) (any, error) {
	switch {
	case t.template != nil:
		return t.template.Value(vars)
	case t.object != nil:
		out := make(map[string]any, len(t.object))
		for key, item := range t.object {
			value, err := item.value(vars)
			if err != nil {
				return nil, err
			}
			out[key] = value
		}
		return out, nil
	case t.isList:
		out := make([]any, 0, len(t.list))
		for _, item := range t.list {
			value, err := item.value(vars)
			if err != nil {
				return nil, err
			}
			out = append(out, value)
		}
		return out, nil
	}
	return t.literal, nil
}
