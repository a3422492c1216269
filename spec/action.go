package spec

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// maxActionID is the longest name of an Action, in bytes: an agent's name, a run and a number.
const maxActionID = 128

// CheckActionID reports why id is not `<agent>-<run>-<n>` for this agent and run, or nil.
func CheckActionID(id ActionID, agent AgentName, run RunID) error {
	if len(id) > maxActionID {
		return fmt.Errorf("%q is longer than %d characters", id, maxActionID)
	}
	number, ok := strings.CutPrefix(string(id), string(agent)+"-"+string(run)+"-")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 1 || strconv.Itoa(n) != number {
		return fmt.Errorf("%q is not the name of an Action: it is the agent, the run and a number, such as %s-%s-1", id, agent, run)
	}
	return nil
}

// CheckRunID reports why id is not that of a run, or nil.
func CheckRunID(id RunID) error {
	if _, err := ulid.ParseStrict(strings.ToUpper(string(id))); err != nil || strings.ToLower(string(id)) != string(id) {
		return fmt.Errorf("%q is not the id of a run: it is a ULID in lower case, 26 characters", id)
	}
	return nil
}

func (l *loader) resolveActions(f *Fleet) {
	l.checkOrder()
	f.Actions = make(map[ActionID]*Action, len(l.actions))
	for name, e := range l.actions {
		f.Actions[ActionID(name)] = resolved(l, e.document, "", func() (*Action, []Ref) {
			a := l.action(e)
			return a, a.DependsOn
		})
	}
}

func (l *loader) action(e *entry[ActionSpec]) *Action {
	w, n := e.written, e.spec
	a := &Action{Resource: l.resource(e.document), ID: ActionID(e.name), Spec: w}
	a.Digest = DigestBytes(e.file.raw)
	if strings.ContainsAny(w.Summary, "\n\r") || w.Summary != "" && strings.TrimSpace(w.Summary) == "" {
		l.error(n.at("summary"), "", "the summary is not one line")
	}
	l.evidence(e)
	if w.Expires != "" {
		at, err := time.Parse(time.RFC3339, w.Expires)
		if err != nil {
			l.error(n.at("expires"), "write a time such as 2026-01-31T12:00:00Z", "%q is not a time in the form of RFC 3339", w.Expires)
		}
		a.Expires = at
	}
	l.after(e)
	l.actionTool(e)
	if l.servers[w.Server] != nil {
		a.DependsOn = []Ref{{KindToolServer, w.Server}}
	}
	return a
}

// actionTool checks what the Action calls.
func (l *loader) actionTool(e *entry[ActionSpec]) {
	w, n := e.written, e.spec
	if w.Server == "" {
		return
	}
	if l.servers[w.Server] == nil {
		l.error(n.at("server"), near.Hint(w.Server, names(l.servers), "restore it, or remove the file of an action that is done"), "unknown tool server %q", w.Server)
		return
	}
	tools := l.servers[w.Server].written.Tools
	switch t, ok := tools[w.Tool]; {
	case w.Tool == "":
	case !ok && !l.servers[w.Server].broken:
		l.error(n.at("tool"), near.Hint(w.Tool, names(tools), callable(tools)), "tool server %q declares no tool %q", w.Server, w.Tool)
	case ok && t.Effect != EffectWrite:
		l.error(n.at("tool"), "only write tools need an approval, and denied ones get none", "the action calls %q, which is not a write tool", w.Tool)
	}
	if w.Precondition != nil {
		l.precondition(n.at("precondition"), w.Precondition, w.Server, tools)
	}
}

// evidence checks where the Action says that it comes from.
func (l *loader) evidence(e *entry[ActionSpec]) {
	w, n := e.written.Evidence, e.spec.at("evidence")
	runErr := CheckRunID(w.Run)
	if runErr != nil && w.Run != "" {
		l.error(n.at("run"), "", "%s", runErr)
	}
	if runErr == nil && CheckName(string(w.Agent)) == nil {
		if err := CheckActionID(ActionID(e.name), w.Agent, w.Run); err != nil {
			l.error(e.named, "", "%s", err)
		}
		if err := checkUndoes(w); err != nil {
			l.error(n.at("undoes"), "only Mainstay proposes an undo", "%s", err)
		}
	}
}
