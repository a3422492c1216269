package plugins

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/spec/canonical"
)

// Canonical returns v as JSON in the one form that a run's record keeps. See package canonical.
func Canonical(v any) (json.RawMessage, error) { return canonical.JSON(v) }

// jsonValue returns text as a canonical JSON value, and nil for nothing.
func jsonValue(text string) (json.RawMessage, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	return Canonical(json.RawMessage(text))
}

// MarshalJSON writes {} for arguments that are empty or null.
func (u ToolUse) MarshalJSON() ([]byte, error) {
	type plain ToolUse
	u.Arguments = objectOr(u.Arguments)
	return json.Marshal(plain(u))
}

// MarshalJSON writes {} for arguments that are empty or null.
func (c ToolCall) MarshalJSON() ([]byte, error) {
	type plain ToolCall
	c.Arguments = objectOr(c.Arguments)
	return json.Marshal(plain(c))
}

// MarshalJSON writes the tools sorted, each once, and an empty conversation as [].
func (r ModelRequest) MarshalJSON() ([]byte, error) {
	type plain ModelRequest
	r.Tools = slices.Compact(slices.Sorted(slices.Values(r.Tools)))
	if r.Messages == nil {
		r.Messages = []Message{}
	}
	return json.Marshal(plain(r))
}

func objectOr(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return json.RawMessage("{}")
	}
	return raw
}
