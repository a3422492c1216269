package plan

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/spec"
)

// fieldsOf lists the paths of all fields of a written form, with a * for the names in maps and in lists of things with names.
func fieldsOf(t reflect.Type, prefix string, found map[string]reflect.Type, depth int) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous {
				fieldsOf(f.Type, prefix, found, depth)
				continue
			}
			if name == "" || name == "-" || depth > 6 {
				continue
			}
			path := strings.TrimPrefix(prefix+"."+name, ".")
			found[path] = f.Type
			fieldsOf(f.Type, path, found, depth+1)
		}
	case reflect.Map:
		found[prefix+".*"] = t.Elem()
		fieldsOf(t.Elem(), prefix+".*", found, depth+1)
	case reflect.Slice:
		for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() == reflect.Struct {
			found[prefix+".*"] = t
			fieldsOf(t, prefix+".*", found, depth+1)
		}
	}
}

// A row of the tables that matches no field judges nothing: it is mistyped, or the field is gone.
func TestEveryJudgeHasAField(t *testing.T) {
	for kind, rows := range judges {
		found := map[string]reflect.Type{}
		fieldsOf(spec.Written[kind], "", found, 0)
		for _, row := range rows {
			path := strings.TrimSuffix(row.path, ".**")
			ok := found[path] != nil
			if parent, last := strings.CutSuffix(path, ".*"); last && !ok { // Each field of a struct.
				ok = found[parent] != nil
			}
			if !ok {
				t.Errorf("%s has no field %s", kind, row.path)
			}
		}
	}
}

// Nobody has to remember these tables: a field that is in none of them is marked, whatever becomes of it. The fields that
// are not marked are listed here, so that whoever makes one of them harmless sees that it is.
func TestFieldsOfWhichNothingIsSaidAreMarked(t *testing.T) {
	values := []any{nil, "x", []any{"x"}, map[string]any{"x": "y"}, true, int64(3)}
	var silent []string
	for kind, written := range spec.Written {
		if kind == spec.KindAction || kind == spec.KindAgent { // An Action is told of as such, an agent after it was resolved.
			continue
		}
		found := map[string]reflect.Type{}
		fieldsOf(written, "", found, 0)
		for path := range found {
			marked := false
			for _, before := range values {
				for _, after := range values {
					if reflect.DeepEqual(before, after) {
						continue
					}
					var widened, narrowed permissions
					root := map[string]any{"tools": map[string]any{"*": map[string]any{"effect": "write"}}}
					d := difference{kind: kind, path: strings.Split(path, "."), before: before, after: after, roots: [2]map[string]any{root, root}, had: true, has: true}
					if d.judge(spec.Ref{Kind: kind, Name: "x"}, &widened, &narrowed) != (len(widened.all) > 0) {
						t.Fatalf("%s.%s: a mark without a sentence", kind, path)
					}
					marked = marked || len(widened.all) > 0
				}
			}
			if !marked {
				silent = append(silent, string(kind)+"."+path)
			}
		}
	}
	slices.Sort(silent)
	// What is beneath a field that is listed is silent too.
	silent = slices.DeleteFunc(silent, func(path string) bool {
		return slices.ContainsFunc(silent, func(other string) bool { return strings.HasPrefix(path, other+".") })
	})
	want := []string{
		"Fleet.approvers", "Fleet.defaults", "Fleet.ledger", "Fleet.proposals.labels", "Fleet.signatures", "Fleet.store.maxBytes", "Fleet.store.retention",
		"KnowledgeSource.chunk", "KnowledgeSource.description", "KnowledgeSource.graph", "KnowledgeSource.labels", "KnowledgeSource.web.refresh",
		"Model.cache.ttl", "Model.context", "Model.keepAlive", "Model.name", "Model.recording", "Model.retry", "Model.rules", "Model.timeouts",
		"Persona.boundaries", "Persona.extends", "Persona.goals", "Persona.role", "Persona.tone",
		"Policy.rules", "Prompt.extends", "Prompt.parameters", "Prompt.sections", "Prompt.text",
		"Trigger.task", "Workflow.description",
	}
	if !slices.Equal(silent, want) {
		t.Errorf("these fields are not marked, whatever becomes of them:\n%s\nand these should be:\n%s", strings.Join(silent, "\n"), strings.Join(want, "\n"))
	}
}

func TestOnlyGlobsThatSurelyMatchLessAreCovered(t *testing.T) {
	for _, tt := range []struct {
		glob, by string
		want     bool
	}{
		{"manifests/shop/**", "manifests/**", true}, {"manifests/{a,b}/*.yaml", "manifests/**", true}, {"anything", "**", true},
		{"manifests", "manifests/**", false}, {"manifests2/x", "manifests/**", false}, {"manifests/**", "manifests/shop/**", false},
		{"a/b", "{a,c}/**", false}, {"a/b", "*/**", false}, {"a/b/c", "a/*", false}, {"a/b", "a**", false}, {"{a,b}/x", "a/**", false},
	} {
		if got := covered(tt.glob, []string{tt.by}); got != tt.want {
			t.Errorf("%s by %s: %v", tt.glob, tt.by, got)
		}
	}
}
