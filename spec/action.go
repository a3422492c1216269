package spec

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"
)

// maxActionID is the longest name of an Action, in bytes: an agent's name, a run and a number.
const maxActionID = 128

// maxSummary is the longest summary of an Action, in characters.
const maxSummary = 1000

var (
	keyRE      = regexp.MustCompile(`^[0-9a-f]{16}$`)
	commitRE   = regexp.MustCompile(`^[0-9a-f]{40}$`)
	revisionRE = regexp.MustCompile(`^[^@\s]+@sha1:[0-9a-f]{40}$`)
)

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
	for _, name := range names(l.actions) {
		e := l.actions[name]
		w, n := e.written, e.spec
		a := &Action{Resource: l.resource(e.document), ID: ActionID(name), Spec: w}
		a.Digest = DigestBytes(e.file.raw)
		switch summary := strings.TrimSpace(w.Summary); {
		case summary == "":
			l.missing(e.document, n.at("summary"), "write one sentence that says what it does", "the action has no summary")
		case strings.ContainsAny(summary, "\n\r") || utf8.RuneCountInString(summary) > maxSummary:
			l.error(n.at("summary"), "", "the summary is not one line of at most %d characters", maxSummary)
		}
		l.evidence(e)
		if w.Expires == "" {
			l.missing(e.document, n.at("expires"), "write a time such as 2026-01-31T12:00:00Z", "the action does not say when its approval ends")
		} else if at, err := time.Parse(time.RFC3339, w.Expires); err != nil {
			l.error(n.at("expires"), "write a time such as 2026-01-31T12:00:00Z", "%q is not a time in the form of RFC 3339", w.Expires)
		} else {
			a.Expires = at
		}
		l.actionTool(e)
		if l.servers[w.Server] != nil {
			a.DependsOn = []Ref{{KindToolServer, w.Server}}
		}
		f.Actions[a.ID] = a
	}
}

// actionTool checks what the Action calls.
func (l *loader) actionTool(e *entry[ActionSpec]) {
	w, n := e.written, e.spec
	if w.Tool == "" {
		l.missing(e.document, n.at("tool"), "write tool: NAME", "the action names no tool")
	}
	if w.Server == "" {
		l.missing(e.document, n.at("server"), "write server: NAME", "the action names no server")
		return
	}
	if l.servers[w.Server] == nil {
		l.error(n.at("server"), didYouMean(w.Server, names(l.servers), "restore it, or remove the file of an action that is done"), "unknown tool server %q", w.Server)
		return
	}
	tools := l.servers[w.Server].written.Tools
	switch t, ok := tools[w.Tool]; {
	case w.Tool == "":
	case !ok && !l.servers[w.Server].broken:
		l.error(n.at("tool"), didYouMean(w.Tool, names(tools), callable(tools)), "tool server %q declares no tool %q", w.Server, w.Tool)
	case ok && t.Effect != EffectWrite:
		l.error(n.at("tool"), "only write tools need an approval, and denied ones get none", "the action calls %q, which is not a write tool", w.Tool)
	}
	if w.Precondition != nil {
		l.precondition(e.document, n.at("precondition"), w.Precondition, w.Server, tools)
	}
}

// evidence checks where the Action says that it comes from.
func (l *loader) evidence(e *entry[ActionSpec]) {
	w, n := e.written.Evidence, e.spec.at("evidence")
	if !e.spec.has("evidence") {
		l.missing(e.document, n, "actions are proposed by agents, with the run they come from", "the action has no evidence")
		return
	}
	agentErr, runErr := CheckName(string(w.Agent)), CheckRunID(w.Run)
	if agentErr != nil {
		l.error(n.at("agent"), "", "%s", agentErr)
	}
	if runErr != nil {
		l.error(n.at("run"), "", "%s", runErr)
	}
	if agentErr == nil && runErr == nil {
		if err := CheckActionID(ActionID(e.name), w.Agent, w.Run); err != nil {
			l.error(e.named, "", "%s", err)
		}
	}
	if w.Exchange < 1 {
		l.missing(e.document, n.at("exchange"), "it is the number of the agent's request in its run, from 1", "the evidence has no exchange")
	}
	if !revisionRE.MatchString(string(w.Revision)) {
		l.error(n.at("revision"), "it is a branch and a commit, such as main@sha1: and 40 hexadecimal characters", "%q is not a revision", w.Revision)
	}
	if !keyRE.MatchString(string(w.Key)) {
		l.error(n.at("key"), "it is 16 lower-case hexadecimal characters", "%q is not the key of a proposal", w.Key)
	}
}
