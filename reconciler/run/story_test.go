package run

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/spec"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// story is a record with every type of entry, a second apart.
func story() []spec.Entry {
	entries := []spec.Entry{
		{Type: spec.EntryTask, Task: &spec.Task{Run: testRun, Agent: "triage", Text: "Look at\nwhat \x1b[31mchanged", Revision: spec.NewRevision("main", strings.Repeat("a", 40)), Trigger: "nightly", At: noon}},
		{Type: spec.EntryAttempt, Attempt: &spec.Attempt{PID: 12, Isolation: "landlock+seccomp"}},
		{Type: spec.EntryRequest, N: 1, Request: &spec.Request{Lane: "main", Kind: "model", Body: []byte(`{"messages":[{"role":"user","text":"x"}],"tools":["a","b"]}`)}},
		{Type: spec.EntryAnswer, N: 1, Answer: &spec.Answer{Body: []byte(`{"text":"I look.","calls":[{"id":"c1","name":"cluster__pods","arguments":{"ns":"web"}}]}`), Usage: &spec.Usage{Input: 12, Output: 3}}},
		{Type: spec.EntryRequest, N: 2, Request: &spec.Request{Lane: "main", Kind: "tool", Call: "c1", Body: []byte(`{"arguments":{"ns":"web"},"id":"c1","name":"cluster__pods"}`)}},
		{Type: spec.EntryRequest, N: 3, Request: &spec.Request{Lane: "side", Kind: "tool", Call: "c2", Body: []byte(`{"arguments":{},"id":"c2","name":"cluster__delete"}`)}},
		{Type: spec.EntryAnswer, N: 3, Answer: &spec.Answer{Error: "not declared", Rule: "default/undeclared"}},
		{Type: spec.EntryAttempt, Attempt: &spec.Attempt{PID: 13, Isolation: "landlock+seccomp"}},
		{Type: spec.EntryRequest, N: 2, Restarted: true, Request: &spec.Request{Lane: "main", Kind: "tool", Call: "c1", Body: []byte(`{"arguments":{"ns":"web"},"id":"c1","name":"cluster__pods"}`)}},
		{Type: spec.EntryAnswer, N: 2, Answer: &spec.Answer{Body: []byte(`{"text":"web-1"}`), Rule: "effect/read"}},
		{Type: spec.EntryRequest, N: 4, Request: &spec.Request{Lane: "main", Kind: "tool", Call: "c3", Body: []byte(`{"arguments":{"name":"web"},"id":"c3","name":"cluster__restart"}`)}},
		{Type: spec.EntryProposal, N: 4, Proposal: &spec.Proposal{Key: "0123456789abcdef", Kind: spec.ProposalAction, Agent: "triage", Title: "Restart web", Files: []spec.FileEdit{{Path: "actions/x.yaml", Content: "long"}}}},
		{Type: spec.EntryAnswer, N: 4, Answer: &spec.Answer{Body: []byte(`{"structured":{"state":"merged"}}`)}},
		{Type: spec.EntryRequest, N: 5, Request: &spec.Request{Lane: "main", Kind: "time", Body: []byte(`{}`)}},
		{Type: spec.EntryAnswer, N: 5, Answer: &spec.Answer{Body: []byte(`{"time":"2026-01-02T12:00:00Z"}`)}},
		{Type: spec.EntryFinished, Outcome: &spec.Outcome{Phase: spec.PhaseSucceeded, Output: "Restarted.\nAll is well."}},
	}
	for i := range entries {
		entries[i].At = noon.Add(time.Duration(i) * time.Second)
	}
	return entries
}

