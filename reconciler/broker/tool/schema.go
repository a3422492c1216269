package tool

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
)

// minSecret is the shortest secret that is taken out of what models are told, in bytes, as in package broker: a shorter
// one would tear holes into ordinary text.
const minSecret = 6

// hider replaces secrets, the longest first.
func hider(secrets []string, least int) *strings.Replacer {
	secrets = slices.Clone(secrets)
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, s := range secrets {
		if len(s) >= least {
			pairs = append(pairs, s, "[redacted]")
		}
	}
	return strings.NewReplacer(pairs...)
}

// hideIn writes a schema without secrets, in keys as in strings.
func hideIn(schema any, hide *strings.Replacer) (json.RawMessage, error) {
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
	return json.Marshal(hidden(value, hide))
}

func hidden(value any, hide *strings.Replacer) any {
	switch v := value.(type) {
	case string:
		return hide.Replace(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[hide.Replace(key)] = hidden(item, hide)
		}
		return out
	case []any:
		for i, item := range v {
			v[i] = hidden(item, hide)
		}
	}
	return value
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
