package broker_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/spec"
)

// orderly is an agent with a read tool and a write tool.
func orderly() *spec.Agent {
	server := &spec.ToolServer{}
	server.Name = "cluster"
	return &spec.Agent{Name: "triage", Ordered: true, Tools: []spec.Tool{
		{Server: server, Name: "get", ToolSpec: spec.ToolSpec{Effect: spec.EffectRead}},
		{Server: server, Name: "restart", ToolSpec: spec.ToolSpec{Effect: spec.EffectWrite}},
	}}
}

func calls(n int, tool string) spec.Entry {
	return spec.Entry{Type: spec.EntryRequest, N: n, Request: &spec.Request{Kind: spec.RequestTool, Body: json.RawMessage(fmt.Sprintf(`{"name":"cluster__%s"}`, tool))}}
}

func became(n int) spec.Entry {
	return spec.Entry{Type: spec.EntryProposal, N: n, Proposal: &spec.Proposal{Action: actionID(n)}}
}

func answered(n int) spec.Entry {
	return spec.Entry{Type: spec.EntryAnswer, N: n, Answer: &spec.Answer{}}
}

func actionID(n int) spec.ActionID { return spec.ActionID(fmt.Sprintf("triage-run-%d", n)) }

func TestWhatComesBeforeACall(t *testing.T) {
	for name, tt := range map[string]struct {
		record  []spec.Entry
		n       int
		want    spec.ActionID
		unknown bool
	}{
		"nothing":                           {record: []spec.Entry{calls(1, "restart")}, n: 1},
		"a call at the same time":           {record: []spec.Entry{calls(1, "restart"), calls(2, "restart"), became(1)}, n: 2, want: actionID(1)},
		"one of which nothing is known yet": {record: []spec.Entry{calls(1, "restart"), calls(2, "restart")}, n: 2, unknown: true},
		"one that was refused":              {record: []spec.Entry{calls(1, "restart"), calls(2, "restart"), answered(1)}, n: 2},
		"one that was answered before":      {record: []spec.Entry{calls(1, "restart"), became(1), answered(1), calls(2, "restart")}, n: 2},
		"one that was answered since":       {record: []spec.Entry{calls(1, "restart"), became(1), calls(2, "restart"), answered(1)}, n: 2, want: actionID(1)},
		"a read tool":                       {record: []spec.Entry{calls(1, "get"), calls(2, "restart")}, n: 2},
		"the last of several":               {record: []spec.Entry{calls(1, "restart"), calls(2, "restart"), calls(3, "restart"), became(2), became(1)}, n: 3, want: actionID(2)},
		"a later call":                      {record: []spec.Entry{calls(1, "restart"), calls(2, "restart"), became(2)}, n: 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, known := broker.Before(tt.record, orderly(), tt.n)
			if got != tt.want || known == tt.unknown {
				t.Errorf("got %q, %v", got, known)
			}
		})
	}
}

// What comes before a call never changes once it is known, whatever is recorded later: so the same call makes the same bytes.
func TestWhatComesBeforeACallStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "calls")
		var record, rest []spec.Entry
		for i := 1; i <= n; i++ {
			record = append(record, calls(i, "restart"))
			if rapid.Bool().Draw(t, "proposed") {
				rest = append(rest, became(i))
			}
		}
		rest = rapid.Permutation(rest).Draw(t, "order")
		for i := 1; i <= n; i++ {
			rest = append(rest, answered(i))
		}
		was, known := spec.ActionID(""), false
		for i := range rest {
			id, now := broker.Before(append(record[:n:n], rest[:i+1]...), orderly(), n)
			if known && (!now || id != was) {
				t.Fatalf("it was %q and is %q, %v", was, id, now)
			}
			was, known = id, now
		}
		if !known {
			t.Fatal("it never became known")
		}
	})
}
