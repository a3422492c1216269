package model

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

// Sees reports whether a model can be shown images: as its spec says, or else its provider. The server of a model of provider ollama is
// asked; where it cannot answer the model is taken to see, for it will not answer the question itself either.
func (p Providers) Sees(ctx context.Context, m *spec.Model) bool {
	switch {
	case m.Spec.Vision != nil:
		return *m.Spec.Vision
	case m.Spec.Provider == spec.ProviderOllama:
		is, err := p.Describe(ctx, m)
		return err != nil || is.Vision
	}
	return m.Spec.Provider == spec.ProviderAnthropic || m.Spec.Provider == spec.ProviderReplay
}

// checkImages refuses a request that shows images that are not with it.
func (r Request) checkImages(m *spec.Model) error {
	for _, message := range r.Messages {
		for _, i := range message.Images {
			if _, ok := r.Images[i.Digest]; !ok {
				return failed(NoVision, "Model/%s cannot be shown images: choose one that can, or write spec.vision: true if it can all the same", m.Name)
			}
		}
	}
	return nil
}

// base64Of is the data of an image in base64.
func (r Request) base64Of(i plugins.Image) string {
	return base64.StdEncoding.EncodeToString(r.Images[i.Digest])
}

// dataURL is an image as a URL (RFC 2397).
func (r Request) dataURL(i plugins.Image) string {
	return "data:" + i.MediaType + ";base64," + r.base64Of(i)
}

// afterResults moves the images of tools' results into a user's message after them, for APIs whose results are text alone. The results
// of one answer's calls stay together.
func afterResults(messages []plugins.Message) []plugins.Message {
	var out []plugins.Message
	var shown *plugins.Message
	for _, message := range messages {
		if message.Role != plugins.RoleTool && shown != nil {
			out, shown = append(out, *shown), nil
		}
		if message.Role == plugins.RoleTool && len(message.Images) > 0 {
			if shown == nil {
				shown = &plugins.Message{Role: plugins.RoleUser, Text: "These are the images of the results of the tools, in order:"}
			}
			shown.Text += fmt.Sprintf("\n%d of %s (%s)", len(message.Images), message.Tool, message.CallID)
			shown.Images = append(shown.Images, message.Images...)
			message.Images = nil
		}
		out = append(out, message)
	}
	if shown != nil {
		out = append(out, *shown)
	}
	return out
}
