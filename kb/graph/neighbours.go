package graph

import (
	"cmp"
	"slices"
)

// DeclaredAt returns the entities that are declared in lines of a file, sorted; first and last 0 mean all of it.
func (g *Graph) DeclaredAt(path string, first, last int) []Node {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.files[path]
	if f == nil {
		return nil
	}
	var nodes []Node
	for _, e := range f.entities {
		if first == 0 && last == 0 || e.First <= last && e.Last >= first {
			nodes = append(nodes, e.Node)
		}
	}
	slices.SortFunc(nodes, Node.Compare)
	return slices.Compact(nodes)
}

// Neighbour is a place that declares an entity with a relation to one that is declared elsewhere.
type Neighbour struct {
	Place Place `json:"place"`
	Node  Node  `json:"node"`
	Edge  Edge  `json:"edge"`
}

// Neighbours returns where the entities are declared that have a relation to those in lines of a file, outside of these lines; first
// and last 0 mean all of the file, and then also what includes or deploys the file. They are sorted by file and line, and at most
// `most`: where there are more, those in the fewest hands come first, since what everything has a relation to tells little.
func (g *Graph) Neighbours(path string, first, last, most int) []Neighbour {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.files[path]
	if f == nil {
		return nil
	}
	whole := first == 0 && last == 0
	from := []int32{}
	if whole {
		from = append(from, f.node)
	}
	for _, e := range f.entities {
		if whole || e.First <= last && e.Last >= first {
			from = append(from, g.ids[e.Node])
		}
	}
	best := map[Place]hop{}
	other := map[Place]int32{}
	for _, id := range from {
		g.steps(id, func(h hop) direction {
			if h.relation == DeclaredIn {
				return none
			}
			return both
		}, func(h hop, to int32) {
			for _, d := range g.nodes[to].declared {
				p := Place{File: d.file.path}
				if d.index >= 0 {
					p.First, p.Last = d.file.entities[d.index].First, d.file.entities[d.index].Last
				}
				if p.File == path && (whole || p.First == 0 || p.First <= last && p.Last >= first) {
					continue
				}
				if o, known := best[p]; !known || g.before(h, o) {
					best[p], other[p] = h, to
				}
			}
		})
	}
	places := make([]Place, 0, len(best))
	for p := range best {
		places = append(places, p)
	}
	degree := func(p Place) int { n := &g.nodes[other[p]]; return len(n.in) + len(n.out) }
	slices.SortFunc(places, func(a, b Place) int { return cmp.Or(cmp.Compare(degree(a), degree(b)), a.compare(b)) })
	places = places[:min(len(places), atMost(most))]
	slices.SortFunc(places, Place.compare)
	neighbours := make([]Neighbour, len(places))
	for i, p := range places {
		neighbours[i] = Neighbour{p, g.nodes[other[p]].Node, g.edge(best[p])}
	}
	return neighbours
}
