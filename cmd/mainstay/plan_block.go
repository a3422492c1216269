package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/spec"
)

// block is what changes of one resource, as a terminal and a pull request show it. Each line begins with what it says: + is
// new, - is gone, ~ is different, and ! permits more, or may.
type block struct {
	title string
	lines []line
	// rows are the lines that have a name, until they are aligned.
	rows []row
}

// line is one line of a block.
type line struct {
	text string
	// diff says that it is one of a unified diff.
	diff bool
}

// row is a line that says something of what has a name.
type row struct {
	line             int
	sign, what, text string
}

var signs = map[plan.Mode]string{plan.Added: "+", plan.Changed: "~", plan.Removed: "-"}

// planBlocks are those of all resources that change, the agents first. Agents to which the same happens share one, whose title
// names at most so many.
func planBlocks(c *plan.Change, most int) []block {
	var agents, others []block
	var alike [][]spec.Ref
	told := map[spec.AgentName]plan.AgentChange{}
	for _, a := range c.Agents {
		told[a.Name] = a
	}
	same := map[string]int{}
	for _, r := range c.Resources {
		var b block
		if r.Kind == spec.KindAgent {
			b.agent(told[spec.AgentName(r.Name)])
			b = b.align()
			key := signs[r.Mode] + fmt.Sprint(b.lines)
			i, ok := same[key]
			if !ok {
				i, same[key] = len(agents), len(agents)
				agents, alike = append(agents, b), append(alike, nil)
			}
			alike[i] = append(alike[i], r.Ref)
			agents[i].title = signs[r.Mode] + " "
			continue
		}
		b.title = signs[r.Mode] + " " + plan.Quote(r.Ref.String())
		b.fields(r.Fields, r.Mode)
		for _, f := range r.Files {
			b.add(signs[f.Mode], "file", plan.Quote(f.Path))
			b.diff(f.Diff, f.Mode)
		}
		others = append(others, b.align())
	}
	for i := range agents {
		agents[i].title += refs(alike[i], plan.Quote, most)
	}
	return append(agents, others...)
}

func (b *block) add(sign, what, text string) {
	b.rows = append(b.rows, row{len(b.lines), sign, what, text})
	b.lines = append(b.lines, line{})
}

// maxAligned is how long a name may be to move the others to the right, in bytes.
const maxAligned = 40

// align writes the rows, with what they say in a column.
func (b block) align() block {
	width := 0
	for _, r := range b.rows {
		if len(r.what) <= maxAligned {
			width = max(width, len(r.what))
		}
	}
	for _, r := range b.rows {
		b.lines[r.line].text = strings.TrimRight(fmt.Sprintf("%s %-*s  %s", r.sign, width, r.what, r.text), " ")
	}
	return b
}

func (b *block) agent(a plan.AgentChange) {
	if a.Model != nil {
		b.model(*a.Model)
	}
	if t := a.Tools; t != nil {
		for _, tool := range t.Gained {
			b.add("!", "gains tool", tool.Name+" ("+tool.Effect+")")
		}
		for _, tool := range t.Lost {
			b.add("-", "loses tool", tool.Name+" ("+tool.Effect+")")
		}
		for _, tool := range t.Changed {
			b.add("~", "tool", tool.Name)
			b.under("  ", tool.Fields)
		}
	}
	b.names("skill", a.Skills)
	b.names("knowledge", a.Knowledge)
	b.names("delegate", a.Delegates)
	b.names("reads", a.ReadPaths)
	b.names("proposes", a.ProposePaths)
	b.fields(a.Fields, a.Mode)
	if a.Instructions != "" {
		b.add(signs[a.Mode], "instructions", lineCount(a.Instructions, a.Mode))
		b.diff(a.Instructions, a.Mode)
	}
}

// model says which model an agent has. Two models differ in much, so that of another one only what may permit more is shown.
func (b *block) model(m plan.ModelChange) {
	after := modelText(*m.After)
	if m.Before == nil {
		b.add("+", "model", after)
		return
	}
	sign, text := "~", after
	if before := modelText(*m.Before); before != after {
		text = before + " -> " + after
	}
	if m.Before.Name != m.After.Name {
		sign = "!"
	}
	var fields []plan.Field
	for _, f := range m.Fields {
		switch {
		case f.Path == "name" || f.Path == "provider" || f.Path == "endpoint":
			if f.Widens {
				sign = "!"
			}
		case f.Widens || m.Before.Name == m.After.Name:
			fields = append(fields, f)
		}
	}
	b.add(sign, "model", text)
	b.under("model.", fields)
}

