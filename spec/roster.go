package spec

import (
	"slices"
)

// roster is the agents of the last load, sorted by name. There may be thousands, of which few change: while their names
// stay the same, nothing is sorted, and only what has changed is looked up.
type roster struct {
	names   []string
	entries []*entry[AgentSpec]
	byName  map[string]*entry[AgentSpec]
	// alike are the names that look like another one.
	alike [][2]string
	// version tells positions of this order from those of another; see document.position.
	version int
}

// update makes the roster that of these documents, and reports whether their names are those it has, each once.
func (r *roster) update(documents []*document) bool {
	if r.byName == nil || len(documents) != len(r.names) {
		return false
	}
	taken := make([]bool, len(r.names))
	for _, d := range documents {
		if d.version != r.version {
			i, found := slices.BinarySearch(r.names, d.name)
			if !found {
				return false
			}
			d.position, d.version = i, r.version
		}
		if taken[d.position] {
			return false
		}
		taken[d.position] = true
		if e := d.entry.(*entry[AgentSpec]); r.entries[d.position] != e {
			r.entries[d.position], r.byName[d.name] = e, e
		}
	}
	return true
}

// indexAgents adds the agents to the roster of the last load, or makes a new one, and reports those that have the same name.
func (l *loader) indexAgents(documents []*document) {
	r := new(roster)
	if l.cache != nil {
		r = &l.cache.roster
	}
	named, entries := make([]*document, 0, len(documents)), make([]*entry[AgentSpec], 0, len(documents))
	whole := true
	for _, d := range documents {
		e := decoded[AgentSpec](l, d)
		whole = whole && d.entry == e // Otherwise not all that is wrong could be kept.
		if !d.unnamed {
			named, entries = append(named, d), append(entries, e)
		}
	}
	if !whole || !r.update(named) {
		*r = roster{version: r.version + 1, byName: make(map[string]*entry[AgentSpec], len(named))}
		for _, e := range entries {
			add(l, r.byName, e)
		}
		r.names = names(r.byName)
		r.alike = alike(r.names)
		for i, name := range r.names {
			e := r.byName[name]
			e.position, e.version = i, r.version
			r.entries = append(r.entries, e)
		}
		if len(r.names) < len(named) {
			r.version++ // Two have the same name: the next load looks again.
		}
	}
	warnAlike(l, r.alike, r.byName)
	l.agents, l.roster = r.byName, r.entries
}
