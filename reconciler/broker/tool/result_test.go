package tool

import (
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
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
