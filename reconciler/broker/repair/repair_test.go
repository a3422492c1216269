package repair_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/broker/repair"
)

// offered are a tool to read with and one to scale with.
var offered = []model.Tool{
	{Name: "repo__read", InputSchema: json.RawMessage(`{"type":"object","properties":{"path":{"type":"string"},"lines":{"type":"integer"}},"required":["path"],"additionalProperties":false}`)},
	{Name: "cluster__scale", InputSchema: json.RawMessage(`{"type":"object","properties":{"name":{"type":"string"},"replicas":{"type":"integer"},"dry":{"type":"boolean"},"only":{"type":"array","items":{"type":"string"}}},"required":["name"]}`)},
	{Name: "free__form", InputSchema: json.RawMessage(`{"type":"object"}`)},
}

func said(text string) model.Answer {
	return model.Answer{ModelAnswer: plugins.ModelAnswer{Text: text, Finish: plugins.FinishStop}}
}

func calls(calls ...string) model.Answer {
	a := model.Answer{ModelAnswer: plugins.ModelAnswer{Finish: plugins.FinishCalls}}
	for i := 0; i < len(calls); i += 2 {
		a.Calls = append(a.Calls, plugins.ToolUse{Name: calls[i], Arguments: json.RawMessage(calls[i+1])})
	}
	return a
}

// written are the calls of an answer, in short.
func written(a model.Answer) string {
	var all []string
	for _, c := range a.Calls {
		all = append(all, c.Name+string(c.Arguments))
	}
	return strings.Join(all, " ")
}

const read = `{"name": "repo__read", "arguments": {"path": "a"}}`

func TestACallInTheTextIsMadeOne(t *testing.T) {
	const a, b = `repo__read{"path":"a"}`, `cluster__scale{"name":"web","replicas":2}`
	for name, test := range map[string]struct{ text, rest, want string }{
		"hermes":                       {"<tool_call>\n" + read + "\n</tool_call>", "", a},
		"hermes after a sentence":      {"I look.\n<tool_call>" + read + "</tool_call>\n", "I look.\n", a},
		"hermes without an end":        {"<tool_call>" + read, "", a},
		"two of hermes":                {"<tool_call>" + read + "</tool_call>\n<tool_call>{\"name\":\"cluster__scale\",\"arguments\":{\"name\":\"web\",\"replicas\":2}}</tool_call>", "", a + " " + b},
		"after thoughts":               {"<think>I may call <tool_call> now</think>\n\n<tool_call>" + read + "</tool_call>", "<think>I may call <tool_call> now</think>\n\n", a},
		"JSON after thoughts":          {"<think>so</think>\n" + read, "<think>so</think>", a},
		"JSON":                         {read, "", a},
		"JSON with parameters":         {`{"name":"repo__read","parameters":{"path":"a"}}`, "", a},
		"JSON of OpenAI's form":        {`{"type":"function","function":{"name":"repo__read","arguments":"{\"path\":\"a\"}"}}`, "", a},
		"a list":                       {"[" + read + `,{"name":"cluster__scale","arguments":{"name":"web","replicas":2}}]`, "", a + " " + b},
		"one after the other":          {read + "; " + read, "", a + " " + a},
		"a code block":                 {"```json\n" + read + "\n```", "", a},
		"two code blocks":              {"```\n" + read + "\n```\n\n```json\n" + read + "\n```\n", "", a + " " + a},
		"mistral":                      {"[TOOL_CALLS] [" + read + "]", "", a},
		"mistral with a name":          {`[TOOL_CALLS]repo__read{"path": "a"}`, "", a},
		"mistral with [ARGS]":          {`Well.` + "\n" + `[TOOL_CALLS]repo__read[ARGS]{"path": "a"}`, "Well.\n", a},
		"llama":                        {`<function=repo__read>{"path": "a"}</function>`, "", a},
		"qwen coder":                   {"<tool_call>\n<function=cluster__scale>\n<parameter=name>\nweb\n</parameter>\n<parameter=replicas>\n2\n</parameter>\n</function>\n</tool_call>", "", b},
		"functools":                    {"functools[" + read + "]", "", a},
		"a comma too much":             {`<tool_call>{"name": "repo__read", "arguments": {"path": "a",},}</tool_call>`, "", a},
		"another spelling of the name": {`{"name":"functions.Repo_Read","arguments":{"path":"a"}}`, "", a},
		"a number in quotes":           {`{"name":"cluster__scale","arguments":{"name":"web","replicas":"2"}}`, "", b},
	} {
		t.Run(name, func(t *testing.T) {
			got, problem := repair.Answer(said(test.text), model.Request{Tools: offered})
			if problem != "" || got.Text != test.rest || written(got) != test.want || got.Finish != plugins.FinishCalls {
				t.Errorf("%q, %q, %s, %s", problem, got.Text, written(got), got.Finish)
			}
			if len(got.Repaired) == 0 || !strings.HasPrefix(got.Repaired[0], "a tool call was in its text, as ") {
				t.Errorf("recorded is %q", got.Repaired)
			}
		})
	}
}

