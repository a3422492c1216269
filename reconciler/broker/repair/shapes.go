package repair

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
)

// Found are the tool calls in a text.
type Found struct {
	// Start is where in the text they begin. What is before is text.
	Start int
	// Shape is how they are written, such as `<tool_call>`.
	Shape string
	Calls []plugins.ToolUse
	// Fault says why what is begun as a call is none, where there are no Calls.
	Fault string
}

// The words that calls in texts begin with, on a line of their own.
const (
	hermes    = "<tool_call>"
	llama     = "<function="
	mistral   = "[TOOL_CALLS]"
	functools = "functools["
)

var markers = []string{hermes, llama, mistral, functools}

// callKeys are the fields of a call as JSON.
var callKeys = []string{"name", "arguments", "parameters", "type", "function", "id"}

// fences are the languages of code blocks that are calls.
var fences = []string{"", "json", "tool", "tool_call", "tool_calls"}

// Find looks for tool calls in the text of an answer. They end the text: what is begun with a marker at the start of a line, in no code
// block, goes on to the end, and JSON without one is all of it. JSON is none where the request wants an answer in JSON. Nor is a call
// that stands word for word in what the model was told by a person or a tool.
func Find(text string, r model.Request) Found {
	if len(r.Tools) == 0 {
		return Found{}
	}
	from := thought(text)
	found := whole(text[from:], r)
	if len(found.Calls) == 0 {
		found = marked(text[from:], r)
	}
	if len(found.Calls) == 0 && found.Fault == "" {
		return Found{}
	}
	found.Start += from
	wording := strings.TrimSpace(text[found.Start:])
	for _, m := range r.Messages {
		if (m.Role == plugins.RoleTool || m.Role == plugins.RoleUser) && strings.Contains(m.Text, wording) {
			return Found{}
		}
	}
	if len(found.Calls) > model.MaxCalls {
		return Found{Fault: fmt.Sprintf("it asks for %d tool calls, and at most %d are allowed", len(found.Calls), model.MaxCalls)}
	}
	return found
}

const (
	thinkBegins = "<think>"
	thinkEnds   = "</think>"
)

// thought returns where a text goes on after the thoughts that some models write first. Thoughts without an end are all of it.
func thought(text string) int {
	if !strings.HasPrefix(strings.TrimLeft(text, blanks), thinkBegins) {
		return 0
	}
	if i := strings.Index(text, thinkEnds); i >= 0 {
		return i + len(thinkEnds)
	}
	return len(text)
}

const blanks = " \t\r\n"

// whole reads a text that is calls as JSON, or code blocks with them, and nothing else.
func whole(text string, r model.Request) Found {
	if len(r.OutputSchema) > 0 {
		return Found{}
	}
	found := Found{Shape: "JSON"}
	rest := strings.Trim(text, blanks)
	if strings.HasPrefix(rest, "```") {
		found.Shape = "JSON in a code block"
		inside, ok := unfence(rest)
		if !ok {
			return Found{}
		}
		rest = inside
	}
	calls, err := callsOf(rest, true)
	if err != nil || !allOffered(calls, r.Tools) {
		return Found{}
	}
	found.Calls = calls
	return found
}

// unfence returns what is in the code blocks that a text consists of.
func unfence(text string) (string, bool) {
	var inside strings.Builder
	for text != "" {
		info, rest, ok := strings.Cut(text, "\n")
		language, fenced := strings.CutPrefix(info, "```")
		if !ok || !fenced || !slices.Contains(fences, strings.TrimSpace(language)) {
			return "", false
		}
		block, rest, ok := strings.Cut("\n"+rest, "\n```")
		if !ok {
			return "", false
		}
		inside.WriteString(block)
		text = strings.TrimLeft(rest, blanks)
	}
	return inside.String(), true
}

func allOffered(calls []plugins.ToolUse, tools []model.Tool) bool {
	return !slices.ContainsFunc(calls, func(c plugins.ToolUse) bool { _, ok := offered(c.Name, tools); return !ok })
}

