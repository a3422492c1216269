package tool

import (
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mainstay-dev/mainstay/spec"
)

func TestASecretIsHiddenBeforeAResultIsCut(t *testing.T) {
	const key = "hunter2-hunter2-hunter2"
	hide := func(text string) string { return strings.ReplaceAll(text, key, "[redacted]") }
	for offset := range len(key) {
		text := strings.Repeat(".", MaxResult-1-offset) + key + strings.Repeat(".", MaxResult)
		if got := newResult(mcp.NewToolResultText(text), hide); strings.Contains(got.Text, "hu") || len(got.Text) > MaxResult+200 {
			t.Fatalf("got %d bytes, ending in %q", len(got.Text), got.Text[MaxResult-30:])
		}
	}
}

// What a server says of an image counts for nothing, and no more of them are taken than fit a record.
func TestImagesOfAResultAreTakenOrSaidToBeLeftOut(t *testing.T) {
	const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC"
	const bomb = "iVBORw0KGgoAAAANSUhEUgAA6mAAAOpgCAIAAAAPsOIVAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC"
	image := func(data, mime string) mcp.Content { return mcp.NewImageContent(data, mime) }
	result := &mcp.CallToolResult{Content: []mcp.Content{mcp.NewTextContent("Look:"), image(pixel, "image/svg+xml"), image(bomb, "image/png"), image("PHN2Zy8+", "image/png"),
		image("not base64", "image/png"), image(strings.Repeat("A", spec.MaxImage*4/3+8), "image/png")}}
	got := newResult(result, func(s string) string { return s })
	if len(got.Images) != 1 || got.Images[0].MediaType != "image/png" {
		t.Fatalf("got %d images", len(got.Images))
	}
	lines := strings.Split(got.Text, "\n")
	for i, says := range []string{"Look:", "[image image/png, 69 bytes, sha256:", "it is 60000 by 60000 pixels", "an SVG is a program", "it is no base64]", "an image may have 3145728 bytes]"} {
		if i >= len(lines) || !strings.Contains(lines[i], says) {
			t.Errorf("line %d of %q, want %s", i, lines, says)
		}
	}
	many := &mcp.CallToolResult{}
	for range spec.MaxImages + 1 {
		many.Content = append(many.Content, image(pixel, "image/png"))
	}
	if got := newResult(many, func(s string) string { return s }); len(got.Images) != spec.MaxImages || !strings.Contains(got.Text, "left out: there are 17 images") {
		t.Errorf("got %d images: %s", len(got.Images), got.Text)
	}
}
