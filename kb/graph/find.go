package graph

import (
	"cmp"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// Find returns the entities that a person may mean, the best first: those with this id or name, then those whose id holds each word of
// the text. Case does not count. Those that are declared come before others. Where there are none, suggestions are names that are
// written alike.
func (g *Graph) Find(text string, most int) (found []Found, suggestions []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	most = atMost(most)
	text = strings.ToLower(strings.TrimSpace(text))
	words := strings.Fields(text)
	if len(words) == 0 || len(text) > maxName {
		return nil, nil
	}
	type hit struct {
		id    int32
		class int
	}
	var hits []hit
	for n, id := range g.ids {
		if n.Kind == KindPods && n.Group == "" || g.resolve(id) != id || g.folders[n.Name] != nil && n.Kind == KindPath && !g.wanted(id) {
			continue
		}
		class, label, name := 0, strings.ToLower(n.String()), strings.ToLower(n.Name)
		switch base := name[strings.LastIndexByte(name, '/')+1:]; {
		case label == text:
		case name == text:
			class = 2
		case base == text:
			class = 4
		case strings.HasPrefix(base, words[len(words)-1]) && holds(label, words):
			class = 6
		case holds(label, words):
			class = 8
		default:
			continue
		}
		if !g.exists(id) {
			class++
		}
		hits = append(hits, hit{id, class})
	}
	slices.SortFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(len(g.nodes[a.id].Name), len(g.nodes[b.id].Name)), g.order(a.id, b.id))
	})
	for _, h := range hits[:min(len(hits), most)] {
		found = append(found, g.found(h.id, 0))
	}
	if len(hits) == 0 {
		suggestions = g.alike(text)
	}
	return found, suggestions
}

func holds(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// alike are the three names that are nearest to a misspelt one.
func (g *Graph) alike(text string) []string {
	if len(text) > 64 {
		return nil
	}
	distances := map[string]int{}
	for n, id := range g.ids {
		name := n.Name[strings.LastIndexByte(n.Name, '/')+1:]
		if len(name) > 64 || n.Kind == KindPods || !g.exists(id) {
			continue
		}
		if _, known := distances[name]; !known {
			distances[name] = levenshtein.Distance(text, strings.ToLower(name), nil)
		}
	}
	var names []string
	for name, d := range distances {
		if d <= max(1, len(text)/3) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(distances[a], distances[b]), cmp.Compare(a, b)) })
	return names[:min(len(names), 3)]
}

// RunsImage returns who runs an image or builds upon it. A tag or digest narrows it to those that want that one. A name without a
// registry is Docker Hub's, or else that of any image whose last part it is.
func (g *Graph) RunsImage(text string, most int) Answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	answer := Answer{Of: []Node{}, Found: []Found{}, Edges: []Edge{}}
	n, version := image(text)
	if n.Name == "" {
		return answer
	}
	ids := []int32{}
	if id, known := g.ids[n]; known {
		ids = append(ids, id)
	} else {
		last := n.Name[strings.LastIndexByte(n.Name, '/'):]
		for o, id := range g.ids {
			if o.Kind == KindImage && o.Group == "" && strings.HasSuffix(o.Name, last) {
				ids = append(ids, id)
			}
		}
	}
	slices.SortFunc(ids, g.order)
	depth, edges := map[int32]int{}, []hop{}
	for _, id := range ids {
		answer.Of = append(answer.Of, g.nodes[id].Node)
		g.hopsIn(id, func(h hop) {
			if (h.relation == Runs || h.relation == BuiltFrom) && (version == "" || g.links[h.link].version == version) {
				depth[h.from] = 1
				edges = append(edges, h)
			}
		})
	}
	if len(answer.Of) == 0 {
		answer.Of = append(answer.Of, n)
	}
	g.tell(&answer, edges, depth, most)
	return answer
}

// Entities returns the entities that files declare, sorted.
func (g *Graph) Entities() []Found {
	g.mu.Lock()
	defer g.mu.Unlock()
	var found []Found
	for _, id := range g.ids {
		if slices.ContainsFunc(g.nodes[id].declared, func(d declaration) bool { return d.index >= 0 }) {
			found = append(found, g.found(id, 0))
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
				edges = append(edges, g.edge(hop{from, to, int32(id), k.relation}))
			}
		})
	}
	slices.SortFunc(edges, Edge.Compare)
	return slices.Compact(edges)
}

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
		g.steps(id, func(r Relation) direction {
			if r == DeclaredIn {
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
