package spec

import (
	"io/fs"
	"slices"
	"strings"
)

func (l *loader) resolveModels() map[string]*Model {
	out := make(map[string]*Model, len(l.models))
	l.out.Models = out
	var resolve func(name string)
	resolve = func(name string) {
		e, known := l.models[name]
		if _, done := out[name]; done || !known {
			return
		}
		out[name] = nil // Where models lead back to this one, which checkFallbacks tells, it is not there for them.
		var refs []Ref
		for _, other := range e.written.others() {
			if resolve(other); out[other] != nil {
				refs = append(refs, Ref{Kind: KindModel, Name: other})
			}
		}
		sealed := l.sealedAs(append(secretsOf(e.written.Headers), e.written.APIKey)...)
		if name := e.written.Recording; fs.ValidPath(name) && e.written.Provider == ProviderReplay {
			sealed += string(l.recording(name).digest)
		}
		out[name] = resolved(l, e.document, sealed+" "+string(l.modelPin(e)), func() (*Model, []Ref) { return l.model(e, out), refs })
	}
	for _, name := range names(l.models) {
		resolve(name)
	}
	l.checkFallbacks()
	return out
}

// others are the models that may be asked in this one's place, sorted.
func (s ModelSpec) others() []string {
	var all []string
	for _, f := range s.Fallbacks {
		all = append(all, f.Model)
	}
	for _, r := range s.Routes {
		all = append(all, r.Model)
	}
	for _, share := range s.Split {
		all = append(all, share.Model)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (l *loader) model(e *entry[ModelSpec], resolved map[string]*Model) *Model {
	m := &Model{Resource: l.resource(e.document), Spec: e.written}
	switch m.Spec.Provider {
	case ProviderScripted:
		l.scripted(e, m)
	case ProviderReplay:
		if m.Spec.Recording == "" {
			l.missing(e.document, e.spec.at("recording"), "write recording: PATH", "a model of provider replay has no recording")
		}
		l.without(e, "name", "endpoint", "parameters", "rules", "source", "keepAlive", "apiKey", "headers", "api")
		if name := m.Spec.Recording; fs.ValidPath(name) {
			r := l.recording(name)
			if m.Recorded = r.answers; r.problem != "" {
				l.error(e.spec.at("recording"), r.hint, "%s: %s", name, r.problem)
			}
		}
	case ProviderOllama, ProviderOpenAI, ProviderAnthropic:
		if m.Spec.Name == "" {
			l.missing(e.document, e.spec.at("name"), "write the server's name of the model, such as name: qwen3:4b", "a model of provider %s has no name", m.Spec.Provider)
		}
		l.without(e, "rules", "recording", "match")
		if _, twice := m.Spec.Parameters["keep_alive"]; twice && m.Spec.KeepAlive != 0 {
			l.error(e.spec.keyOf("keepAlive"), "keep one of them", "keepAlive is also among the parameters, as keep_alive")
		}
		if m.Spec.Provider != ProviderOllama {
			l.without(e, "source", "keepAlive")
		}
		if m.Spec.Provider != ProviderOpenAI {
			l.without(e, "api")
		}
	}
	l.secret(e.document, e.spec.at("apiKey"), m.Spec.APIKey)
	l.headers(e.document, e.spec.at("headers"), m.Spec.Headers)
	for i, route := range m.Spec.Routes {
		m.Routing = append(m.Routing, l.condition(requestLanguage, e.spec.at("routes", i, "when"), "when", route.When))
	}
	if s := m.Spec.Source; s != nil {
		n := e.spec.at("source")
		if s.File != "" && s.Pull != "" {
			l.error(n, "keep one of them", "a model is pulled, or created from a file, and not both")
		}
		if !strings.HasPrefix(s.File, "/") {
			l.inRepository(n.at("file"), s.File)
		}
	}
	l.inRepository(e.spec.at("recording"), m.Spec.Recording)
	if b := m.Spec.Budget; b != nil && (b.CostPerRun > 0 || b.CostPerDay > 0 || b.CostPerAgentDay > 0) && m.Spec.Price == nil {
		l.error(e.spec.keyOf("budget"), "give the model a price, or bound its tokens", "a budget of money bounds nothing, because the model has no price")
	}
	if r := m.Spec.Retry; r != nil && r.Backoff != 0 && r.MaxBackoff != 0 && r.Backoff > r.MaxBackoff {
		l.error(e.spec.at("retry", "backoff"), "raise maxBackoff", "the first wait is longer than the longest one")
	}
	if t := m.Spec.Timeouts; t != nil && t.Total != 0 && t.FirstToken > t.Total {
		l.error(e.spec.at("timeouts", "firstToken"), "raise total", "the model may be silent for longer than its whole answer may take")
	}
	m.Pin = l.modelPin(e)
	if m.Digest = l.digest(m.Place, m.Spec); m.Pin != "" {
		m.Digest = l.digest(m.Place, []any{m.Digest, m.Pin})
	}
	if m.Spec.Provider == ProviderReplay && fs.ValidPath(m.Spec.Recording) {
		m.Digest = l.digest(m.Place, []any{m.Digest, l.recording(m.Spec.Recording).digest})
	}
	digests := []any{m.Digest}
	for _, name := range m.Spec.others() {
		if other := resolved[name]; other != nil {
			m.Others = append(m.Others, other)
			m.DependsOn = append(m.DependsOn, other.Ref)
			digests = append(digests, other.Digest)
		}
	}
	if len(m.Others) > 0 {
		m.Digest = l.digest(m.Place, digests)
	}
	return m
}

// without reports fields that a model of its provider does not have.
func (l *loader) without(e *entry[ModelSpec], fields ...string) {
	for _, name := range fields {
		if e.spec.has(name) {
			l.error(e.spec.keyOf(name), "remove it", "a model of provider %s has no %s", e.written.Provider, name)
		}
	}
}

// inRepository reports a path that is not one of a file in the repository.
func (l *loader) inRepository(n *node, name string) {
	if name != "" && !fs.ValidPath(name) {
		l.error(n, "write it from the repository's root, with / and without . and ..", "%q is not a path in the repository", name)
	}
}

// checkFallbacks checks the models that models name, which must not lead back to where they began.
func (l *loader) checkFallbacks() {
	edges := map[string][]string{}
	for name, e := range l.models {
		to := func(n *node, model string) {
			if model != "" && known(l, n.at("model"), KindModel, model, l.models) {
				edges[name] = append(edges[name], model)
			}
		}
		for i, f := range e.written.Fallbacks {
			to(e.spec.at("fallbacks", i), f.Model)
		}
		for i, r := range e.written.Routes {
			to(e.spec.at("routes", i), r.Model)
		}
		for i, s := range e.written.Split {
			if s.Model != name { // A model may keep a share for itself.
				to(e.spec.at("split", i), s.Model)
			}
		}
	}
	for _, way := range cycles(edges) {
		l.error(l.models[way[0]].spec, "remove one of these", "model %q is asked in its own place: %s", way[0], strings.Join(way, " -> "))
	}
}

func (l *loader) scripted(e *entry[ModelSpec], m *Model) {
	l.without(e, "name", "endpoint", "parameters", "recording", "match", "source", "keepAlive", "apiKey", "headers", "api")
	if len(m.Spec.Rules) == 0 {
		l.missing(e.document, e.spec.at("rules"), "write rules, each with text or calls", "a scripted model has no rules")
	}
	m.Script = &Script{model: e.name}
	for i, rule := range m.Spec.Rules {
		n := e.spec.at("rules", i)
		if rule.Text == "" && len(rule.Calls) == 0 {
			l.missing(e.document, n, "write text, calls or both", "the rule answers nothing")
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
	l.condition(scriptLanguage, n.at("when"), "when", rule.When)
	l.templates(scriptLanguage, n.get("text"), "text")
	for j := range rule.Calls {
		l.templates(scriptLanguage, n.at("calls", j).get("arguments"), "arguments")
	}
	if len(l.problems)+l.more == before {
		l.error(n, "", "%s", err)
	}
}

// condition compiles the condition at n, or reports what is wrong in it.
func (l *loader) condition(language *language, n *node, field, text string) *Condition {
	condition, err := language.condition(text)
	if err != nil {
		l.expression(n, field, err)
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
