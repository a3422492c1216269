package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// What one file may hold. Beyond it the file is reported, and what was found before it counts.
const (
	MaxFile   = 8 << 20 // The longest file that is read, in bytes.
	maxFacts  = 100_000 // Entities and edges of one file.
	maxValues = 500_000 // YAML values that are looked at in one file, aliases counted each time.
	maxName   = 1024    // The longest name, in bytes.
)

// Facts are what a file declares.
type Facts struct {
	Path     string
	Entities []Entity
	Links    []Link
	// Problems are what could not be read, in the order of lines.
	Problems []Problem
}

// Entity is declared by a file.
type Entity struct {
	Node
	// First and Last are the lines of its declaration, from 1.
	First, Last int
	// Labels are those of the pods of a workload, by which Services and policies select them.
	Labels map[string]string
}

// Link is a relation as a file writes it: To is not resolved.
type Link struct {
	From, To Node
	Relation Relation
	Version  string
	Line     int
	// IfDeclared is for what may be a reference, such as a host in an environment variable. It counts where To is declared.
	IfDeclared bool
}

// Problem is why a file, or part of it, is not in the graph.
type Problem struct {
	Line int // From 1.
	Text string
	// Harmless says that nothing is wrong with the file: it is of a kind that is not read.
	Harmless bool
}

// collector gathers the facts of one file within the limits.
type collector struct {
	Facts
	values int
	full   bool
}

func (c *collector) problem(line int, format string, args ...any) {
	if len(c.Problems) < 100 {
		c.Problems = append(c.Problems, Problem{max(line, 1), fmt.Sprintf(format, args...), false})
	}
}

func (c *collector) room(line int) bool {
	if len(c.Entities)+len(c.Links) < maxFacts {
		return true
	}
	if !c.full {
		c.full = true
		c.problem(line, "the file declares more than %d entities and relations: what follows is left out; split the file", maxFacts)
	}
	return false
}

// plain reports whether a name is one, and not empty, far too long, broken or a template that something has still to fill in.
func plain(name string) bool {
	return name != "" && len(name) <= maxName && utf8.ValidString(name) && !strings.Contains(name, "{{") && !strings.Contains(name, "${")
}

func (n Node) plain() bool {
	return plain(n.Name) && plain(n.Kind) && (n.Namespace == "" || plain(n.Namespace)) && (n.Group == "" || plain(n.Group))
}

func (c *collector) entity(e Entity) {
	if e.plain() && c.room(e.First) {
		c.Entities = append(c.Entities, e)
	}
}

func (c *collector) link(from Node, relation Relation, to Node, line int) {
	c.add(Link{From: from, Relation: relation, To: to, Line: line})
}

func (c *collector) add(l Link) {
	if !plain(l.Version) {
		l.Version = ""
	}
	if l.From.plain() && l.To.plain() && c.room(l.Line) {
		c.Links = append(c.Links, l)
	}
}

// facts returns what was gathered, sorted, each once.
func (c *collector) facts() Facts {
	slices.SortStableFunc(c.Entities, func(a, b Entity) int { return cmp.Or(cmp.Compare(a.First, b.First), a.Compare(b.Node)) })
	slices.SortFunc(c.Links, Link.compare)
	c.Links = slices.Compact(c.Links)
	slices.SortStableFunc(c.Problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return c.Facts
}

func (l Link) compare(o Link) int {
	declared := 0
	if l.IfDeclared != o.IfDeclared {
		declared = 1
		if o.IfDeclared {
			declared = -1
		}
	}
	return cmp.Or(cmp.Compare(l.Line, o.Line), l.From.Compare(o.From), cmp.Compare(l.Relation, o.Relation), l.To.Compare(o.To),
		cmp.Compare(l.Version, o.Version), declared)
}
