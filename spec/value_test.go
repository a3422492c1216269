package spec_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

func TestProtected(t *testing.T) {
	for name, want := range map[string]bool{
		"manifests/web.yaml": false, "agents/triage.md": false, "docs/policies/x.md": false, "a/mainstay.yaml": false,
		"gitops/x": false, "a/.github/x": false, "x.lock": false, "policies.md": false, "a b/c.yaml": false, "é.md": false,
		"mainstay.yaml": true, "mainstay.lock": true, "policies": true, "policies/a.yaml": true, "actions/a.yaml": true,
		"Mainstay.YAML": true, "POLICIES/a.yaml": true, "./policies/a.yaml": true, "a//b/../../policies/x": true, "policies//a": true,
		".git/config": true, ".GIT/config": true, ".github/workflows/x.yaml": true, ".gitmodules": true, "a/.git/config": true, "a/.Git": true,
		"": true, ".": true, "/": true, "/etc/passwd": true, "../x": true, "a/../../x": true, "a/../b": true, `a\b`: true, `policies\x`: true,
		"a\nb": true, "a\x00": true, "a\u202eb": true, "a\xff": true, "policies./x": true, "policies /x": true, "overlays/prod/x.yaml": true, "Overlays": true, "secrets/a.yaml": true, "Secrets": true, "docs/secrets/a.md": false, "agents/overlays/x.md": false, "mainstay.yaml.": true, ".git /config": true,
		"git~1/config": true, "a/GIT~1/config": true, "MAINST~1.YAM": true, "a/.git:x": true, ".GIT::$INDEX_ALLOCATION/config": true,
		"policies::$INDEX_ALLOCATION/x": true, "fleet:$I30:$INDEX_ALLOCATION/x": true, "notes~1draft.md": false, "a:b": false, "~1": false, "x.yaml~": false,
	} {
		if got := spec.Protected(name); got != want {
			t.Errorf("Protected(%q) is %t", name, got)
		}
	}
}

func TestDurations(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		json string
	}{
		{0, `""`}, {30 * time.Second, `"30s"`}, {time.Minute, `"1m"`}, {72 * time.Hour, `"72h"`}, {90 * time.Minute, `"1h30m"`},
		{time.Hour + time.Second, `"1h0m1s"`}, {1500 * time.Millisecond, `"1.5s"`},
	} {
		raw, err := json.Marshal(spec.Duration(tt.d))
		if err != nil || string(raw) != tt.json {
			t.Errorf("%s is written as %s (%v)", tt.d, raw, err)
		}
		var back spec.Duration
		if err := json.Unmarshal(raw, &back); err != nil || time.Duration(back) != tt.d {
			t.Errorf("%s reads as %s (%v)", raw, back, err)
		}
	}
	for _, bad := range []string{`"soon"`, `"-1s"`, `30`, `"30"`} {
		var d spec.Duration
		if err := json.Unmarshal([]byte(bad), &d); err == nil {
			t.Errorf("%s reads as %s", bad, d)
		}
	}
}

func TestCanonical(t *testing.T) {
	for _, tt := range []struct {
		value any
		want  string
	}{
		{map[string]any{"b": 1, "a": []any{nil, true, "<é\u2028>"}}, `{"a":[null,true,"<é\u2028>"],"b":1}`},
		{json.RawMessage(`{ "z" : 1.0, "a": 1e2, "m": -0, "n": 0.1, "big": 12345678901234567890 }`), `{"a":100,"big":12345678901234567890,"m":0,"n":0.1,"z":1}`},
		{1e21, "1e+21"},
		{"a", `"a"`},
	} {
		got, err := spec.Canonical(tt.value)
		if err != nil || string(got) != tt.want {
			t.Errorf("%v is %s (%v), not %s", tt.value, got, err, tt.want)
		}
		again, err := spec.Canonical(json.RawMessage(got))
		if err != nil || string(again) != string(got) {
			t.Errorf("%s is not canonical: %s (%v)", got, again, err)
		}
	}
	for _, bad := range []any{math.NaN(), make(chan int), json.RawMessage("1e999"), json.RawMessage("{")} {
		if got, err := spec.Canonical(bad); err == nil {
			t.Errorf("%v is %s", bad, got)
		}
	}
}

func TestActionIDs(t *testing.T) {
	const run = "01jcz3v5m8k2q4r6s8t0v2w4x6"
	for id, good := range map[spec.ActionID]bool{
		"triage-" + run + "-1": true, "triage-" + run + "-120": true, "triage-" + run + "-01": false, "triage-" + run + "-0": false,
		"triage-" + run + "--1": false, "triage-" + run + "-+1": false, "other-" + run + "-1": false, "triage-" + run: false, "": false,
	} {
		if err := spec.CheckActionID(id, "triage", run); (err == nil) != good {
			t.Errorf("%q: %v", id, err)
		}
	}
	for run, good := range map[spec.RunID]bool{run: true, "01JCZ3V5M8K2Q4R6S8T0V2W4X6": false, "81jcz3v5m8k2q4r6s8t0v2w4x6": false, "01jcz": false, "": false} {
		if err := spec.CheckRunID(run); (err == nil) != good {
			t.Errorf("%q: %v", run, err)
		}
	}
}
