package model_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// Each wire format has its own way to show images: those of a user, and those of tools' results.
func TestImagesAreShown(t *testing.T) {
	cat := plugins.Image{Digest: "sha256:cat", MediaType: "image/png", Bytes: 3}
	dog := plugins.Image{Digest: "sha256:dog", MediaType: "image/jpeg", Bytes: 3}
	request := model.Request{
		Images: map[string][]byte{cat.Digest: []byte("cat"), dog.Digest: []byte("dog")},
		Tools:  toolsOf("camera__look"),
		Messages: []plugins.Message{
			{Role: plugins.RoleUser, Text: "What is it?", Images: []plugins.Image{cat}},
			{Role: plugins.RoleAssistant, Calls: []plugins.ToolUse{{ID: "1", Name: "camera__look", Arguments: []byte("{}")}, {ID: "2", Name: "camera__look", Arguments: []byte("{}")}}},
			{Role: plugins.RoleTool, CallID: "1", Tool: "camera__look", Text: "[a dog]", Images: []plugins.Image{dog}},
			{Role: plugins.RoleTool, CallID: "2", Tool: "camera__look", Text: "nothing"},
			{Role: plugins.RoleUser, Text: "Well?"},
		},
	}
	const catURL, dogURL = `"data:image/png;base64,Y2F0"`, `"data:image/jpeg;base64,ZG9n"`
	const results = `"These are the images of the results of the tools, in order:\n1 of camera__look (1)"`
	want := map[string]string{
		"ollama": `[{"role":"user","content":"What is it?","images":["Y2F0"]},
			{"role":"assistant","content":"","tool_calls":[{"id":"1","function":{"index":0,"name":"camera__look","arguments":{}}},{"id":"2","function":{"index":1,"name":"camera__look","arguments":{}}}]},
			{"role":"tool","content":"[a dog]","tool_name":"camera__look","tool_call_id":"1","images":["ZG9n"]},
			{"role":"tool","content":"nothing","tool_name":"camera__look","tool_call_id":"2"},{"role":"user","content":"Well?"}]`,
		"openai": `[{"role":"user","content":[{"type":"text","text":"What is it?"},{"type":"image_url","image_url":{"url":` + catURL + `}}]},
			{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"camera__look","arguments":"{}"}},{"id":"2","type":"function","function":{"name":"camera__look","arguments":"{}"}}]},
			{"role":"tool","content":"[a dog]","tool_call_id":"1"},{"role":"tool","content":"nothing","tool_call_id":"2"},
			{"role":"user","content":[{"type":"text","text":` + results + `},{"type":"image_url","image_url":{"url":` + dogURL + `}}]},{"role":"user","content":"Well?"}]`,
		"openai responses": `[{"role":"user","content":[{"type":"input_text","text":"What is it?"},{"type":"input_image","detail":"auto","image_url":` + catURL + `}]},
			{"type":"function_call","call_id":"1","name":"camera__look","arguments":"{}"},{"type":"function_call","call_id":"2","name":"camera__look","arguments":"{}"},
			{"type":"function_call_output","call_id":"1","output":"[a dog]"},{"type":"function_call_output","call_id":"2","output":"nothing"},
			{"role":"user","content":[{"type":"input_text","text":` + results + `},{"type":"input_image","detail":"auto","image_url":` + dogURL + `}]},{"role":"user","content":"Well?"}]`,
		"anthropic": `[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"Y2F0"}},{"type":"text","text":"What is it?"}]},
			{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"camera__look","input":{}},{"type":"tool_use","id":"2","name":"camera__look","input":{}}]},
			{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":[{"type":"text","text":"[a dog]"},{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"ZG9n"}}]},
			{"type":"tool_result","tool_use_id":"2","content":[{"type":"text","text":"nothing"}]},{"type":"text","text":"Well?"}]}]`,
	}
	inEveryForm(t, func(t *testing.T, f form) {
		var body map[string]any
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			raw, err := io.ReadAll(r.Body)
			if err == nil {
				err = json.Unmarshal(raw, &body)
			}
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Type", "text/event-stream")
			f.say(&stream{w: w, r: r}, said{text: []string{"A cat."}})
		}))
		defer server.Close()
		got, err := asking(t).Chat(t.Context(), f.of(server.URL), request, nil)
		if err != nil || got.Text != "A cat." {
			t.Fatalf("got %+v, %v", got, err)
		}
		messages := body["messages"]
		if messages == nil {
			messages = body["input"]
		}
		var wanted any
		if err := json.Unmarshal([]byte(want[f.name]), &wanted); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wanted, messages); diff != "" {
			t.Error(diff)
		}
		// What is not with the request is not left out in silence.
		blind := request
		blind.Images = nil
		if _, err := asking(t).Chat(t.Context(), f.of(server.URL), blind, nil); model.ReasonOf(err) != model.NoVision || model.Later(err) || !strings.Contains(err.Error(), "Model/local cannot be shown images") {
			t.Errorf("got %v", err)
		}
	})
	other := request
	other.Images = nil
	if a, b := asJSON(request), asJSON(other); !slices.Equal(a, b) || request.Bytes() != other.Bytes() || request.Bytes() < 2*model.PerImage {
		t.Error("the data of images is part of the request, and not their digests")
	}
}

func TestWhoSees(t *testing.T) {
	yes, no := true, false
	capabilities := `"completion","vision"`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"capabilities":[`+capabilities+`]}`)
	}))
	defer server.Close()
	sees := func(s spec.ModelSpec) bool {
		s.Endpoint = server.URL
		return asking(t).Sees(t.Context(), &spec.Model{Spec: s})
	}
	for _, test := range []struct {
		spec spec.ModelSpec
		want bool
	}{
		{spec.ModelSpec{Provider: spec.ProviderOllama}, true}, {spec.ModelSpec{Provider: spec.ProviderOllama, Vision: &no}, false},
		{spec.ModelSpec{Provider: spec.ProviderAnthropic}, true}, {spec.ModelSpec{Provider: spec.ProviderReplay}, true},
		{spec.ModelSpec{Provider: spec.ProviderOpenAI}, false}, {spec.ModelSpec{Provider: spec.ProviderOpenAI, Vision: &yes}, true},
		{spec.ModelSpec{Provider: spec.ProviderScripted}, false},
	} {
		if got := sees(test.spec); got != test.want {
			t.Errorf("%+v: got %v", test.spec, got)
		}
	}
	if capabilities = `"completion"`; sees(spec.ModelSpec{Provider: spec.ProviderOllama}) {
		t.Error("it sees, and its server says that it does not")
	}
}
