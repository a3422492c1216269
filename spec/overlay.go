package spec

import (
	"path"
	"reflect"
	"strings"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// overlay notes that the folder name is an overlay, or reports why it is none.
func (l *loader) overlay(name string) bool {
	env := path.Base(name)
	if err := CheckName(env); err != nil {
		l.errorAt(Place{File: name}, "rename the folder, which names the overlay", "%s", err)
		return false
	}
	l.environments = append(l.environments, env)
	return true
}

// sortOut puts the documents of overlays aside. An overlay can change every kind but a Skill, which is a folder of files, an
// Action, which was approved as it stands, and a Policy, whose rules must hold wherever somebody reads them.
func (l *loader) sortOut() {
	for _, env := range l.environments {
		l.overlays[env] = nil
	}
	if len(l.environments) == 0 {
		return
	}
	var resources []*document
	for _, d := range l.documents {
		switch {
		case d.env == "":
			resources = append(resources, d)
		case d.kind == KindAction:
			l.error(d.top.at("kind"), "an Action is approved and executed as it stands in actions/", "an overlay cannot change an Action")
		case d.kind == KindPolicy:
			l.error(d.top.at("kind"), "change it in policies/, whose rules hold in every environment", "an overlay cannot change a Policy")
		case d.name == "":
			l.missing(d, d.top.at("metadata"), "write metadata: {name: ...}", "the %s to change has no name", d.kind.word())
		default:
			l.overlays[d.env] = append(l.overlays[d.env], d)
		}
	}
	l.documents = resources
}

// applyOverlays checks what every overlay says, so that a mistake is told before the overlay is used, and merges the one
// of env into what is written.
func (l *loader) applyOverlays(env string) {
	defer l.environment(env)
	patched := map[Ref]int{} // the place in documents of what an overlay changes, or -1
	for _, patches := range l.overlays {
		for _, p := range patches {
			patched[p.ref()] = -1
		}
	}
	if len(patched) == 0 {
		return
	}
	written := map[Kind]map[string]bool{}
	for i, d := range l.documents {
		if written[d.kind] == nil {
			written[d.kind] = map[string]bool{}
		}
		written[d.kind][d.name] = true
		if at, ok := patched[d.ref()]; ok && at < 0 {
			patched[d.ref()] = i
		}
	}
	for _, name := range names(l.overlays) {
		first := map[Ref]*document{}
		for _, p := range l.overlays[name] {
			l.checkPatch(p)
			if !known(l, p.named, p.kind, p.name, written[p.kind]) {
				continue
			}
			if before := first[p.ref()]; before != nil {
				l.error(p.named, "write it as one", "overlay %q changes %s %q twice: also at %s", name, p.kind, p.name, before.named.place())
				continue
			}
			first[p.ref()] = p
			l.lockedIn(l.documents[patched[p.ref()]], p)
			if i := patched[p.ref()]; name == env {
				l.documents[i] = l.patch(l.documents[i], p)
			}
		}
	}
}

// checkPatch checks once what a document of an overlay says by itself.
func (l *loader) checkPatch(p *document) {
	if p.entry == nil {
		before := len(l.problems)
		strict := &decoder{partial: true, report: func(at Place, summary, hint string) { l.errorAt(at, hint, "%s", summary) }}
		strict.decode(p.spec, reflect.New(Written[p.kind]).Elem(), "the spec of "+article(p.kind))
		p.broken = p.broken || strict.broken
		if p.kind == KindFleet {
			l.approvalOf(p)
		}
		if l.more == 0 {
			p.entry, p.found = true, append(Problems(nil), l.problems[before:]...)
		}
		return
	}
	for _, one := range p.found {
		l.add(one)
	}
}

// lockedIn reports where a document of an overlay would change a locked section of a Prompt, move it, or leave it out.
func (l *loader) lockedIn(d, p *document) {
	if d.kind != KindPrompt {
		return
	}
	if d.spec.has("extends") && p.spec.get("extends") != nil {
		l.error(p.spec.keyOf("extends"), "change it in the prompt itself", "an overlay cannot change what a prompt extends, whose sections may be locked")
	}
	changed := p.spec.get("sections")
	if changed == nil {
		return
	}
	kept := 0
	for _, s := range d.spec.at("sections").items {
		if s.get("locked") == nil || s.get("locked").value != true {
			continue
		}
		want, _ := Canonical(s.json())
		found := false
		for kept < len(changed.items) && !found {
			have, _ := Canonical(changed.items[kept].json())
			found = string(have) == string(want)
			kept++
		}
		if !found {
			l.error(changed, "write it as it is there, in the same order", "the overlay changes, moves or leaves out the section %q, which is locked at %s", s.at("name").written, s.place())
			return
		}
	}
}

// patch returns d as a document of an overlay changes it. Neither is changed.
func (l *loader) patch(d, p *document) *document {
	if l.cache != nil && l.cache.merged[[2]*document{d, p}] != nil {
		return l.cache.merged[[2]*document{d, p}]
	}
	out := &document{kind: d.kind, name: d.name, labels: d.labels, file: d.file, top: d.top, named: d.named, spec: d.spec, broken: d.broken}
	if p.broken {
		out.broken = true // What it would have set is not reported as missing too.
	} else {
		out.spec = merge(d.spec, p.spec)
	}
	if l.cache != nil {
		l.cache.merged[[2]*document{d, p}] = out
	}
	return out
}

// approvalOf reports what the overlay of a Fleet must leave alone: [LoadRoot] reads no overlay.
func (l *loader) approvalOf(p *document) {
	for _, name := range []string{"approvers", "ledger", "signatures"} {
		if p.spec.get(name) != nil {
			l.error(p.spec.keyOf(name), "change it there", "an overlay cannot change %q: approval is judged from %s alone", name, rootFile)
		}
	}
}

// environment reports an environment that has no overlay.
func (l *loader) environment(env string) {
	if _, ok := l.overlays[env]; ok || env == "" {
		return
	}
	if err := CheckName(env); err != nil {
		l.errorAt(Place{File: "overlays"}, "", "the overlay %s", err)
		return
	}
	existing := names(l.overlays)
	there := "none"
	if len(existing) > 0 {
		there = shorten(strings.Join(existing, ", "), 200)
	}
	l.errorAt(Place{File: "overlays/" + env}, near.Hint(env, existing, "make the folder, or leave the environment out"),
		"there is no overlay %q; there are %s", env, there)
}

// merge returns base as patch changes it, by the rules of JSON merge patch (RFC 7386): objects are merged field by field,
// null removes a field, and everything else replaces what was there. What comes from patch keeps its place. Neither
// argument is changed; base may be nil.
func merge(base, patch *node) *node {
	if patch.kind != objectNode {
		return patch
	}
	out := &node{kind: objectNode, file: patch.file, line: patch.line, column: patch.column}
	if base != nil && base.kind == objectNode {
		out.file, out.line, out.column = base.file, base.line, base.column
		for _, f := range base.fields {
			if patch.get(f.name) == nil {
				out.add(f)
			}
		}
	}
	for _, f := range patch.fields {
		if f.value.kind == nullNode {
			if out.removed == nil {
				out.removed = map[string]*node{}
			}
			out.removed[f.name] = f.value
			continue
		}
		before, key := base.get(f.name), f.key
		if before != nil && before.kind == objectNode && f.value.kind == objectNode {
			key = base.keyOf(f.name)
		}
		out.add(field{f.name, key, merge(before, f.value)})
	}
	return out
}
