package spec

import (
	"regexp"
	"strings"
)

// placeholder is `{{ name }}`, where a parameter goes. Other text in braces is only text.
var placeholder = regexp.MustCompile(`\{\{[ \t]*([A-Za-z_][A-Za-z0-9_-]*)[ \t]*\}\}`)

// braces is what looks like a placeholder.
var braces = regexp.MustCompile(`\{\{[^{}\n]*\}\}`)

var parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// fillIn replaces each placeholder by its value. Values are not looked into.
func fillIn(text string, value func(name string) string) string {
	return placeholder.ReplaceAllStringFunc(text, func(match string) string {
		return value(placeholder.FindStringSubmatch(match)[1])
	})
}

// textAt is where a byte of the text of a scalar stands in its file.
func textAt(n *node, text string, offset int) Place {
	before := text[:offset]
	return n.inText(strings.Count(before, "\n")+1, len([]rune(before[strings.LastIndexByte(before, '\n')+1:])))
}

// checkPrompts checks every Prompt by itself.
func (l *loader) checkPrompts() map[string]*Resource {
	out := map[string]*Resource{}
	for _, name := range names(l.prompts) {
		e := l.prompts[name]
		w := e.written
		if strings.TrimSpace(w.Text) == "" {
			l.missing(e.document, e.spec.at("text"), "write it", "prompt %q has no text", name)
		}
		for _, parameter := range names(w.Parameters) {
			if !parameterName.MatchString(parameter) {
				l.error(e.spec.at("parameters").keyOf(parameter), "", "%q is not a name of a parameter: use letters, digits, hyphens and underscores, and begin with a letter", parameter)
			}
		}
		used := map[string]bool{}
		for _, at := range placeholder.FindAllStringSubmatchIndex(w.Text, -1) {
			parameter := w.Text[at[2]:at[3]]
			used[parameter] = true
			if _, ok := w.Parameters[parameter]; !ok && !e.broken {
				l.errorAt(textAt(e.spec.at("text"), w.Text, at[0]), didYouMean(parameter, names(w.Parameters), "declare it under parameters"), "the text uses the parameter %q, which is not declared", parameter)
			}
		}
		for _, at := range braces.FindAllStringIndex(w.Text, -1) {
			if match := w.Text[at[0]:at[1]]; !placeholder.MatchString(match) {
				p := textAt(e.spec.at("text"), w.Text, at[0])
				l.add(Problem{Place: p, Severity: SeverityWarning, Summary: shorten(match, 60) + " is no parameter, and stays as it is"})
			}
		}
		for _, parameter := range names(w.Parameters) {
			if !used[parameter] {
				l.warn(e.spec.at("parameters").keyOf(parameter), "", "the text never uses the parameter %q", parameter)
			}
		}
		r := l.resource(e.document)
		w.Text = strings.TrimSpace(w.Text)
		r.Digest = l.digest(r.Place, w)
		out[name] = kept(l, e.document, &r)
	}
	return out
}

// renderPrompt renders the prompt of an agent, or reports why that cannot be done.
func (l *loader) renderPrompt(e *entry[AgentSpec], use *PromptUse) string {
	n := e.spec.at("prompt")
	if use.Name == "" {
		l.missing(e.document, n, "write prompt: {name: ...}", "the prompt has no name")
		return ""
	}
	if !known(l, n.at("name"), KindPrompt, use.Name, l.prompts) {
		return ""
	}
	prompt := l.prompts[use.Name]
	declared := prompt.written.Parameters
	for _, parameter := range names(use.With) {
		if _, ok := declared[parameter]; !ok && !prompt.broken {
			l.error(n.at("with").keyOf(parameter), didYouMean(parameter, names(declared), "remove it"), "prompt %q has no parameter %q", use.Name, parameter)
		}
	}
	for _, parameter := range names(declared) {
		if _, ok := use.With[parameter]; !ok && declared[parameter].Default == nil {
			l.missing(e.document, n.at("with"), "set it under prompt.with", "prompt %q needs the parameter %q", use.Name, parameter)
		}
	}
	return fillIn(prompt.written.Text, func(parameter string) string {
		if value, ok := use.With[parameter]; ok {
			return value
		}
		if d := declared[parameter].Default; d != nil {
			return *d
		}
		return ""
	})
}
