package graph

import (
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// groupRelations is the group of files that say relations which nothing else declares, such as one that a person or a model has found in
// a text or in code. They are files of the repository like any other, and so each relation has its line and commit:
//
//	apiVersion: graph.mainstay.dev/v1alpha1
//	kind: Relations
//	relations:
//	- {from: component:default/cart, relation: dependsOn, to: component:default/ledger, evidence: "docs/cart.md: it posts each payment"}
const groupRelations = "graph.mainstay.dev"

// relations reads such a file. From and to are ids as [Node.String] writes them, and evidence says why it is so, for whoever reviews it.
func (c *collector) relations(d document) {
	if d.get("kind").text() != "Relations" || len(slices.Collect(d.get("relations").items())) == 0 {
		c.problem(d.first, "a file of %s is of kind: Relations and has a list relations", groupRelations)
		return
	}
	for item := range d.get("relations").items() {
		c.relation(item)
	}
}

func (c *collector) relation(item value) {
	for key := range item.pairs() {
		if !slices.Contains([]string{"from", "relation", "to", "evidence"}, key.text()) {
			c.problem(key.line(), "unknown field %.40q: a relation has from, relation, to and evidence", key.text())
		}
	}
	if strings.TrimSpace(item.get("evidence").text()) == "" {
		c.problem(item.line(), "the relation has no evidence: write where it is seen that it is so")
		return
	}
	r := Relation(item.get("relation").text())
	if _, known := relations[r]; !known || r == Contains || r == DeclaredIn {
		c.problem(item.line(), "unknown relation %.40q: use one of %s", string(r), sayable())
		return
	}
	var ends [2]Node
	for i, key := range []string{"from", "to"} {
		text := item.get(key).text()
		if ends[i] = nodeOf(text); !ends[i].plain() {
			c.problem(item.line(), "%s is %.100q, which is no id: write it as mainstay kb graph shows it, such as Deployment.apps:shop/cart or component:default/cart", key, text)
			return
		}
	}
	c.link(ends[0], r, ends[1], item.line())
}

// sayable lists the relations that a file can say: the others follow from where something is declared.
func sayable() string {
	var names []string
	for _, r := range slices.Sorted(maps.Keys(relations)) {
		if r != Contains && r != DeclaredIn {
			names = append(names, string(r))
		}
	}
	return strings.Join(names, ", ")
}

// nodeOf is the node of an id as Node.String writes it, without a name where it is none. A Kubernetes kind without a group is of any.
func nodeOf(id string) Node {
	kind, name, found := strings.Cut(id, ":")
	if !found || kind == "" || strings.TrimSpace(id) != id {
		return Node{}
	}
	first, _ := utf8.DecodeRuneInString(kind)
	base, group, grouped := strings.Cut(kind, ".")
	switch {
	case kind == KindImage:
		n, _ := image(name)
		return n
	case slices.Contains([]string{KindAction, KindApp, KindChart, KindCIDR, KindCodeOwner, KindPath, KindPattern, KindRepository, KindTeam, KindTool}, kind):
		return Node{Kind: kind, Name: name}
	case kind == KindPods:
		return Node{}
	case !grouped && unicode.IsLower(first):
		return entityRef(id, "", "default")
	case !grouped:
		group = groupAny
	}
	n := Node{Group: group, Kind: base, Name: name}
	at := strings.IndexByte(name, '/')
	if group == GroupCompose || group == GroupTerraform { // Their namespaces are paths.
		at = strings.LastIndexByte(name, '/')
	}
	if at >= 0 {
		n.Namespace, n.Name = name[:at], name[at+1:]
	}
	return n
}
