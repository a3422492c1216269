package plugins_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

func TestImagesArePassedOnByName(t *testing.T) {
	cat := plugins.Image{Digest: "sha256:" + strings.Repeat("a", 64), MediaType: "image/png", Bytes: 12}
	asked := plugins.ModelRequest{Messages: []plugins.Message{{Role: plugins.RoleUser, Text: "What is it?", Images: []plugins.Image{cat}}}}
	sent, err := plugins.NewRequest(1, plugins.MainLane, asked)
	if err != nil {
		t.Fatal(err)
	}
	r, err := plugins.RequestFrom(sent)
	want := fmt.Sprintf(`{"messages":[{"images":[{"bytes":12,"digest":"%s","mediaType":"image/png"}],"role":"user","text":"What is it?"}]}`, cat.Digest)
	if err != nil || string(r.Body) != want {
		t.Errorf("got %s, %v", r.Body, err)
	}
	result := plugins.ToolResult{Text: "a cat", Images: []plugins.Image{cat}}
	body, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := plugins.AnswerTo(1, plugins.KindTool, body)
	if err != nil {
		t.Fatal(err)
	}
	got, err := plugins.AnswerFrom(answer)
	if diff := cmp.Diff(any(result), got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for says, message := range map[string]*pluginpb.Message{
		"shows 17 images": {Role: plugins.RoleUser, Images: make([]*pluginpb.Image, 17)},
		"only those of the roles user and tool can": {Role: plugins.RoleAssistant, Images: []*pluginpb.Image{{Digest: cat.Digest}}},
	} {
		_, err := plugins.RequestFrom(&pluginpb.Request{Body: &pluginpb.Request_Model{Model: &pluginpb.ModelRequest{Messages: []*pluginpb.Message{message}}}})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %s", err, says)
		}
	}
}
