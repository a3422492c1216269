package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// parseJSON reads the one value of a JSON file.
func parseJSON(f *file) (*node, error) {
	p := &jsonParser{file: f, decoder: json.NewDecoder(strings.NewReader(f.text)), line: 1, column: 1}
	p.decoder.UseNumber()
	n, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := p.decoder.Token(); !errors.Is(err, io.EOF) {
		line, column := p.next()
		return nil, &parseError{line, column, "a JSON file holds one value", "put the second one into its own file"}
	}
	return n, nil
}

// jsonParser reads tokens and keeps track of their places.
type jsonParser struct {
	file    *file
	decoder *json.Decoder
	count   int
	// line and column are those of the byte at offset.
	offset       int
	line, column int
}

// next returns the place of the next token.
func (p *jsonParser) next() (line, column int) {
	end := int(p.decoder.InputOffset())
	for end < len(p.file.text) && strings.IndexByte(" \t\r\n,:", p.file.text[end]) >= 0 {
		end++
	}
	return p.moveTo(end)
}

func (p *jsonParser) moveTo(end int) (line, column int) {
	between := p.file.text[p.offset:max(end, p.offset)]
	if lines := strings.Count(between, "\n"); lines > 0 {
		p.line += lines
		p.column = 1
		between = between[strings.LastIndexByte(between, '\n')+1:]
	}
	p.column += utf8.RuneCountInString(between)
	p.offset = max(end, p.offset)
	return p.line, p.column
}

func (p *jsonParser) token() (json.Token, *node, error) {
	line, column := p.next()
	n := &node{file: p.file, line: line, column: column, style: quotedText}
	token, err := p.decoder.Token()
	if err == nil {
		if p.count++; p.count > maxNodes {
			err = &parseError{line, column, fmt.Sprintf("the file holds more than %d values", maxNodes), "split the file"}
		}
		return token, n, err
	}
	message := strings.TrimPrefix(err.Error(), "json: ")
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		line, column = p.moveTo(min(max(int(syntax.Offset)-1, 0), len(p.file.text)))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		line, column = p.moveTo(len(p.file.text))
		message = "it ends too early"
	}
	return nil, nil, &parseError{line, column, "this is not JSON: " + oneLine(message), "check the commas, quotes and brackets; JSON has no comments"}
}

func (p *jsonParser) value(depth int) (*node, error) {
	token, n, err := p.token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, &parseError{n.line, n.column, fmt.Sprintf("this is nested deeper than %d levels", maxDepth), "make it flatter"}
	}
	switch token {
	case json.Delim('{'):
		n.kind = objectNode
		return n, p.object(n, depth)
	case json.Delim('['):
		n.kind = listNode
		for p.decoder.More() {
			item, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
		_, _, err := p.token()
		return n, err
	}
	if token == nil {
		return n, nil
	}
	n.kind, n.value, n.written = scalarNode, token, fmt.Sprint(token)
	if number, ok := token.(json.Number); ok {
		if n.value, err = jsonNumber(number); err != nil {
			return nil, &parseError{n.line, n.column, err.Error(), "write it as text, in quotes"}
		}
	}
	return n, nil
}

func (p *jsonParser) object(n *node, depth int) error {
	for p.decoder.More() {
		token, key, err := p.token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		key.kind, key.value, key.written = scalarNode, name, name
		if n.get(name) != nil {
			return &parseError{key.line, key.column, fmt.Sprintf("%q is written twice", name), fmt.Sprintf("the first is in line %d", n.keyOf(name).line)}
		}
		value, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.add(field{name, key, value})
	}
	_, _, err := p.token()
	return err
}

func jsonNumber(number json.Number) (any, error) {
	if i, err := number.Int64(); err == nil {
		return i, nil
	}
	if !strings.ContainsAny(string(number), ".eE") {
		return nil, fmt.Errorf("the number %.40s is too large", number)
	}
	f, err := number.Float64()
	if err != nil {
		return nil, fmt.Errorf("the number %.40s is too large", number)
	}
	return f, nil
}
