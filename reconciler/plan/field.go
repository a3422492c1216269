package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler/diff"
	"github.com/mainstay-dev/mainstay/spec"
)

// Field is a field that differs.
type Field struct {
	// Path is the field's within the spec, such as limits.turns. An item of a list that has a name is named by it, as in
	// rules.no-restarts.when.
	Path string `json:"path"`
	// Before and After are the values as they are written. One of them is not there where the field is set, or removed.
	Before any `json:"before,omitempty"`
	After  any `json:"after,omitempty"`
	// Diff is a unified diff where the values are texts of more than one line.
	Diff string `json:"diff,omitempty"`
	// Widens says that the difference is a permission that is more than before, or may be. See [Change.Widened].
	Widens bool `json:"widens,omitempty"`
}

// difference is a value in the trees of two specs that is not the same.
type difference struct {
	kind          spec.Kind
	path          []string
	before, after any // nil where it is not there
	// roots are the whole trees.
	roots [2]map[string]any
	// had and has say whether what holds the value was there, and is.
	had, has bool
}

// secrets are the fields that hold a reference to a secret. It is one value: what is left of it refers to nothing.
var secrets = []string{"apiKey", "credential", "from", "secret"}

// differences lists what differs in two specs of a kind, sorted by path. Maps are looked into, and so are lists whose items
// have names, down to what the kind's judges take as a whole.
func differences(kind spec.Kind, before, after map[string]any) []difference {
	var out []difference
	roots := [2]map[string]any{before, after}
	var walk func(path []string, a, b any, had, has bool)
	walk = func(path []string, a, b any, had, has bool) {
		if reflect.DeepEqual(a, b) {
			return
		}
		found := len(out)
		if whole := len(path) > 0 && (judgeOf(kind, path).whole || isSecret(path, a) && isSecret(path, b)); !whole {
			left, right, ok := parts(a, b)
			if ok {
				for _, name := range slices.Sorted(maps.Keys(union(left, right))) {
					walk(append(slices.Clone(path), name), left[name], right[name], a != nil, b != nil)
				}
			}
		}
		if len(out) == found && len(path) > 0 { // No part of it differs: it is empty, in another order, or a plain value.
			out = append(out, difference{kind: kind, path: path, before: a, after: b, roots: roots, had: had, has: has})
		}
	}
	walk(nil, tree(before), tree(after), before != nil, after != nil)
	return out
}

// tree is a map as a value, which is nil where the map is.
func tree(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}

// parts are the named parts of two values, of which one may not be there.
func parts(a, b any) (left, right map[string]any, ok bool) {
	left, leftOK := named(a)
	right, rightOK := named(b)
	return left, right, leftOK && rightOK
}

func named(v any) (map[string]any, bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case map[string]any:
		return v, true
	case []any:
		for _, key := range []string{"name", "server"} {
			if m, ok := byName(v, key); ok {
				return m, true
			}
		}
	}
	return nil, false
}

// byName is a list as a map, if all its items are maps with names of their own under key. The names are then in the path.
func byName(list []any, key string) (map[string]any, bool) {
	out := map[string]any{}
	for _, item := range list {
		m, _ := item.(map[string]any)
		name, _ := m[key].(string)
		if _, twice := out[name]; name == "" || twice {
			return nil, false
		}
		rest := maps.Clone(m)
		delete(rest, key)
		out[name] = rest
	}
	return out, len(list) > 0
}

func union(a, b map[string]any) map[string]any {
	all := make(map[string]any, len(a)+len(b))
	maps.Copy(all, a)
	maps.Copy(all, b)
	return all
}

// secret reports whether the value is a reference to a secret that is there now.
func (d difference) secret() bool { return d.after != nil && isSecret(d.path, d.after) }

// isSecret reports whether a value is a reference to a secret, or none where one can be.
func isSecret(path []string, v any) bool {
	if !slices.Contains(secrets, path[len(path)-1]) {
		return false
	}
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		for name := range v {
			if !slices.Contains([]string{"env", "file", "sops", "kubernetes"}, name) {
				return false
			}
		}
		return true
	}
	return false
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// name is the path as people read it.
func (d difference) name() string { return joined(d.path) }

func joined(path []string) string {
	var b strings.Builder
	for i, step := range path {
		switch {
		case !plainName.MatchString(step):
			b.WriteString("[" + strconv.Quote(step) + "]")
		case i > 0:
			b.WriteString("." + step)
		default:
			b.WriteString(step)
		}
	}
	return b.String()
}

func (d difference) field() Field {
	f := Field{Path: d.name(), Before: d.before, After: d.after}
	before, beforeText := d.before.(string)
	after, afterText := d.after.(string)
	if (beforeText || d.before == nil) && (afterText || d.after == nil) && strings.Contains(strings.TrimSpace(before)+strings.TrimSpace(after), "\n") {
		f.Diff = unified(before, after)
	}
	return f
}

// unified is the diff of two texts of a resource, which end with or without a line end for no reason.
func unified(before, after string) string {
	lines := func(text string) string {
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		return text
	}
	hunks, err := diff.Unified(lines(before), lines(after))
	if err != nil { // It writes to memory, which cannot fail.
		return fmt.Sprintf("cannot be shown: %v\n", err)
	}
	return hunks
}

// maxValue is how much of a value a sentence holds, in characters.
const maxValue = 300

// Value is a value as it stands in a sentence, cut where it is long. A text is itself, and all else is JSON.
func Value(v any) string { return shortened(whole(v)) }

func shortened(text string) string { return shortenedTo(maxValue, text) }

func shortenedTo(most int, text string) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + fmt.Sprintf("… (%d characters more)", len(r)-most)
	}
	return text
}

// values are two values as they stand in a sentence. Where they are long and begin alike, only where they differ is there.
func values(before, after any) (string, string) {
	a, b := []rune(whole(before)), []rune(whole(after))
	same := 0
	for same < len(a) && same < len(b) && a[same] == b[same] {
		same++
	}
	if same > maxValue/2 && max(len(a), len(b)) > maxValue {
		from := same - 40
		a, b = append([]rune("…"), a[from:]...), append([]rune("…"), b[from:]...)
	}
	return shortened(string(a)), shortened(string(b))
}

func whole(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "a value"
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Sides are the values before and after, each in one line that is safe to show to a person. A value that is not there is "".
// Where they are long and begin alike, both begin where they differ.
func (f Field) Sides() (before, after string) {
	b, a := values(f.Before, f.After)
	show := func(v any, text string) string {
		switch v.(type) {
		case nil:
			return ""
		case string:
			return Quote(text)
		}
		return spec.Visible(text) // JSON is in one line.
	}
	return show(f.Before, b), show(f.After, a)
}