// marked reads calls that begin with a marker.
func marked(text string, r model.Request) Found {
	fence := ""
	at := 0
	for line := range strings.SplitAfterSeq(text, "\n") {
		start := at
		at += len(line)
		trimmed := strings.TrimLeft(line, " ")
		if len(line)-len(trimmed) > maxIndent {
			continue
		}
		if mark := fenceOf(trimmed); mark != "" {
			switch {
			case fence == "":
				fence = mark
			case strings.HasPrefix(mark, fence):
				fence = ""
			}
			continue
		}
		if i := slices.IndexFunc(markers, func(m string) bool { return strings.HasPrefix(trimmed, m) }); i >= 0 && fence == "" {
			calls, err := markedCalls(text[start:])
			if errors.Is(err, errQuoted) {
				return Found{}
			}
			found := Found{Start: start, Shape: strings.TrimRight(markers[i], "=["), Calls: calls}
			if err != nil {
				found.Calls, found.Fault = nil, fmt.Sprintf("it writes a tool call in its text, as %s, and that cannot be read: %v", found.Shape, err)
			}
			return found
		}
	}
	return Found{}
}

// maxIndent is how far a line may be indented; from four blanks on it is code in Markdown.
const maxIndent = 3

// fenceOf returns the beginning of a line that begins or ends a code block in Markdown, or "".
func fenceOf(line string) string {
	for _, c := range []string{"`", "~"} {
		if n := len(line) - len(strings.TrimLeft(line, c)); n >= 3 {
			return strings.Repeat(c, n)
		}
	}
	return ""
}

// errQuoted says that a text goes on after its calls, so that it is about them.
var errQuoted = errors.New("the text goes on")

// markedCalls reads a text that begins with a marker. A call that its text goes on after is a quotation, whether it can be read or not.
func markedCalls(text string) (calls []plugins.ToolUse, fault error) {
	for {
		text = strings.TrimLeft(text, blanks)
		if text == "" {
			return calls, fault
		}
		read := readers[slices.IndexFunc(markers, func(m string) bool { return strings.HasPrefix(text, m) })+1]
		some, rest, err := read(text)
		if errors.Is(err, errQuoted) {
			return nil, err
		}
		if fault == nil {
			fault = err
		}
		calls, text = append(calls, some...), rest
	}
}

// readers read calls with the markers, in their order, and return what follows. The first is for what has none.
var readers = []func(text string) (calls []plugins.ToolUse, rest string, err error){
	func(string) ([]plugins.ToolUse, string, error) { return nil, "", errQuoted },
	readHermes, readLlama, readMistral, readFunctools,
}

func readHermes(text string) ([]plugins.ToolUse, string, error) {
	inside, rest, _ := strings.Cut(text[len(hermes):], "</tool_call>")
	if strings.HasPrefix(strings.TrimLeft(inside, blanks), llama) {
		calls, more, err := readLlama(strings.TrimLeft(inside, blanks))
		if err == nil && strings.Trim(more, blanks) != "" {
			err = errors.New("something follows the call")
		}
		return calls, rest, err
	}
	calls, err := callsOf(inside, false)
	return calls, rest, err
}

