package graph

import (
	"maps"
	"slices"
	"sync"
)

// Graph is the union of the facts of files. It is safe for concurrent use. All that it answers depends on nothing but those facts, and
// not on the order in which they came.
type Graph struct {
	mu      sync.Mutex
	commit  string
	remotes map[string]bool

	files map[string]*file
	ids   map[Node]int32
	nodes []node
	links []link
	// What was removed leaves its place to what comes.
	freeNodes, freeLinks []int32

	names   map[name]*bucket
	labels  labelIndex
	folders map[string]*folder
	foreign foreignPaths
	// What questions remember.
	visits   visits
	resolved resolved
}

// file is one whose facts are in the graph.
type file struct {
	path     string
	node     int32
	links    []int32
	entities []Entity
	problems []Problem
}

// node is an entity, declared or referred to.
type node struct {
	Node
	uses     int32 // Declarations, and links at either end. Where there are none, the node is gone.
	declared []declaration
	out, in  []int32 // Links.
	bucket   *bucket
	place    int32 // In the bucket.
}

// declaration is where an entity is declared.
type declaration struct {
	file  *file
	index int32 // In the file's entities; -1 for the file itself.
}

// link is a Link in the graph.
type link struct {
	from, to     int32
	atFrom, atTo int32 // The places in the nodes' lists.
	line         int32
	relation     Relation
	ifDeclared   bool
	version      string
	file         *file
}

// name is what entities may share that a reference without namespace, or without group, can mean.
type name struct{ kind, name string }

// bucket holds the nodes of one name.
type bucket struct {
	nodes    []int32
	declared map[int32]bool
}

// New returns an empty graph. Remotes are URLs of the repository that its files are of: what refers to a path in one of them refers to
// a file of the graph.
func New(remotes ...string) *Graph {
	g := &Graph{remotes: map[string]bool{}, files: map[string]*file{}, ids: map[Node]int32{}, names: map[name]*bucket{}, folders: map[string]*folder{}}
	for _, r := range remotes {
		g.remotes[repository(r).Name] = true
	}
	g.labels.init()
	return g
}

// SetCommit says which commit the files are of. Edges tell it.
func (g *Graph) SetCommit(commit string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.commit = commit
}

// Put adds the facts of a file, in place of those it had before. They are not to be changed afterwards.
func (g *Graph) Put(facts Facts) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.put(facts)
}

// Move brings the graph to another commit: some files are removed, and facts are put as Put does. Questions meet the former commit or the
// new one.
func (g *Graph) Move(commit string, removed []string, put []Facts) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.commit = commit
	for _, path := range removed {
		g.remove(path)
	}
	for _, facts := range put {
		g.put(facts)
	}
}

func (g *Graph) put(facts Facts) {
	g.remove(facts.Path)
	f := &file{path: facts.Path, entities: facts.Entities, problems: facts.Problems}
	g.files[f.path] = f
	g.addToFolder(f.path)
	f.node = g.intern(Node{Kind: KindPath, Name: f.path})
	g.declare(f.node, declaration{f, -1})
	for i, e := range f.entities {
		id := g.intern(e.Node)
		g.declare(id, declaration{f, int32(i)})
		if len(e.Labels) > 0 {
			g.labels.put(id, e.Namespace, e.Labels)
		}
		if id != f.node {
			g.connect(f, Link{From: e.Node, Relation: DeclaredIn, To: Node{Kind: KindPath, Name: f.path}, Line: e.First})
		}
	}
	for _, l := range facts.Links {
		if _, known := relations[l.Relation]; known {
			g.connect(f, l)
		}
	}
	g.changed()
}

// Remove takes a file out. It is no error where there is none.
func (g *Graph) Remove(path string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(path)
}

func (g *Graph) remove(path string) {
	f := g.files[path]
	if f == nil {
		return
	}
	delete(g.files, path)
	g.removeFromFolder(path)
	for _, l := range f.links {
		g.disconnect(l)
	}
	for i, e := range f.entities {
		id := g.ids[e.Node]
		if len(e.Labels) > 0 {
			g.labels.remove(id, e.Namespace, e.Labels)
		}
		g.undeclare(id, declaration{f, int32(i)})
	}
	g.undeclare(f.node, declaration{f, -1})
	g.changed()
}

// Files are the paths of the files, sorted.
func (g *Graph) Files() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.files))
}

