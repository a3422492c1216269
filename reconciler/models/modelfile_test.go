package models

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ollama/ollama/api"
)

func TestAModelfileIsRead(t *testing.T) {
	got, err := parseModelfile("# Mine.\r\nfrom ./a.gguf\r\nPARAMETER stop \"<|end|>\"\nPARAMETER stop b\nPARAMETER num_ctx 512\n" +
		"TEMPLATE \"\"\"{{ .Prompt }}\n# no comment\n\"\"\"\nSYSTEM \"Be brief.\"\nMESSAGE user  hello there\nLICENSE MIT\n")
	want := modelfile{from: "./a.gguf", template: "{{ .Prompt }}\n# no comment\n", system: "Be brief.", licenses: []string{"MIT"},
		parameters: map[string][]string{"stop": {"<|end|>", "b"}, "num_ctx": {"512"}}, messages: []api.Message{{Role: "user", Content: "hello there"}}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(modelfile{})); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestWhatIsWrongInAModelfileIsTold(t *testing.T) {
	for text, says := range map[string]string{
		"":                                   "there is no FROM",
		"FROM a\nFROM b":                     "line 2: a second FROM",
		"FROM a\n\nADAPT b":                  `line 3: "ADAPT" cannot be read; known are FROM, ADAPTER, PARAMETER`,
		"FROM a\nADAPTER b\nADAPTER c":       "there are 2 ADAPTERs",
		"FROM":                               "line 1: FROM says nothing",
		"FROM a\nTEMPLATE \"\"\"x\nSYSTEM y": `line 2: the text after """ has no end`,
		"FROM a\nMESSAGE tool hello":         `line 2: a message is of system, user or assistant, and not of "tool"`,
		"FROM a\nPARAMETER stop":             "line 2: PARAMETER says nothing",
	} {
		if _, err := parseModelfile(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want %s", text, err, says)
		}
	}
}

func FuzzModelfile(f *testing.F) {
	f.Add("FROM a\nTEMPLATE \"\"\"x\n\"\"\"\nPARAMETER stop \"x\"\nMESSAGE user y\nSYSTEM z\nLICENSE MIT\n")
	f.Add("from \"\"\"\n\"\"\"")
	f.Add("\ufeffFROM \"")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseModelfile(text)
		if err == nil && m.from == "" {
			t.Error("it has no FROM, and is none that is wrong")
		}
	})
}