// The programs of these expressions are large, and few processes ever need them.
var (
	functionName  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^<function=([^>\s]{1,256})>`) })
	parameterForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^<parameter=([^>\s]{1,256})>`) })
	mistralName   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([A-Za-z0-9_.-]{1,256})\s*(?:\[ARGS\])?\s*\{`) })
)

// readLlama reads a call whose arguments are JSON, or one element for each.
func readLlama(text string) ([]plugins.ToolUse, string, error) {
	inside, rest, _ := strings.Cut(text, "</function>")
	name := functionName().FindStringSubmatch(inside)
	if name == nil {
		return nil, rest, errors.New("it names no function")
	}
	inside = strings.Trim(inside[len(name[0]):], blanks)
	arguments := map[string]any{}
	for strings.HasPrefix(inside, "<parameter=") {
		key := parameterForm().FindStringSubmatch(inside)
		value, more, ok := strings.Cut(inside, "</parameter>")
		if key == nil || !ok {
			return nil, rest, errors.New("a parameter has no end")
		}
		arguments[key[1]] = strings.TrimSuffix(strings.TrimPrefix(value[len(key[0]):], "\n"), "\n")
		inside = strings.TrimLeft(more, blanks)
	}
	if len(arguments) == 0 {
		use, err := useOf(name[1], inside)
		return []plugins.ToolUse{use}, rest, err
	}
	if inside != "" {
		return nil, rest, errors.New("something follows the parameters")
	}
	raw, err := plugins.Canonical(arguments)
	return []plugins.ToolUse{{Name: name[1], Arguments: raw}}, rest, err
}

// readMistral reads calls as a JSON array, or one call as a name and its arguments.
func readMistral(text string) ([]plugins.ToolUse, string, error) {
	text = strings.TrimLeft(text[len(mistral):], blanks)
	if name := mistralName().FindStringSubmatch(text); name != nil {
		value, rest, err := firstValue(text[len(name[0])-1:])
		if err != nil {
			return nil, "", err
		}
		use, err := useOf(name[1], value)
		return []plugins.ToolUse{use}, rest, err
	}
	return readValue(text)
}

func readFunctools(text string) ([]plugins.ToolUse, string, error) {
	return readValue(text[len(functools)-1:])
}

func readValue(text string) ([]plugins.ToolUse, string, error) {
	value, rest, err := firstValue(text)
	if err != nil {
		return nil, "", err
	}
	calls, err := callsOf(value, false)
	return calls, rest, err
}

// firstValue divides a text after the JSON value that it begins with.
func firstValue(text string) (value, rest string, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		if other := withoutTrailingCommas(text); other != text {
			return firstValue(other)
		}
		return "", "", notJSON(err)
	}
	return string(raw), text[d.InputOffset():], nil
}

func notJSON(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("its JSON ends too early")
	}
	return fmt.Errorf("it is not JSON: %w", err)
}

// useOf is a call of a name with arguments as they are written, where nothing is {}.
func useOf(name, arguments string) (plugins.ToolUse, error) {
	value, err := lenient(arguments)
	if err != nil {
		return plugins.ToolUse{}, notJSON(err)
	}
	return useWith(name, value)
}

func useWith(name string, arguments any) (plugins.ToolUse, error) {
	raw, err := plugins.Canonical(arguments)
	if err == nil && arguments == nil {
		raw = json.RawMessage("{}")
	}
	return plugins.ToolUse{Name: name, Arguments: raw}, err
}

// callsOf reads calls as JSON: an object, several one after the other, or a list of them. A strict one says what its arguments are, and
// has no other fields than a call has.
func callsOf(text string, strict bool) ([]plugins.ToolUse, error) {
	text = strings.Trim(text, blanks)
	if text == "" {
		return nil, errors.New("it is empty")
	}
	var calls []plugins.ToolUse
	for text != "" {
		value, rest, err := firstValue(text)
		if err != nil {
			return nil, err
		}
		decoded, err := decode([]byte(value))
		if err != nil {
			return nil, notJSON(err)
		}
		list, ok := decoded.([]any)
		if !ok {
			list = []any{decoded}
		}
		if len(list) == 0 {
			return nil, errors.New("its list is empty")
		}
		for _, item := range list {
			use, err := callOf(item, strict)
			if err != nil {
				return nil, err
			}
			calls = append(calls, use)
		}
		text = strings.TrimLeft(rest, blanks+";")
	}
	return calls, nil
}

func callOf(item any, strict bool) (plugins.ToolUse, error) {
	object, ok := item.(map[string]any)
	if !ok {
		return plugins.ToolUse{}, errors.New("it is not a JSON object")
	}
	if strict {
		for key := range object {
			if !slices.Contains(callKeys, key) {
				return plugins.ToolUse{}, fmt.Errorf("it has the field %s", quoted(key))
			}
		}
	}
	if inner, ok := object["function"].(map[string]any); ok {
		return callOf(inner, strict)
	}
	name, ok := object["name"].(string)
	if !ok {
		return plugins.ToolUse{}, errors.New("it names no tool")
	}
	arguments, given := object["arguments"]
	if !given {
		arguments, given = object["parameters"]
	}
	if !given && strict {
		return plugins.ToolUse{}, errors.New("it has no arguments")
	}
	return useWith(name, arguments)
}
