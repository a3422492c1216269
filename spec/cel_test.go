package spec_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/spec"
)

func TestConditions(t *testing.T) {
	call := map[string]any{"agent": spec.AgentName("triage"), "server": "cluster", "tool": "restart", "effect": "write",
		"arguments": map[string]any{"name": "web", "replicas": float64(3), "ratio": 0.5, "count": json.Number("7"), "tags": []string{"a", "b"}}}
	for _, tt := range []struct {
		when  string
		holds bool
		err   string // of evaluating it
	}{
		{"", true, ""},
		{`call.agent == "triage" && call.tool.startsWith("re")`, true, ""},
		{`call.arguments.name == "db"`, false, ""},
		{`call.arguments.replicas + 1 == 4`, true, ""},
		{`call.arguments.ratio < 1`, true, ""},
		{`call.arguments.count == 7 && call.arguments.count > 6.5`, true, ""},
		{`"b" in call.arguments.tags`, true, ""},
		{`has(call.arguments.namespace)`, false, ""},
		{`call.arguments.namespace == "kube-system"`, false, "no such key: namespace"},
		{`call.arguments.name`, false, "not bool"},
		{`call.arguments.name.lowerAscii().matches("^w")`, true, ""},
	} {
		t.Run(tt.when, func(t *testing.T) {
			c, err := spec.NewCondition(spec.OnCall, tt.when)
			if err != nil {
				t.Fatal(err)
			}
			holds, err := c.Holds(map[string]any{"call": call})
			if holds != tt.holds || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("holds: %t, %v", holds, err)
			}
		})
	}
	if holds, err := (*spec.Condition)(nil).Holds(nil); !holds || err != nil {
		t.Errorf("a condition that is not there holds: %t, %v", holds, err)
	}
	change, err := spec.NewCondition(spec.OnChange, `change.paths.all(p, p.startsWith("manifests/"))`)
	if err != nil {
		t.Fatal(err)
	}
	if holds, err := change.Holds(map[string]any{"change": map[string]any{"agent": "a", "paths": []string{"docs/x"}}}); holds || err != nil {
		t.Errorf("holds: %t, %v", holds, err)
	}
	if _, err := spec.NewCondition("tool", "true"); err == nil {
		t.Error("a condition on something else compiles")
	}
}

func TestPreconditions(t *testing.T) {
	c, err := spec.NewPrecondition("result.ready == result.replicas")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		result any
		holds  bool
		fails  bool
	}{
		{map[string]any{"ready": float64(2), "replicas": float64(2)}, true, false},
		{map[string]any{"ready": float64(1), "replicas": float64(2)}, false, false},
		{json.RawMessage(`{"ready": 2, "replicas": 2.0}`), true, false},
		{"some text", false, true},
		{nil, false, true},
		{map[string]any{"ready": math.NaN(), "replicas": 1}, false, false},
		{map[string]any{"ready": make(chan int)}, false, true},
	} {
		holds, err := c.Holds(map[string]any{"result": tt.result})
		if holds != tt.holds || (err != nil) != tt.fails {
			t.Errorf("%v holds: %t, %v", tt.result, holds, err)
		}
	}
}

func TestExpressionsAreBounded(t *testing.T) {
	big := make([]any, 3000)
	for i := range big {
		big[i] = strings.Repeat("a", 10)
	}
	for _, check := range []string{
		`result.map(a, result.map(b, result.map(c, c))).size() > 0`,
		`result.join("a").replace("a", "` + strings.Repeat("b", 1000) + `").replace("b", "` + strings.Repeat("c", 1000) + `").size() > 0`,
		`result.map(a, result.join("")).join(result.join("")).size() > 0`,
		`result.join("").replace("a", result.join("")).size() > 0`,
		`result.join("").replace("", result.join(""), 1000000).size() > 0`,
	} {
		c, err := spec.NewPrecondition(check)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		holds, err := c.Holds(map[string]any{"result": big})
		if holds || err == nil || !strings.Contains(err.Error(), "limit exceeded") && !strings.Contains(err.Error(), "makes more than 4194304 bytes") {
			t.Errorf("%.40s holds: %t, %v", check, holds, err)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%.40s took %s", check, took)
		}
	}
}

