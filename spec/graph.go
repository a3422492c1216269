package spec

import (
	"slices"
)

// cycles finds the ways that lead back to where they began, each once, as the nodes on it from its first one by name to
// that again. Of ways that share a node only one may be found: the others show once it is mended.
func cycles(edges map[string][]string) [][]string {
	var found [][]string
	const onPath, done = 1, 2
	state := map[string]int{}
	var path []string
	var visit func(name string)
	visit = func(name string) {
		state[name] = onPath
		path = append(path, name)
		for _, next := range slices.Sorted(slices.Values(edges[name])) {
			switch state[next] {
			case 0:
				visit(next)
			case onPath:
				way := slices.Clone(path[slices.Index(path, next):])
				first := slices.Index(way, slices.Min(way))
				way = slices.Concat(way[first:], way[:first])
				found = append(found, append(way, way[0]))
			}
		}
		path = path[:len(path)-1]
		state[name] = done
	}
	for _, name := range names(edges) {
		if state[name] == 0 {
			visit(name)
		}
	}
	return found
}
