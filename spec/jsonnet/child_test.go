package jsonnet_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/spec/jsonnet"
)

func TestChildAnswersAsEvaluateDoes(t *testing.T) {
	files := map[string]string{
		"a.jsonnet":      `local m = import 'mainstay.libsonnet'; [m.agent(n, { model: 'ä' }) for n in ['x', 'y']]`,
		"b.jsonnet":      `{ a: 1.5, b: 17, c: -0, d: 1e21, e: 0.1, f: "<&>", g: true, h: null, i: [], j: {} }`,
		"c/c.jsonnet":    `import '../a.jsonnet'`,
		"wrong.jsonnet":  `{ a: nmae, name: 1 }`,
		"binary.jsonnet": "{ a: '\xff' }",
	}
	var entries []string
	for range 3 {
		for name := range maps.Keys(files) {
			entries = append(entries, name)
		}
	}
	outs, err := child(t).EvaluateAll(t.Context(), entries, files)
	if err != nil {
		t.Fatal(err)
	}
	for i, out := range outs {
		if diff := cmp.Diff(jsonnet.Evaluate(jsonnet.Input{Entry: entries[i], Files: files}), out); diff != "" {
			t.Errorf("%s: %s", entries[i], diff)
		}
	}
	b, err := child(t).Evaluate(t.Context(), jsonnet.Input{Entry: "b.jsonnet", Files: files})
	const want = `{"a":1.5,"b":17,"c":0,"d":1000000000000000000000,"e":0.1,"f":"<&>","g":true,"h":null,"i":[],"j":{}}`
	if err != nil || string(b.JSON) != want {
		t.Errorf("%s, %v", b.JSON, err)
	}
}

// longLoop takes hours, and little memory.
const longLoop = `
local times(n, f) = std.foldl(function(sum, i) f(sum), std.range(1, n), 0);
local nested(sum) = times(5000, function(s) s + sum);
times(5000, function(sum) times(5000, nested))`

// hostile are programs that want more than there is. Each gets a problem that says so, and the files around it a value.
// Where either of two limits may be reached first, both are named; where there is none, the engine may cope.
var hostile = []struct{ name, text, summary string }{
	{"a function that calls itself", `local f(x) = f(x) + 1; f(1)`, "calls are nested deeper than 500"},
	{"a value that needs itself", `local a = b, b = a; a`, "calls are nested deeper than 500"},
	{"an object without end", `local o = { a: self { b: 1 } }; o`, "calls are nested deeper than 500"},
	{"a loop", `local f(x) = f(x) tailstrict; f(1)`, "nested too deeply"},
	{"a long loop", longLoop, "takes longer than"},
	{"a list of a thousand million", `std.range(0, 1000000000)`, "memory"},
	{"a text that doubles", `local f(s, n) = if n == 0 then s else f(s + s, n - 1); f('xxxxxxxx', 30)`, "memory"},
	{"a text that doubles beyond numbers", `local f(s, n) = if n == 0 then s else f(s + s, n - 1); f('xxxxxxxx', 62)`, "memory"},
	{"a repetition", `std.repeat('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 2000000000)`, ""},
	{"a list that doubles", `local f(s, n) = if n == 0 then s else f(s + s, n - 1); f(['x'], 40)`, "memory"},
	{"a format that is wide", `'%1000000000d' % 1`, ""},
	{"brackets within brackets", strings.Repeat("[", 900_000), "nested too deeply|memory"},
	{"fewer brackets within brackets", strings.Repeat("[", 200_000), "nested too deeply|memory"},
	{"brackets that are closed", strings.Repeat("(", 450_000) + "1" + strings.Repeat(")", 450_000), "nested too deeply|memory"},
	{"a long chain of operators", "1" + strings.Repeat("+1", 450_000), ""},
	{"many nots", strings.Repeat("!", 900_000) + "true", ""},
	{"more than is read", `std.repeat(std.repeat('x', 1000), 6000)`, "more than 4 MiB"},
	{"deep values", `std.foldl(function(a, i) [a], std.range(1, 100000), 1)`, "calls are nested deeper than 500"},
	{"a large number", `1e308 * 10`, ""},
	{"a trace", `std.trace(std.repeat('x', 10000), { a: 1 }).b`, `there is no field "b"`},
}

