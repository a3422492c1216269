package run

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

func TestARecordFromOutsideIsChecked(t *testing.T) {
	task := spec.Entry{Type: spec.EntryTask, Task: &spec.Task{Run: testRun, Agent: "triage"}}
	for name, c := range map[string]struct {
		text string
		want string
	}{
		"no JSON":              {"hello", "it is no record"},
		"another document":     {`{"kind":"Agent"}`, "it is no record"},
		"nothing":              {"[]", "does not begin with a task"},
		"no task":              {`[{"type":"attempt"}]`, "does not begin with a task"},
		"an answer to nothing": {encodeEntries(t, task, spec.Entry{Type: spec.EntryAnswer, N: 3, Answer: &spec.Answer{}}), "entry 2 of the record: an answer to exchange 3"},
		"a later version":      {encodeEntries(t, task, spec.Entry{Type: "dream"}), `type "dream" is not known to this version`},
	} {
		if _, err := ReadRecord(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func encodeEntries(t testing.TB, entries ...spec.Entry) string {
	t.Helper()
	raw, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// A file can hold anything. What is read as a record can be answered from, and has each exchange once.
func FuzzReadRecord(f *testing.F) {
	task := spec.Entry{Type: spec.EntryTask, At: time.Unix(0, 0).UTC(), Task: &spec.Task{Run: testRun, Agent: "triage"}}
	ask := spec.Entry{Type: spec.EntryRequest, N: 1, Request: &spec.Request{Lane: "main", Kind: spec.RequestTool, Call: "c", Body: []byte(`{"name":"t"}`)}}
	got := spec.Entry{Type: spec.EntryAnswer, N: 1, Answer: &spec.Answer{Body: []byte(`1`)}}
	f.Add([]byte(encodeEntries(f, task, ask, got)))
	f.Add([]byte(encodeEntries(f, task, ask, spec.Entry{Type: spec.EntryProposal, N: 1, Proposal: &spec.Proposal{}})))
	f.Add([]byte(`[{"type":"task","task":{}},{"type":"request","n":1,"request":{"kind":"model","body":{"messages":null}}}]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, err := ReadRecord(bytes.NewReader(raw))
		if err != nil {
			return
		}
		r, err := NewRecording(entries)
		if err != nil {
			t.Fatalf("it was read, and cannot be replayed: %v", err)
		}
		taken := map[int]bool{}
		for _, e := range entries {
			if e.Request == nil || e.Restarted || e.Type != spec.EntryRequest {
				continue
			}
			x, _ := r.Take(*e.Request)
			if x == nil {
				continue // Of two calls with one id the second may come first.
			}
			if taken[x.N] {
				t.Fatalf("exchange %d is taken twice", x.N)
			}
			taken[x.N] = true
		}
		_ = Story(entries, &bytes.Buffer{})
	})
}
