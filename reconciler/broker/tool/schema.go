package tool

import (
	"encoding/json"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mainstay-dev/mainstay/reconciler/secret"
)

// hideIn writes a schema without secrets, in keys as in strings.
func hideIn(schema any, hide *secret.Hider) (json.RawMessage, error) {
	raw, err := json.Marshal(schema)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return json.Marshal(hide.Value(value))
}

// hints are the annotations that are set.
func hints(a mcp.ToolAnnotation) map[string]bool {
	all := map[string]bool{}
	for name, value := range map[string]*bool{
		"readOnlyHint": a.ReadOnlyHint, "destructiveHint": a.DestructiveHint, "idempotentHint": a.IdempotentHint, "openWorldHint": a.OpenWorldHint,
	} {
		if value != nil {
			all[name] = *value
		}
	}
	return all
}
