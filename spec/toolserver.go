package spec

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The bounds of a tool server's time limits.
const (
	defaultToolTimeout = 30 * time.Second
	maxToolTimeout     = time.Hour
)

// maxFullName is the longest name of a tool that model providers take, in bytes.
const maxFullName = 64

var (
	toolName     = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	effects      = []string{EffectRead, EffectWrite, EffectDenied}
)

func (l *loader) resolveServers() map[string]*ToolServer {
	out := map[string]*ToolServer{}
	for _, name := range names(l.servers) {
		e := l.servers[name]
		s := &ToolServer{Resource: l.resource(e.document), Spec: e.written}
		if len(s.Spec.Command) == 0 || s.Spec.Command[0] == "" {
			l.missing(e.document, e.spec.at("command"), "write command: [executable, argument]", "the tool server has no command")
		}
		l.env(e)
		s.Timeout = l.timeout(e.spec, s.Spec.Timeout, defaultToolTimeout)
		s.Spec.Timeout = Duration(s.Timeout)
		if len(s.Spec.Tools) == 0 {
			l.missing(e.document, e.spec.at("tools"), "a tool that is not declared is denied, so agents can call none", "the tool server declares no tools")
		}
		s.Spec.Tools = map[string]ToolSpec{}
		for _, tool := range names(e.written.Tools) {
			s.Spec.Tools[tool] = l.tool(e, tool, e.written.Tools[tool], s.Timeout)
		}
		s.Digest = l.digest(s.Place, s.Spec)
		out[name] = s
	}
	return out
}

// timeout returns a time limit in the field timeout of n, or what holds where it is not set.
func (l *loader) timeout(n *node, d Duration, otherwise time.Duration) time.Duration {
	if n.has("timeout") && d == 0 || time.Duration(d) > maxToolTimeout {
		l.error(n.at("timeout"), "", "the timeout is not more than 0 and at most 1h")
	}
	if d == 0 {
		return otherwise
	}
	return time.Duration(d)
}

func (l *loader) env(e *entry[ToolServerSpec]) {
	seen := map[string]bool{}
	for i, v := range e.written.Env {
		n := e.spec.at("env", i)
		switch {
		case v.Name == "":
			l.missing(e.document, n, "write name: NAME", "the variable has no name")
		case !variableName.MatchString(v.Name):
			l.error(n.at("name"), "use letters, digits and underscores, and begin with no digit", "%q is not the name of a variable", v.Name)
		case seen[v.Name]:
			l.error(n.at("name"), "keep one of them", "the variable %q is set twice", v.Name)
		}
		seen[v.Name] = true
		if n.has("value") == (v.FromEnv != "") {
			l.missing(e.document, n, "", "the variable needs exactly one of value and fromEnv")
		}
		if v.FromEnv != "" && !variableName.MatchString(v.FromEnv) {
			l.error(n.at("fromEnv"), "name a variable of Mainstay's own environment", "%q is not the name of a variable", v.FromEnv)
		}
		if strings.ContainsRune(v.Value, 0) {
			l.error(n.at("value"), "", "the value holds a NUL byte")
		}
	}
}

// tool checks one tool and returns it with its defaults.
func (l *loader) tool(e *entry[ToolServerSpec], name string, t ToolSpec, timeout time.Duration) ToolSpec {
	n, key := e.spec.at("tools", name), e.spec.at("tools").keyOf(name)
	full := Tool{Server: &ToolServer{Resource: Resource{Ref: e.ref()}}, Name: name}.FullName()
	switch {
	case !toolName.MatchString(name):
		l.error(key, "models take letters, digits, hyphens and underscores", "%q is not the name of a tool that can be offered to models", name)
	case len(full) > maxFullName:
		l.error(key, "choose a shorter name for the server", "%s, the name that models see, is longer than %d characters", full, maxFullName)
	}
	switch {
	case t.Effect == "":
		l.missing(e.document, n.at("effect"), "read changes nothing, write changes the world, denied cannot be called", "tool %q has no effect", name)
	case !slices.Contains(effects, t.Effect):
		l.error(n.at("effect"), didYouMean(t.Effect, effects, "known are "+strings.Join(effects, ", ")), "unknown effect %q", t.Effect)
	case t.Effect != EffectWrite:
		for _, field := range []string{"summary", "target", "idempotent", "precondition"} {
			if n.has(field) {
				l.error(n.keyOf(field), "remove it, or declare effect: write", "%q is for write tools, and %q is %s", field, name, t.Effect)
			}
		}
	}
	l.templates(argumentsLanguage, n.get("summary"), "summary")
	for i, argument := range t.Target {
		if slices.Contains(t.Target[:i], argument) || argument == "" {
			l.error(n.at("target", i), "name each argument once", "the target %q is empty or twice there", argument)
		}
	}
	if t.Precondition != nil {
		l.templates(argumentsLanguage, n.at("precondition").get("arguments"), "arguments")
		l.precondition(e.document, n.at("precondition"), t.Precondition, e.name, e.written.Tools)
	}
	t.Timeout = Duration(l.timeout(n, t.Timeout, timeout))
	return t
}

// precondition checks what a precondition calls and how it checks the result; its arguments are the caller's to check.
func (l *loader) precondition(d *document, n *node, p *Precondition, server string, tools map[string]ToolSpec) {
	switch t, ok := tools[p.Tool]; {
	case p.Tool == "":
		l.missing(d, n, "name a read tool of the same server", "the precondition names no tool")
	case !ok:
		l.error(n.at("tool"), didYouMean(p.Tool, names(tools), "name a read tool of the same server"), "tool server %q declares no tool %q", server, p.Tool)
	case t.Effect != EffectRead:
		l.error(n.at("tool"), "name a read tool of the same server", "the precondition calls %q, which is not a read tool", p.Tool)
	}
	if strings.TrimSpace(p.Check) == "" {
		l.missing(d, n.at("check"), "write an expression over result, such as check: result.ready == true", "the precondition has no check")
		return
	}
	l.condition(resultLanguage, n, "check", p.Check)
}

// callable lists the tools that agents may be given, for hints.
func callable(tools map[string]ToolSpec) string {
	var out []string
	for _, name := range names(tools) {
		if tools[name].Effect != EffectDenied {
			out = append(out, name)
		}
	}
	return fmt.Sprintf("it declares %s", strings.Join(out, ", "))
}
