package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/spec"
)

// writePlan writes a change for a terminal.
func writePlan(w io.Writer, c *plan.Change) error {
	var b strings.Builder
	for _, s := range c.Steps {
		fmt.Fprintln(&b, spec.Visible(s.String()))
	}
	if len(c.Steps) > 0 {
		b.WriteString("\n")
	}
	section := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintf(&b, "%s\n", title)
		for _, line := range lines {
			b.WriteString(strings.TrimRight("  "+line, " ") + "\n")
		}
		b.WriteString("\n")
	}
	section("Permissions widened, or not known not to be:", sentences("! ", c.Widened, plan.Quote, allRefs))
	var actions []string
	for _, a := range c.Actions {
		actions = append(actions, "! "+action(a, plan.Quote))
	}
	section("Actions that a merge approves, and has executed once:", actions)
	var runs []string
	for _, r := range c.Runs {
		runs = append(runs, starts(r, plan.Quote))
	}
	section("Runs that would start, unless a policy denies them:", runs)
	for _, block := range planBlocks(c, allRefs) {
		var lines []string
		for _, l := range block.lines {
			if l.diff {
				l.text = "    " + l.text
			}
			lines = append(lines, l.text)
		}
		section(block.title, lines)
		if len(block.lines) == 0 {
			fmt.Fprintf(&b, "%s\n\n", block.title)
		}
	}
	section("Permissions narrowed:", sentences("", c.Narrowed, plan.Quote, allRefs))
	for _, note := range c.Notes {
		fmt.Fprintf(&b, "Note: %s.\n", oneLine(note))
	}
	switch {
	case len(c.Steps) > 0 && len(c.Resources)+len(c.Runs) == 0:
		b.WriteString("Plan: what is declared is what was applied; only the steps are left.\n")
	case !c.Empty():
		fmt.Fprintf(&b, "Plan: %s.\nCompared with %s.\n", headline(c), oneLine(c.Before.Name))
	case strings.HasPrefix(c.Before.Name, whatRuns):
		b.WriteString("nothing to do: what runs is what is declared\n")
	default:
		fmt.Fprintf(&b, "nothing changes: %s declares what %s does\n", oneLine(c.After.Name), oneLine(c.Before.Name))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// sentences are permissions as people read them, with at most so many resources named in each.
func sentences(sign string, list []plan.Permission, quote func(string) string, most int) []string {
	var out []string
	for _, p := range list {
		text := refs(p.Resources, quote, most) + " " + p.Phrase(quote)
		if len(p.Env) > 0 {
			envs := make([]string, len(p.Env))
			for i, env := range p.Env {
				envs[i] = quote(env)
			}
			text = "with " + overlays(envs) + ": " + text
		}
		out = append(out, sign+text)
	}
	return out
}

// action is an Action as people read it: what is called, and what its reviewer is told.
func action(a plan.ActionChange, quote func(string) string) string {
	text := quote("Action/" + string(a.ID))
	if a.Mode == plan.Changed {
		text += ", which is not as it was,"
	}
	return text + " calls " + quote(a.Server+"__"+a.Tool) + " with " + quote(plan.Value(a.Arguments)) + ": " + quote(a.Summary)
}

// oneLine is a text in one line that is safe to show.
func oneLine(text string) string { return strings.Join(strings.Fields(spec.Visible(text)), " ") }