// names lists what is gained, lost and changed.
func (b *block) names(what string, n *plan.Names) {
	if n == nil {
		return
	}
	for _, name := range n.Gained {
		sign := "+"
		if slices.Contains(n.Widening, name) {
			sign = "!"
		}
		b.add(sign, what, plan.Quote(name))
	}
	for _, name := range n.Lost {
		b.add("-", what, plan.Quote(name))
	}
	for _, name := range n.Changed {
		b.add("~", what, plan.Quote(name))
	}
}

func modelText(m plan.ModelUse) string {
	var parts []string
	for _, part := range []string{m.Provider, m.Model, m.Endpoint} {
		if part != "" {
			parts = append(parts, plan.Quote(part))
		}
	}
	return m.Name + " (" + strings.Join(parts, " ") + ")"
}

func (b *block) under(prefix string, fields []plan.Field) {
	fields = slices.Clone(fields)
	for i := range fields {
		fields[i].Path = prefix + fields[i].Path
	}
	b.fields(fields, plan.Changed)
}

func (b *block) fields(fields []plan.Field, mode plan.Mode) {
	for _, f := range fields {
		before, after := f.Sides()
		sign, text := "~", before+" -> "+after
		switch {
		case f.Before == nil:
			sign, text = "+", after
		case f.After == nil:
			sign, text = "-", before
		}
		if f.Widens {
			sign = "!"
		}
		switch {
		case f.Diff != "":
			b.add(sign, spec.Visible(f.Path), lineCount(f.Diff, mode))
			b.diff(f.Diff, mode)
		case f.After == nil && f.Widens:
			b.add(sign, spec.Visible(f.Path), before+" -> nothing")
		default:
			b.add(sign, spec.Visible(f.Path), text)
		}
	}
}

// diff shows how a text changes. Of what is new it is said how long it is: build prints it.
func (b *block) diff(hunks string, mode plan.Mode) {
	if mode != plan.Changed {
		return
	}
	for text := range strings.SplitSeq(strings.TrimSuffix(hunks, "\n"), "\n") {
		b.lines = append(b.lines, line{text, true})
	}
}

func lineCount(hunks string, mode plan.Mode) string {
	if mode != plan.Added {
		return ""
	}
	n := 0
	for line := range strings.SplitSeq(hunks, "\n") {
		if strings.HasPrefix(line, "+") {
			n++
		}
	}
	return count(n, "line")
}

// count writes a number of things: `1 line`, `3 lines`.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// How many resources are named where the same is said of many.
const (
	allRefs = math.MaxInt
	fewRefs = 5
)

// refs writes resources in a list, of which it names the first few where there are more than most.
func refs(list []spec.Ref, quote func(string) string, most int) string {
	var names []string
	for i, ref := range list {
		if i == most && len(list)-1 > most {
			names = append(names, fmt.Sprintf("%d more", len(list)-most))
			break
		}
		names = append(names, quote(ref.String()))
	}
	return and(names)
}

// starts says when a run starts, and why.
func starts(r plan.Run, quote func(string) string) string {
	globs := make([]string, len(r.Globs))
	for i, g := range r.Globs {
		globs[i] = quote(g)
	}
	what := quote("Trigger/" + r.Trigger)
	switch r.Mode {
	case plan.Added:
		what += ", which is new,"
	case plan.Changed:
		what += ", which is changed,"
	}
	what += " starts " + quote("Agent/"+string(r.Agent))
	switch r.When {
	case plan.AtOnce:
		files := quote(r.Paths[0])
		if more := r.Matching - 1; more > 0 {
			files += " and " + count(more, "more file")
		}
		if r.Mode == plan.Added {
			return what + " at once: a new trigger takes all files for changed, and " + files + " match"
		}
		return what + " at once, for " + files
	case plan.IfChanged:
		return what + " at once, if files that match " + strings.Join(globs, ", ") + " change"
	case plan.AtNextTime:
		text := what + " at the next time of " + quote(r.Schedule)
		if r.Mode == plan.Changed {
			text += ", or at once, if there was one since its last run"
		}
		return text
	}
	return what + ", but this version only checks it"
}

// headline sums a change up.
func headline(c *plan.Change) string {
	text := fmt.Sprintf("%d to add, %d to change, %d to remove", c.Summary.Added, c.Summary.Changed, c.Summary.Removed)
	for _, part := range []struct {
		n           int
		what, verbs string
	}{{c.Summary.Widened, "permission", "widened"}, {c.Summary.Runs, "run", "to start"}, {c.Summary.Actions, "action", "to execute"}} {
		if part.n > 0 {
			text += ", " + count(part.n, part.what) + " " + part.verbs
		}
	}
	return text
}
