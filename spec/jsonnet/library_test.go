package jsonnet_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/spec/jsonnet"
)

func TestLibraryMakesAResourceOfEachKind(t *testing.T) {
	for _, kind := range []string{
		"Agent", "Evaluation", "Fleet", "KnowledgeSource", "Model", "Persona", "Policy", "Prompt", "SkillSource", "ToolServer",
		"Trigger", "Workflow",
	} {
		text := fmt.Sprintf("(import 'mainstay.libsonnet').%s('a', { x: 1 })", strings.ToLower(kind[:1])+kind[1:])
		out := jsonnet.Evaluate(jsonnet.Input{Entry: entry, Files: map[string]string{entry: text}})
		want := fmt.Sprintf(`{"apiVersion":"mainstay.dev/v1alpha1","kind":%q,"metadata":{"name":"a"},"spec":{"x":1}}`, kind)
		if out.Fault != nil || string(out.JSON) != want {
			t.Errorf("%s: %s, %v", kind, out.JSON, out.Fault)
		}
	}
}

func TestLibraryIsInGoodForm(t *testing.T) {
	formatted, err := jsonnet.Format(jsonnet.LibraryName, jsonnet.Library())
	if err != nil || formatted != jsonnet.Library() {
		t.Errorf("write mainstay.libsonnet as\n%s\n%v", formatted, err)
	}
}

func TestOwnFileOfTheLibrarysNameIsImportedByItsPath(t *testing.T) {
	files := map[string]string{
		entry:                       "[std.objectHas(import 'mainstay.libsonnet', 'agent'), import './mainstay.libsonnet']",
		"agents/mainstay.libsonnet": "1",
	}
	out := jsonnet.Evaluate(jsonnet.Input{Entry: entry, Files: files})
	if out.Fault != nil || string(out.JSON) != "[true,1]" {
		t.Errorf("%s, %v", out.JSON, out.Fault)
	}
}

func TestProgramInTheREADMEWorks(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var program strings.Builder
	for line := range strings.Lines(string(readme)) {
		if rest, ok := strings.CutPrefix(line, "    "); ok || program.Len() > 0 && strings.TrimSpace(line) == "" {
			program.WriteString(rest)
			continue
		}
		if program.Len() > 0 {
			break
		}
	}
	files := map[string]string{entry: program.String(), "lib/team.libsonnet": "{ base: { persona: 'engineer' } }"}
	out := jsonnet.Evaluate(jsonnet.Input{Entry: entry, Files: files})
	var agents []struct {
		Spec struct{ Persona, Instructions string }
	}
	if out.Fault != nil || json.Unmarshal(out.JSON, &agents) != nil || len(agents) != 2 || agents[1].Spec.Instructions != "Look after shop." || agents[1].Spec.Persona != "engineer" {
		t.Errorf("%s, %v, from\n%s", out.JSON, out.Fault, program.String())
	}
}