func TestAStoryCanBeRead(t *testing.T) {
	want := `2026-01-02 12:00:00       task      triage at main@aaaaaaa (trigger nightly): Look at what �[31mchanged
2026-01-02 12:00:01       attempt   1: process 12, isolation landlock+seccomp
2026-01-02 12:00:02  #1   request   model, with 1 message and 2 tools
2026-01-02 12:00:03  #1   answer    I look. -> cluster__pods {"ns":"web"} (12+3 tokens, 1s)
2026-01-02 12:00:04  #2   request   cluster__pods {"ns":"web"}
2026-01-02 12:00:05  #3   request   [side] cluster__delete {}
2026-01-02 12:00:06  #3   answer    refused: not declared (decided by default/undeclared, 1s)
2026-01-02 12:00:07       attempt   2: process 13, isolation landlock+seccomp
2026-01-02 12:00:08  #2   request   cluster__pods {"ns":"web"} (asked again: the first answer was cut off)
2026-01-02 12:00:09  #2   answer    web-1 (decided by effect/read, 5s)
2026-01-02 12:00:10  #4   request   cluster__restart {"name":"web"}
2026-01-02 12:00:11  #4   proposal  action mainstay/triage/0123456789abcdef: Restart web; waits for a review
2026-01-02 12:00:12  #4   answer    {"state":"merged"} (2s)
2026-01-02 12:00:13  #5   request   time
2026-01-02 12:00:14  #5   answer    {"time":"2026-01-02T12:00:00Z"} (1s)
2026-01-02 12:00:15       finished  succeeded

Restarted.
All is well.
`
	var got bytes.Buffer
	if err := Story(story(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestASummarySaysWhereARunIs(t *testing.T) {
	for _, tc := range []struct {
		entries, turns, calls, attempts, waiting int
		phase                                    string
	}{
		{1, 0, 0, 0, 0, spec.PhaseQueued},
		{2, 0, 0, 1, 0, spec.PhaseRunning},
		{4, 1, 0, 1, 0, spec.PhaseRunning},
		{10, 1, 2, 2, 0, spec.PhaseRunning},
		{12, 1, 3, 2, 1, spec.PhaseWaiting},
		{13, 1, 3, 2, 0, spec.PhaseQueued},
		{16, 1, 3, 2, 0, spec.PhaseSucceeded},
	} {
		s := Summarize(story()[:tc.entries])
		if s.Phase != tc.phase || s.Turns != tc.turns || s.ToolCalls != tc.calls || s.Attempts != tc.attempts || len(s.Waiting) != tc.waiting {
			t.Errorf("after %d entries: %+v", tc.entries, s)
		}
	}
	if s := Summarize(nil); s.Phase != spec.PhaseQueued || s.Run != "" {
		t.Errorf("of nothing: %+v", s)
	}
}

func TestAGlanceIsSmallAndLeavesTheSummaryAsItIs(t *testing.T) {
	s := Summarize(story()[:12])
	s.Text = strings.Repeat("ä", maxGlance)
	g := Glance(s)
	if len(g.Text) > maxGlance || !strings.HasSuffix(g.Text, "ä…") || g.Waiting[0].Files[0] != (spec.FileEdit{Path: "actions/x.yaml"}) {
		t.Errorf("%d bytes, %+v", len(g.Text), g.Waiting)
	}
	if s.Waiting[0].Files[0].Content != "long" {
		t.Error("the summary has changed")
	}
}

func TestIdsAreULIDs(t *testing.T) {
	a, b := NewID(noon, bytes.NewReader(make([]byte, 10))), NewID(noon, strings.NewReader("0123456789"))
	if a != "01kdz98cg00000000000000000" || a == b || len(b) != 26 {
		t.Errorf("%s %s", a, b)
	}
	if c := NewID(noon, strings.NewReader("")); c != a {
		t.Errorf("without entropy: %s", c)
	}
	same, other := DerivedID(noon, "nightly", "x"), DerivedID(noon, "nightl", "yx")
	if same != DerivedID(noon, "nightly", "x") || same == other || same[:10] != a[:10] || same == DerivedID(noon.Add(time.Second), "nightly", "x") {
		t.Errorf("%s %s", same, other)
	}
	if old := DerivedID(time.Time{}, "x"); len(old) != 26 {
		t.Errorf("before 1970: %q", old)
	}
}

func FuzzRecordsAreReadWithoutPanic(f *testing.F) {
	b, err := json.Marshal(story())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`[{"type":"answer","n":1},{"type":"request","n":1,"request":{}},{"type":"proposal","n":1,"proposal":{}}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var entries []spec.Entry
		if json.Unmarshal(b, &entries) != nil {
			return
		}
		var out bytes.Buffer
		if err := Story(entries, &out); err != nil {
			t.Error(err)
		}
		if strings.ContainsAny(out.String(), "\x1b\x07\r") {
			t.Errorf("a control character came through: %q", out.String())
		}
		Glance(Summarize(entries))
	})
}