// TestAQuotationIsNoCall holds what a model writes about calls, and what somebody has it repeat, apart from what it asks for.
func TestAQuotationIsNoCall(t *testing.T) {
	const call = "<tool_call>" + read + "</tool_call>"
	tells := func(role string) model.Request {
		return model.Request{Tools: offered, Messages: []plugins.Message{{Role: role, Text: "The file says: " + call + " Do it."}}}
	}
	for name, test := range map[string]struct {
		text    string
		request model.Request
	}{
		"in a code block":                    {"One calls it so:\n```\n" + call + "\n```\n", model.Request{Tools: offered}},
		"in a code block of tildes":          {"~~~~\n```\n" + call + "\n~~~~", model.Request{Tools: offered}},
		"in a code block without an end":     {"```xml\n" + call, model.Request{Tools: offered}},
		"in a code block after a sentence":   {"For example:\n```json\n" + read + "\n```", model.Request{Tools: offered}},
		"in a line":                          {"One writes `" + call + "`.", model.Request{Tools: offered}},
		"at the end of a line":               {"One writes " + call, model.Request{Tools: offered}},
		"in a quotation":                     {"> " + call, model.Request{Tools: offered}},
		"indented as code":                   {"So:\n\n    " + call, model.Request{Tools: offered}},
		"and the text goes on":               {call + "\nis how one calls it.", model.Request{Tools: offered}},
		"broken, and the text goes on":       {"<tool_call>\nis the marker.</tool_call> It needs JSON.", model.Request{Tools: offered}},
		"in thoughts":                        {"<think>\n" + call + "\n</think>\nI do not need it.", model.Request{Tools: offered}},
		"in thoughts without an end":         {"<think>\n" + call, model.Request{Tools: offered}},
		"word for word as a tool said":       {"It says:\n" + call, tells(plugins.RoleTool)},
		"word for word as a person said":     {call, tells(plugins.RoleUser)},
		"no tools are offered":               {call, model.Request{}},
		"JSON with a tool that is none":      {`{"name":"shell__run","arguments":{"command":"id"}}`, model.Request{Tools: offered}},
		"JSON with other fields":             {`{"name":"repo__read","arguments":{"path":"a"},"why":"so"}`, model.Request{Tools: offered}},
		"JSON without arguments":             {`{"name":"repo__read"}`, model.Request{Tools: offered}},
		"JSON that is the answer wanted":     {read, model.Request{Tools: offered, OutputSchema: json.RawMessage(`{"type":"object"}`)}},
		"JSON with a sentence after it":      {read + "\nThat is it.", model.Request{Tools: offered}},
		"a code block in another language":   {"```python\n" + read + "\n```", model.Request{Tools: offered}},
		"a code block, and the text goes on": {"```json\n" + read + "\n```\nDone.", model.Request{Tools: offered}},
		"a list with something else":         {"[" + read + `,{"a":1}]`, model.Request{Tools: offered}},
		"a list of nothing":                  {"[]", model.Request{Tools: offered}},
		"a name and no call":                 {"repo__read reads a file.", model.Request{Tools: offered}},
	} {
		t.Run(name, func(t *testing.T) {
			got, problem := repair.Answer(said(test.text), test.request)
			if problem != "" && !strings.Contains(name, "thoughts without an end") || got.Text != test.text || len(got.Calls) > 0 || len(got.Repaired) > 0 {
				t.Errorf("%q, %q, %s, %q", problem, got.Text, written(got), got.Repaired)
			}
		})
	}
	t.Run("where real calls are", func(t *testing.T) {
		a := calls("free__form", `{}`)
		a.Text = call
		got, problem := repair.Answer(a, model.Request{Tools: offered})
		if problem != "" || got.Text != call || written(got) != "free__form{}" {
			t.Errorf("%q, %q, %s", problem, got.Text, written(got))
		}
	})
	t.Run("cut off", func(t *testing.T) {
		a := said(call)
		a.Finish = plugins.FinishLength
		if got, problem := repair.Answer(a, model.Request{Tools: offered}); problem != "" || len(got.Calls) > 0 {
			t.Errorf("%q, %s", problem, written(got))
		}
	})
}

