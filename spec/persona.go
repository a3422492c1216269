package spec

import (
	"slices"
	"strings"
)

// PersonaSpec declares who an agent is.
type PersonaSpec struct {
	// Extends names a Persona that this one adds to: role and tone are replaced when set, goals and boundaries are
	// appended.
	Extends string `json:"extends,omitempty"`
	// Role is who the agent is, in a sentence or two.
	Role string `json:"role,omitempty"`
	// Tone is how the agent speaks.
	Tone string `json:"tone,omitempty"`
	// Goals are what the agent is to bring about, each in a line.
	Goals []string `json:"goals,omitempty" check:"max=64"`
	// Boundaries are what the agent never does, each in a line. A persona that extends another keeps all of that one's.
	Boundaries []string `json:"boundaries,omitempty" check:"max=64"`
}

// persona is a Persona with what it extends.
type persona struct {
	Resource
	PersonaSpec
}

// resolvePersonas follows what each Persona extends.
func (l *loader) resolvePersonas() map[string]*persona {
	out := map[string]*persona{}
	for _, name := range names(l.personas) {
		e := l.personas[name]
		w := e.written
		if w.Role == "" && w.Tone == "" && len(w.Goals) == 0 && len(w.Boundaries) == 0 && w.Extends == "" {
			l.missing(e.document, e.spec, "set role, tone, goals or boundaries", "persona %q says nothing", name)
		}
		for _, list := range []struct {
			field string
			items []string
		}{{"goals", w.Goals}, {"boundaries", w.Boundaries}} {
			for i, item := range list.items {
				if strings.TrimSpace(item) == "" {
					l.error(e.spec.at(list.field, i), "write it, or remove it", "an item of %q is empty", list.field)
				}
			}
		}
		if w.Extends != "" {
			known(l, e.spec.at("extends"), KindPersona, w.Extends, l.personas)
		}
		chain, cycle := l.chain(name)
		if cycle {
			// Each member of the cycle would say the same, so only the first one by name does.
			if members := chain[slices.Index(chain, chain[len(chain)-1]):]; name == slices.Min(members) {
				l.error(e.spec.at("extends"), "remove one of these", "persona %q extends itself: %s", name, strings.Join(members, " -> "))
			}
			continue
		}
		p := &persona{Resource: l.resource(e.document)}
		for _, ancestor := range slices.Backward(chain) {
			add := l.personas[ancestor].written
			if add.Role != "" {
				p.Role = strings.TrimSpace(add.Role)
			}
			if add.Tone != "" {
				p.Tone = strings.TrimSpace(add.Tone)
			}
			p.Goals = append(p.Goals, add.Goals...)
			p.Boundaries = append(p.Boundaries, add.Boundaries...)
			if ancestor != name {
				p.DependsOn = append(p.DependsOn, Ref{KindPersona, ancestor})
			}
		}
		p.Digest = l.digest(p.Place, p.PersonaSpec)
		out[name] = kept(l, e.document, p)
	}
	return out
}

// chain lists a Persona and what it extends, and reports whether the last one is there already.
func (l *loader) chain(name string) (chain []string, cycle bool) {
	for l.personas[name] != nil {
		seen := slices.Contains(chain, name)
		if chain = append(chain, name); seen {
			return chain, true
		}
		name = l.personas[name].written.Extends
	}
	return chain, false
}
