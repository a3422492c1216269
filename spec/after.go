package spec

import (
	"slices"
	"strings"
)

// runLength is the length of a run's id.
const runLength = 26

// checkActionRef reports why id is not the id of any Action, or nil.
func checkActionRef(id ActionID) error {
	agent, run := AgentName("agent"), RunID("")
	if cut := strings.LastIndexByte(string(id), '-'); cut > runLength {
		run = RunID(id[cut-runLength : cut])
		agent = AgentName(strings.TrimSuffix(string(id[:cut-runLength]), "-"))
	}
	if CheckRunID(run) != nil || CheckName(string(agent)) != nil {
		run = "01jd00000000000000000000ab" // An example, for the error.
		agent = "agent"
	}
	return CheckActionID(id, agent, run)
}

// after checks what Actions come after. One that is not declared here may be done, with its file removed since.
func (l *loader) after(e *entry[ActionSpec]) {
	for i, id := range e.written.After {
		n := e.spec.at("after", i)
		if !l.once(n, "action", namesOf(e.written.After[:i]), string(id)) {
			continue
		}
		if err := checkActionRef(id); err != nil {
			l.error(n, "", "%s", err)
		}
	}
}

// checkOrder finds Actions that come after themselves.
func (l *loader) checkOrder() {
	edges := map[string][]string{}
	for name, e := range l.actions {
		for _, id := range e.written.After {
			if l.actions[string(id)] != nil {
				edges[name] = append(edges[name], string(id))
			}
		}
		slices.Sort(edges[name])
	}
	for _, path := range cycles(edges) {
		l.error(l.actions[path[0]].spec.at("after"), "remove the file of one of these, and have it proposed again", "the action comes after itself: %s", strings.Join(path, " -> "))
	}
}

func namesOf(ids []ActionID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}
