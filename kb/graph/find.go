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
	var places []Place
	for _, h := range hits[:min(len(hits), most)] {
		found = append(found, g.found(h.id, 0, &places))
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
