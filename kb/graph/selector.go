package graph

import (
	"maps"
	"slices"
	"strings"
)

// pods is the node of the pods in a namespace that a label selector is for. Pods of all namespaces are in "*".
func pods(namespace, selector string) Node {
	if selector == "" {
		selector = everything
	}
	return Node{Kind: KindPods, Namespace: namespace, Name: selector}
}

// everything is the selector of all pods.
const everything = "*"

// selectorOf writes labels as a selector.
func selectorOf(labels map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, key+"="+labels[key])
	}
	return strings.Join(parts, ",")
}

// labelSelector writes a selector with matchLabels and matchExpressions as kubectl takes it.
func labelSelector(v value) string {
	var parts []string
	if s := selectorOf(v.get("matchLabels").labels()); s != "" {
		parts = append(parts, s)
	}
	for e := range v.get("matchExpressions").items() {
		key, values := e.get("key").text(), []string(nil)
		for v := range e.get("values").items() {
			values = append(values, v.text())
		}
		slices.Sort(values)
		switch e.get("operator").text() {
		case "In":
			parts = append(parts, key+" in ("+strings.Join(values, ",")+")")
		case "NotIn":
			parts = append(parts, key+" notin ("+strings.Join(values, ",")+")")
		case "Exists":
			parts = append(parts, key)
		case "DoesNotExist":
			parts = append(parts, "!"+key)
		}
	}
	return strings.Join(parts, ",")
}

// selects relates to the pods of a selector. A selector that is not there selects none; an empty one, all.
func (r resource) selects(relation Relation, selector value, namespace string) {
	if selector.there() {
		r.link(r.self, relation, pods(namespace, labelSelector(selector)), selector.line())
	}
}
