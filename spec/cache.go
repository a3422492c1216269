package spec

import (
	"io/fs"
	"maps"
	"slices"
	"sync"
)

// Cache keeps what was made of files, folders and resources from one [Load] to the next, so that the cost of loading a
// revision follows what has changed. It keeps one version of each, and is of use where the folder that is loaded gives its
// files and folders ids: an entry of its ReadDir then has the method ID, which returns the id of the Git object. It never
// changes what Load returns. The zero value is ready, and may be used by many goroutines, whose loads wait for each other.
type Cache struct {
	mu      sync.Mutex
	files   map[string]cachedPart
	folders map[string]cachedPart
	merged  map[[2]*document]*document
	skills  map[string]*Skill
	roster  roster
	// shared counts how often anything has changed that agents may depend on, which was this at the last load.
	shared      int
	sharedParts []any
	// size is how many resources there were.
	size int
}

// cachedPart is what the loader found in a file or folder with this id.
type cachedPart struct {
	id   string
	part part
}

// part is what reading adds to a loader.
type part struct {
	problems     Problems
	documents    []*document
	skills       []*Skill
	programs     []*file
	imports      []*file
	environments []string
	files, total int
	lock         *lockFile
}

// mark is how much a loader held at a moment.
type mark struct {
	problems, documents, skills, programs, imports, environments, files, total, more int
}

func (l *loader) mark() mark {
	return mark{len(l.problems), len(l.documents), len(l.skillList), len(l.programs), len(l.imports), len(l.environments), l.files, l.total, l.more}
}

// take adds what was found before.
func (l *loader) take(p part) {
	for _, one := range p.problems {
		l.add(one)
	}
	l.documents = append(l.documents, p.documents...)
	l.skillList = append(l.skillList, p.skills...)
	l.programs = append(l.programs, p.programs...)
	l.imports = append(l.imports, p.imports...)
	l.environments = append(l.environments, p.environments...)
	l.files += p.files
	l.total += p.total
	if p.lock != nil {
		l.lock = p.lock
	}
}

// idOf is the id of an entry's Git object, or "".
func idOf(e fs.DirEntry) string {
	if e, ok := e.(interface{ ID() string }); ok {
		return e.ID()
	}
	return ""
}

func (l *loader) cachedFiles() map[string]cachedPart {
	if l.cache == nil {
		return nil
	}
	return l.cache.files
}

func (l *loader) cachedFolders() map[string]cachedPart {
	if l.cache == nil {
		return nil
	}
	return l.cache.folders
}

// cached reads a file or folder by read, unless what was read before has the same id. known is the part of the cache.
func (l *loader) cached(known map[string]cachedPart, name, id string, read func()) {
	if id == "" || known == nil {
		read()
		return
	}
	if c, ok := known[name]; ok && c.id == id && l.files+c.part.files <= maxFiles && l.total+c.part.total <= maxTotal {
		l.take(c.part)
		return
	}
	m, lock := l.mark(), l.lock
	read()
	if l.more > 0 || l.files > maxFiles || l.total > maxTotal {
		return // What was found depends on what was found before.
	}
	if l.lock != lock {
		lock = l.lock
	} else {
		lock = nil
	}
	known[name] = cachedPart{id, part{
		problems: append(Problems(nil), l.problems[m.problems:]...), documents: append([]*document(nil), l.documents[m.documents:]...),
		skills: append([]*Skill(nil), l.skillList[m.skills:]...), programs: append([]*file(nil), l.programs[m.programs:]...),
		imports: append([]*file(nil), l.imports[m.imports:]...), environments: append([]string(nil), l.environments[m.environments:]...),
		files: l.files - m.files, total: l.total - m.total, lock: lock,
	}}
}

// prepare makes the cache ready for a loader, and forgets all files once most of them are gone.
func (c *Cache) prepare() {
	if c.files == nil || len(c.files) > 2*c.size+10_000 {
		c.files, c.folders = map[string]cachedPart{}, map[string]cachedPart{}
	}
	if c.merged == nil || len(c.merged) > 2*c.size+10_000 {
		c.merged = map[[2]*document]*document{}
	}
}

// keep remembers what a loader has resolved.
func (c *Cache) keep(l *loader) {
	c.shared, c.skills, c.size = l.shared, l.skills, len(l.documents)
}

// memo is what a document was resolved to, and what that depended on.
type memo struct {
	// extra is what else it depended on, such as the Fleet's defaults.
	extra  string
	shared int
	// inputs are the resolved resources behind refs, as they were.
	refs   []Ref
	inputs []any
	value  any
}

// resolved returns what a document is resolved to. It calls resolve only where extra, or a resource that it depends on, is
// another one than at the last time, or where there was a problem then. refs are the resources that the value depends on.
func resolved[T any](l *loader, d *document, extra string, resolve func() (value T, refs []Ref)) T {
	if m := d.memo; m != nil && m.extra == extra && l.same(d.kind, m) {
		m.shared = l.shared
		l.share(d.kind, m.value)
		return m.value.(T)
	}
	before := len(l.problems)
	value, refs := resolve()
	d.memo = nil
	l.share(d.kind, value)
	if l.failed || len(l.problems) > before {
		return value // Its problems must be told again, and in a broken revision inputs may be there that are no good.
	}
	m := &memo{extra: extra, shared: l.shared, refs: refs, value: value}
	for _, r := range refs {
		m.inputs = append(m.inputs, l.resolvedAs(r))
	}
	d.memo = m
	return value
}

// same reports whether what a memo depended on is as it was.
func (l *loader) same(kind Kind, m *memo) bool {
	if m.shared == l.shared && kind == KindAgent {
		return true
	}
	for i, r := range m.refs {
		if l.resolvedAs(r) != m.inputs[i] {
			return false
		}
	}
	return true
}

// kept returns what a document was resolved to before instead of value, if both are the same: whoever depends on
// it then sees that it has not changed.
func kept[T interface{ header() *Resource }](l *loader, d *document, value T) T {
	if m := d.memo; m != nil {
		old, ok := m.value.(T)
		if ok && old.header().Digest == value.header().Digest && slices.Equal(old.header().DependsOn, value.header().DependsOn) {
			value = old
		}
	}
	d.memo = &memo{value: value}
	l.share(d.kind, value)
	return value
}

// share notes what agents may depend on.
func (l *loader) share(kind Kind, value any) {
	switch kind {
	case KindModel, KindPersona, KindPrompt, KindToolServer, KindKnowledgeSource:
		l.sharedParts = append(l.sharedParts, value)
	}
}

func (r *Resource) header() *Resource { return r }

// countShared notices whether anything that agents may depend on has changed since the last load. Call it when all of that
// is resolved, in the order of its names.
func (l *loader) countShared() {
	if l.cache == nil {
		return
	}
	if !slices.Equal(l.sharedParts, l.cache.sharedParts) || !maps.Equal(l.skills, l.cache.skills) {
		l.shared++
	}
	l.cache.sharedParts = l.sharedParts
}

// resolvedAs is what a resource that others depend on is resolved to, as a pointer; it is nil where there is no such one.
func (l *loader) resolvedAs(r Ref) any {
	switch r.Kind {
	case KindAgent:
		return l.out.Agents[AgentName(r.Name)]
	case KindModel:
		return l.out.Models[r.Name]
	case KindToolServer:
		return l.out.Servers[r.Name]
	case KindKnowledgeSource:
		return l.out.Knowledge[r.Name]
	case KindSkill:
		return l.skills[r.Name]
	case KindPersona:
		return l.personasOut[r.Name]
	case KindPrompt:
		return l.promptsOut[r.Name]
	}
	return l.others[r]
}
