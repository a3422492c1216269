package plan

import (
	"strconv"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// maxPinned is how much of a change in a lock a sentence tells, in characters. It is more than of other values: it is what
// models are told.
const maxPinned = 2000

// lock compares what the locks pin of what is declared, and keeps what differs by the resource that it is about; that is the
// Fleet for runtimes. A pin refuses whatever is something else, so that the first lock, or one pin more, narrows what is
// permitted. What is accepted instead of what was pinned widens it.
func (x *comparison) lock(ref spec.Ref) {
	before, after := x.before.Lock, x.after.Lock
	x.pins, x.pinned = map[spec.Ref][]Field{}, map[string][]Field{}
	if before == nil && after == nil {
		return
	}
	was, is := x.before.Pins(), x.after.Pins()
	switch {
	case after == nil:
		is = spec.NewLock("")
		x.pins[ref] = append(x.pins[ref], Field{Path: "lock", Before: before.File, Widens: true})
		x.widened.add(ref, "lock", "pins nothing any more: %s was removed", before.File)
	case before == nil:
		x.pins[ref] = append(x.pins[ref], Field{Path: "lock", After: after.File})
		x.narrowed.add(ref, "lock", "pins what lies outside of the repository: %s was added, and what is something else is refused", after.File)
	case before.File != after.File: // It is another environment's; what it pins is compared all the same.
		x.pins[ref] = append(x.pins[ref], Field{Path: "lock", Before: before.File, After: after.File})
	}
	var of []spec.Ref
	found := map[spec.Ref][]pinChange{}
	for _, c := range was.Changes(is) {
		about := c.Resource
		if about.Kind == spec.KindRuntime {
			about = ref
		}
		if found[about] == nil {
			of = append(of, about)
		}
		found[about] = append(found[about], x.pin(c))
	}
	both := before != nil && after != nil
	for _, about := range of {
		var more, less int
		for _, c := range found[about] {
			f := c.field()
			f.Widens = both && c.declared && !c.new
			x.pins[about] = append(x.pins[about], f)
			f.Path = "pinned" + strings.TrimPrefix(f.Path, c.owner)
			x.pinned[c.owner] = append(x.pinned[c.owner], f)
			switch {
			case f.Widens:
				more++
			case both && c.declared:
				less++
			}
		}
		for _, c := range found[about] {
			switch {
			case !both || !c.declared:
			case c.new && less <= maxTold:
				x.narrowed.add(about, "lock", "is pinned by %s in %s", c.path, after.File)
			case c.new || more > maxTold:
			case c.Change == spec.LockRemoved && (c.Field == "" || c.Resource.Kind != spec.KindToolServer):
				x.widened.add(about, "lock", "lost %s in %s, which was %s", c.path, after.File, shortenedTo(maxPinned, c.From))
			default:
				x.widened.add(about, "lock", "changed %s in %s: %s", c.path, after.File, shortenedTo(maxPinned, c.Words()))
			}
		}
		if more > maxTold {
			x.widened.add(about, "lock", "changed what %s pins of it in %s places", after.File, strconv.Itoa(more))
		}
		if less > maxTold {
			x.narrowed.add(about, "lock", "is pinned by %s more entries of %s", strconv.Itoa(less), after.File)
		}
	}
}

// pinChange is a change of a lock.
type pinChange struct {
	spec.LockChange
	// path is where the lock has it, and owner where it has the tool, model or runtime.
	path, owner string
	// declared says that what is pinned was there before and is there after: if it is new, or gone, that is told instead.
	declared bool
	// new says that there was no pin of it.
	new bool
}

func (x *comparison) pin(c spec.LockChange) pinChange {
	p := pinChange{LockChange: c, new: c.Change == spec.LockAdded}
	name := c.Resource.Name
	switch c.Resource.Kind {
	case spec.KindModel:
		was, is := x.before.Models[name], x.after.Models[name]
		p.owner, p.path = lockedModel(name), lockedModel(name)+"."+c.Field
		p.declared = was != nil && is != nil && was.Pinned() && is.Pinned()
	case spec.KindRuntime:
		p.owner, p.path = lockedRuntime(name), joined([]string{"runtimes", name, c.Field})
		p.declared = x.before.runs(name) && x.after.runs(name)
	default:
		p.owner = lockedTool(name, c.Tool)
		if p.path = p.owner; c.Field != "" {
			p.path, p.new = p.path+"."+c.Field, false // The tool was pinned.
		}
		p.declared = x.before.offers(name, c.Tool) && x.after.offers(name, c.Tool)
	}
	return p
}

// These are the paths of a lock at which it pins things.
func lockedModel(name string) string   { return joined([]string{"models", name}) }
func lockedRuntime(name string) string { return joined([]string{"runtimes", name}) }
func lockedTool(server, tool string) string {
	return joined([]string{"servers", server, "tools", tool})
}

// runs reports whether an agent is run by a runtime.
func (f *fleetSide) runs(runtime string) bool {
	for _, a := range f.Agents {
		if a.Runtime == runtime {
			return true
		}
	}
	return false
}

// offers reports whether agents may be given a tool of a server.
func (f *fleetSide) offers(server, tool string) bool {
	s := f.Servers[server]
	if s == nil {
		return false
	}
	t, ok := s.Spec.Tools[tool]
	return ok && t.Effect != spec.EffectDenied
}

func (c pinChange) field() Field {
	d := difference{}
	if c.Change != spec.LockAdded {
		d.before = c.From
	}
	if c.Change != spec.LockRemoved {
		d.after = c.To
	}
	f := d.field()
	f.Path = c.path
	return f
}
