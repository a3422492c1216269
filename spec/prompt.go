package spec

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// PromptUse renders a Prompt with parameters.
type PromptUse struct {
	// Name names a Prompt.
	Name string `json:"name" check:"required" hint:"write prompt: {name: ...}"`
	// With sets parameters of the prompt.
	With map[string]any `json:"with,omitempty" check:"max=64"`
}

// PromptSpec is a template with parameters, and with sections that stand under headings of their own. In Markdown the body
// is Text.
type PromptSpec struct {
	// Extends names a Prompt that this one builds on. It has all of that one's parameters and sections, and its text where
	// this one has none. A section of the same name takes the place of that one's, unless that is locked.
	Extends string `json:"extends,omitempty"`
	// Text holds `{{ name }}` where a parameter goes.
	Text string `json:"text,omitempty"`
	// Parameters are all the names that Text and Sections may use.
	Parameters map[string]Parameter `json:"parameters,omitempty" check:"max=64"`
	// Sections follow the agent's own instructions, in this order; those that are locked come last of all.
	Sections []Section `json:"sections,omitempty" check:"max=64"`
}

// Section is a part of a Prompt under a heading of its own.
type Section struct {
	// Name tells the sections of a prompt apart, and those of the prompts that it extends.
	Name string `json:"name" check:"required,pattern=name"`
	// Heading stands above the section. Default: the name, with a capital and spaces.
	Heading string `json:"heading,omitempty" check:"max=200"`
	// Text holds `{{ name }}` where a parameter goes.
	Text string `json:"text" check:"required" hint:"write the section's text"`
	// Locked sections cannot be changed, moved or left out: not by a prompt that extends this one, and not by an overlay. The
	// agent is told that they are binding.
	Locked bool `json:"locked,omitempty"`
}

// The types of parameters.
const (
	ParameterString  = "string"
	ParameterInteger = "integer"
	ParameterNumber  = "number"
	ParameterBoolean = "boolean"
	ParameterList    = "list"
)

// Parameter is one parameter of a Prompt or Workflow.
type Parameter struct {
	// Description is for whoever sets the parameter.
	Description string `json:"description,omitempty" check:"max=1000"`
	// Type is what the value must be; a list is one of texts.
	Type string `json:"type,omitempty" check:"enum=boolean|integer|list|number|string,default=string"`
	// Enum are the only values that there are, for texts and lists of texts.
	Enum []string `json:"enum,omitempty" check:"max=256"`
	// Default is used where nothing is set. A parameter without a default is required.
	Default any `json:"default,omitempty"`
}

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

// prompt is a Prompt with what it extends.
type prompt struct {
	Resource
	text       string
	parameters map[string]Parameter
	sections   []section
}

// section is a section and where it was written.
type section struct {
	Section
	place Place
	owner string
}

// resolvePrompts follows what each Prompt extends.
func (l *loader) resolvePrompts() map[string]*prompt {
	edges := map[string][]string{}
	for name, e := range l.prompts {
		if to := e.written.Extends; to != "" && known(l, e.spec.at("extends"), KindPrompt, to, l.prompts) {
			edges[name] = []string{to}
		}
	}
	circles, extended := map[string]bool{}, map[string]bool{}
	for _, to := range edges {
		extended[to[0]] = true // What it does not use itself may be for those that build on it.
	}
	for _, way := range cycles(edges) {
		l.error(l.prompts[way[0]].spec.at("extends"), "remove one of these", "prompt %q extends itself: %s", way[0], strings.Join(way, " -> "))
		for _, name := range way {
			circles[name] = true
		}
	}
	out := map[string]*prompt{}
	var resolve func(name string) *prompt
	resolve = func(name string) *prompt {
		if p, ok := out[name]; ok || l.prompts[name] == nil || circles[name] {
			return p
		}
		var base *prompt
		if to := edges[name]; to != nil {
			if base = resolve(to[0]); base == nil {
				return nil // What it extends is broken, and that is reported there.
			}
		}
		out[name] = l.prompt(l.prompts[name], base, extended[name])
		return out[name]
	}
	for _, name := range names(l.prompts) {
		resolve(name)
	}
	return out
}

