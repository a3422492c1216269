package plan

import (
	"cmp"
	"slices"

	"github.com/mainstay-dev/mainstay/spec"
)

// KindPlan is the kind under which a [Change] is written as JSON.
const KindPlan = "Plan"

// Change is what becomes of behaviour when one fleet takes the place of another. [Compare] makes it. Its JSON form is for
// programs: within one apiVersion fields are added to it, and none is removed or changed in its meaning. All lists are
// sorted, and there, if empty.
type Change struct {
	// APIVersion is [spec.APIVersion], and Kind [KindPlan].
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Before     Side   `json:"before"`
	After      Side   `json:"after"`
	Summary    Counts `json:"summary"`
	// Notes say what is not in the comparison, a sentence each. [Compare] makes none.
	Notes []string `json:"notes"`
	// Steps are what a reconciler would do now. [Compare] sets none: they follow from what runs; see [Diff].
	Steps []Step `json:"steps"`
	// Widened are the permissions that are more than before, as far as can be told: what cannot be told is among them.
	// Those of single environments come last. Narrowed are those that are less.
	Widened  []Permission `json:"widened"`
	Narrowed []Permission `json:"narrowed"`
	// Actions are those that are new, or not as they were: a merge approves them, and has them executed.
	Actions []ActionChange `json:"actions"`
	Runs    []Run          `json:"runs"`
	Agents  []AgentChange  `json:"agents"`
	// Resources are all that are added, removed or changed, agents and the Fleet too. What changes of an agent is told in
	// Agents, after every reference was followed; of all others, field by field as they are written.
	Resources []ResourceChange `json:"resources"`
}

// Side is one of the two fleets that are compared.
type Side struct {
	// Name says what it is, for people. [Compare] leaves it to its caller.
	Name string `json:"name"`
	// Digest is the fleet's, and "" where there is none.
	Digest spec.Digest `json:"digest,omitempty"`
}

// Counts sums a Change up.
type Counts struct {
	Added   int `json:"added"`
	Changed int `json:"changed"`
	Removed int `json:"removed"`
	Widened int `json:"widened"`
	Runs    int `json:"runs"`
	Actions int `json:"actions"`
}

// Mode says what becomes of something.
type Mode string

// The modes.
const (
	Added   Mode = "added"
	Changed Mode = "changed"
	Removed Mode = "removed"
)

// ResourceChange is a resource that is added, changed or removed.
type ResourceChange struct {
	spec.Ref
	Mode Mode `json:"mode"`
	// Place is where it is written: after the change, or before where it is removed.
	Place spec.Place `json:"place"`
	// From and To are the digests before and after.
	From spec.Digest `json:"from,omitempty"`
	To   spec.Digest `json:"to,omitempty"`
	// Fields are the fields of its spec that differ, sorted by path. A resource that is removed has none.
	Fields []Field `json:"fields,omitempty"`
	// Files are those of a Skill that differ, sorted by path.
	Files []FileChange `json:"files,omitempty"`
}

// FileChange is a file of a skill.
type FileChange struct {
	// Path is the file's within the skill's folder.
	Path string `json:"path"`
	Mode Mode   `json:"mode"`
	// Diff is a unified diff. A file that is removed has none.
	Diff string `json:"diff,omitempty"`
}

// ActionChange is an Action that a merge would have executed.
type ActionChange struct {
	ID   spec.ActionID `json:"id"`
	Mode Mode          `json:"mode"`
	// Summary is the sentence that its reviewer reads; Server, Tool and Arguments are the call that is made.
	Summary   string         `json:"summary"`
	Server    string         `json:"server"`
	Tool      string         `json:"tool"`
	Arguments map[string]any `json:"arguments,omitempty"`
	Digest    spec.Digest    `json:"digest"`
}

