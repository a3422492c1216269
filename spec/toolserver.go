package spec

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// defaultToolTimeout is how long a call may take where nothing else is said.
const defaultToolTimeout = 30 * time.Second

// maxFullName is the longest name of a tool that model providers take, in bytes.
const maxFullName = 64

var toolName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func (l *loader) resolveServers() map[string]*ToolServer {
	out := make(map[string]*ToolServer, len(l.servers))
	for _, name := range names(l.servers) {
		e := l.servers[name]
		refs := secretsOf(e.written.Headers)
		for _, v := range e.written.Env {
			refs = append(refs, v.From)
		}
		pins := l.pinsOf(e)
		out[name] = resolved(l, e.document, l.sealedAs(refs...)+" "+l.pinned(e, pins)+" "+l.undoneElsewhere(e), func() (*ToolServer, []Ref) { return l.server(e, pins), nil })
	}
	return out
}

func (l *loader) server(e *entry[ToolServerSpec], pins map[string]ToolPin) *ToolServer {
	s := &ToolServer{Resource: l.resource(e.document), Spec: e.written, Pins: pins}
	if l.lock != nil {
		s.LockFile = l.lock.File
	}
	command := len(s.Spec.Command) > 0
	switch {
	case command == (s.Spec.URL != ""):
		l.missing(e.document, e.spec.at("command"), "write command: [executable, argument], or url: for a server that runs elsewhere", "the tool server needs exactly one of command and url")
	case command && s.Spec.Command[0] == "":
		l.error(e.spec.at("command", 0), "write command: [executable, argument]", "the tool server's command is empty")
	case command && len(s.Spec.Headers) > 0:
		l.error(e.spec.keyOf("headers"), "give it env", "headers are for a url")
	case !command && len(s.Spec.Env) > 0:
		l.error(e.spec.keyOf("env"), "give it headers", "env is for a command")
	}
	l.env(e)
	l.headers(e.document, e.spec.at("headers"), s.Spec.Headers)
	s.Windows = l.windows(e.spec.at("windows"), s.Spec.Windows)
	s.Timeout = cmp.Or(time.Duration(s.Spec.Timeout), defaultToolTimeout)
	s.Spec.Timeout = Duration(s.Timeout)
	s.Spec.Tools = map[string]ToolSpec{}
	for _, tool := range names(e.written.Tools) {
		s.Spec.Tools[tool] = l.tool(e, tool, e.written.Tools[tool], s.Timeout)
	}
	s.toolDigests = map[string]Digest{}
	for name, tool := range s.Spec.Tools {
		shapes := []any{s.Name, s.Spec.Command, s.Spec.Env, s.Spec.URL, s.Spec.Headers, name, tool}
		if pin, ok := pins[name]; ok {
			shapes = append(shapes, pin)
		}
		s.toolDigests[name] = l.digest(s.Place, shapes)
	}
	if s.Digest = l.digest(s.Place, s.Spec); s.LockFile != "" {
		s.Digest = l.digest(s.Place, []any{s.Digest, pins})
	}
	return s
}

func (l *loader) env(e *entry[ToolServerSpec]) {
	seen := map[string]bool{}
	for i, v := range e.written.Env {
		n := e.spec.at("env", i)
		if seen[v.Name] && v.Name != "" {
			l.error(n.at("name"), "keep one of them", "the variable %q is set twice", v.Name)
		}
		seen[v.Name] = true
		if n.has("value") == (v.From != nil) {
			l.missing(e.document, n, "a secret stands under from, and all else under value", "the variable needs exactly one of value and from")
		}
		l.secret(e.document, n.at("from"), v.From)
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
	if t.Effect == EffectRead || t.Effect == EffectDenied {
		for _, field := range []string{"summary", "target", "touches", "idempotent", "precondition", "undo", "concurrency", "limit"} {
			if n.has(field) {
				l.error(n.keyOf(field), "remove it, or declare effect: write", "%q is for write tools, and %q is %s", field, name, t.Effect)
			}
		}
	}
	l.templates(argumentsLanguage, n.get("summary"), "summary")
	l.templates(argumentsLanguage, n.get("touches"), "touches")
	for i, argument := range t.Target {
		if slices.Contains(t.Target[:i], argument) || argument == "" {
			l.error(n.at("target", i), "name each argument once", "the target %q is empty or twice there", argument)
		}
	}
	if t.Precondition != nil {
		l.templates(argumentsLanguage, n.at("precondition").get("arguments"), "arguments")
		l.precondition(n.at("precondition"), t.Precondition, e.name, e.written.Tools)
	}
	l.undo(e, name, t)
	t.Timeout = cmp.Or(t.Timeout, Duration(timeout))
	return t
}

// precondition checks what a precondition calls and how it checks the result; its arguments are the caller's to check.
func (l *loader) precondition(n *node, p *Precondition, server string, tools map[string]ToolSpec) {
	switch t, ok := tools[p.Tool]; {
	case p.Tool == "":
	case !ok:
		l.error(n.at("tool"), near.Hint(p.Tool, names(tools), "name a read tool of the same server"), "tool server %q declares no tool %q", server, p.Tool)
	case t.Effect != EffectRead:
		l.error(n.at("tool"), "name a read tool of the same server", "the precondition calls %q, which is not a read tool", p.Tool)
	}
	if p.Check != "" && strings.TrimSpace(p.Check) == "" {
		l.error(n.at("check"), "write an expression over result, such as check: result.ready == true", "the precondition checks nothing")
	}
	l.condition(resultLanguage, n.at("check"), "check", p.Check)
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
