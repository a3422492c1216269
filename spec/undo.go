package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// undoExchanges is what is added to the exchange of an Action for that of its undo. No run makes as many requests, so that no
// agent's Action has the id of an undo.
const undoExchanges = 1_000_000

// UndoExchange is the exchange in the id of the Action that undoes the one of exchange n.
func UndoExchange(n int) int { return undoExchanges + n }

// Origin returns the run and the exchange in an Action's id, which is `<agent>-<run>-<n>`. It reports false for what is no such id.
func (id ActionID) Origin() (run RunID, exchange int, ok bool) {
	cut := strings.LastIndexByte(string(id), '-')
	if cut <= runLength {
		return "", 0, false
	}
	run = RunID(id[cut-runLength : cut])
	n, err := strconv.Atoi(string(id[cut+1:]))
	return run, n, err == nil && n > 0 && CheckRunID(run) == nil
}

// IsUndo reports whether an Action's id is that of an undo. What undoes something is not undone itself.
func (id ActionID) IsUndo() bool {
	_, n, ok := id.Origin()
	return ok && n > undoExchanges
}

// checkUndoes reports why the evidence does not fit what the Action undoes, if it undoes anything.
func checkUndoes(e Evidence) error {
	switch {
	case e.Undoes == "" && e.Exchange > undoExchanges:
		return fmt.Errorf("the exchange %d is that of an undo, and the evidence does not say which action it undoes", e.Exchange)
	case e.Undoes == "":
		return nil
	}
	if want := ActionID(fmt.Sprintf("%s-%s-%d", e.Agent, e.Run, e.Exchange-undoExchanges)); e.Exchange <= undoExchanges || e.Undoes != want {
		return fmt.Errorf("an action of exchange %d does not undo %q: it is that of the same run, with an exchange that is %d lower", e.Exchange, e.Undoes, undoExchanges)
	}
	return nil
}

// UndoOf returns the write tool that undoes what one of the fleet's tools does, and how it is declared, or false where
// nothing does.
func (f *Fleet) UndoOf(server, name string) (Undo, Tool, bool) {
	from := f.Servers[server]
	if from == nil || from.Spec.Tools[name].Undo == nil || from.Spec.Tools[name].Effect != EffectWrite {
		return Undo{}, Tool{}, false
	}
	undo := *from.Spec.Tools[name].Undo
	to := from
	if undo.Server != "" {
		to = f.Servers[undo.Server]
	}
	if to == nil || to.Spec.Tools[undo.Tool].Effect != EffectWrite {
		return Undo{}, Tool{}, false
	}
	return undo, Tool{Server: to, Name: undo.Tool, ToolSpec: to.Spec.Tools[undo.Tool]}, true
}

// Render makes the arguments of an undo from the call that it undoes. Result is what the receipt holds, as JSON; nothing is null.
// What arguments and result hold is never taken for a template.
func (u Undo) Render(arguments map[string]any, result json.RawMessage) (map[string]any, error) {
	var value any
	if len(result) > 0 {
		if err := json.Unmarshal(result, &value); err != nil {
			return nil, fmt.Errorf("the result in the receipt is no JSON: %w", err)
		}
	}
	if arguments == nil {
		arguments = map[string]any{}
	}
	compiled, err := undoLanguage.tree(u.Arguments)
	if err != nil {
		return nil, err
	}
	rendered, err := compiled.value(map[string]any{"arguments": arguments, "result": value})
	if err != nil && value == nil {
		return nil, fmt.Errorf("%w (the receipt holds no result)", err)
	}
	if err != nil {
		return nil, err
	}
	made, _ := rendered.(map[string]any)
	return made, nil
}

// Fits returns why a call's arguments are not what the pinned schema of a tool takes, or nil. A tool that is not pinned takes any.
func (t Tool) Fits(arguments map[string]any) error {
	pin, ok := t.Server.Pins[t.Name]
	if !ok || pin.InputSchema == "" {
		return nil
	}
	_, resolved, err := readSchema(json.RawMessage(pin.InputSchema))
	if err != nil {
		return nil //nolint:nilerr // The server itself knows what it takes; this version cannot read it.
	}
	text, err := Canonical(arguments)
	if err != nil {
		return err
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return err
	}
	if err := resolved.Validate(plain); err != nil {
		return errors.New(oneLine(err.Error()))
	}
	return nil
}

// undo checks how a tool is undone.
func (l *loader) undo(e *entry[ToolServerSpec], name string, t ToolSpec) {
	if t.Undo == nil || t.Effect != EffectWrite {
		return
	}
	u, n, server := t.Undo, e.spec.at("tools", name).at("undo"), e.name
	l.templates(undoLanguage, n.get("arguments"), "arguments")
	if u.Server != "" {
		server = u.Server
	}
	to, ok := l.servers[server]
	if !ok {
		l.error(n.at("server"), near.Hint(server, names(l.servers), "leave server out for a tool of the same server"), "unknown tool server %q", server)
		return
	}
	if u.Tool == "" {
		return
	}
	tools := to.written.Tools
	switch by, ok := tools[u.Tool]; {
	case !ok && !to.broken:
		l.error(n.at("tool"), near.Hint(u.Tool, names(tools), callable(tools)), "tool server %q declares no tool %q", server, u.Tool)
		return
	case ok && by.Effect != EffectWrite:
		l.error(n.at("tool"), "only a write tool takes an effect back", "the undo calls %q, which is not a write tool", u.Tool)
		return
	case server == e.name && u.Tool == name:
		l.error(n.at("tool"), "name the tool that takes the effect back", "the undo of %q calls %q itself", name, name)
		return
	}
	l.undoFits(n, to, u)
}

// undoFits checks the arguments of an undo against what the lock pins of its tool, as far as they are known before a call.
func (l *loader) undoFits(n *node, to *entry[ToolServerSpec], u *Undo) {
	pin, ok := l.pinsOf(to)[u.Tool]
	if !ok || pin.InputSchema == "" {
		return
	}
	schema, _, err := readSchema(json.RawMessage(pin.InputSchema))
	if err != nil {
		return // Whoever calls the tool finds out what it takes.
	}
	takes := "it takes " + strings.Join(slices.Sorted(maps.Keys(schema.Properties)), ", ")
	for _, name := range slices.Sorted(slices.Values(schema.Required)) {
		if _, ok := u.Arguments[name]; !ok {
			l.error(n.at("arguments"), takes, "the undo gives %q no argument %q, which %s says that it needs", u.Tool, name, l.lock.File)
		}
	}
	if closed := schema.AdditionalProperties; closed == nil || closed.Not == nil {
		return
	}
	for _, name := range names(u.Arguments) {
		if _, ok := schema.Properties[name]; !ok {
			l.error(n.at("arguments").keyOf(name), takes, "%q takes no argument %q, as %s says", u.Tool, name, l.lock.File)
		}
	}
}

// undoneElsewhere tells apart what the undos of a server's tools depend on that stands in the files of other servers, or in the lock.
func (l *loader) undoneElsewhere(e *entry[ToolServerSpec]) string {
	var on []string
	for _, name := range names(e.written.Tools) {
		u := e.written.Tools[name].Undo
		if u == nil || u.Server == "" || l.servers[u.Server] == nil {
			continue
		}
		to := l.servers[u.Server]
		on = append(on, fmt.Sprintf("%s/%s %s %v %s", u.Server, u.Tool, to.written.Tools[u.Tool].Effect, to.broken, l.pinsOf(to)[u.Tool].InputSchema))
	}
	return strings.Join(on, " ")
}