// Compare returns what becomes of behaviour when after takes the place of before. Either may be nil, which declares nothing.
// What has the same digest on both sides is not looked into.
func Compare(before, after *spec.Fleet, paths Paths) *Change {
	c := newChange(before, after)
	x := &comparison{before: newFleet(before), after: newFleet(after), Change: c}
	x.fleet()
	x.resources()
	x.policies()
	for _, file := range paths.Secrets {
		x.widened.add(x.after.Ref, "secret", "changed the secrets in %s, or only how they are encrypted", file)
	}
	c.Actions = append(c.Actions, actions(x.before, x.after)...)
	c.Runs = append(c.Runs, runs(x.before, x.after, paths)...)
	c.Widened = append(c.Widened, x.widened.sorted()...)
	c.Narrowed = append(c.Narrowed, x.narrowed.sorted()...)
	c.sum()
	return c
}

func newChange(before, after *spec.Fleet) *Change {
	c := &Change{APIVersion: spec.APIVersion, Kind: KindPlan, Notes: []string{}, Steps: []Step{}, Widened: []Permission{}, Narrowed: []Permission{},
		Actions: []ActionChange{}, Runs: []Run{}, Agents: []AgentChange{}, Resources: []ResourceChange{}}
	if before != nil {
		c.Before.Digest = before.Digest
	}
	if after != nil {
		c.After.Digest = after.Digest
	}
	return c
}

// Empty reports whether nothing changes, nothing is to be done, and nothing is left out of the comparison.
func (c *Change) Empty() bool {
	return len(c.Notes)+len(c.Steps)+len(c.Widened)+len(c.Narrowed)+len(c.Actions)+len(c.Runs)+len(c.Agents)+len(c.Resources) == 0
}

func (c *Change) sum() {
	c.Summary = Counts{Widened: len(c.Widened), Runs: len(c.Runs), Actions: len(c.Actions)}
	for _, r := range c.Resources {
		switch r.Mode {
		case Added:
			c.Summary.Added++
		case Changed:
			c.Summary.Changed++
		case Removed:
			c.Summary.Removed++
		}
	}
}

// comparison is one call of [Compare].
type comparison struct {
	*Change
	before, after     *fleetSide
	widened, narrowed permissions
	// pins are what differs in what the locks pin of a resource, by the names that the lock has for it. pinned are the same
	// for agents, by the path of a tool, model or runtime in the lock.
	pins   map[spec.Ref][]Field
	pinned map[string][]Field
}

// fleetSide is one fleet, with the written form of those of its resources that were asked for.
type fleetSide struct {
	*spec.Fleet
	written map[spec.Ref]map[string]any
}

func newFleet(f *spec.Fleet) *fleetSide {
	if f == nil {
		f = &spec.Fleet{}
	}
	return &fleetSide{Fleet: f, written: map[spec.Ref]map[string]any{}}
}

// tree is the spec of a resource as it was written, without what it got from elsewhere. It is never changed.
func (f *fleetSide) tree(r spec.Resource) map[string]any {
	if tree, ok := f.written[r.Ref]; ok {
		return tree
	}
	tree := f.Written(r.Ref)
	if tree == nil && r.Kind == spec.KindTrigger {
		tree = f.agentTrigger(r)
	}
	f.written[r.Ref] = tree
	return tree
}

// agentTrigger is the spec of a trigger that stands in its agent's file.
func (f *fleetSide) agentTrigger(r spec.Resource) map[string]any {
	for _, ref := range r.DependsOn {
		if ref.Kind != spec.KindAgent {
			continue
		}
		list, _ := f.tree(spec.Resource{Ref: ref})["triggers"].([]any)
		for _, item := range list {
			trigger, _ := item.(map[string]any)
			if name, _ := trigger["name"].(string); ref.Name+"-"+name == r.Name {
				tree := map[string]any{"agent": ref.Name}
				for field, value := range trigger {
					if field != "name" {
						tree[field] = value
					}
				}
				return tree
			}
		}
	}
	return nil
}