func TestTemplates(t *testing.T) {
	vars := map[string]any{"arguments": map[string]any{
		"name": "web", "count": float64(3), "ratio": 2.5, "on": true, "none": nil, "list": []any{"a", float64(1)}, "object": map[string]any{"b": 1, "a": "x"},
	}}
	for _, tt := range []struct {
		template string
		want     any
	}{
		{"Restart ${ arguments.name }.", "Restart web."},
		{"${ arguments.name }", "web"},
		{"${ arguments.count }", int64(3)},
		{"${arguments.count} of ${ arguments.ratio }", "3 of 2.5"},
		{"${ arguments.on }", true},
		{"${ arguments.none }", nil},
		{"[${ arguments.none }]", "[]"},
		{"${ arguments.list }", []any{"a", int64(1)}},
		{"${ arguments.object }", map[string]any{"a": "x", "b": int64(1)}},
		{"= ${ arguments.object }", `= {"a":"x","b":1}`},
		{`${ {"a": {"b": arguments.count}} }`, map[string]any{"a": map[string]any{"b": int64(3)}}},
		{`${ "}" + '}' + "\"}" + r"\" }`, `}}"}\`},
		{`${ """a"}""" }`, `a"}`},
		{"${ 1 // } is a comment\n}", int64(1)},
		{"$${ arguments.name } and $5 and {x}", "${ arguments.name } and $5 and {x}"},
		{`${ timestamp("2026-01-31T12:00:00Z") }`, "2026-01-31T12:00:00Z"},
		{"", ""},
	} {
		t.Run(tt.template, func(t *testing.T) {
			got, err := spec.RenderValue(tt.template, vars)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, tt := range []struct{ template, want string }{
		{"${ arguments.missing }", "no such key: missing"},
		{"${ arguments.name", "has no closing"},
		{"${ }", "holds no expression"},
		{`${ "}" `, "has no closing"},
		{"${ other }", "undeclared reference to 'other'"},
		{"${ b'a' }", "a value of type bytes is not JSON"},
		{"${ {1: 2} }", "a key of a map is of type int, not string"},
		{"${ 1.0 / 0.0 }", "not a number that JSON can hold"},
	} {
		if got, err := spec.RenderValue(tt.template, vars); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s renders as %v, %v, want an error with %q", tt.template, got, err, tt.want)
		}
	}
	value := map[string]any{"path": "${ arguments.name }", "list": []any{"${ arguments.count }", 5}, "deep": map[string]any{"x": "y"}}
	got, err := spec.RenderValue(value, vars)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"path": "web", "list": []any{int64(3), 5}, "deep": map[string]any{"x": "y"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestScripts(t *testing.T) {
	script, err := spec.NewScript("default", []spec.ScriptRule{
		{When: `task == "fail"`, Text: "${ results['nothing'] }"},
		{When: `called("cluster__status") && last.role == "tool"`, Text: `It is ${ results["cluster__status"][0].ready ? "ready" : "not ready" } after ${ turn } answers and ${ size(messages) } messages.`},
		{When: `last.tool == "" && turn == 0 && task.contains("web")`, Text: "I will look.", Calls: []spec.ScriptCall{{Tool: "cluster__status", Arguments: map[string]any{"name": "${ task.split(' ')[0] }"}}, {Tool: "cluster__list"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	conversation := spec.Conversation{Messages: []spec.Message{{Role: "system", Text: "Be brief."}, {Role: "user", Text: "web is slow"}}}
	got, err := script.Answer(conversation)
	want := spec.ScriptAnswer{Rule: 3, Text: "I will look.", Calls: []spec.ScriptCall{
		{Tool: "cluster__status", Arguments: map[string]any{"name": "web"}}, {Tool: "cluster__list", Arguments: map[string]any{}}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	conversation.Messages = append(conversation.Messages,
		spec.Message{Role: "assistant", Text: got.Text},
		spec.Message{Role: "tool", Tool: "cluster__status", Call: "1", Text: "{}", Result: map[string]any{"ready": true}})
	if got, err = script.Answer(conversation); err != nil || got.Rule != 2 || got.Text != "It is ready after 1 answers and 4 messages." {
		t.Errorf("the answer is %+v, %v", got, err)
	}
	for _, tt := range []struct {
		task, want string
	}{
		{"fail", `rule 1 of model "default": render "${ results['nothing'] }": no such key: nothing`},
		{"nobody  knows\n" + strings.Repeat("x", 100), `no rule of model "default" answers the message of role user: "nobody knows ` + strings.Repeat("x", 66) + `…"`},
	} {
		_, err := script.Answer(spec.Conversation{Messages: []spec.Message{{Role: "user", Text: tt.task}}})
		if err == nil || err.Error() != tt.want {
			t.Errorf("the error is %v, want %s", err, tt.want)
		}
	}
	if _, err := script.Answer(spec.Conversation{}); err == nil {
		t.Error("an empty conversation is answered")
	}
	if _, err := spec.NewScript("m", []spec.ScriptRule{{When: "turn"}}); err == nil || !strings.Contains(err.Error(), `rule 1 of model "m": when: `) {
		t.Errorf("the error is %v", err)
	}
}

func TestDeepResults(t *testing.T) {
	var deep any = "ready"
	path := "result"
	for range 40 {
		deep, path = map[string]any{"status": []any{deep}}, path+".status[0]"
	}
	c, err := spec.NewPrecondition(path + ` == "ready"`)
	if err != nil {
		t.Fatal(err)
	}
	if holds, err := c.Holds(map[string]any{"result": deep}); err == nil || !strings.Contains(err.Error(), "deeper than 64 levels") {
		t.Errorf("80 levels hold: %t, %v", holds, err)
	}
	inner := deep.(map[string]any)["status"].([]any)[0]
	for range 9 {
		inner = inner.(map[string]any)["status"].([]any)[0]
	}
	c, err = spec.NewPrecondition(strings.TrimSuffix(path, strings.Repeat(".status[0]", 10)) + ` == "ready"`)
	if err != nil {
		t.Fatal(err)
	}
	if holds, err := c.Holds(map[string]any{"result": inner}); !holds || err != nil {
		t.Errorf("60 levels hold: %t, %v", holds, err)
	}
}

func TestTextFunctions(t *testing.T) {
	vars := map[string]any{"arguments": map[string]any{"text": "a,b,a", "list": []string{"x", "y"}, "none": []any{}}}
	for template, want := range map[string]any{
		`${ arguments.text.replace("a", "cc") }`:         "cc,b,cc",
		`${ arguments.text.replace("a", "cc", 1) }`:      "cc,b,a",
		`${ arguments.text.replace("a", "", -1) }`:       ",b,",
		`${ arguments.text.replace("", "-") }`:           "-a-,-b-,-a-",
		`${ arguments.text.replace("a", "c", 0) }`:       "a,b,a",
		`${ arguments.text.split(",").join() }`:          "aba",
		`${ arguments.list.join(", ") }`:                 "x, y",
		`${ arguments.none.join(", ") }`:                 "",
		`${ arguments.text.split(",")[1].upperAscii() }`: "B",
		`${ "%s has %d".format([arguments.text, 5]) }`:   "a,b,a has 5",
	} {
		if got, err := spec.RenderValue(template, vars); err != nil || got != want {
			t.Errorf("%s renders as %v, %v, not %v", template, got, err, want)
		}
	}
}
