package graph

// maxDeclared is how many entities of one name are looked at for a reference that does not say which it means.
const maxDeclared = 64

// exists reports whether a node is declared, or a folder of the repository.
func (g *Graph) exists(id int32) bool {
	n := &g.nodes[id]
	return len(n.declared) > 0 || n.Kind == KindPath && n.Namespace == "" && g.folders[n.Name] != nil
}

// resolve is the entity that a node means: itself where it is declared, or the only one that is and that it may mean.
func (g *Graph) resolve(id int32) int32 {
	n := &g.nodes[id]
	if len(n.declared) > 0 {
		return id
	}
	if n.Group == "" {
		switch n.Kind {
		case KindPath:
			if n.Namespace != "" {
				if to := g.local(n.Node); to >= 0 && to != id {
					return to
				}
			}
			return id
		case KindTeam:
			if to, known := g.ids[Node{GroupBackstage, "group", "default", n.Name}]; known && len(g.nodes[to].declared) > 0 {
				return to
			}
			return id
		}
	}
	if len(n.bucket.declared) > maxDeclared || n.Group == GroupBackstage || n.Group == GroupTerraform || n.Group == GroupCompose {
		return id
	}
	found := id
	for d := range n.bucket.declared {
		if o := &g.nodes[d]; (n.Group == groupAny || n.Group == o.Group) && (n.Namespace == "" || o.Namespace == "") {
			if found != id {
				return id // It may mean either.
			}
			found = d
		}
	}
	return found
}

// aliases are the other nodes that mean an entity.
func (g *Graph) aliases(id int32, yield func(int32)) {
	n := &g.nodes[id]
	for _, o := range n.bucket.nodes {
		if o != id && g.resolve(o) == id {
			yield(o)
		}
	}
	switch {
	case n.Group == GroupBackstage && n.Kind == "group" && n.Namespace == "default":
		if team, known := g.ids[Node{Kind: KindTeam, Name: n.Name}]; known && g.resolve(team) == id {
			yield(team)
		}
	case n.Kind == KindPath && n.Group == "" && n.Namespace == "":
		for _, o := range g.foreignAliases(id) {
			if g.nodes[o].bucket != n.bucket {
				yield(o)
			}
		}
	}
}

// hop is one relation of a node, with both ends resolved.
type hop struct {
	from, to int32
	link     int32 // -1 for one that no file declares.
	affects  direction
	relation Relation
}

// resolved are the relations of nodes that questions have gone along, both ends resolved. A change of any file ends them: they are made
// again when they are needed.
type resolved struct {
	change uint32 // Counts changes.
	of     []hops // By node.
}

type hops struct {
	change  uint32
	out, in []hop
}

// hops are the relations that a node has to others, and others to it.
func (g *Graph) hops(id int32) (out, in []hop) {
	if missing := len(g.nodes) - len(g.resolved.of); missing > 0 {
		g.resolved.of = append(g.resolved.of, make([]hops, missing)...)
	}
	h := &g.resolved.of[id]
	if h.change != g.resolved.change {
		h.change, h.out, h.in = g.resolved.change, h.out[:0], h.in[:0]
		keep := func(to *[]hop) func(hop) {
			return func(o hop) {
				o.affects = relations[o.relation]
				*to = append(*to, o)
			}
		}
		g.hopsOut(id, keep(&h.out))
		g.hopsIn(id, keep(&h.in))
	}
	return h.out, h.in
}

// changed ends what was resolved.
func (g *Graph) changed() {
	g.foreign.stale = true
	clear(g.labels.broad)
	if g.resolved.change++; g.resolved.change == 0 { // After four billion.
		clear(g.resolved.of)
		g.resolved.change = 1
	}
}

// hopsOut yields the relations that a node has to others. It is one that resolve returns.
func (g *Graph) hopsOut(id int32, yield func(hop)) {
	g.linksOut(id, id, yield)
	g.aliases(id, func(o int32) { g.linksOut(o, id, yield) })
	switch n := &g.nodes[id]; {
	case n.Group != "":
	case n.Kind == KindPath && n.Namespace == "" && len(n.declared) == 0:
		g.contents(n.Name, func(f int32) { yield(hop{from: id, to: f, link: -1, relation: Contains}) })
	case n.Kind == KindPods && g.isBroad(id):
		for _, r := range g.standing(id) {
			g.selected(id, func(w int32) bool { yield(hop{from: id, to: w, link: -1, relation: r}); return true })
		}
	}
}

func (g *Graph) linksOut(written, id int32, yield func(hop)) {
	for _, l := range g.nodes[written].out {
		g.targets(l, func(to int32) { yield(hop{from: id, to: to, link: l, relation: g.links[l].relation}) })
	}
}

// targets are the entities that a link is to.
func (g *Graph) targets(l int32, yield func(int32)) {
	k := &g.links[l]
	if n := &g.nodes[k.to]; n.Kind == KindPods && n.Group == "" {
		any := false
		if !g.isBroad(k.to) {
			g.selected(k.to, func(w int32) bool { any = true; yield(w); return true })
		}
		if !any {
			yield(k.to)
		}
		return
	}
	if to := g.resolve(k.to); !k.ifDeclared || g.exists(to) {
		yield(to)
	}
}

// hopsIn yields the relations that others have to a node.
func (g *Graph) hopsIn(id int32, yield func(hop)) {
	g.linksIn(id, id, yield)
	g.aliases(id, func(o int32) { g.linksIn(o, id, yield) })
	g.selectorsOf(id, func(s int32) {
		if g.isBroad(s) {
			for _, r := range g.standing(s) {
				yield(hop{from: s, to: id, link: -1, relation: r})
			}
		} else {
			g.linksIn(s, id, yield)
		}
	})
	if n := &g.nodes[id]; n.Kind == KindPath && n.Group == "" && n.Namespace == "" && len(n.declared) > 0 {
		g.containers(n.Name, func(f int32) { yield(hop{from: f, to: id, link: -1, relation: Contains}) })
	}
}

// standing are the relations of very many pods to their workloads, by what is related to the pods: a policy reaches the
// workloads, and a Service needs them.
func (g *Graph) standing(id int32) []Relation {
	var is [2]bool
	for _, l := range g.nodes[id].in {
		if g.links[l].relation == AppliesTo {
			is[0] = true
		} else {
			is[1] = true
		}
	}
	var list []Relation
	for i, r := range []Relation{AppliesTo, Contains} {
		if is[i] {
			list = append(list, r)
		}
	}
	return list
}

func (g *Graph) linksIn(written, id int32, yield func(hop)) {
	for _, l := range g.nodes[written].in {
		if k := &g.links[l]; !k.ifDeclared || g.exists(id) {
			yield(hop{from: g.resolve(k.from), to: id, link: l, relation: k.relation})
		}
	}
}

// edge is a hop as it is told.
func (g *Graph) edge(h hop) Edge {
	e := Edge{From: g.nodes[h.from].Node, Relation: h.relation, To: g.nodes[h.to].Node, Commit: g.commit}
	if h.link >= 0 {
		l := &g.links[h.link]
		e.Version, e.File, e.Line = l.version, l.file.path, int(l.line)
	}
	return e
}
