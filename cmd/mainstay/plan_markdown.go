package main

import (
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxComment is how long a comment may be, in bytes. GitHub takes 65,536 characters, which are never more than bytes; the
// rest is for what a workflow writes around it.
const maxComment = 60_000

// planMark is by what a program finds the comment again that it wrote before.
const planMark = "<!-- mainstay plan -->"

// planMarkdown writes a change as a comment for a pull request, of at most limit bytes: what matters most first, and at its
// end what did not fit. Text of the repository stands in code alone, where nobody is mentioned, and nothing is a link.
func planMarkdown(c *plan.Change, limit int) string {
	m := &comment{limit: limit - maxLeftOut}
	m.write(planMark + "\n")
	if c.Empty() {
		m.write("### Mainstay plan: nothing changes\n\nCompared with " + code(shortened(c.Before.Name)) + ".\n")
		return m.String()
	}
	most := allRefs
	if named(c) > limit/2 {
		most = fewRefs
	}
	m.write("### Mainstay plan: " + headline(c) + "\n\nCompared with " + code(shortened(c.Before.Name)) + ".\n")
	var notes []string
	for _, note := range c.Notes {
		notes = append(notes, code(shortened(note)))
	}
	m.list("**Not in this plan:**", notes, "note")
	m.callout("WARNING", "**"+count(len(c.Widened), "permission")+" widened, or not known not to be.** Look at each of them.", sentences("", c.Widened, code, most), "permission")
	var actions []string
	for _, a := range c.Actions {
		actions = append(actions, action(a, code))
	}
	m.callout("IMPORTANT", "**A merge approves "+count(len(c.Actions), "action")+", and has it executed once.**", actions, "action")
	var runs []string
	for _, r := range c.Runs {
		runs = append(runs, starts(r, code))
	}
	m.list("**Runs that would start, unless a policy denies them:**", runs, "run")
	var steps []string
	for _, s := range c.Steps {
		steps = append(steps, code(string(s.Verb))+" "+code(s.Ref.String())+": "+code(shortened(s.Why)))
	}
	m.list("**Steps from what runs:**", steps, "step")
	m.blocks(planBlocks(c, most))
	if narrowed := sentences("", c.Narrowed, code, most); len(narrowed) > 0 {
		m.folded(count(len(narrowed), "permission")+" narrowed", "- "+strings.Join(narrowed, "\n- ")+"\n", len(narrowed), "narrowed permission")
	}
	if len(m.left) > 0 {
		m.limit = limit
		m.write("\n_Left out, because a comment holds at most " + thousands(limit) + " characters: " + strings.Join(m.left, ", ") + ". `mainstay plan` shows all of it._\n")
	}
	return m.String()
}

// named is how long the names are of all resources of which something is said together, in bytes.
func named(c *plan.Change) int {
	size := 0
	for _, p := range slices.Concat(c.Widened, c.Narrowed) {
		size += len(refs(p.Resources, code, allRefs))
	}
	for _, b := range planBlocks(c, allRefs) {
		size += len(b.title)
	}
	return size
}

// maxLeftOut is what the sentence about what is left out may take, in bytes.
const maxLeftOut = 1000

// comment is a text that does not grow over a limit.
type comment struct {
	strings.Builder
	limit int
	left  []string
}

// write adds a text, if it fits.
func (m *comment) write(text string) bool {
	if m.Len()+len(text) > m.limit {
		return false
	}
	m.WriteString(text)
	return true
}

func (m *comment) leave(n int, what string) {
	if n > 0 && len(m.left) < 12 {
		m.left = append(m.left, count(n, what))
	}
}

// callout writes a list in one of GitHub's alerts. GitLab and Gitea show them too, and others as a quotation.
func (m *comment) callout(kind, title string, items []string, what string) {
	if len(items) == 0 {
		return
	}
	m.write("\n> [!" + kind + "]\n> " + title + "\n>\n")
	m.items("> - ", items, what)
}

func (m *comment) list(title string, items []string, what string) {
	if len(items) == 0 {
		return
	}
	m.write("\n" + title + "\n\n")
	m.items("- ", items, what)
}

func (m *comment) items(sign string, items []string, what string) {
	for i, item := range items {
		if !m.write(sign + item + "\n") {
			m.leave(len(items)-i, what)
			return
		}
	}
}

func (m *comment) folded(summary, body string, n int, what string) {
	if !m.write("\n<details>\n<summary>" + summary + "</summary>\n\n" + body + "\n</details>\n") {
		m.leave(n, what)
	}
}

// maxBlock is how much of a resource is shown where not all of all of them fits, in bytes.
const maxBlock = 4 << 10

// blocks writes what changes of each resource.
func (m *comment) blocks(all []block) {
	total := 0
	for _, b := range all {
		total += len(blockMarkdown(b))
	}
	left, cut := 0, 0
	for _, b := range all {
		if total > m.limit-m.Len() {
			if short := b.shortened(maxBlock); len(short.lines) < len(b.lines) {
				b = short
				cut++
			}
		}
		size := len(blockMarkdown(b))
		if !m.write(blockMarkdown(b)) {
			left++
		}
		total -= size
	}
	m.leave(cut, "long difference")
	m.leave(left, "resource")
}

func blockMarkdown(b block) string {
	if len(b.lines) == 0 {
		return "\n<code>" + html.EscapeString(b.title) + "</code>\n"
	}
	lines := make([]string, len(b.lines))
	for i, l := range b.lines {
		lines[i] = l.text
	}
	text := strings.Join(lines, "\n")
	marks := fence(text)
	return "\n<details>\n<summary><code>" + html.EscapeString(b.title) + "</code></summary>\n\n" + marks + "diff\n" + text + "\n" + marks + "\n\n</details>\n"
}

// shortened is a block with as many of its lines as fit.
func (b block) shortened(most int) block {
	size := 0
	for i, l := range b.lines {
		if size += len(l.text) + 1; size > most {
			return block{title: b.title, lines: append(b.lines[:i:i], line{text: fmt.Sprintf("  ... %s left out", count(len(b.lines)-i, "line"))})}
		}
	}
	return b
}

// fence is a row of backticks that is longer than any in a text, so that nothing in it ends the code.
func fence(text string) string { return strings.Repeat("`", max(3, longestRun(text)+1)) }

func longestRun(text string) int {
	longest, run := 0, 0
	for _, r := range text {
		if run++; r != '`' {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}

// maxInline bounds a text in a line of a comment, in characters.
const maxInline = 1000

func shortened(text string) string {
	if r := []rune(text); len(r) > maxInline {
		return string(r[:maxInline-1]) + "…"
	}
	return text
}

// code is a text as code in a line.
func code(text string) string {
	text = strings.Join(strings.Fields(spec.Visible(text)), " ")
	if text == "" {
		text = `""`
	}
	marks := strings.Repeat("`", longestRun(text)+1)
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " "
	}
	return marks + text + marks
}

// thousands writes a number with a comma before each three digits.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
