package graph

import "slices"

// Changes are what one graph has and another has not.
type Changes struct {
	AddedEntities   []Node `json:"addedEntities"`
	RemovedEntities []Node `json:"removedEntities"`
	AddedEdges      []Edge `json:"addedEdges"`
	RemovedEdges    []Edge `json:"removedEdges"`
}

// Compare returns what changed from one graph to another. What is declared in another place, and otherwise the same, has not changed.
func Compare(before, after *Graph) Changes {
	was, is := before.Entities(), after.Entities()
	c := Changes{AddedEntities: []Node{}, RemovedEntities: []Node{}, AddedEdges: []Edge{}, RemovedEdges: []Edge{}}
	difference(was, is, func(a, b Found) int { return a.Node.Compare(b.Node) },
		func(f Found) { c.RemovedEntities = append(c.RemovedEntities, f.Node) }, func(f Found) { c.AddedEntities = append(c.AddedEntities, f.Node) })
	difference(before.relations(), after.relations(), Edge.sameAs,
		func(e Edge) { c.RemovedEdges = append(c.RemovedEdges, e) }, func(e Edge) { c.AddedEdges = append(c.AddedEdges, e) })
	return c
}

// relations are the edges, each once wherever it is written.
func (g *Graph) relations() []Edge {
	return slices.CompactFunc(g.Edges(), func(a, b Edge) bool { return a.sameAs(b) == 0 })
}

// sameAs compares edges without the places where they are written.
func (e Edge) sameAs(o Edge) int {
	e.File, e.Line, e.Commit, o.File, o.Line, o.Commit = "", 0, "", "", 0, ""
	return e.Compare(o)
}

// difference goes through two sorted lists.
func difference[T any](was, is []T, compare func(a, b T) int, removed, added func(T)) {
	for len(was) > 0 || len(is) > 0 {
		switch order := 0; {
		case len(was) == 0:
			added(is[0])
			is = is[1:]
		case len(is) == 0:
			removed(was[0])
			was = was[1:]
		default:
			if order = compare(was[0], is[0]); order <= 0 {
				if order < 0 {
					removed(was[0])
				} else {
					is = is[1:]
				}
				was = was[1:]
			} else {
				added(is[0])
				is = is[1:]
			}
		}
	}
}
