package spec_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mainstay-dev/mainstay/spec"
)

// aRecord is the record of a run in which a model was asked twice, and refused once.
const aRecord = `[{"type":"task"},
{"type":"request","n":1,"request":{"lane":"main","kind":"model","body":{"messages":[{"text":"hi","role":"user"}]}}},
{"type":"request","n":2,"request":{"lane":"b","kind":"model","body":{"messages":[]}}},
{"type":"answer","n":2,"answer":{"error":"no"}},
{"type":"answer","n":1,"answer":{"body":{"text":"good day","finish":"stop"},"usage":{"input":3,"output":2}}},
{"type":"request","n":3,"request":{"lane":"main","kind":"tool","body":{}}},
{"type":"answer","n":3,"answer":{"body":{"text":"x"}}}]`

func replaying(recording string, more ...string) fstest.MapFS {
	files := fstest.MapFS{
		"mainstay.yaml":     {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: f}\n")},
		"models/m.yaml":     {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: m}\nspec: {provider: replay, recording: recordings/a.json" + strings.Join(more, "") + "}\n")},
		"agents/a.yaml":     {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Agent\nmetadata: {name: a}\nspec: {model: m, instructions: Be brief.}\n")},
		"recordings/a.json": {Data: []byte(recording)},
	}
	return files
}

func TestARecordingIsPartOfItsModel(t *testing.T) {
	var cache spec.Cache
	load := func(text string) *spec.Fleet {
		t.Helper()
		fleet, problems := spec.Load(replaying(text), spec.LoadOptions{Cache: &cache})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return fleet
	}
	fleet := load(aRecord)
	got := fleet.Models["m"].Recorded
	if len(got) != 1 || string(got[0].Request) != `{"messages":[{"role":"user","text":"hi"}]}` || string(got[0].Answer) != `{"finish":"stop","text":"good day"}` || got[0].Usage.Input != 3 {
		t.Errorf("recorded %+v", got)
	}
	if again := load(aRecord); again.Agents["a"].Digest != fleet.Agents["a"].Digest {
		t.Error("the agent is another one, though nothing has changed")
	}
	other := load(strings.Replace(aRecord, "good day", "bye", 1))
	if string(other.Models["m"].Recorded[0].Answer) != `{"finish":"stop","text":"bye"}` || other.Agents["a"].Digest == fleet.Agents["a"].Digest {
		t.Error("another recording makes no other agent")
	}
}

func TestARecordingThatIsNone(t *testing.T) {
	for _, test := range []struct{ name, recording, want string }{
		{"not JSON", "hello", "models/m.yaml:4:37: recordings/a.json: it is not the record of a run: "},
		{"a list of something else", `[1]`, "it is not the record of a run: "},
		{"without an answer", `[{"type":"task"}]`, "there is no answer of a model in it (write it with mainstay logs RUN -o json > recordings/a.json, and commit it)"},
		{"too large", strings.Repeat(" ", 8<<20+1), "it is larger than 8 MiB (record a shorter run)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, problems := spec.Load(replaying(test.recording), spec.LoadOptions{})
			if len(problems) != 1 || !strings.Contains(problems[0].String(), test.want) {
				t.Errorf("got %v", problems)
			}
		})
	}
	files := replaying(aRecord)
	delete(files, "recordings/a.json")
	files["recordings/b.json"] = &fstest.MapFile{}
	if _, problems := spec.Load(files, spec.LoadOptions{}); len(problems) != 1 || !strings.Contains(problems[0].String(), `there is no such file (did you mean "recordings/b.json"?)`) {
		t.Errorf("got %v", problems)
	}
}
