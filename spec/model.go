package spec

import (
	"net/url"
	"strings"
)

// exampleEndpoint is how an endpoint is written; it is where an Ollama server listens unless it is told otherwise.
const exampleEndpoint = "http://127.0.0.1:11434"

// maxRules bounds the rules of a scripted model, and of a policy.
const maxRules = 1000

var providers = []string{ProviderOllama, ProviderScripted}

func (l *loader) resolveModels() map[string]*Model {
	out := map[string]*Model{}
	for _, name := range names(l.models) {
		e := l.models[name]
		m := &Model{Resource: l.resource(e.document), Spec: e.written}
		switch m.Spec.Provider {
		case ProviderScripted:
			l.scripted(e, m)
		case ProviderOllama:
			l.ollama(e, m)
		case "":
			l.missing(e.document, e.spec.at("provider"), "known are "+strings.Join(providers, ", "), "the model has no provider")
		default:
			l.error(e.spec.at("provider"), didYouMean(m.Spec.Provider, providers, "known are "+strings.Join(providers, ", ")), "unknown provider %q", m.Spec.Provider)
		}
		m.Digest = l.digest(m.Place, m.Spec)
		out[name] = m
	}
	return out
}

func (l *loader) ollama(e *entry[ModelSpec], m *Model) {
	if m.Spec.Name == "" {
		l.missing(e.document, e.spec.at("name"), "write the server's name of the model, such as name: qwen3:4b", "a model of provider ollama has no name")
	}
	if len(m.Spec.Rules) > 0 {
		l.error(e.spec.keyOf("rules"), "remove them, or use provider: scripted", "a model of provider ollama has no rules")
	}
	if m.Spec.Endpoint == "" {
		return // The host's OLLAMA_HOST, as Ollama's own tools read it.
	}
	u, err := url.Parse(m.Spec.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		l.error(e.spec.at("endpoint"), "write it as "+exampleEndpoint, "the endpoint is not a URL of http or https")
	} else if u.User != nil {
		l.error(e.spec.at("endpoint"), "remove the user and password", "the endpoint holds a credential, which everybody who reads the repository sees")
	}
}

func (l *loader) scripted(e *entry[ModelSpec], m *Model) {
	for _, name := range []string{"name", "endpoint", "parameters"} {
		if e.spec.has(name) {
			l.error(e.spec.keyOf(name), "remove it", "a scripted model has no %s", name)
		}
	}
	switch n := len(m.Spec.Rules); {
	case n == 0:
		l.missing(e.document, e.spec.at("rules"), "write rules, each with text or calls", "a scripted model has no rules")
	case n > maxRules:
		l.error(e.spec.at("rules"), "", "a scripted model has more than %d rules", maxRules)
		return
	}
	m.Script = &Script{model: e.name}
	for i, rule := range m.Spec.Rules {
		n := e.spec.at("rules", i)
		if rule.Text == "" && len(rule.Calls) == 0 {
			l.missing(e.document, n, "write text, calls or both", "the rule answers nothing")
		}
		for j, call := range rule.Calls {
			if call.Tool == "" {
				l.missing(e.document, n.at("calls", j), "write the name the agent sees, such as repo__read", "the call names no tool")
			}
		}
		compiled, err := newScriptRule(rule)
		if err != nil {
			l.scriptFaults(n, rule, err)
			continue
		}
		m.Script.rules = append(m.Script.rules, compiled)
	}
}

// scriptFaults reports each expression of a rule that is wrong, at its own place.
func (l *loader) scriptFaults(n *node, rule ScriptRule, err error) {
	before := len(l.problems) + l.more
	l.condition(scriptLanguage, n, "when", rule.When)
	l.templates(scriptLanguage, n.get("text"), "text")
	for j := range rule.Calls {
		l.templates(scriptLanguage, n.at("calls", j).get("arguments"), "arguments")
	}
	if len(l.problems)+l.more == before {
		l.error(n, "", "%s", err)
	}
}

// condition compiles the condition in a field, or reports what is wrong in it.
func (l *loader) condition(language *language, n *node, field, text string) *Condition {
	condition, err := language.condition(text)
	if err != nil {
		l.expression(n.at(field), field, err)
	}
	return condition
}

// templates compiles every string in a value, to report each that is wrong at its place.
func (l *loader) templates(language *language, n *node, field string) {
	if n == nil {
		return
	}
	if text, ok := n.value.(string); ok {
		if _, err := language.template(text); err != nil {
			l.expression(n, field, err)
		}
	}
	for _, item := range n.items {
		l.templates(language, item, field)
	}
	for _, f := range n.fields {
		l.templates(language, f.value, f.name)
	}
}
