package tool

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mainstay-dev/mainstay/spec"
)

// newResult makes text of a result's content and keeps the limits. hide takes out secrets before anything is cut.
func newResult(answer *mcp.CallToolResult, hide func(string) string) Result {
	var parts []string
	var images []spec.Image
	for _, content := range answer.Content {
		switch c := content.(type) {
		case mcp.TextContent:
			parts = append(parts, c.Text)
		case mcp.ImageContent:
			i, err := newImage(c.Data, images)
			if err != nil {
				parts = append(parts, strings.TrimSuffix(leftOut("image", c.MIMEType, len(c.Data)), "]")+": "+err.Error()+"]")
				continue
			}
			images = append(images, i)
			parts = append(parts, i.String())
		case mcp.AudioContent:
			parts = append(parts, leftOut("audio", c.MIMEType, len(c.Data)))
		case mcp.ResourceLink:
			parts = append(parts, fmt.Sprintf("[resource %s]", c.URI))
		case mcp.EmbeddedResource:
			switch r := c.Resource.(type) {
			case mcp.TextResourceContents:
				parts = append(parts, r.Text)
			case mcp.BlobResourceContents:
				parts = append(parts, leftOut("resource "+r.URI, r.MIMEType, len(r.Blob)))
			}
		default:
			parts = append(parts, "[content of an unknown type, left out]")
		}
	}
	result := Result{Text: cut(hide(strings.Join(parts, "\n"))), Images: images, IsError: answer.IsError}
	if answer.StructuredContent == nil {
		return result
	}
	raw, err := json.Marshal(answer.StructuredContent)
	if err != nil || len(raw) > MaxResult {
		result.Text += fmt.Sprintf("\n[the structured result of %d bytes is left out: at most %d are kept]", len(raw), MaxResult)
		return result
	}
	result.Structured = answer.StructuredContent
	if result.Text == "" {
		result.Text = string(raw)
	}
	return result
}

// newImage reads an image that a server gives besides others. What it says the image is counts for nothing.
func newImage(data string, others []spec.Image) (spec.Image, error) {
	if base64.StdEncoding.DecodedLen(len(data)) > spec.MaxImage+2 {
		return spec.Image{}, fmt.Errorf("an image may have %d bytes", spec.MaxImage)
	}
	raw, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return spec.Image{}, errors.New("it is no base64")
	}
	i, err := spec.NewImage(raw)
	if err == nil {
		err = spec.CheckImages(append(slices.Clip(others), i))
	}
	return i, err
}

func leftOut(what, mime string, size int) string {
	return fmt.Sprintf("[%s %s of %d bytes in base64, left out]", what, mime, size)
}

// cut shortens text to MaxResult bytes, between two characters, and says so.
func cut(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= MaxResult {
		return text
	}
	end := MaxResult
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + fmt.Sprintf("\n[cut: the result is %d bytes, of which the first %d are kept]", len(text), end)
}
