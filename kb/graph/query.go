package graph

import (
	"cmp"
	"slices"
)

// DependsOn returns what a node needs: what it refers to directly where depth is 1, and what that needs, to a depth. The files that
// declare an entity are not in it. At most `most` are told, the nearest.
func (g *Graph) DependsOn(of Node, depth, most int) Answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.spread(of, depth, most, func(h hop) direction {
		if h.relation == DeclaredIn {
			return none
		}
		return h.affects
	})
}

// BlastRadius returns what a change of a node can reach: what depends on it, and what depends on that, to a depth. At most `most` are
// told, the nearest.
func (g *Graph) BlastRadius(of Node, depth, most int) Answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.spread(of, depth, most, func(h hop) direction {
		switch h.affects {
		case forward:
			return backward
		case backward:
			return forward
		}
		return none
	})
}

// Related returns what has any relation to a node, in either direction, to a depth.
func (g *Graph) Related(of Node, depth, most int) Answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.spread(of, depth, most, func(hop) direction { return both })
}

// both is for going along a relation in both directions.
const both direction = 3

// steps yields the relations that lead on from a node, and where to, along the directions that follow says.
func (g *Graph) steps(id int32, follow func(hop) direction, yield func(hop, int32)) {
	out, in := g.hops(id)
	for _, h := range out {
		if d := follow(h); (d == forward || d == both) && h.to != id {
			yield(h, h.to)
		}
	}
	for _, h := range in {
		if d := follow(h); (d == backward || d == both) && h.from != id {
			yield(h, h.from)
		}
	}
}

// spread goes along relations, level by level. Of several that lead to a node from the level before, the first in order is told.
func (g *Graph) spread(of Node, depth, most int, follow func(hop) direction) Answer {
	answer := Answer{Of: []Node{of}, Found: []Found{}, Edges: []Edge{}}
	start, known := g.ids[of]
	if !known {
		return answer
	}
	depth, most = min(depth, MaxDepth), atMost(most)
	start = g.resolve(start)
	g.visit()
	g.reach(start, 0, hop{})
	var told []int32
	level := []int32{start}
	for d := 1; d <= depth && len(level) > 0; d++ {
		var next []int32
		for _, id := range level {
			g.steps(id, follow, func(h hop, to int32) {
				switch at, reached := g.reached(to); {
				case !reached:
					g.reach(to, d, h)
					next = append(next, to)
				case at == d && g.before(h, g.visits.of[to].via):
					g.reach(to, d, h)
				}
			})
		}
		room := min(len(next), most-len(told))
		answer.LeftOut += len(next) - room
		if room > 0 {
			slices.SortFunc(next, g.order)
			told = append(told, next[:room]...)
		}
		level = next
	}
	answer.Found, answer.Edges = make([]Found, len(told)), make([]Edge, len(told))
	places := make([]Place, 0, len(told)) // Of all, since most are declared once.
	for i, id := range told {
		v := &g.visits.of[id]
		answer.Found[i], answer.Edges[i] = g.found(id, int(v.depth), &places), g.edge(v.via)
	}
	return answer
}

func (g *Graph) order(a, b int32) int { return g.nodes[a].Compare(g.nodes[b].Node) }

// before reports whether one hop is told before another: it compares as their edges do.
func (g *Graph) before(a, b hop) bool {
	if a.from != b.from {
		return g.order(a.from, b.from) < 0
	}
	if a.relation != b.relation {
		return a.relation < b.relation
	}
	if a.to != b.to {
		return g.order(a.to, b.to) < 0
	}
	return g.edge(a).Compare(g.edge(b)) < 0
}

