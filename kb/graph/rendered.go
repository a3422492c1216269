package graph

import (
	"maps"
	"slices"

	"github.com/mainstay-dev/mainstay/kb"
)

// ExtractRendered is Extract for a file that renders to objects: it declares these too, in the lines that they come from. What known says
// already, the facts of the files that they are made of, is not said again. secrets are left out of what objects declare, as they are of
// their documents.
func ExtractRendered(name string, data []byte, objects []kb.Rendered, secrets []string, known ...Facts) Facts {
	facts := Extract(name, data)
	if len(objects) == 0 {
		return facts
	}
	// That it is a template says nothing any more.
	facts.Problems = slices.DeleteFunc(facts.Problems, func(p Problem) bool { return p.Harmless })
	c := &collector{Facts: facts}
	said := newSaid(append(slices.Clip(known), facts))
	for _, o := range objects {
		is := Extract("rendered.yaml", []byte(o.Text))
		place := func(line int) int {
			if at := line - 1; at >= 0 && at < len(o.Lines) && o.Lines[at] > 0 {
				return o.Lines[at]
			}
			return max(o.First, 1)
		}
		for _, e := range is.Entities {
			if e.First, e.Last = max(o.First, 1), max(o.Last, 1); !said.declares(e) {
				e.Node, e.Labels = e.without(secrets), labelsWithout(e.Labels, secrets)
				c.entity(e)
			}
		}
		for _, l := range is.Links {
			if !said.links[withoutLine(l)] {
				l.Line, l.From, l.To, l.Version = place(l.Line), l.From.without(secrets), l.To.without(secrets), kb.Without(l.Version, secrets)
				c.add(l)
			}
		}
		for _, p := range is.Problems {
			c.problem(place(p.Line), "what it renders to: %s", kb.Without(p.Text, secrets))
		}
	}
	c.Entities = slices.CompactFunc(c.facts().Entities, func(a, b Entity) bool {
		return a.Node == b.Node && a.First == b.First && a.Last == b.Last && maps.Equal(a.Labels, b.Labels)
	})
	return c.Facts
}

// without is a node whose names hold no secret: a template may take a name from one.
func (n Node) without(secrets []string) Node {
	return Node{Group: kb.Without(n.Group, secrets), Kind: kb.Without(n.Kind, secrets), Namespace: kb.Without(n.Namespace, secrets), Name: kb.Without(n.Name, secrets)}
}

func labelsWithout(labels map[string]string, secrets []string) map[string]string {
	if len(labels) == 0 || len(secrets) == 0 {
		return labels
	}
	all := make(map[string]string, len(labels))
	for name, value := range labels {
		all[kb.Without(name, secrets)] = kb.Without(value, secrets)
	}
	return all
}

// said is what facts hold, wherever it is written.
type said struct {
	entities map[Node][]Entity
	links    map[Link]bool
}

func newSaid(all []Facts) said {
	s := said{map[Node][]Entity{}, map[Link]bool{}}
	for _, f := range all {
		for _, e := range f.Entities {
			s.entities[e.Node] = append(s.entities[e.Node], e)
		}
		for _, l := range f.Links {
			s.links[withoutLine(l)] = true
		}
	}
	return s
}

func (s said) declares(e Entity) bool {
	return slices.ContainsFunc(s.entities[e.Node], func(o Entity) bool { return maps.Equal(o.Labels, e.Labels) })
}

func withoutLine(l Link) Link {
	l.Line = 0
	return l
}