// resources walks the resources of both sides, which are sorted alike, and looks into those that differ.
func (x *comparison) resources() {
	before, after := withoutFleet(x.before.Resources), withoutFleet(x.after.Resources)
	for len(before)+len(after) > 0 {
		order := -1
		switch {
		case len(before) == 0:
			order = 1
		case len(after) > 0:
			order = compareRefs(before[0].Ref, after[0].Ref)
		}
		switch {
		case order < 0:
			x.removed(before[0])
			before = before[1:]
		case order > 0:
			x.added(after[0])
			after = after[1:]
		default:
			x.both(before[0], after[0])
			before, after = before[1:], after[1:]
		}
	}
}

// withoutFleet leaves the Fleet out, which comes first.
func withoutFleet(resources []spec.Resource) []spec.Resource {
	if len(resources) > 0 && resources[0].Kind == spec.KindFleet {
		return resources[1:]
	}
	return resources
}

func compareRefs(a, b spec.Ref) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

func (x *comparison) added(r spec.Resource) {
	changed := ResourceChange{Ref: r.Ref, Mode: Added, Place: r.Place, To: r.Digest}
	switch r.Kind {
	case spec.KindAgent:
		x.agent(nil, x.after.Agents[spec.AgentName(r.Name)])
	case spec.KindSkill:
		changed.Files = skillFiles(nil, x.after.Skills[r.Name])
	default:
		for _, d := range differences(r.Kind, nil, x.after.tree(r)) {
			changed.Fields = append(changed.Fields, d.field())
			if d.secret() {
				changed.Fields[len(changed.Fields)-1].Widens = true
				x.widened.add(r.Ref, "secret", "was given the secret %s as %s", Value(d.after), d.name())
			}
		}
		changed.Fields = append(changed.Fields, x.pins[r.Ref]...)
		x.addedKind(r)
	}
	x.Resources = append(x.Resources, changed)
}

func (x *comparison) removed(r spec.Resource) {
	x.Resources = append(x.Resources, ResourceChange{Ref: r.Ref, Mode: Removed, Place: r.Place, From: r.Digest})
	if r.Kind == spec.KindAgent {
		x.agent(x.before.Agents[spec.AgentName(r.Name)], nil)
		return
	}
	x.removedKind(r)
}

func (x *comparison) both(before, after spec.Resource) {
	var was, is *spec.Agent
	if after.Kind == spec.KindAgent {
		was, is = x.before.Agents[spec.AgentName(before.Name)], x.after.Agents[spec.AgentName(after.Name)]
	}
	if before.Digest == after.Digest && len(x.pins[after.Ref]) == 0 && (is == nil || was.Description == is.Description) {
		return
	}
	changed := ResourceChange{Ref: after.Ref, Mode: Changed, Place: after.Place, From: before.Digest, To: after.Digest}
	switch after.Kind {
	case spec.KindAgent:
		x.agent(was, is)
	case spec.KindSkill:
		changed.Files = skillFiles(x.before.Skills[after.Name], x.after.Skills[after.Name])
	default:
		changed.Fields = append(x.judged(after.Ref, after.Kind, x.before.tree(before), x.after.tree(after)), x.pins[after.Ref]...)
	}
	x.Resources = append(x.Resources, changed)
}

// judged returns the fields that differ, and notes what they do to permissions.
func (x *comparison) judged(ref spec.Ref, kind spec.Kind, before, after map[string]any) []Field {
	var fields []Field
	for _, d := range differences(kind, before, after) {
		f := d.field()
		f.Widens = d.judge(ref, &x.widened, &x.narrowed)
		fields = append(fields, f)
	}
	return fields
}

// actions are the Actions that are new, or not as they were.
func actions(before, after *fleetSide) []ActionChange {
	var out []ActionChange
	for id, a := range after.Actions {
		mode := Added
		if was := before.Actions[id]; was != nil {
			if was.Digest == a.Digest {
				continue
			}
			mode = Changed
		}
		out = append(out, ActionChange{ID: id, Mode: mode, Summary: a.Spec.Summary, Server: a.Spec.Server, Tool: a.Spec.Tool,
			Arguments: a.Spec.Arguments, Digest: a.Digest})
	}
	slices.SortFunc(out, func(a, b ActionChange) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
