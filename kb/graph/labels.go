package graph

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// labelIndex finds the workloads of a selector, and the selectors of a workload.
type labelIndex struct {
	// workloads are those with a label, key=value, and all that have any. A workload that is declared several times may have several
	// sets of labels.
	workloads map[string]map[int32]bool
	sets      map[int32][]labels.Set
	// selectors are by one label that they ask for, and those that ask for none are under "".
	selectors map[string]map[int32]bool
	parsed    map[int32]selector
}

type selector struct {
	labels.Selector
	pair string // A label that it asks for, key=value, or "".
}

func (x *labelIndex) init() {
	*x = labelIndex{map[string]map[int32]bool{}, map[int32][]labels.Set{}, map[string]map[int32]bool{}, map[int32]selector{}}
}

func add(m map[string]map[int32]bool, key string, id int32) {
	if m[key] == nil {
		m[key] = map[int32]bool{}
	}
	m[key][id] = true
}

func remove(m map[string]map[int32]bool, key string, id int32) {
	if delete(m[key], id); len(m[key]) == 0 {
		delete(m, key)
	}
}

// put adds the labels of a workload's pods.
func (x *labelIndex) put(id int32, set map[string]string) {
	x.sets[id] = append(x.sets[id], set)
	add(x.workloads, "", id)
	for k, v := range set {
		add(x.workloads, k+"="+v, id)
	}
}

func (x *labelIndex) remove(id int32, set map[string]string) {
	rest := x.sets[id]
	for i, s := range rest {
		if labels.Equals(s, set) {
			rest = append(rest[:i:i], rest[i+1:]...)
			break
		}
	}
	for k, v := range set {
		remove(x.workloads, k+"="+v, id)
	}
	remove(x.workloads, "", id)
	delete(x.sets, id)
	for _, s := range rest {
		x.put(id, s)
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
	add(x.selectors, s.pair, id)
}

func (x *labelIndex) removeSelector(id int32) {
	remove(x.selectors, x.parsed[id].pair, id)
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

// selected are the workloads that a node of kind Pods stands for.
func (g *Graph) selected(id int32, yield func(int32)) {
	for w := range g.labels.workloads[g.labels.parsed[id].pair] {
		if near(g.nodes[id].Namespace, g.nodes[w].Namespace) && g.labels.matches(id, w) {
			yield(w)
		}
	}
}

// selectorsOf are the nodes of kind Pods that stand for a workload.
func (g *Graph) selectorsOf(w int32, yield func(int32)) {
	sets := g.labels.sets[w]
	if len(sets) == 0 {
		return
	}
	try := func(key string) {
		for s := range g.labels.selectors[key] {
			if near(g.nodes[s].Namespace, g.nodes[w].Namespace) && g.labels.matches(s, w) {
				yield(s)
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

// near reports whether two namespaces may be the same, where one that is not written may be any, and "*" is all.
func near(a, b string) bool { return a == b || a == "" || b == "" || a == "*" }
