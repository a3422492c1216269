package graph

import (
	"maps"
	"path"
	"slices"
)

// folder is one that has files of the graph in it or beneath it.
type folder struct {
	node           int32
	files, folders map[string]bool // By path.
}

func (g *Graph) addToFolder(file string) {
	child, isFolder := file, false
	for child != "." && child != "/" {
		parent := path.Dir(child)
		f := g.folders[parent]
		if f == nil {
			f = &folder{g.intern(Node{Kind: KindPath, Name: parent}), map[string]bool{}, map[string]bool{}}
			g.nodes[f.node].uses++
			g.folders[parent] = f
		}
		if isFolder {
			f.folders[child] = true
		} else {
			f.files[child] = true
		}
		child, isFolder = parent, true
	}
}

func (g *Graph) removeFromFolder(file string) {
	child, isFolder := file, false
	for child != "." && child != "/" {
		parent := path.Dir(child)
		f := g.folders[parent]
		if isFolder {
			delete(f.folders, child)
		} else {
			delete(f.files, child)
		}
		if len(f.files)+len(f.folders) > 0 {
			return
		}
		delete(g.folders, parent)
		g.release(f.node)
		child, isFolder = parent, true
	}
}

// heads are the files that say what is in a folder, where there is one.
var heads = []string{"kustomization.yaml", "kustomization.yml", "Kustomization", "Chart.yaml"}

// head is the file that stands for a folder, or "".
func (g *Graph) head(dir string) string {
	f := g.folders[dir]
	if f == nil {
		return ""
	}
	for _, h := range heads {
		if p := path.Join(dir, h); f.files[p] {
			return p
		}
	}
	return ""
}

// contents are the files that a folder stands for: its head, or what is in it and in the folders beneath.
func (g *Graph) contents(dir string, yield func(int32)) {
	if h := g.head(dir); h != "" {
		yield(g.files[h].node)
		return
	}
	f := g.folders[dir]
	if f == nil {
		return
	}
	for _, p := range slices.Sorted(maps.Keys(f.files)) {
		yield(g.files[p].node)
	}
	for _, p := range slices.Sorted(maps.Keys(f.folders)) {
		g.contents(p, yield)
	}
}

// wanted reports whether something refers to a path.
func (g *Graph) wanted(id int32) bool {
	return len(g.nodes[id].in) > 0 || len(g.foreignAliases(id)) > 0
}

// containers are the folders that something refers to and that stand for a file.
func (g *Graph) containers(file string, yield func(int32)) {
	for dir := path.Dir(file); ; dir = path.Dir(dir) {
		if h := g.head(dir); h != "" && h != file {
			return
		}
		if f := g.folders[dir]; f != nil && g.wanted(f.node) {
			yield(f.node)
		}
		if dir == "." || dir == "/" {
			return
		}
	}
}

// foreignPaths are paths of other repositories and of artifacts. Some of the latter are paths of this repository by another name.
type foreignPaths struct {
	all   map[int32]bool
	stale bool
	of    map[int32][]int32 // By the path they are; it is made anew when a question needs it and files have changed.
}

func (x *foreignPaths) add(id int32) {
	if x.all == nil {
		x.all = map[int32]bool{}
	}
	x.all[id] = true
}

func (x *foreignPaths) remove(id int32) { delete(x.all, id) }

func (g *Graph) foreignAliases(id int32) []int32 {
	x := &g.foreign
	if x.stale {
		x.of, x.stale = map[int32][]int32{}, false
		for f := range x.all {
			if to := g.resolve(f); to != f {
				x.of[to] = append(x.of[to], f)
			}
		}
	}
	return x.of[id]
}

// local is the path of this repository that a path of an artifact is, or -1.
func (g *Graph) local(n Node) int32 {
	for at, rest := n.Name, ""; ; at, rest = path.Dir(at), path.Join(path.Base(at), rest) {
		if id, known := g.ids[Node{Kind: KindPath, Namespace: n.Namespace, Name: at}]; known {
			for _, l := range g.nodes[id].out {
				if g.links[l].relation == SameAs {
					if to := g.nodes[g.links[l].to].Node; to.Namespace == "" {
						return g.path(path.Join(to.Name, rest))
					}
				}
			}
		}
		if at == "." || at == "/" {
			return -1
		}
	}
}

// path is the id of a path, if it is in the graph.
func (g *Graph) path(p string) int32 {
	if id, known := g.ids[Node{Kind: KindPath, Name: p}]; known {
		return id
	}
	return -1
}
