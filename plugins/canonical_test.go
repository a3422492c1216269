package plugins_test

import (
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

func TestCanonicalFormDependsOnTheValueOnly(t *testing.T) {
	for written, want := range map[string]string{
		`{"b":1, "a":[ 1 , null,true ]}`: `{"a":[1,null,true],"b":1}`,
		`{"a":1,"a":2}`:                  `{"a":2}`,
		`"\u0041 <&> \u00e9 \/"`:         `"A <&> é /"`,
		`12345678901234567890`:           `12345678901234567890`,
		`-0`:                             `0`,
		`-0.0`:                           `0`,
		`1.0`:                            `1`,
		`1e2`:                            `100`,
		`1.50`:                           `1.5`,
		`1E+30`:                          `1e+30`,
		`0.0000001`:                      `1e-7`,
	} {
		got, err := plugins.Canonical(json.RawMessage(written))
		if err != nil || string(got) != want {
			t.Errorf("%s became %s, %v, want %s", written, got, err, want)
		}
	}
	for _, written := range []string{`1e999`, `{`, ``} {
		if got, err := plugins.Canonical(json.RawMessage(written)); err == nil {
			t.Errorf("%s became %s", written, got)
		}
	}
}

func TestBodiesHaveOneForm(t *testing.T) {
	for want, body := range map[string]any{
		`{"messages":[]}`: plugins.ModelRequest{Stream: true},
		`{"messages":[{"calls":[{"arguments":{"a":1,"b":2},"id":"1","name":"t"}],"role":"assistant"}],"tools":["a","b"]}`: plugins.ModelRequest{
			Messages: []plugins.Message{{Role: plugins.RoleAssistant, Calls: []plugins.ToolUse{
				{ID: "1", Name: "t", Arguments: json.RawMessage(`{"b": 2, "a": 1}`)},
			}}},
			Tools: []string{"b", "a", "b"},
		},
		`{"calls":[{"arguments":{},"id":"1","name":"t"}],"finish":"calls"}`: plugins.ModelAnswer{
			Calls: []plugins.ToolUse{{ID: "1", Name: "t"}}, Finish: plugins.FinishCalls,
		},
		`{"finish":"stop","text":"x","usage":{"input":1,"output":2}}`: plugins.ModelAnswer{
			Text: "x", Finish: plugins.FinishStop, Usage: plugins.Usage{Input: 1, Output: 2},
		},
		`{"arguments":{},"id":"1","name":"t"}`: plugins.ToolCall{ID: "1", Name: "t", Arguments: json.RawMessage("null")},
		`{"isError":true,"text":"x"}`:          plugins.ToolResult{Text: "x", IsError: true},
		`{"bytes":"AQI="}`:                     plugins.RandomAnswer{Bytes: []byte{1, 2}},
		`{"time":"2026-01-02T03:04:05Z"}`:      plugins.TimeAnswer{Time: "2026-01-02T03:04:05Z"},
		`{}`:                                   plugins.TimeRequest{},
	} {
		if got, err := plugins.Canonical(body); err != nil || string(got) != want {
			t.Errorf("%T became %s, %v, want %s", body, got, err, want)
		}
	}
}

func TestRequestsThatBreakTheProtocolAreRefused(t *testing.T) {
	tool := func(id, arguments string) *pluginpb.Request {
		return &pluginpb.Request{Body: &pluginpb.Request_Tool{Tool: &pluginpb.ToolCall{CallId: id, Name: "t", ArgumentsJson: arguments}}}
	}
	for what, request := range map[string]*pluginpb.Request{
		"nothing":             {},
		"a lane with a space": {Lane: "a b", Body: &pluginpb.Request_Time{}},
		"a call without id":   tool("", "{}"),
		"broken arguments":    tool("1", "{"),
		"two values":          tool("1", "{}{}"),
		"no bytes":            {Body: &pluginpb.Request_Random{Random: &pluginpb.RandomRequest{}}},
		"too many bytes":      {Body: &pluginpb.Request_Random{Random: &pluginpb.RandomRequest{Bytes: 1 << 20}}},
		"an unknown role": {Body: &pluginpb.Request_Model{Model: &pluginpb.ModelRequest{
			Messages: []*pluginpb.Message{{Role: "boss"}},
		}}},
	} {
		if r, err := plugins.RequestFrom(request); err == nil {
			t.Errorf("%s was taken: %+v", what, r)
		}
	}
}

// Whatever comes off the wire either is refused or has one canonical form, which survives the way back.
func FuzzRequestFrom(f *testing.F) {
	for _, body := range []any{
		plugins.ModelRequest{Messages: []plugins.Message{{Role: "user", Text: "x"}}, OutputSchema: json.RawMessage(`{"a":1.0}`)},
		plugins.ToolCall{ID: "1", Name: "t", Arguments: json.RawMessage(`{"a":[1e3]}`)},
		plugins.RandomRequest{N: 3},
	} {
		request, err := plugins.NewRequest(1, "main", body)
		if err != nil {
			f.Fatal(err)
		}
		wire, err := proto.Marshal(request)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		var m pluginpb.Request
		if proto.Unmarshal(wire, &m) != nil {
			return
		}
		first, err := plugins.RequestFrom(&m)
		if err != nil {
			return
		}
		var back *pluginpb.Request
		switch first.Kind {
		case plugins.KindModel:
			var body plugins.ModelRequest
			err = json.Unmarshal(first.Body, &body)
			back, _ = plugins.NewRequest(1, first.Lane, body)
		case plugins.KindTool:
			var body plugins.ToolCall
			err = json.Unmarshal(first.Body, &body)
			back, _ = plugins.NewRequest(1, first.Lane, body)
		default:
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", first.Body, err)
		}
		again, err := plugins.RequestFrom(back)
		if err != nil || string(again.Body) != string(first.Body) {
			t.Errorf("%s became %s, %v", first.Body, again.Body, err)
		}
	})
}

func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"b":[1.0,-0,1e21,"\u2028"],"a":{}}`))
	f.Fuzz(func(t *testing.T, written []byte) {
		first, err := plugins.Canonical(json.RawMessage(written))
		if err != nil {
			return
		}
		again, err := plugins.Canonical(first)
		if err != nil || string(again) != string(first) {
			t.Errorf("%s became %s, %v", first, again, err)
		}
	})
}