// prompt adds what a Prompt says to what it extends, which may be nil. extended says that others build on this one.
func (l *loader) prompt(e *entry[PromptSpec], base *prompt, extended bool) *prompt {
	w, n := e.written, e.spec
	p := &prompt{Resource: l.resource(e.document), text: strings.TrimSpace(w.Text), parameters: map[string]Parameter{}}
	if base != nil {
		for name, parameter := range base.parameters {
			p.parameters[name] = parameter
		}
		p.sections = slices.Clone(base.sections)
		if p.text == "" {
			p.text = base.text
		}
		p.DependsOn = append(slices.Clone(base.DependsOn), base.Ref)
		slices.SortFunc(p.DependsOn, compareRefs)
	}
	for _, name := range names(w.Parameters) {
		l.parameter(n.at("parameters"), name, w.Parameters[name])
		p.parameters[name] = w.Parameters[name]
	}
	if p.text == "" && len(w.Sections) == 0 && len(p.sections) == 0 {
		l.missing(e.document, n.at("text"), "write it", "prompt %q has no text", e.name)
	}
	for i, s := range w.Sections {
		l.section(p, n.at("sections", i), s, e.name, w.Sections[:i])
	}
	used := map[string]bool{}
	l.parametersIn(e.document, p, n.at("text"), w.Text, used)
	for i, s := range w.Sections {
		l.parametersIn(e.document, p, n.at("sections", i, "text"), s.Text, used)
	}
	for _, s := range p.sections {
		for _, at := range placeholder.FindAllStringSubmatch(s.Text, -1) {
			used[at[1]] = true
		}
	}
	for _, at := range placeholder.FindAllStringSubmatch(p.text, -1) {
		used[at[1]] = true
	}
	for _, name := range names(w.Parameters) {
		if !used[name] && !extended {
			l.warn(n.at("parameters").keyOf(name), "", "the text never uses the parameter %q", name)
		}
	}
	p.Digest = l.digest(p.Place, []any{p.text, p.parameters, p.plain()})
	return kept(l, e.document, p)
}

// plain are the sections without their places.
func (p *prompt) plain() []Section {
	var out []Section
	for _, s := range p.sections {
		out = append(out, s.Section)
	}
	return out
}

// binding are the locked sections, each with its heading.
func (p *prompt) binding() []string {
	var out []string
	for _, s := range p.sections {
		if s.Locked {
			out = append(out, s.title()+"\n\n"+s.Text)
		}
	}
	return out
}

// section adds a section to a prompt, or puts it in the place of one of its name.
func (l *loader) section(p *prompt, n *node, s Section, owner string, before []Section) {
	made := section{s, n.place(), owner}
	if slices.ContainsFunc(before, func(b Section) bool { return b.Name == s.Name }) {
		l.error(n.at("name"), "keep one of them", "the section %q is there twice", s.Name)
		return
	}
	i := slices.IndexFunc(p.sections, func(old section) bool { return old.Name == s.Name })
	switch {
	case i < 0:
		p.sections = append(p.sections, made)
	case p.sections[i].Locked:
		l.error(n, "leave it out, or give yours another name", "the section %q is locked in prompt %q at %s, and nothing changes it", s.Name, p.sections[i].owner, p.sections[i].place)
	default:
		if made.Heading == "" {
			made.Heading = p.sections[i].Heading
		}
		p.sections[i] = made
	}
}

// parametersIn reports the parameters that a text uses and the prompt does not have, and notes those that it has.
func (l *loader) parametersIn(d *document, p *prompt, n *node, text string, used map[string]bool) {
	for _, at := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		name := text[at[2]:at[3]]
		used[name] = true
		if _, ok := p.parameters[name]; !ok && !d.broken {
			l.errorAt(textAt(n, text, at[0]), near.Hint(name, names(p.parameters), "declare it under parameters"), "the text uses the parameter %q, which is not declared", name)
		}
	}
	for _, at := range braces.FindAllStringIndex(text, -1) {
		if match := text[at[0]:at[1]]; !placeholder.MatchString(match) {
			l.add(Problem{Place: textAt(n, text, at[0]), Severity: SeverityWarning, Summary: shorten(match, 60) + " is no parameter, and stays as it is"})
		}
	}
}

