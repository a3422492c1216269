package spec

import (
	"path"
	"reflect"
	"strings"
)

// patchable are the kinds that an overlay can change. A Skill is a folder of files, an Action was approved as it stands,
// and the rules of a Policy must hold wherever somebody reads them.
var patchable = map[Kind]reflect.Type{
	KindAgent: reflect.TypeFor[AgentSpec](), KindFleet: reflect.TypeFor[FleetSpec](), KindModel: reflect.TypeFor[ModelSpec](),
	KindPersona: reflect.TypeFor[PersonaSpec](), KindPrompt: reflect.TypeFor[PromptSpec](),
	KindToolServer: reflect.TypeFor[ToolServerSpec](), KindTrigger: reflect.TypeFor[TriggerSpec](),
}

// overlay notes that the folder name is an overlay, or reports why it is none.
func (l *loader) overlay(name string) bool {
	env := path.Base(name)
	if err := CheckName(env); err != nil {
		l.errorAt(Place{File: name}, "rename the folder, which names the overlay", "%s", err)
		return false
	}
	l.overlays[env] = nil
	return true
}

// patch keeps a document of an overlay until all that it can change is read.
func (l *loader) patch(d *document) {
	switch {
	case d.kind == KindAction:
		l.error(d.top.at("kind"), "an Action is approved and executed as it stands in actions/", "an overlay cannot change an Action")
	case d.kind == KindPolicy:
		l.error(d.top.at("kind"), "change it in policies/, whose rules hold in every environment", "an overlay cannot change a Policy")
	case d.name == "":
		l.missing(d, d.top.at("metadata"), "write metadata: {name: ...}", "the %s to change has no name", d.kind.word())
	default:
		env := strings.Split(d.file.path, "/")[1]
		l.overlays[env] = append(l.overlays[env], d)
	}
}

// applyOverlays checks what every overlay says, so that a mistake is told before the overlay is used, and merges the one
// of env into what is written.
func (l *loader) applyOverlays(env string) {
	written := map[Kind]map[string]*document{}
	for kind := range patchable {
		written[kind] = map[string]*document{}
	}
	for _, d := range l.documents {
		if named := written[d.kind]; named != nil && d.name != "" && named[d.name] == nil {
			named[d.name] = d
		}
	}
	for _, name := range names(l.overlays) {
		first := map[Ref]*document{}
		for _, p := range l.overlays[name] {
			l.decode(p, p.spec, reflect.New(patchable[p.kind]).Interface(), "the spec of "+article(p.kind))
			if p.kind == KindFleet {
				l.approvalOf(p)
			}
			if !known(l, p.named, p.kind, p.name, written[p.kind]) {
				continue
			}
			if before := first[p.ref()]; before != nil {
				l.error(p.named, "write it as one", "overlay %q changes %s %q twice: also at %s", name, p.kind, p.name, before.named.place())
				continue
			}
			first[p.ref()] = p
			if d := written[p.kind][p.name]; name == env && p.broken {
				d.broken = true // What it would have set is not reported as missing too.
			} else if name == env {
				d.spec = merge(d.spec, p.spec)
			}
		}
	}
	l.environment(env)
}

// approvalOf reports what the overlay of a Fleet must leave alone: [LoadRoot] reads no overlay.
func (l *loader) approvalOf(p *document) {
	for _, name := range []string{"approvers", "ledger"} {
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
	l.errorAt(Place{File: "overlays/" + env}, didYouMean(env, existing, "make the folder, or leave the environment out"),
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
