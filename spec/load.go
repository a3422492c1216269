package spec

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// LoadOptions changes how [Load] reads. The zero value reads what the folder declares.
type LoadOptions struct {
	// Env names the overlay that is applied, a folder in overlays/; "" applies none. Each document in it is merged over
	// the resource of its kind and name before that is checked, by the rules of JSON merge patch (RFC 7386): maps are
	// merged, lists and all else replace, and null removes. An environment without a folder is a problem. The other
	// overlays are checked by themselves, and change nothing.
	Env string
	// Jsonnet evaluates the programs among the files. Without it they are problems.
	Jsonnet Evaluator
	// IgnoreLock loads as if there were no mainstay.lock, so that it can be written anew whatever is in it.
	IgnoreLock bool
	// Cache makes loading cost what has changed since it was last given. Nil keeps nothing.
	Cache *Cache
}

// Load reads, checks and resolves all that root declares, where root is the folder that holds mainstay.yaml. It needs
// nothing but root: no clock, no network, no other folder, and it follows no symbolic link. Only Jsonnet is evaluated by
// somebody else.
//
// All problems are returned at once, sorted by place. If one of them is an error there is no Fleet. The Fleet is
// immutable and may be read from many goroutines.
func Load(root fs.FS, opts LoadOptions) (*Fleet, Problems) {
	l := &loader{root: root, evaluator: opts.Jsonnet, applied: opts.Env, ignoreLock: opts.IgnoreLock, overlays: map[string][]*document{}}
	if c := opts.Cache; c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.prepare()
		l.cache, l.shared = c, c.shared
		defer func() { c.keep(l) }()
	}
	l.readAll()
	l.evaluate()
	l.sortOut()
	l.applyOverlays(opts.Env)
	l.indexAll()
	fleet := l.resolve()
	l.dropConsequences()
	l.problems.sort()
	l.problems = slices.Compact(l.problems) // A program makes many resources of one text.
	if l.more > 0 {
		l.problems = append(l.problems, Problem{Severity: SeverityError, Summary: fmt.Sprintf("%d more problems are not shown", l.more)})
	}
	if l.problems.HasErrors() {
		return nil, l.problems
	}
	return fleet, l.problems
}

// loader is one call of [Load].
type loader struct {
	root     fs.FS
	alone    bool // only mainstay.yaml is read, so that what it names cannot be looked up
	problems Problems
	more     int
	failed   bool // one of the problems is an error

	// What reading adds, see part: the documents of overlays among the others until sortOut.
	files, total int
	documents    []*document
	skillList    []*Skill
	environments []string

	// programs are the Jsonnet files that evaluate to resources, imports those that programs can import besides.
	programs, imports []*file
	evaluator         Evaluator
	sealed            map[string]*encrypted // the files in secrets/ that were looked at
	recordings        map[string]*recording // the files that models of provider replay answer from
	unknown           bool                  // what the programs evaluate to could not be found out

	// lock is the lock that holds, or nil.
	lock       *lockFile
	ignoreLock bool
	// applied names the overlay that is applied.
	applied string

	// overlays are the documents of each overlay, by its name.
	overlays map[string][]*document

	fleet       []*entry[FleetSpec]
	agents      map[string]*entry[AgentSpec]
	personas    map[string]*entry[PersonaSpec]
	prompts     map[string]*entry[PromptSpec]
	models      map[string]*entry[ModelSpec]
	servers     map[string]*entry[ToolServerSpec]
	policies    map[string]*entry[PolicySpec]
	triggers    map[string]*entry[TriggerSpec]
	actions     map[string]*entry[ActionSpec]
	sources     map[string]*entry[SkillSourceSpec]
	knowledge   map[string]*entry[KnowledgeSourceSpec]
	evaluations map[string]*entry[EvaluationSpec]
	workflows   map[string]*entry[WorkflowSpec]
	skills      map[string]*Skill

	// What has been resolved so far.
	out         *Fleet
	personasOut map[string]*persona
	promptsOut  map[string]*prompt
	others      map[Ref]*Resource

	roster    []*entry[AgentSpec] // sorted by name
	agentList []*Agent            // sorted by name
	// delegating and triggered are the agents that name other agents, and those that have triggers.
	delegating, triggered []*entry[AgentSpec]

	// See Cache.
	cache       *Cache
	shared      int
	sharedParts []any
}

// document is one resource as it was written. It is shared by all loads with the same cache.
type document struct {
	kind   Kind
	name   string
	labels map[string]string
	file   *file
	// env is the overlay that the document is in, or "".
	env string
	// top is the place of the whole resource, named that of its name.
	top, named *node
	// spec holds the fields of the resource's spec.
	spec *node
	// broken says that it has been reported that fields could not be read, so that what is missing is not reported too.
	broken bool
	// later are the fields that are checked and not reconciled.
	later []string
	// entry is the document decoded, once it is, and found what was wrong in that.
	entry any
	found Problems
	// memo is what the document was resolved to.
	memo *memo
	// position is the document's in the roster of this version.
	position, version int
	// unnamed says that the document has no name by which it can be known.
	unnamed bool
}

// entry is a resource with its spec decoded.
type entry[S any] struct {
	*document
	written S
}

func (l *loader) add(p Problem) {
	l.failed = l.failed || p.Severity == SeverityError
	if len(l.problems) >= maxProblems {
		l.more++
		return
	}
	l.problems = append(l.problems, p)
}

func (l *loader) errorAt(p Place, hint, format string, args ...any) {
	l.add(Problem{Place: p, Severity: SeverityError, Summary: fmt.Sprintf(format, args...), Hint: hint})
}

func (l *loader) error(n *node, hint, format string, args ...any) {
	l.errorAt(n.place(), hint, format, args...)
}

func (l *loader) warn(n *node, hint, format string, args ...any) {
	l.add(Problem{Place: n.place(), Severity: SeverityWarning, Summary: fmt.Sprintf(format, args...), Hint: hint})
}

// missing reports a field that must be there, unless the document's fields could not all be read.
func (l *loader) missing(d *document, n *node, hint, format string, args ...any) {
	if !d.broken {
		l.error(n, hint, format, args...)
	}
}

// expression reports what is wrong in an expression or template, at its place within a text.
func (l *loader) expression(n *node, what string, err error) {
	place, hint := n.place(), ""
	if e, ok := err.(*expressionError); ok {
		place, hint = n.inText(e.Line, e.Column), e.Hint
	}
	l.errorAt(place, hint, "%s: %s", what, err)
}

// ref returns the reference of a document.
func (d *document) ref() Ref { return Ref{Kind: d.kind, Name: d.name} }

// names returns the keys of a map, sorted.
func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// known reports whether a name is that of a resource, and reports it as a problem at n otherwise.
func known[V any](l *loader, n *node, kind Kind, name string, resources map[string]V) bool {
	if _, ok := resources[name]; ok {
		return true
	}
	const format = "unknown %s %q"
	if hint := near.Hint(name, names(resources), ""); hint != "" {
		l.error(n, hint, format, kind.word(), name)
	} else {
		l.absent(n, kind, kind.declared(), format, kind.word(), name)
	}
	return false
}