func TestWhatCannotBeMendedIsSaid(t *testing.T) {
	many := strings.Repeat("<tool_call>"+read+"</tool_call>", model.MaxCalls+1)
	cut := said("")
	cut.Finish = plugins.FinishLength
	for name, test := range map[string]struct {
		answer model.Answer
		want   string
	}{
		"nothing":                         {said(""), "it is empty"},
		"blanks":                          {said(" \n\t"), "it is empty"},
		"thoughts alone":                  {said("<think>Hm.</think>\n"), "it is empty"},
		"cut off before a word":           {cut, "it came to its limit of tokens before it had said anything"},
		"an unknown tool":                 {calls("shell__run", `{}`), `it calls the tool "shell__run", which does not exist; there are repo__read, cluster__scale, free__form`},
		"an unknown tool in the text":     {said(`<tool_call>{"name":"shell__run","arguments":{}}</tool_call>`), `it calls the tool "shell__run", which does not exist`},
		"a name of a megabyte":            {calls(strings.Repeat("x", 1<<20), `{}`), `it calls the tool "` + strings.Repeat("x", 100) + `…", which`},
		"a tool call that is no JSON":     {said("<tool_call>read a please</tool_call>"), "it writes a tool call in its text, as <tool_call>, and that cannot be read: it is not JSON"},
		"a tool call that ends early":     {said(`<tool_call>{"name":"repo__read","arguments":{"path":`), "its JSON ends too early"},
		"a tool call without a name":      {said(`[TOOL_CALLS][{"path":"a"}]`), "it names no tool"},
		"too many in the text":            {said(many), "it asks for 65 tool calls, and at most 64 are allowed"},
		"arguments that are no JSON":      {calls("repo__read", `"path: a"`), "the arguments of its call of repo__read are not JSON"},
		"arguments that end early":        {calls("repo__read", `"{\"path\": \"a"`), "are not JSON: they end too early"},
		"a list of arguments":             {calls("repo__read", `["a"]`), "are not a JSON object"},
		"a field that is missing":         {calls("repo__read", `{}`), `the arguments of its call of repo__read do not fit its schema: the object lacks the required property "path"`},
		"a field that is unknown":         {calls("repo__read", `{"path":"a","file":"b"}`), `the object has the property "file", which is not allowed`},
		"a field of another type":         {calls("cluster__scale", `{"name":"web","replicas":"two"}`), "`replicas` is "},
		"null for what must be there":     {calls("repo__read", `{"path":null}`), "`path` is null"},
		"the second call of two":          {calls("repo__read", `{"path":"a"}`, "repo__read", `{}`), `lacks the required property "path"`},
		"a number that is none in quotes": {calls("cluster__scale", `{"name":"web","replicas":"2.5"}`), "`replicas` is "},
	} {
		t.Run(name, func(t *testing.T) {
			if _, problem := repair.Answer(test.answer, model.Request{Tools: offered}); !strings.Contains(problem, test.want) {
				t.Errorf("%.300q, want %q", problem, test.want)
			}
		})
	}
	if _, problem := repair.Answer(calls("repo__read", `{}`), model.Request{}); problem != `it calls the tool "repo__read", and no tool can be called` {
		t.Error(problem)
	}
}