// parameter checks the declaration of a parameter. n holds all of them.
func (l *loader) parameter(n *node, name string, p Parameter) {
	at := n.at(name)
	if !parameterName.MatchString(name) {
		l.error(n.keyOf(name), "", "%q is not a name of a parameter: use letters, digits, hyphens and underscores, and begin with a letter", name)
	}
	if len(p.Enum) > 0 && p.Type != "" && p.Type != ParameterString && p.Type != ParameterList {
		l.error(at.keyOf("enum"), "remove it", "enum is for texts and lists, and the parameter %q is of type %s", name, p.Type)
	}
	if at.has("default") {
		l.argument(at.at("default"), fmt.Sprintf("the default of %q", name), p, p.Default)
	}
}

// argument checks a value for a parameter.
func (l *loader) argument(n *node, what string, p Parameter, value any) {
	ok, want, hint := true, "text", ""
	texts := []any{value}
	switch p.Type {
	case "", ParameterString:
		if _, ok = value.(string); !ok {
			hint = quoteHint(n)
		}
	case ParameterBoolean:
		_, ok = value.(bool)
		want = "true or false"
	case ParameterInteger:
		_, ok = plainNumberOf(value).(int64)
		want = "a whole number"
	case ParameterNumber:
		switch value.(type) {
		case int64, float64:
		default:
			ok = false
		}
		want = "a number"
	case ParameterList:
		want = "a list of texts"
		if texts, ok = value.([]any); ok {
			ok = !slices.ContainsFunc(texts, func(item any) bool { _, text := item.(string); return !text })
		}
	}
	if !ok {
		l.error(n, hint, "%s wants %s, not %s", what, want, n.describe())
		return
	}
	for i, item := range texts {
		if text, isText := item.(string); isText && len(p.Enum) > 0 && !slices.Contains(p.Enum, text) {
			at := n
			if p.Type == ParameterList {
				at = n.at(i)
			}
			l.error(at, near.Hint(text, p.Enum, "known are "+strings.Join(p.Enum, ", ")), "%s cannot be %q", what, text)
		}
	}
}

// usePrompt returns the prompt of an agent with its parameters filled in, or reports why that cannot be done.
func (l *loader) usePrompt(e *entry[AgentSpec], use *PromptUse) *prompt {
	n := e.spec.at("prompt")
	if use.Name == "" || !known(l, n.at("name"), KindPrompt, use.Name, l.prompts) {
		return nil
	}
	p := l.promptsOut[use.Name]
	if p == nil {
		return nil // It is broken, and that is reported there.
	}
	broken := l.prompts[use.Name].broken
	for _, name := range names(use.With) {
		declared, ok := p.parameters[name]
		switch {
		case ok:
			l.argument(n.at("with", name), fmt.Sprintf("%q", name), declared, use.With[name])
		case !broken:
			l.error(n.at("with").keyOf(name), near.Hint(name, names(p.parameters), "remove it"), "prompt %q has no parameter %q", use.Name, name)
		}
	}
	for _, name := range names(p.parameters) {
		if _, ok := use.With[name]; !ok && p.parameters[name].Default == nil {
			l.missing(e.document, n.at("with"), "set it under prompt.with", "prompt %q needs the parameter %q", use.Name, name)
		}
	}
	value := func(name string) any {
		if v, ok := use.With[name]; ok {
			return v
		}
		return p.parameters[name].Default
	}
	out := &prompt{Resource: p.Resource, text: fill(p.text, value)}
	for _, s := range p.sections {
		s.Text = fill(strings.TrimSpace(s.Text), value)
		out.sections = append(out.sections, s)
	}
	return out
}

// argumentText is a value as it stands in a text. A list is one item after the other, or a line for each where it stands
// alone.
func argumentText(value any, alone bool) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return withLineFeeds(v)
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = oneLine(fmt.Sprint(item))
		}
		if alone && len(items) > 0 {
			return "- " + strings.Join(items, "\n- ")
		}
		return strings.Join(items, ", ")
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(raw)
}
