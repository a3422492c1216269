package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/spec"
)

// describeAction shows one action in full. Its id may be cut short to a unique beginning.
func describeAction(w io.Writer, s reconciler.Status, id, output string) error {
	var found []reconciler.ActionStatus
	for _, a := range s.Actions {
		if string(a.ID) == id {
			found = []reconciler.ActionStatus{a}
			break
		}
		if strings.HasPrefix(string(a.ID), id) {
			found = append(found, a)
		}
	}
	switch len(found) {
	case 1:
	case 0:
		return fmt.Errorf("no action %q; `mainstay get actions` lists those there are", id)
	default:
		return usageError{fmt.Errorf("%q is the beginning of %d actions; write more of it", id, len(found))}
	}
	a := found[0]
	if output != "" {
		return printItems(w, output, a)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, text string) { fmt.Fprintf(tw, "%s:\t%s\n", name, spec.Visible(text)) }
	row("Action", string(a.ID))
	row("Summary", a.Summary)
	row("Digest", string(a.Digest))
	row("State", a.State)
	for i, line := range strings.Split(dash(a.Message), "\n") {
		if i == 0 {
			row("Message", line)
		} else {
			row("", line)
		}
	}
	switch {
	case a.Rule != "":
		row("Approved by", "nobody; "+a.Rule+" lets it be executed without a review")
	case a.Approval != nil:
		row("Approved by", fmt.Sprintf("%s (%s), in %s", a.Approval.Approver, a.Approval.Key, a.Approval.Merge))
	}
	if a.Executor != "" {
		row("Executor", a.Executor)
	}
	if a.Undoes != "" {
		row("Undoes", string(a.Undoes))
	}
	if a.Undo != "" {
		row("Undo", a.Undo)
	}
	row("Expires", a.Expires.UTC().Format(time.RFC3339))
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nConditions:")
	for _, c := range a.Conditions {
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\n", c.Type, c.Status, c.Reason, firstLine(spec.Visible(c.Message)))
	}
	return tw.Flush()
}
