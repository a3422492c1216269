package graph

import "slices"

// Entities returns the entities that files declare, sorted.
func (g *Graph) Entities() []Found {
	g.mu.Lock()
	defer g.mu.Unlock()
	var found []Found
	var places []Place
	for _, id := range g.ids {
		if slices.ContainsFunc(g.nodes[id].declared, func(d declaration) bool { return d.index >= 0 }) {
			found = append(found, g.found(id, 0, &places))
		}
	}
	slices.SortFunc(found, func(a, b Found) int { return a.Node.Compare(b.Node) })
	return found
}

// Edges returns the relations that files declare, sorted, without DeclaredIn.
func (g *Graph) Edges() []Edge {
	g.mu.Lock()
	defer g.mu.Unlock()
	var edges []Edge
	for id := range g.links {
		k := &g.links[id]
		if k.file == nil || k.relation == DeclaredIn {
			continue
		}
		from := g.resolve(k.from)
		g.targets(int32(id), func(to int32) {
			if from != to || k.relation != SameAs {
				edges = append(edges, g.edge(hop{from: from, to: to, link: int32(id), relation: k.relation}))
			}
		})
	}
	slices.SortFunc(edges, Edge.Compare)
	return slices.Compact(edges)
}
