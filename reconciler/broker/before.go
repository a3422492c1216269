package broker

import (
	"encoding/json"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

// Before returns the Action that an ordered agent has asked for last before request n of a run, and had no answer about when
// it made that request; "" is none. It is the same whenever it is asked for: the record's order decides. Known is false while
// it is not recorded yet what became of a request before.
func Before(record []spec.Entry, agent *spec.Agent, n int) (id spec.ActionID, known bool) {
	open := map[int]bool{} // The earlier calls of write tools without an answer, and whether they became Actions.
	asked, last := false, 0
	for _, e := range record {
		switch {
		case e.Type == spec.EntryRequest && e.N == n:
			asked = true
		case e.Type == spec.EntryRequest && !asked && e.N < n && writes(agent, e.Request):
			open[e.N] = false
		case e.Type == spec.EntryProposal && e.Proposal.Action != "":
			if _, ok := open[e.N]; ok {
				if open[e.N] = true; e.N > last {
					id, last = e.Proposal.Action, e.N
				}
			}
		case e.Type == spec.EntryAnswer && !asked: // The agent knew.
			delete(open, e.N)
			if e.N == last {
				id, last = "", 0
			}
		case e.Type == spec.EntryAnswer && !open[e.N]:
			delete(open, e.N) // It was refused, and nothing comes of it.
		}
	}
	for _, became := range open {
		if !became {
			return "", false
		}
	}
	return id, true
}

// writes reports whether a request calls a write tool.
func writes(agent *spec.Agent, q *spec.Request) bool {
	var call plugins.ToolCall
	if q.Kind != spec.RequestTool || json.Unmarshal(q.Body, &call) != nil {
		return false
	}
	for _, t := range agent.Tools {
		if t.FullName() == call.Name {
			return t.Effect == spec.EffectWrite
		}
	}
	return false
}

// after is what an Action says that it comes after.
func after(id spec.ActionID) []spec.ActionID {
	if id == "" {
		return nil
	}
	return []spec.ActionID{id}
}