// Problems are those of a file.
func (g *Graph) Problems(path string) []Problem {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.files[path]; f != nil {
		return slices.Clone(f.problems)
	}
	return nil
}

// Size is how many entities, declared or referred to, and how many relations there are.
func (g *Graph) Size() (entities, relations int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.ids), len(g.links) - len(g.freeLinks)
}

// intern returns the id of a node. The caller uses it at once.
func (g *Graph) intern(n Node) int32 {
	if id, known := g.ids[n]; known {
		return id
	}
	var id int32
	if last := len(g.freeNodes) - 1; last >= 0 {
		id, g.freeNodes = g.freeNodes[last], g.freeNodes[:last]
	} else {
		id = int32(len(g.nodes))
		g.nodes = append(g.nodes, node{})
	}
	g.ids[n] = id
	key := name{n.Kind, n.Name}
	b := g.names[key]
	if b == nil {
		b = &bucket{}
		g.names[key] = b
	}
	g.nodes[id] = node{Node: n, bucket: b, place: int32(len(b.nodes))}
	b.nodes = append(b.nodes, id)
	switch {
	case n.Kind == KindPods && n.Group == "":
		g.labels.addSelector(id, n)
	case n.Kind == KindPath && n.Group == "" && n.Namespace != "":
		g.foreign.add(id)
	}
	return id
}

// release forgets a node that nothing uses any more.
func (g *Graph) release(id int32) {
	n := &g.nodes[id]
	if n.uses--; n.uses > 0 {
		return
	}
	delete(g.ids, n.Node)
	b := n.bucket
	moved := b.nodes[len(b.nodes)-1]
	b.nodes[n.place] = moved
	g.nodes[moved].place = n.place
	if b.nodes = b.nodes[:len(b.nodes)-1]; len(b.nodes) == 0 {
		delete(g.names, name{n.Kind, n.Name})
	}
	switch {
	case n.Kind == KindPods && n.Group == "":
		g.labels.removeSelector(id, n.Node)
	case n.Kind == KindPath && n.Group == "" && n.Namespace != "":
		g.foreign.remove(id)
	}
	*n = node{}
	g.freeNodes = append(g.freeNodes, id)
}

func (g *Graph) declare(id int32, d declaration) {
	n := &g.nodes[id]
	n.uses++
	n.declared = append(n.declared, d)
	if n.bucket.declared == nil {
		n.bucket.declared = map[int32]bool{}
	}
	n.bucket.declared[id] = true
}

func (g *Graph) undeclare(id int32, d declaration) {
	n := &g.nodes[id]
	if at := slices.Index(n.declared, d); at >= 0 {
		n.declared[at] = n.declared[len(n.declared)-1]
		n.declared = n.declared[:len(n.declared)-1]
	}
	if len(n.declared) == 0 {
		delete(n.bucket.declared, id)
	}
	g.release(id)
}

func (g *Graph) connect(f *file, l Link) {
	from := g.intern(l.From)
	g.nodes[from].uses++
	if l.To.Kind == KindPath && g.remotes[l.To.Namespace] {
		l.To.Namespace = ""
	}
	to := g.intern(l.To)
	g.nodes[to].uses++
	var id int32
	if last := len(g.freeLinks) - 1; last >= 0 {
		id, g.freeLinks = g.freeLinks[last], g.freeLinks[:last]
	} else {
		id = int32(len(g.links))
		g.links = append(g.links, link{})
	}
	a, b := &g.nodes[from], &g.nodes[to]
	g.links[id] = link{from, to, int32(len(a.out)), int32(len(b.in)), int32(l.Line), l.Relation, l.IfDeclared, l.Version, f}
	a.out, b.in = append(a.out, id), append(b.in, id)
	f.links = append(f.links, id)
}

func (g *Graph) disconnect(id int32) {
	l := g.links[id]
	out := &g.nodes[l.from].out
	moved := (*out)[len(*out)-1]
	(*out)[l.atFrom], g.links[moved].atFrom = moved, l.atFrom
	*out = (*out)[:len(*out)-1]
	in := &g.nodes[l.to].in
	moved = (*in)[len(*in)-1]
	(*in)[l.atTo], g.links[moved].atTo = moved, l.atTo
	*in = (*in)[:len(*in)-1]
	g.links[id] = link{}
	g.freeLinks = append(g.freeLinks, id)
	g.release(l.from)
	g.release(l.to)
}
