package plan

import (
	"slices"

	"github.com/mainstay-dev/mainstay/spec"
)

// CompareDigests is [Compare] where of the side before only digests are known. It tells which resources differ and not in
// what, so that all that differ are marked.
func CompareDigests(before []spec.Resource, after *spec.Fleet) *Change {
	c := newChange(nil, after)
	x := &comparison{before: newFleet(&spec.Fleet{Resources: before}), after: newFleet(after), Change: c}
	was := map[spec.Ref]spec.Resource{}
	x.before.Actions = map[spec.ActionID]*spec.Action{}
	for _, r := range before {
		was[r.Ref] = r
		if r.Kind == spec.KindAction {
			x.before.Actions[spec.ActionID(r.Name)] = &spec.Action{Resource: r}
		}
	}
	note := func(r spec.Resource) {
		x.widened.add(r.Ref, "digest", "may permit more: what it was before is not known")
	}
	for _, r := range after.Resources {
		old, ok := was[r.Ref]
		delete(was, r.Ref)
		switch {
		case !ok:
			c.Resources = append(c.Resources, ResourceChange{Ref: r.Ref, Mode: Added, Place: r.Place, To: r.Digest})
		case old.Digest != r.Digest:
			c.Resources = append(c.Resources, ResourceChange{Ref: r.Ref, Mode: Changed, Place: r.Place, From: old.Digest, To: r.Digest})
		default:
			continue
		}
		note(r)
	}
	for _, r := range was {
		c.Resources = append(c.Resources, ResourceChange{Ref: r.Ref, Mode: Removed, Place: r.Place, From: r.Digest})
		if r.Kind != spec.KindAgent && r.Kind != spec.KindTrigger && r.Kind != spec.KindToolServer {
			note(r) // It may have held others back.
		}
	}
	slices.SortFunc(c.Resources, func(a, b ResourceChange) int { return compareRefs(a.Ref, b.Ref) })
	c.Actions = append(c.Actions, actions(x.before, x.after)...)
	c.Widened = append(c.Widened, x.widened.sorted()...)
	c.sum()
	return c
}
