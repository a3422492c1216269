package jsonnet_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzEvaluate evaluates whatever a file may hold, in a child, so that no program can hang or end the fuzzer: there is a
// value or a fault, it can be shown, and evaluating again says the same.
func FuzzEvaluate(f *testing.F) {
	for _, h := range hostile {
		if len(h.text) < 1000 {
			f.Add([]byte(h.text))
		}
	}
	f.Add([]byte(`local m = import 'mainstay.libsonnet'; [m.agent('a', { x: import 'lib.libsonnet' }), importstr 'lib.libsonnet']`))
	f.Add([]byte("\xef\xbb\xbf{ a: |||\r\n  x\r\n||| }"))
	f.Add([]byte("import '../../x'"))
	f.Add([]byte("{ a: '\xff' }"))
	f.Add([]byte("import 'a.jsonnet'"))
	c := child(f)
	c.Wall, c.Memory = 500*time.Millisecond, 64<<20
	f.Fuzz(func(t *testing.T, text []byte) {
		files := map[string]string{"a.jsonnet": string(text), "lib.libsonnet": "{ lib: 1 }"}
		outs, err := c.EvaluateAll(t.Context(), []string{"a.jsonnet", "a.jsonnet"}, files)
		if err != nil {
			t.Fatal(err)
		}
		for _, out := range outs {
			switch {
			case out.Fault != nil:
				said := out.Fault.Error()
				if len(out.JSON) > 0 || out.Fault.Summary == "" || strings.ContainsAny(said, "\n\r") || !utf8.ValidString(said) || len(said) > 4000 {
					t.Fatalf("the fault %q cannot be shown", said)
				}
			case !json.Valid(out.JSON) || out.Places[""].Line < 1:
				t.Fatalf("%.200q at %v", out.JSON, out.Places[""])
			}
		}
		// A program at a limit may pass it at one time and not at another.
		if a, b := outs[0], outs[1]; a.Fault == nil && b.Fault == nil && !bytes.Equal(a.JSON, b.JSON) {
			t.Fatalf("%.200q and %.200q", a.JSON, b.JSON)
		}
	})
}
