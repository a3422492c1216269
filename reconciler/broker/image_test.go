package broker_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// An agent names images that it never has: those of its own run are shown to a model that sees, and no others.
func TestAModelIsShownTheImagesOfItsRun(t *testing.T) {
	w := newWorld(t)
	w.script(spec.ScriptRule{Text: "A cat."})
	var got model.Request
	w.opts.Chat = func(_ context.Context, _ *spec.Model, r model.Request, _ func(string)) (model.Answer, error) {
		got = r
		return model.Answer{ModelAnswer: plugins.ModelAnswer{Text: "A cat.", Finish: plugins.FinishStop}}, nil
	}
	w.broker = broker.New(w.opts)
	cat := spec.Image{Digest: "sha256:cat", MediaType: "image/png", Bytes: 3, Data: []byte("cat")}
	huge := spec.Image{Digest: "sha256:huge", MediaType: "image/png", Bytes: 16 << 20, Data: []byte("huge")}
	named := func(digest string) []plugins.Image {
		return []plugins.Image{{Digest: digest, MediaType: "text/html", Bytes: 1}}
	}
	ask := func(vision bool, messages ...plugins.Message) string {
		got = model.Request{}
		w.agent.Model.Spec.Vision = &vision
		call := w.call(spec.RequestModel, plugins.ModelRequest{Messages: messages})
		call.Images = map[spec.Digest]spec.Image{cat.Digest: cat, huge.Digest: huge}
		reply, err := w.broker.Answer(t.Context(), call, nil)
		if err != nil {
			t.Fatal(err)
		}
		return reply.Answer.Error
	}
	attached := plugins.Message{Role: plugins.RoleUser, Text: "What is it?", Images: named("sha256:cat")}
	result := plugins.Message{Role: plugins.RoleTool, Text: "[image]", CallID: "1", Tool: "t", Images: named("sha256:cat")}
	large := plugins.Message{Role: plugins.RoleTool, Text: "[image]", CallID: "2", Tool: "t", Images: named("sha256:huge")}
	if refused := ask(true, attached, large, result); refused != "" || len(got.Images) != 1 || string(got.Images["sha256:cat"]) != "cat" {
		t.Errorf("it is shown %v, %s", got.Images, refused)
	}
	if m := got.Messages; len(m) != 3 || len(m[0].Images) != 1 || m[0].Images[0].MediaType != "image/png" || m[0].Images[0].Bytes != 3 || m[1].Images != nil || m[1].Text != "[image]" || len(m[2].Images) != 1 {
		t.Errorf("the messages are %+v", m)
	}
	if refused := ask(false, result); refused != "" || len(got.Images) != 0 || got.Messages[0].Images != nil || got.Messages[0].Text != "[image]" {
		t.Errorf("who does not see is shown %+v, %s", got, refused)
	}
	if ask(false, attached, result); got.Images == nil || len(got.Images) != 0 || len(got.Messages[0].Images) != 1 || got.Messages[1].Images != nil {
		t.Errorf("what a person attached is left out in silence: %+v", got)
	}
	for name, m := range map[string]plugins.Message{
		"which is neither of the task nor of a tool's result": {Role: plugins.RoleUser, Images: named("sha256:other")},
		"only those of the roles user and tool can":           {Role: plugins.RoleAssistant, Images: named("sha256:cat")},
		"at most 16 are allowed":                              {Role: plugins.RoleUser, Images: make([]plugins.Image, 17)},
	} {
		if refused := ask(true, m); !strings.Contains(refused, name) || got.Messages != nil {
			t.Errorf("got %q, want %s", refused, name)
		}
	}
}

// The record gets an image of a tool's result once, and the agent its name.
func TestImagesOfAToolAreKeptOnce(t *testing.T) {
	w := newWorld(t)
	w.agent.Tools = append(w.agent.Tools, spec.Tool{Server: w.server, Name: "photo", ToolSpec: w.server.Spec.Tools["photo"]})
	call := func(images map[spec.Digest]spec.Image) (*spec.Answer, plugins.ToolResult) {
		c := w.call(spec.RequestTool, plugins.ToolCall{ID: "call-1-0", Name: "cluster__photo"})
		c.Images = images
		reply, err := w.broker.Answer(t.Context(), c, nil)
		if err != nil || reply.Answer == nil || reply.Answer.Error != "" {
			t.Fatalf("got %+v, %v", reply.Answer, err)
		}
		var result plugins.ToolResult
		if err := json.Unmarshal(reply.Answer.Body, &result); err != nil {
			t.Fatal(err)
		}
		return reply.Answer, result
	}
	answer, result := call(nil)
	if len(answer.Images) != 1 || len(result.Images) != 1 || result.Images[0].Digest != string(answer.Images[0].Digest) || !strings.Contains(result.Text, "a photo\n[image image/png, 69 bytes") {
		t.Fatalf("got %+v, %+v", answer.Images, result)
	}
	photo := answer.Images[0]
	if answer, result = call(map[spec.Digest]spec.Image{photo.Digest: photo}); len(answer.Images) != 0 || len(result.Images) != 1 {
		t.Errorf("it is kept again: %+v, %+v", answer.Images, result)
	}
	if answer, result = call(map[spec.Digest]spec.Image{"sha256:huge": {Bytes: 16 << 20}}); len(answer.Images) != 0 || len(result.Images) != 0 || !strings.Contains(result.Text, "is left out: the images of a run have at most") {
		t.Errorf("there is no end of them: %+v, %+v", answer.Images, result)
	}
}