// found is an entity as it is told. Its places are appended to those of others, so that an answer has one list of them.
func (g *Graph) found(id int32, depth int, places *[]Place) Found {
	n := &g.nodes[id]
	f := Found{Node: n.Node, Depth: depth}
	first := len(*places)
	for _, d := range n.declared {
		p := Place{File: d.file.path}
		if d.index >= 0 {
			e := &d.file.entities[d.index]
			p.First, p.Last = e.First, e.Last
		}
		*places = append(*places, p)
	}
	if len(n.declared) == 0 && g.exists(id) {
		*places = append(*places, Place{File: n.Name}) // A folder.
	}
	end := len(*places)
	if end == first {
		return f
	}
	f.Declared = (*places)[first:end:end]
	if len(f.Declared) > 1 {
		slices.SortFunc(f.Declared, Place.compare)
		f.Declared = slices.Compact(f.Declared)
	}
	return f
}

func (p Place) compare(o Place) int {
	return cmp.Or(cmp.Compare(p.File, o.File), cmp.Compare(p.First, o.First), cmp.Compare(p.Last, o.Last))
}

// Path returns the shortest way from one node to another. It is one of dependencies where there is such a way, in this direction or
// else in the other, and one of any relations else. Nothing is found where there is no way.
func (g *Graph) Path(from, to Node) Answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	a, knownA := g.ids[from]
	b, knownB := g.ids[to]
	answer := Answer{Of: []Node{from, to}, Found: []Found{}, Edges: []Edge{}}
	if !knownA || !knownB {
		return answer
	}
	a, b = g.resolve(a), g.resolve(b)
	dependency := func(h hop) direction { return h.affects }
	any := func(hop) direction { return both }
	way, found := g.way(a, b, dependency)
	if !found {
		if way, found = g.way(b, a, dependency); !found {
			way, found = g.way(a, b, any)
		} else {
			slices.Reverse(way)
		}
	}
	if !found {
		return answer
	}
	var places []Place
	at := a
	answer.Found = append(answer.Found, g.found(a, 0, &places))
	for i, h := range way {
		if at = h.from + h.to - at; i < MaxDepth {
			answer.Found = append(answer.Found, g.found(at, i+1, &places))
			answer.Edges = append(answer.Edges, g.edge(h))
		} else {
			answer.LeftOut++
		}
	}
	return answer
}

// way is the shortest one from a to b; of several, the one whose relations come first in order, from the end.
func (g *Graph) way(a, b int32, follow func(hop) direction) ([]hop, bool) {
	if a == b {
		return nil, true
	}
	g.visit()
	g.reach(a, 0, hop{})
	level := []int32{a}
	for d := 1; len(level) > 0; d++ {
		if _, reached := g.reached(b); reached {
			break
		}
		var next []int32
		for _, id := range level {
			g.steps(id, follow, func(h hop, to int32) {
				switch at, reached := g.reached(to); {
				case !reached:
					g.reach(to, d, h)
					next = append(next, to)
				case at == d && g.before(h, g.visits.of[to].via):
					g.reach(to, d, h)
				}
			})
		}
		level = next
	}
	if _, reached := g.reached(b); !reached {
		return nil, false
	}
	var way []hop
	for at := b; at != a; {
		h := g.visits.of[at].via
		way = append(way, h)
		at = h.from + h.to - at
	}
	slices.Reverse(way)
	return way, true
}

// visits remember how far from the start of a question each node is, and the relation that led to it, without making room for all nodes
// anew for each.
type visits struct {
	question uint32
	of       []visit // By node.
}

type visit struct {
	question, depth uint32
	via             hop
}

// visit begins a question.
func (g *Graph) visit() {
	v := &g.visits
	if v.question++; v.question == 0 { // After four billion.
		clear(v.of)
		v.question = 1
	}
	if missing := len(g.nodes) - len(v.of); missing > 0 {
		v.of = append(v.of, make([]visit, missing)...)
	}
}

func (g *Graph) reach(id int32, depth int, via hop) {
	g.visits.of[id] = visit{g.visits.question, uint32(depth), via}
}

func (g *Graph) reached(id int32) (depth int, reached bool) {
	v := &g.visits.of[id]
	return int(v.depth), v.question == g.visits.question
}
