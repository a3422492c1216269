package canonical

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// plainly is the form by decoding and encoding: what JSON does, only slower.
func plainly(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if value, err = numbers(value); err != nil {
		return nil, err
	}
	return encoded(value)
}

func numbers(value any) (any, error) {
	var err error
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			if v[key], err = numbers(item); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, item := range v {
			if v[i], err = numbers(item); err != nil {
				return nil, err
			}
		}
	case json.Number:
		if !strings.ContainsAny(string(v), ".eE") {
			if v == "-0" {
				return json.Number("0"), nil
			}
			return v, nil
		}
		f, err := strconv.ParseFloat(string(v), 64)
		if err != nil {
			return nil, err
		}
		if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return json.Number(strconv.FormatInt(int64(f), 10)), nil
		}
		text, err := json.Marshal(f)
		return json.Number(text), err
	}
	return value, nil
}

func alike(t interface {
	Helper()
	Fatalf(string, ...any)
}, v any) {
	t.Helper()
	got, err := JSON(v)
	want, wrong := plainly(v)
	if wrong == nil && err != nil && strings.Contains(err.Error(), "does not fit a float64") && strings.Contains(fmt.Sprintf("%s", v), "1e") {
		return // Of a key that is there twice, the number was the first.
	}
	if (err == nil) != (wrong == nil) {
		t.Fatalf("%v: %v, want %v", v, err, wrong)
	}
	if err == nil && !bytes.Equal(got, want) {
		t.Fatalf("%s\nis  %s\nnot %s", v, got, want)
	}
	if err != nil && !strings.HasPrefix(err.Error(), "encode canonical JSON: ") {
		t.Fatalf("the error %v does not say what failed", err)
	}
}

// written draws a JSON text with all that may be written in more than one way.
func written(t *rapid.T, depth int) string {
	space := func() string { return rapid.SampledFrom([]string{"", "", " ", "\n\t"}).Draw(t, "space") }
	text := func() string {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "é", "\u2028", "😀", `\n`, `\"`, `\\`, `\/`, `\u0041`, `\u00e9`, `\ud83d\ude00`, `\ud800`, `\u2029`, `\u001f`, `\b`, `\f`, "<&>", "\xff", "\xe2\x80", "\x7f"}), 0, 4).Draw(t, "text")
		return `"` + strings.Join(parts, "") + `"`
	}
	kind := rapid.IntRange(0, 6).Draw(t, "kind")
	if depth == 0 {
		kind = min(kind, 2)
	}
	switch kind {
	case 0:
		return text()
	case 1:
		return rapid.SampledFrom([]string{"0", "-0", "-0.0", "1", "-12", "1.0", "1.50", "1e3", "1E-7", "1e21", "9007199254740993", "9007199254740993.0", "12345678901234567890", "1e400", "0.1", "5e-324"}).Draw(t, "number")
	case 2:
		return rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "word")
	}
	var parts []string
	for range rapid.IntRange(0, 5).Draw(t, "items") {
		part := space() + written(t, depth-1) + space()
		if kind >= 5 {
			part = space() + text() + space() + ":" + part
		}
		parts = append(parts, part)
	}
	if kind < 5 {
		return "[" + space() + strings.Join(parts, ",") + "]"
	}
	return "{" + space() + strings.Join(parts, ",") + "}"
}

func TestTheFormIsThatOfDecodingAndEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := written(t, 4)
		alike(t, json.RawMessage(text))
		var value any
		if json.Unmarshal([]byte(text), &value) == nil {
			alike(t, value)
		}
		alike(t, map[string]string{rapid.String().Draw(t, "key"): rapid.String().Draw(t, "value"), "\xff": "\xff<\u2028"})
	})
	alike(t, struct {
		Z int    `json:"z"`
		A string `json:"a"`
		M any
	}{1, "x", map[string]any{"b": 1.5, "a": []int(nil)}})
	alike(t, json.RawMessage(strings.Repeat("[", 9000)+strings.Repeat("]", 9000)))
	for _, v := range []any{func() {}, math.Inf(1), json.RawMessage("{"), json.RawMessage("1 2"), json.RawMessage(""), json.Number("x"), nil, "", []any{}, map[string]any{}} {
		alike(t, v)
	}
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"b":1,"a":[1.0,"\u003c"],"b":2}`, `"\ud800"`, `-0`, `1e999`, "\"\u2028\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) { alike(t, json.RawMessage(text)) })
}

func BenchmarkJSON(b *testing.B) {
	type message struct {
		Role, Text string
		Calls      []map[string]any
	}
	var messages []message
	for range 20 {
		messages = append(messages, message{"assistant", strings.Repeat("The rollout of the shop is \"paused\".\n", 20), []map[string]any{{"name": "cluster__get", "arguments": map[string]any{"replicas": 3, "namespace": "shop"}}}})
	}
	for name, form := range map[string]func(any) ([]byte, error){
		"once":    func(v any) ([]byte, error) { return JSON(v) },
		"decoded": plainly,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				text, err := form(messages)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(text)))
			}
		})
	}
}
