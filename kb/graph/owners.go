package graph

import (
	"slices"
	"strings"

	"github.com/hmarr/codeowners"
)

// Owners returns who is responsible for a node, and why. It is who is said to own it, or else who owns what it is part of; and who owns
// the files that declare it, by CODEOWNERS. A file has the owners that CODEOWNERS says, and a group is owned by nobody.
func (g *Graph) Owners(of Node, most int) Answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	answer := Answer{Of: []Node{of}, Found: []Found{}, Edges: []Edge{}}
	start, known := g.ids[of]
	if !known {
		return answer
	}
	start = g.resolve(start)
	var edges []hop
	depth := map[int32]int{}
	seen := map[int32]bool{start: true}
	level := []int32{start}
	way := map[int32]hop{}
	for d := 1; d <= MaxDepth && len(level) > 0 && len(depth) == 0; d++ {
		var next []int32
		for _, id := range level {
			g.hopsOut(id, func(h hop) {
				switch {
				case h.relation == OwnedBy:
					if _, found := depth[h.to]; !found {
						depth[h.to] = d
					}
					edges = append(edges, h)
				case h.relation == PartOf && !seen[h.to]:
					seen[h.to] = true
					way[h.to] = h
					next = append(next, h.to)
				case h.relation == PartOf && way[h.to].to == h.to && slices.Contains(next, h.to) && g.before(h, way[h.to]):
					way[h.to] = h
				}
			})
		}
		level = next
	}
	// What led to the owners is told too.
	for _, owned := range slices.Clone(edges) {
		for at := owned.from; at != start; {
			h := way[at]
			edges = append(edges, h)
			at = h.from
		}
	}
	// And CODEOWNERS.
	n := &g.nodes[start]
	for _, d := range n.declared {
		if rule, found := g.codeowner(d.file.path); found {
			if d.index >= 0 {
				for _, l := range n.out {
					if k := &g.links[l]; k.relation == DeclaredIn && k.file == d.file {
						edges = append(edges, hop{from: start, to: k.to, link: l, relation: DeclaredIn})
					}
				}
			}
			g.hopsOut(rule, func(h hop) {
				if h.relation == OwnedBy {
					if _, found := depth[h.to]; !found {
						depth[h.to] = 1
					}
					edges = append(edges, h)
				}
			})
		}
	}
	g.tell(&answer, edges, depth, most)
	return answer
}

// tell adds edges and what they led to, sorted and within the limit.
func (g *Graph) tell(answer *Answer, edges []hop, depth map[int32]int, most int) {
	most = atMost(most)
	var places []Place
	for id, d := range depth {
		answer.Found = append(answer.Found, g.found(id, d, &places))
	}
	slices.SortFunc(answer.Found, func(a, b Found) int {
		if a.Depth != b.Depth {
			return a.Depth - b.Depth
		}
		return a.Node.Compare(b.Node)
	})
	if len(answer.Found) > most {
		answer.LeftOut, answer.Found = len(answer.Found)-most, answer.Found[:most]
	}
	for _, h := range edges {
		answer.Edges = append(answer.Edges, g.edge(h))
	}
	slices.SortFunc(answer.Edges, Edge.Compare)
	answer.Edges = slices.Compact(answer.Edges)
	answer.Edges = answer.Edges[:min(len(answer.Edges), 4*most)]
}

// codeowner is the pattern that says whose a file is: the last that matches, in the CODEOWNERS that counts. A pattern without owners
// takes them away.
func (g *Graph) codeowner(path string) (int32, bool) {
	for _, at := range codeownersPaths {
		f := g.files[at]
		if f == nil {
			continue
		}
		for _, e := range slices.Backward(f.entities) {
			if matches(e.Name, path) {
				return g.ids[e.Node], true
			}
		}
		return 0, false
	}
	return 0, false
}

// matches reports whether a pattern of CODEOWNERS is for a path.
func matches(pattern, path string) bool {
	rules, err := codeowners.ParseFile(strings.NewReader(strings.ReplaceAll(pattern, " ", `\ `) + " @owner\n"))
	if err != nil || len(rules) != 1 {
		return false
	}
	match, err := rules[0].Match(path)
	return err == nil && match
}