// On a slow machine the time may be over before the memory is.
func TestHostileProgramsGetAProblemAndHarmNoOther(t *testing.T) {
	c := child(t)
	c.Wall, c.Total, c.Memory = 2*time.Second, 5*time.Minute, 192<<20
	files := map[string]string{"good.jsonnet": "{ a: 1 }"}
	var entries []string
	for i, h := range hostile {
		name := fmt.Sprintf("h%d.jsonnet", i)
		files[name] = h.text
		entries = append(entries, name)
		if i%6 == 5 {
			entries = append(entries, "good.jsonnet")
		}
	}
	entries = append(entries, "good.jsonnet")
	outs, err := c.EvaluateAll(t.Context(), entries, files)
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	for i, out := range outs {
		if entries[i] == "good.jsonnet" {
			if string(out.JSON) != `{"a":1}` {
				t.Errorf("another file is %s, %v", out.JSON, out.Fault)
			}
			continue
		}
		h := hostile[next]
		next++
		switch {
		case out.Fault == nil && h.summary != "":
			t.Errorf("%s is %.100s", h.name, out.JSON)
		case out.Fault == nil:
		case out.Fault.File != entries[i] || !says(out.Fault.Summary, h.summary+"|takes longer than") || strings.ContainsAny(out.Fault.Error(), "\n\r") || len(out.Fault.Error()) > 1000:
			t.Errorf("%s: %.1000s", h.name, out.Fault)
		}
	}
	if next != len(hostile) {
		t.Errorf("%d of %d programs were evaluated", next, len(hostile))
	}
}

// says reports whether a text holds one of several, which are separated by |.
func says(text, want string) bool {
	return slices.ContainsFunc(strings.Split(want, "|"), func(one string) bool { return strings.Contains(text, one) })
}

func TestProgramsTogetherAreLimited(t *testing.T) {
	c := child(t)
	c.Total = 2 * time.Second
	files := map[string]string{"good.jsonnet": "{ a: 1 }", "loop.jsonnet": longLoop}
	outs, err := c.EvaluateAll(t.Context(), []string{"good.jsonnet", "loop.jsonnet", "loop.jsonnet", "good.jsonnet"}, files)
	if err != nil {
		t.Fatal(err)
	}
	if outs[0].Fault != nil {
		t.Error(outs[0].Fault)
	}
	for _, out := range outs[1:] {
		if out.Fault == nil || !strings.Contains(out.Fault.Summary, "take longer than 2s together") {
			t.Errorf("%s, %v", out.JSON, out.Fault)
		}
	}
}

func TestChildThatCannotRunIsAnError(t *testing.T) {
	in := jsonnet.Input{Entry: "a.jsonnet", Files: map[string]string{"a.jsonnet": "{}"}}
	for _, command := range [][]string{nil, {"/no/such/program"}, {"/bin/sh", "-c", "echo no >&2; exit 3"}} {
		c := jsonnet.Child{Command: command}
		if out, err := c.Evaluate(t.Context(), in); err == nil {
			t.Errorf("%q: %v", command, out)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := child(t).Evaluate(ctx, in); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	outs, err := (&jsonnet.Child{}).EvaluateAll(t.Context(), nil, nil)
	if err != nil || len(outs) != 0 {
		t.Errorf("nothing to do: %v, %v", outs, err)
	}
}

func TestChildSeesNoEnvironment(t *testing.T) {
	t.Setenv("GODEBUG", "gctrace=1") // It would write to the child's standard error.
	c := child(t)
	out, err := c.Evaluate(t.Context(), jsonnet.Input{Entry: "a.jsonnet", Files: map[string]string{"a.jsonnet": `std.extVar('HOME')`}})
	if err != nil || out.Fault == nil || out.Fault.Summary != `there is no external variable "HOME"` {
		t.Errorf("%v, %v", out, err)
	}
}

func BenchmarkHundredFilesInOneProcess(b *testing.B) {
	files, entries := hundred()
	c := child(b)
	for b.Loop() {
		if _, err := c.EvaluateAll(b.Context(), entries, files); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHundredFilesInAProcessEach(b *testing.B) {
	files, entries := hundred()
	c := child(b)
	for b.Loop() {
		for _, entry := range entries {
			if _, err := c.Evaluate(b.Context(), jsonnet.Input{Entry: entry, Files: files}); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func hundred() (files map[string]string, entries []string) {
	files = map[string]string{}
	for i := range 100 {
		name := fmt.Sprintf("agents/a%d.jsonnet", i)
		files[name] = fmt.Sprintf("local m = import 'mainstay.libsonnet';\nm.agent('a%d', { instructions: 'Look.', tools: [{ server: 'cluster' }] })\n", i)
		entries = append(entries, name)
	}
	return files, entries
}