func TestWhatCanBeMeantInOneWayIsMended(t *testing.T) {
	for name, test := range map[string]struct{ tool, arguments, want string }{
		"nothing":                {"free__form", ``, `free__form{}`},
		"null":                   {"free__form", `null`, `free__form{}`},
		"JSON in a string":       {"repo__read", `"{\"path\": \"a\"}"`, `repo__read{"path":"a"}`},
		"a number in quotes":     {"cluster__scale", `{"name":"web","replicas":"3"}`, `cluster__scale{"name":"web","replicas":3}`},
		"a text without quotes":  {"cluster__scale", `{"name":7}`, `cluster__scale{"name":"7"}`},
		"True":                   {"cluster__scale", `{"name":"web","dry":"True"}`, `cluster__scale{"dry":true,"name":"web"}`},
		"a list in a string":     {"cluster__scale", `{"name":"web","only":"[\"a\"]"}`, `cluster__scale{"name":"web","only":["a"]}`},
		"null for what is free":  {"repo__read", `{"path":"a","lines":null}`, `repo__read{"path":"a"}`},
		"dashes for underscores": {"repo-read", `{"path":"a"}`, `repo__read{"path":"a"}`},
		"digits stay":            {"free__form", `{"n":12345678901234567890}`, `free__form{"n":12345678901234567890}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, problem := repair.Answer(calls(test.tool, test.arguments), model.Request{Tools: offered})
			if problem != "" || written(got) != test.want {
				t.Errorf("%q, %s", problem, written(got))
			}
			if changed := test.want != test.tool+test.arguments && test.arguments != "" && test.arguments != "null"; changed != (len(got.Repaired) == 1) {
				t.Errorf("recorded is %q", got.Repaired)
			}
		})
	}
	got, problem := repair.Answer(said("caf\xe9"), model.Request{})
	if problem != "" || got.Text != "caf\uFFFD" || !cmp.Equal(got.Repaired, []string{"its text was not valid UTF-8"}) {
		t.Error(got.Text, problem, got.Repaired)
	}
}

// TestSchemasThatAreNotCheckedLetEverythingThrough is for those of servers that say more than this package understands.
func TestSchemasThatAreNotCheckedLetEverythingThrough(t *testing.T) {
	for _, schema := range []string{``, `no`, `{"$ref":"https://example.com/schema"}`, `{"$schema":"https://example.com/draft"}`} {
		tools := []model.Tool{{Name: "odd", InputSchema: json.RawMessage(schema)}}
		if got, problem := repair.Answer(calls("odd", `{"a":1}`), model.Request{Tools: tools}); problem != "" || written(got) != `odd{"a":1}` {
			t.Errorf("%s: %q, %s", schema, problem, written(got))
		}
	}
}

func TestOnlyAnEndlessTextRepeatsItself(t *testing.T) {
	paragraph := strings.Repeat("All is well, and nothing needs to be done about it today. ", 10) + "\n"
	table := ""
	for i := range 2000 {
		table += "| pod-" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + " | Running |\n"
	}
	for name, test := range map[string]struct {
		text string
		want bool
	}{
		"one character":          {"Well: " + strings.Repeat("a", 5<<10), true},
		"blank lines":            {"Well.\n" + strings.Repeat("\n", 5<<10), true},
		"a word":                 {strings.Repeat("no ", 3000), true},
		"a paragraph":            {"So. " + strings.Repeat(paragraph, 12), true},
		"a long line of dashes":  {strings.Repeat("-", 2000) + "\n" + strings.Repeat("text and more. ", 20), false},
		"a paragraph some times": {strings.Repeat(paragraph, 5), false},
		"a table":                {table, false},
		"a short answer":         {"yes yes yes", false},
	} {
		for _, size := range []int{1, 7, 1000, 1 << 20} {
			var r repair.Repeats
			got := false
			for text := test.text; text != ""; {
				n := min(size, len(text))
				got = r.Write(text[:n]) || got
				text = text[n:]
			}
			if got != test.want {
				t.Errorf("%s in pieces of %d: %v", name, size, got)
			}
		}
	}
}

// fragments are what texts with calls, and near to them, are made of.
var fragments = []string{"<tool_call>", "</tool_call>", "<function=repo__read>", "</function>", "[TOOL_CALLS]", "functools[", "]", read, read, "```", "```json\n", "\n", "\n", " ", "    ",
	"<think>", "</think>", "{", `{"name":`, `"arguments"`, "[", "> ", "Hello.", "é", "f", "<", "~~~", "\xff"}

// TestWhatIsShownIsWhatIsNoCall holds for every text and however it comes: the pieces are the text up to the calls in it.
func TestWhatIsShownIsWhatIsNoCall(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := model.Request{Tools: offered}
		if rapid.Bool().Draw(t, "schema") {
			r.OutputSchema = json.RawMessage(`{}`)
		}
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(fragments), 0, 12).Draw(t, "text"), "")
		var shown strings.Builder
		hold := repair.NewHold(r, func(piece string) { shown.WriteString(piece) })
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			hold.Write(rest[:n])
			rest = rest[n:]
		}
		want := text
		if found := repair.Find(text, r); len(found.Calls) > 0 {
			want = text[:found.Start]
		}
		before := shown.String()
		hold.Close(len(want))
		if !utf8.ValidString(text) {
			return // What is no character is replaced piece by piece.
		}
		if !strings.HasPrefix(want, before) || shown.String() != want {
			t.Fatalf("of %q is shown %q, then %q, want %q", text, before, shown.String(), want)
		}
	})
}

func TestTextIsHeldNoLongerThanNeeded(t *testing.T) {
	for text, want := range map[string]string{
		"Hel": "Hel", "Hello\n": "Hello\n", "Hello\n<": "Hello\n", "Hello\n<b": "Hello\n<b", "{\"x": "{\"x", "{\"na": "", "[1": "[1", "```go": "```go", "for": "for", "fun": "", "a\n\n": "a\n",
	} {
		var shown strings.Builder
		hold := repair.NewHold(model.Request{Tools: offered}, func(piece string) { shown.WriteString(piece) })
		for _, c := range text {
			hold.Write(string(c))
		}
		if shown.String() != want {
			t.Errorf("of %q is shown %q, want %q", text, shown.String(), want)
		}
	}
}

// TestWhatIsHeldIsPutAwayOnce checks that the time it takes follows the length of what a model writes.
func TestWhatIsHeldIsPutAwayOnce(t *testing.T) {
	for _, begin := range []string{"<tool_call>", " ", "{\"name\": \""} {
		var shown strings.Builder
		hold := repair.NewHold(model.Request{Tools: offered}, func(piece string) { shown.WriteString(piece) })
		text := strings.Repeat(begin, 2) + strings.Repeat(" \n\t", model.MaxText/3)
		for i := 0; i < len(text); i++ {
			hold.Write(text[i : i+1])
		}
		if shown.Len() > 0 {
			t.Errorf("of %q is shown %.20q", begin, shown.String())
		}
		if hold.Close(len(text)); shown.String() != text {
			t.Errorf("of %q are %d bytes shown, want %d", begin, shown.Len(), len(text))
		}
	}
}

func FuzzFind(f *testing.F) {
	for _, text := range fragments {
		f.Add(text, "", false)
	}
	f.Add("I look.\n<tool_call>"+read+"</tool_call>", "x", true)
	f.Add("[TOOL_CALLS]repo__read[ARGS]{\"path\":\"a\",}", "", false)
	f.Add("<tool_call><function=repo__read><parameter=path>a</parameter></function></tool_call>", "", false)
	f.Fuzz(func(t *testing.T, text, told string, wanted bool) {
		r := model.Request{Tools: offered, Messages: []plugins.Message{{Role: plugins.RoleTool, Text: told}}}
		if wanted {
			r.OutputSchema = json.RawMessage(`{}`)
		}
		found := repair.Find(text, r)
		if len(found.Calls) > 0 && found.Fault != "" || found.Start < 0 || found.Start > len(text) {
			t.Fatalf("%+v", found)
		}
		for _, c := range found.Calls {
			if !json.Valid(c.Arguments) {
				t.Fatalf("%s", c.Arguments)
			}
		}
		got, problem := repair.Answer(said(text), r)
		if problem != "" {
			return
		}
		for _, c := range got.Calls {
			if c.Name != "repo__read" && c.Name != "cluster__scale" && c.Name != "free__form" {
				t.Fatalf("a call of %q", c.Name)
			}
		}
		again, problem := repair.Answer(got, r)
		if problem != "" || written(again) != written(got) || len(again.Repaired) != len(got.Repaired) {
			t.Fatalf("not the same the second time: %q, %q", problem, again.Repaired)
		}
	})
}

func FuzzArguments(f *testing.F) {
	for _, raw := range []string{`{}`, `"{\"path\":\"a\",}"`, `{"path":"a","lines":"3"}`, `[]`, `"x"`, `{"name":"web","only":"[1]"}`} {
		f.Add("repo__read", raw)
		f.Add("cluster.scale", raw)
	}
	f.Fuzz(func(t *testing.T, name, raw string) {
		got, problem := repair.Answer(calls(name, raw), model.Request{Tools: offered})
		if problem != "" {
			return
		}
		again, problem := repair.Answer(got, model.Request{Tools: offered})
		if problem != "" || written(again) != written(got) || len(again.Repaired) != len(got.Repaired) {
			t.Fatalf("not the same the second time: %q, %s, %s", problem, written(got), written(again))
		}
	})
}
