package graph

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// labelIndex finds the workloads of a selector, and the selectors of a workload.
type labelIndex struct {
	// workloads are by namespace and one label, key=value, or "" for all that have labels. A workload that is declared several times may
	// have several sets of them.
	workloads map[labelled]map[int32]bool
	sets      map[int32][]labels.Set
	// selectors are by namespace and one label that they ask for, or "" where they ask for none.
	selectors map[labelled]map[int32]bool
	parsed    map[int32]selector
	// broad are selectors of very many workloads, as far as it is known since the last change.
	broad map[int32]bool
}

type labelled struct{ namespace, pair string }

// anywhere is the namespace under which all are found once more. It is none that Kubernetes allows.
const anywhere = "\x00"

type selector struct {
	labels.Selector
	pair string // A label that it asks for, key=value, or "".
}

func (x *labelIndex) init() {
	*x = labelIndex{map[labelled]map[int32]bool{}, map[int32][]labels.Set{}, map[labelled]map[int32]bool{}, map[int32]selector{}, map[int32]bool{}}
}

func add(m map[labelled]map[int32]bool, namespace, pair string, id int32) {
	for _, key := range []labelled{{namespace, pair}, {anywhere, pair}} {
		if m[key] == nil {
			m[key] = map[int32]bool{}
		}
		m[key][id] = true
	}
}

func remove(m map[labelled]map[int32]bool, namespace, pair string, id int32) {
	for _, key := range []labelled{{namespace, pair}, {anywhere, pair}} {
		if delete(m[key], id); len(m[key]) == 0 {
			delete(m, key)
		}
	}
}

// put adds the labels of a workload's pods.
func (x *labelIndex) put(id int32, namespace string, set map[string]string) {
	x.sets[id] = append(x.sets[id], set)
	add(x.workloads, namespace, "", id)
	for k, v := range set {
		add(x.workloads, namespace, k+"="+v, id)
	}
}

func (x *labelIndex) remove(id int32, namespace string, set map[string]string) {
	rest := x.sets[id]
	for i, s := range rest {
		if labels.Equals(s, set) {
			rest = append(rest[:i:i], rest[i+1:]...)
			break
		}
	}
	for k, v := range set {
		remove(x.workloads, namespace, k+"="+v, id)
	}
	remove(x.workloads, namespace, "", id)
	delete(x.sets, id)
	for _, s := range rest {
		x.put(id, namespace, s)
	}
}

func (x *labelIndex) addSelector(id int32, n Node) {
	s := selector{Selector: labels.Everything()}
	if n.Name != everything {
		parsed, err := labels.Parse(n.Name)
		if err != nil {
			parsed = labels.Nothing() // What is no selector selects nothing.
		}
		s.Selector = parsed
		requirements, _ := parsed.Requirements()
		for _, r := range requirements {
			if op := r.Operator(); op == selection.Equals || op == selection.DoubleEquals || op == selection.In && r.Values().Len() == 1 {
				s.pair = r.Key() + "=" + r.Values().List()[0]
				break
			}
		}
	}
	x.parsed[id] = s
	add(x.selectors, n.Namespace, s.pair, id)
}

func (x *labelIndex) removeSelector(id int32, n Node) {
	remove(x.selectors, n.Namespace, x.parsed[id].pair, id)
	delete(x.parsed, id)
}

func (x *labelIndex) matches(selector, workload int32) bool {
	s := x.parsed[selector]
	for _, set := range x.sets[workload] {
		if s.Matches(set) {
			return true
		}
	}
	return false
}

// maxSelected is how many workloads a selector may select to be told one by one. With more, the pods stand between, as one entity, so
// that many policies for many workloads are not all of their pairs.
const maxSelected = 100

// isBroad reports whether a node of kind Pods stands for more than maxSelected workloads.
func (g *Graph) isBroad(id int32) bool {
	broad, known := g.labels.broad[id]
	if !known {
		n := 0
		g.selected(id, func(int32) bool { n++; return n <= maxSelected })
		broad = n > maxSelected
		g.labels.broad[id] = broad
	}
	return broad
}

// selected are the workloads that a node of kind Pods stands for.
func (g *Graph) selected(id int32, yield func(int32) bool) {
	pair, namespace := g.labels.parsed[id].pair, g.nodes[id].Namespace
	keys := []labelled{{anywhere, pair}}
	if namespace != "" && namespace != "*" {
		keys = []labelled{{namespace, pair}, {"", pair}}
	}
	for _, key := range keys {
		for w := range g.labels.workloads[key] {
			if g.labels.matches(id, w) && !yield(w) {
				return
			}
		}
	}
}

// selectorsOf are the nodes of kind Pods that stand for a workload.
func (g *Graph) selectorsOf(w int32, yield func(int32)) {
	sets := g.labels.sets[w]
	if len(sets) == 0 {
		return
	}
	namespaces := []string{anywhere}
	if namespace := g.nodes[w].Namespace; namespace != "" {
		namespaces = []string{namespace, "", "*"}
	}
	try := func(pair string) {
		for _, namespace := range namespaces {
			for s := range g.labels.selectors[labelled{namespace, pair}] {
				if g.labels.matches(s, w) {
					yield(s)
				}
			}
		}
	}
	try("")
	for i, set := range sets {
		for k, v := range set {
			if !slices.ContainsFunc(sets[:i], func(before labels.Set) bool { return before.Has(k) && before[k] == v }) {
				try(k + "=" + v)
			}
		}
	}
}
