package reconciler

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/spec"
)

func TestWhatASuspensionHolds(t *testing.T) {
	agent := func(name spec.AgentName, suspended bool) *spec.Agent {
		a := &spec.Agent{Name: name, Suspended: suspended}
		a.Ref, a.Place.File = agentRef(name), "agents/"+string(name)+".md"
		return a
	}
	server := &spec.ToolServer{Spec: spec.ToolServerSpec{Suspend: true}}
	server.Place.File = "tools/db.yaml"
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	triage, other := agentRef("triage"), agentRef("other")
	cluster, db := spec.Ref{Kind: spec.KindToolServer, Name: "cluster"}, spec.Ref{Kind: spec.KindToolServer, Name: "db"}
	for name, tt := range map[string]struct {
		at       []Suspension
		fleet    bool
		ref      spec.Ref
		why      string
		agent    spec.AgentName // who has asked for an Action
		server   string         // and what it calls
		executes bool
	}{
		"nothing is suspended":        {ref: triage, agent: "triage", server: "cluster", executes: true},
		"an agent, by a person":       {at: []Suspension{{Ref: triage, By: "ada", At: at, Reason: "odd"}}, ref: triage, why: "Agent/triage is suspended by ada since 2026-03-01T12:00:00Z: odd", agent: "triage", server: "cluster"},
		"another agent, by a person":  {at: []Suspension{{Ref: triage, By: "ada", At: at}}, ref: other, agent: "other", server: "cluster", executes: true},
		"a tool server, by a person":  {at: []Suspension{{Ref: cluster, By: "ada", At: at}}, ref: cluster, why: "ToolServer/cluster is suspended by ada", agent: "other", server: "cluster"},
		"everything, by a person":     {at: []Suspension{{By: "ada", At: at}}, ref: other, why: "everything is suspended by ada", agent: "other", server: "cluster"},
		"an agent, in Git":            {ref: agentRef("idle"), why: "Agent/idle is suspended by spec.suspend in agents/idle.md", agent: "idle", server: "cluster"},
		"a tool server, in Git":       {ref: db, why: "ToolServer/db is suspended by spec.suspend in tools/db.yaml", agent: "other", server: "db"},
		"everything, in Git":          {fleet: true, ref: other, why: "everything is suspended by spec.suspend in mainstay.yaml", agent: "other", server: "cluster"},
		"an agent that is not there":  {ref: agentRef("nobody"), agent: "nobody", server: "cluster", executes: true},
		"a reason with a terminal in": {at: []Suspension{{By: "ada", At: at, Reason: "\x1b[2J"}}, ref: other, why: "\uFFFD", agent: "other", server: "cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			fleet := &spec.Fleet{Suspended: tt.fleet, Servers: map[string]*spec.ToolServer{"db": server},
				Agents: map[spec.AgentName]*spec.Agent{"triage": agent("triage", false), "other": agent("other", false), "idle": agent("idle", true)}}
			fleet.Place.File = "mainstay.yaml"
			r := &Reconciler{fleet: fleet, suspended: tt.at}
			if got := r.suspendedAny(tt.ref); (got == "") != (tt.why == "") || !strings.Contains(got, tt.why) || strings.Contains(got, "\x1b") {
				t.Errorf("it is suspended by %q, want %q", got, tt.why)
			}
			w := execute.Work{Action: &spec.Action{Spec: spec.ActionSpec{Server: tt.server, Evidence: spec.Evidence{Agent: tt.agent}}}}
			if got := r.suspendedWork(w); (got == "") != tt.executes {
				t.Errorf("an Action is held by %q, and it executes: %v", got, tt.executes)
			}
		})
	}
}

func TestASuspensionOutlastsTheProcess(t *testing.T) {
	k := newTalker(t)
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	k.poke = make(chan struct{}, 1)
	for _, s := range []Suspension{{Ref: agentRef("keeper"), By: "ada", At: begin}, {Ref: agentRef("keeper"), By: "bob", At: begin, Reason: "still odd"}, {Ref: agentRef("keeper"), By: "eve", At: begin.Add(time.Hour)}} {
		if err := k.Suspend(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.parts.Store.Close(); err != nil {
		t.Fatal(err)
	}
	k.open()
	k.poke = make(chan struct{}, 1)
	if err := k.readSuspended(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := k.says("notes", "Hello."); !errors.Is(err, ErrSuspended) || !strings.Contains(err.Error(), "by bob since 2026-03-01T12:00:00Z: still odd") {
		t.Errorf("a run begins: %v", err)
	}
	if err := k.mayRun(spec.Task{Agent: "keeper", Parent: &spec.Parent{}}); err != nil {
		t.Errorf("a task that another run gives does not wait: %v", err)
	}
	for i, was := range []bool{true, false} {
		if got, err := k.Unsuspend(t.Context(), agentRef("keeper")); err != nil || got != was {
			t.Errorf("%d: it was suspended: %v, %v", i, got, err)
		}
	}
	if _, err := k.says("notes", "Hello."); err != nil {
		t.Errorf("after it was resumed: %v", err)
	}
}
