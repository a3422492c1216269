package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/tabwriter"
	"time"

	runs "github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/spec"
)

// describeRun shows one run: what it is about, where it stands, and the runs above and beneath it.
func describeRun(ctx context.Context, w io.Writer, state, name, output string, now time.Time) error {
	dir, err := findState(state)
	if err != nil {
		return err
	}
	r, err := openReader(ctx, dir)
	if err != nil {
		return err
	}
	defer r.close()
	id, err := r.find(ctx, name)
	if err != nil {
		return err
	}
	entries, err := r.record(ctx, id)
	if errors.Is(err, fs.ErrNotExist) {
		return r.noRun(ctx, name)
	}
	if err != nil {
		return err
	}
	sum := runs.Summarize(entries)
	if output != "" {
		return printItems(w, output, sum)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(tw, "%s:\t%s\n", name, spec.Visible(fmt.Sprintf(format, args...)))
	}
	row("Run", "%s", sum.Run)
	row("Agent", "%s", sum.Agent)
	row("Phase", "%s", sum.Phase)
	row("Task", "%s", firstLine(sum.Text))
	row("Revision", "%s", sum.Revision)
	row("Started", "%s ago", since(now, sum.At))
	row("Started by", "%s", startedBy(sum.Task))
	row("Attempts", "%d", sum.Attempts)
	row("Used", "%s, %s, %s", count(sum.Turns, "turn"), count(sum.ToolCalls, "tool call"), usageText(sum.Usage))
	if waits := waitsFor(sum); waits != "" {
		row("Waits", "%s", strings.TrimPrefix(waits, "waits "))
	}
	if o := sum.Outcome; o != nil && o.Reason != "" {
		row("Reason", "%s: %s", o.Reason, firstLine(o.Message))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, p := range sum.Waiting {
		fmt.Fprintf(w, "\nWaits for %s: %s\n", proposalName(p), spec.Visible(p.Title))
	}
	return printChildren(ctx, w, r, entries)
}

// printChildren lists the runs that a run has given tasks to.
func printChildren(ctx context.Context, w io.Writer, r *reader, entries []spec.Entry) error {
	t := table{header: []string{"RUN", "AGENT", "PHASE", "EXCHANGE", "TASK"}}
	for _, e := range entries {
		if e.Child == nil {
			continue
		}
		phase := "unknown"
		below, err := r.record(ctx, e.Child.Run)
		switch {
		case err == nil:
			phase = runs.Summarize(below).Phase
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		t.rows = append(t.rows, []string{string(e.Child.Run), string(e.Child.Agent), phase, fmt.Sprint(e.N), spec.Visible(firstLine(e.Child.Text))})
	}
	if len(t.rows) == 0 {
		return nil
	}
	fmt.Fprintln(w, "\nGave tasks to:")
	return t.print(w, "")
}

// startedBy says what started a run: a trigger, or the run of an agent that gave it its task.
func startedBy(t spec.Task) string {
	if t.Parent != nil {
		return fmt.Sprintf("%s %s", t.Parent.Agent, t.Parent.Run)
	}
	return dash(t.Trigger)
}

// waitsFor says what a run waits for, or "".
func waitsFor(r spec.RunSummary) string {
	var what []string
	if n := len(r.Waiting); n > 0 {
		what = append(what, proposals(n))
	}
	for _, child := range r.Children {
		what = append(what, string(child.Agent))
	}
	if len(what) == 0 {
		return ""
	}
	return "waits for " + strings.Join(what, ", ")
}
